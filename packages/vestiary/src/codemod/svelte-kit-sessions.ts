/** The packages that an app leaves, and the modules that take their place. */
const SUCCESSORS: Readonly<Record<string, string>> = {
	'svelte-kit-sessions': 'vestiary',
	'svelte-kit-connect-redis': 'vestiary/redis',
	'svelte-kit-connect-upstash-redis': 'vestiary/upstash-redis',
	'svelte-kit-connect-cloudflare-kv': 'vestiary/cloudflare-kv'
};

const FORMER: string = Object.keys(SUCCESSORS).join('|');

/** The places where a string names a module. Types in comments, as JavaScript has them, are among them. */
const SPECIFIER = new RegExp(
	`(\\b(?:from|import|declare\\s+module)\\s*|\\b(?:import|require|mock|doMock|unmock)\\s*\\(\\s*)(['"\`])(${FORMER})\\2`,
	'g'
);

const MENTION = new RegExp(`(?<![\\w./-])(?:${FORMER})(?![\\w-])`);

/** A source file, changed. */
export interface MigratedSource {
	readonly text: string;
	/** The number of names of modules that were changed. */
	readonly changes: number;
	/** The lines that name one of the packages elsewhere, from 1. */
	readonly mentions: readonly number[];
}

/** Replaces the modules of svelte-kit-sessions and its stores by those of Vestiary. All else stays as it is. */
export function migrateSource(source: string): MigratedSource {
	let changes = 0;
	const text = source.replace(
		SPECIFIER,
		(_, before: string, quote: string, name: string): string => {
			changes++;
			return `${before}${quote}${SUCCESSORS[name] ?? name}${quote}`;
		}
	);
	const mentions = text
		.split('\n')
		.flatMap((line, index) => (MENTION.test(line) ? [index + 1] : []));
	return { text, changes, mentions };
}

/** The groups of dependencies in a manifest. */
const GROUPS = ['dependencies', 'devDependencies', 'peerDependencies'] as const;

type Manifest = Partial<Record<(typeof GROUPS)[number], Record<string, string>>>;

/** Clients that came with a store of svelte-kit-sessions, and that its app may use without naming them. */
const CLIENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
	'svelte-kit-connect-redis': { ioredis: '^5.3.2', redis: '^4.6.12' }
};

/**
 * Replaces the packages in the text of a package.json by `vestiary` of this version. Other stores for svelte-kit-sessions
 * work as they are, and npm gets what they need. `uses` tells whether a source file imports a module.
 */
export function migrateManifest(
	text: string,
	version: string,
	uses: (name: string) => boolean
): string {
	const manifest = JSON.parse(text) as Manifest;
	let found = false;
	for (const group of GROUPS) {
		const packages = manifest[group];
		if (!packages) continue;
		const entries = Object.entries(packages);
		const former = entries.filter(([name]) => Object.hasOwn(SUCCESSORS, name));
		if (former.length === 0) continue;
		found = true;
		const clients = former.flatMap(([name]) => Object.entries(CLIENTS[name] ?? {}));
		const added = Object.fromEntries(
			clients.filter(([name]) => uses(name) && !has(manifest, name))
		);
		const kept = entries.filter(([name]) => !Object.hasOwn(SUCCESSORS, name));
		const own = has(manifest, 'vestiary') ? {} : { vestiary: version };
		manifest[group] = sorted({ ...Object.fromEntries(kept), ...added, ...own });
	}
	if (!found) return text;
	const indentation = /^\{\r?\n([ \t]+)/.exec(text)?.[1] ?? '\t';
	return `${JSON.stringify(manifest, null, indentation)}${text.endsWith('\n') ? '\n' : ''}`;
}

function has(manifest: Manifest, name: string): boolean {
	return GROUPS.some((group) => Object.hasOwn(manifest[group] ?? {}, name));
}

/** As npm writes them. */
function sorted(packages: Record<string, string>): Record<string, string> {
	return Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
}
