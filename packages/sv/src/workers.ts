import type { Draft } from './project.ts';
import type { StoreKind } from './stores.ts';
import { printedLike } from './tables.ts';

interface Wrangler {
	main?: string;
	d1_databases?: { binding?: string; migrations_dir?: string }[];
	durable_objects?: { bindings?: { name: string; class_name: string }[] };
	migrations?: { tag: string; new_sqlite_classes?: string[] }[];
}

const TABLE = `CREATE TABLE IF NOT EXISTS sessions (key TEXT PRIMARY KEY, record TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires);
`;

/** Gives the Worker of the app the store's binding, its table or its class. */
export function bindWorker(draft: Draft, store: StoreKind, hasDrizzle: boolean): void {
	const { project } = draft;
	if (project.version('@sveltejs/adapter-cloudflare') === undefined)
		draft.notes.push(
			'Use adapter-cloudflare: `npx sv add sveltekit-adapter=adapter:cloudflare`.'
		);
	if (store === 'd1') bindDatabase(draft, hasDrizzle);
	else bindObjects(draft);
}

function bindDatabase(draft: Draft, hasDrizzle: boolean): void {
	const config = wrangler(draft);
	if (!hasDrizzle) {
		draft.add('migrations/0001_sessions.sql', TABLE);
		draft.notes.push(
			'Create the table: `npx wrangler d1 migrations apply DB --local`, and with `--remote` for the other one.'
		);
	}
	if (config?.data.d1_databases?.some(({ binding }) => binding === 'DB')) return;
	draft.notes.push(
		'Create a database, and bind it as DB in wrangler.jsonc: `npx wrangler d1 create my-app --binding DB`.'
	);
}

/** The four files of docs/how-to/platforms.md. */
function bindObjects(draft: Draft): void {
	draft.add(
		'worker.js',
		`export { default } from './.svelte-kit/cloudflare/_worker.js';
export { SessionObject } from 'vestiary/durable-objects/object';
`
	);
	draft.add('wrangler.build.jsonc', '{ "assets": { "directory": ".svelte-kit/cloudflare" } }\n');
	const config = wrangler(draft);
	if (config) {
		const { data, source } = config;
		const bindings = data.durable_objects?.bindings ?? [];
		if (!bindings.some(({ name }) => name === 'SESSIONS')) {
			data.main = 'worker.js';
			data.durable_objects = {
				bindings: [...bindings, { name: 'SESSIONS', class_name: 'SessionObject' }]
			};
			const migrations = data.migrations ?? [];
			data.migrations = [
				...migrations,
				{ tag: `v${migrations.length + 1}`, new_sqlite_classes: ['SessionObject'] }
			];
			draft.write('wrangler.jsonc', printedLike(source, data));
		}
	} else {
		draft.notes.push(
			'Bind the class SessionObject as SESSIONS, with worker.js as the main module: docs/how-to/platforms.md.'
		);
	}
	for (const name of [
		'vite.config.ts',
		'vite.config.js',
		'svelte.config.js',
		'svelte.config.ts'
	]) {
		const source = draft.read(name);
		if (source?.includes('wrangler.build.jsonc')) return;
		if (!source?.includes('adapter-cloudflare') || !/\badapter\(\)/.test(source)) continue;
		draft.write(
			name,
			source.replace(/\badapter\(\)/, "adapter({ config: 'wrangler.build.jsonc' })")
		);
		return;
	}
	draft.notes.push(
		"Pass `config: 'wrangler.build.jsonc'` to the adapter, so that it leaves worker.js alone."
	);
}

/** The configuration of wrangler, if it is JSON whose comments are whole lines. */
function wrangler(draft: Draft): { data: Wrangler; source: string } | undefined {
	const source = draft.read('wrangler.jsonc') ?? '';
	const lines = source.replace(/^\s*\/\/.*$/gm, '').replace(/\/\*[\s\S]*?\*\//g, '');
	try {
		return { data: JSON.parse(lines.replace(/,(\s*[}\]])/g, '$1')) as Wrangler, source };
	} catch {
		return undefined;
	}
}
