import { leaveCookieSession } from './former-cookie-session.ts';
import { leaveIronSession } from './former-iron-session.ts';
import { leaveLucia } from './lucia/leave.ts';
import type { NewHandle } from './hooks.ts';
import { checkVersion } from './sources.ts';
import { migrateManifest, migrateSource } from '../../vestiary/src/codemod/svelte-kit-sessions.ts';
import { formerModule } from './portable.ts';
import { Refusal } from './refusal.ts';
import { importPath, type Draft } from './project.ts';
import { VERSIONS, type StoreKind } from './stores.ts';

/** The libraries whose sessions an app may have had. */
export const FORMERS = [
	{ value: 'none', label: 'none' },
	{ value: 'svelte-kit-sessions', label: 'svelte-kit-sessions' },
	{ value: 'svelte-kit-cookie-session', label: 'svelte-kit-cookie-session' },
	{ value: 'iron-session', label: 'iron-session' },
	{ value: 'lucia', label: 'lucia' }
] as const;

export type Former = (typeof FORMERS)[number]['value'];

/** The library that the app uses. */
export function detectFormer(version: (name: string) => string | undefined): Former {
	return FORMERS.find(({ value }) => version(value) !== undefined)?.value ?? 'none';
}

/** The handle that takes sessions over, with the name of Vestiary's options in hooks.server. */
export type TakingOver = (options: string) => NewHandle;

/** Leaves a library, so that logged-in visitors stay so. Returns the handle that takes their sessions over, if it is new. */
export function leave(draft: Draft, former: Former, store: StoreKind): TakingOver | undefined {
	switch (former) {
		case 'none':
			return undefined;
		case 'svelte-kit-sessions':
			migrate(draft);
			return undefined;
		case 'svelte-kit-cookie-session':
			checkVersion(draft, former, [4]);
			leaveCookieSession(draft, store);
			return undefined;
		case 'iron-session':
			checkVersion(draft, former, [8, 9]);
			return taking(draft, former, leaveIronSession(draft));
		case 'lucia':
			checkVersion(draft, former, [2, 3]);
			if (draft.project.version('lucia-auth') !== undefined)
				throw Refusal.until(
					'the app has lucia-auth, and this add-on knows lucia 2 and 3: update it first'
				);
			return taking(draft, former, leaveLucia(draft, store));
	}
}

/**
 * The handle that takes over the sessions of the app's module, and a note about its end. Undefined if the app has nothing
 * of the library.
 */
function taking(
	draft: Draft,
	former: Former,
	remains: readonly string[] | undefined
): TakingOver | undefined {
	if (!remains) return undefined;
	const { project } = draft;
	const module = draft.existing(formerModule(project));
	const all = ['`takeOverSessions` from hooks.server', module, ...remains];
	const list = `${all.slice(0, -1).join(', ')}, and ${all.at(-1) ?? ''}`;
	draft.notes.push(`When the last session of ${former} has expired, remove ${list}.`);
	const hooks = `${project.src}/hooks.server`;
	return (options) => ({
		known: 'takeOver',
		name: 'takeOverSessions',
		imports: [
			"import { takeOver } from 'vestiary';",
			`import { former } from '${importPath(hooks, formerModule(project))}';`
		],
		value: `takeOver(${options}, former)`
	});
}

const SOURCE = /\.(?:[cm]?[jt]s|svelte)$/;

/** Changes the imports of svelte-kit-sessions, whose cookies and records are those of Vestiary. */
function migrate(draft: Draft): void {
	const texts: string[] = [];
	for (const path of draft.project.sources().filter((name) => SOURCE.test(name))) {
		const source = draft.read(path) ?? '';
		texts.push(source);
		const { text, mentions } = migrateSource(source);
		draft.write(path, text);
		for (const line of mentions)
			draft.notes.push(
				`${path}:${line} names svelte-kit-sessions in another way: look at it.`
			);
	}
	const manifest = draft.read('package.json') ?? '{}';
	const uses = (name: string): boolean =>
		texts.some((text) => text.includes(`'${name}'`) || text.includes(`"${name}"`));
	draft.write('package.json', migrateManifest(manifest, VERSIONS.vestiary, uses));
}
