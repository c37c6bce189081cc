import { expect } from 'vitest';

import { plan, type Answers } from '../src/plan.ts';
import type { Draft, Project } from '../src/project.ts';

/** The app.d.ts of a new app. */
export const APP_TYPES = `// See https://svelte.dev/docs/kit/types#app.d.ts
declare global {
	namespace App {
		// interface Locals {}
	}
}

export {};
`;

/** A project of these files. A new app, unless they say otherwise. */
export function project(files: Record<string, string> = {}, more: Partial<Project> = {}): Project {
	const all = new Map(Object.entries({ 'package.json': '{\n\t"name": "app"\n}\n', ...files }));
	const versions = versionsOf(all.get('package.json') ?? '{}');
	return {
		language: 'ts',
		kit: 2,
		declaresEnvironment: more.kit === 3,
		src: 'src',
		lib: 'src/lib',
		routes: 'src/routes',
		version: (name) => versions[name],
		read: (path) => all.get(path),
		sources: () => [...all.keys()].filter((path) => path.startsWith('src/')),
		...more
	};
}

function versionsOf(text: string): Partial<Record<string, string>> {
	const manifest = JSON.parse(text) as Record<string, Record<string, string>>;
	return { ...manifest.devDependencies, ...manifest.dependencies };
}

export const ANSWERS: Answers = { store: 'sqlite', demo: false, oidc: false, from: 'none' };

/** The changes of a project. */
export function changes(from: Project, answers: Partial<Answers> = {}): Draft {
	const planned = plan(from, { ...ANSWERS, ...answers });
	if (planned.kind === 'refused') throw new Error(planned.reason);
	return planned.draft;
}

/** The project after its changes. */
export function changed(from: Project, draft: Draft): Project {
	const manifest = draft.written.get('package.json');
	const version = manifest ? (name: string) => versionsOf(manifest)[name] : from.version;
	return {
		...from,
		sources: () => [...new Set([...from.sources(), ...draft.written.keys()])],
		read: (path) => draft.written.get(path) ?? from.read(path),
		version: (name) => draft.dependencies.get(name) ?? version(name)
	};
}

/** Makes the changes, and checks that a second run has none. */
export function settled(from: Project, answers: Partial<Answers> = {}): Draft {
	const draft = changes(from, answers);
	const again = changes(changed(from, draft), answers);
	expect([...again.written.keys(), ...again.dependencies.keys()]).toEqual([]);
	return draft;
}
