import { migrateManifest, migrateSource } from '../../vestiary/src/codemod/svelte-kit-sessions.ts';
import type { Draft } from './project.ts';
import { VERSIONS } from './stores.ts';

/** The libraries whose sessions an app may have had. */
export const FORMERS = [
	{ value: 'none', label: 'none' },
	{ value: 'svelte-kit-sessions', label: 'svelte-kit-sessions' }
] as const;

export type Former = (typeof FORMERS)[number]['value'];

/** The library that the app uses. */
export function detectFormer(version: (name: string) => string | undefined): Former {
	return FORMERS.find(({ value }) => version(value) !== undefined)?.value ?? 'none';
}

/** Leaves a library, so that logged-in visitors stay so. */
export function leave(draft: Draft, former: Former): void {
	if (former === 'svelte-kit-sessions') migrate(draft);
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
