import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { color, defineEnv, fileExists, isKit3, loadFile } from '@sveltejs/sv-utils';
import { defineAddon, defineAddonOptions, type SelectQuestion, type Workspace } from 'sv';

import { withCommands } from './commands.ts';
import { detectStore } from './detect.ts';
import { detectFormer, FORMERS, type Former } from './former.ts';
import { plan } from './plan.ts';
import type { Project } from './project.ts';
import { STORES, type StoreKind } from './stores.ts';

/** The first question, with the answer that fits the project. */
function storeQuestion(store: StoreKind): SelectQuestion<StoreKind> & { question: string } {
	const choices = STORES.map((choice) => ({ ...choice }));
	return {
		question: 'Where do the sessions live?',
		type: 'select',
		default: store,
		options: choices
	};
}

/** The last question, with the library that the project uses. */
function formerQuestion(former: Former): SelectQuestion<Former> & { question: string } {
	const choices = FORMERS.map((choice) => ({ ...choice }));
	const question = 'Which library for sessions does the app leave?';
	return { question, type: 'select', default: former, options: choices };
}

const options = defineAddonOptions()
	.add('store', storeQuestion('sqlite'))
	.add('demo', {
		question: 'Do you want pages to log in and out, with a list of devices?',
		type: 'boolean',
		default: true
	})
	.add('oidc', {
		question: 'Should users log in by OpenID Connect?',
		type: 'boolean',
		default: false
	})
	.add('from', formerQuestion('none'))
	.build();

/** Notes of the run, for the next steps, which `sv` asks for in another call. */
let notes: readonly string[] = [];

export default defineAddon({
	id: '@vestiary/sv',
	shortDescription: 'sessions that survive restarts, logins and devices',
	options,
	setup: (workspace) => {
		const { isKit, unsupported, addOption, runsAfter } = workspace;
		if (!isKit) {
			unsupported('Sessions need SvelteKit');
			return;
		}
		// It looks at what these write, also where they are added together with it.
		for (const other of ['sveltekitAdapter', 'drizzle', 'experimental'] as const)
			runsAfter(other);
		addOption('store', storeQuestion(detectStore(project(workspace))));
		addOption('from', formerQuestion(detectFormer(workspace.dependencyVersion)));
	},
	run: ({ sv, cancel, options: answers, ...workspace }) => {
		const { store, demo, oidc, from } = answers;
		const planned = plan(project(workspace), { store, demo, oidc, from });
		if (planned.kind === 'refused') {
			cancel(withCommands(planned.reason, workspace.packageManager, (code) => `\`${code}\``));
			return;
		}
		const { written, dependencies } = planned.draft;
		for (const [path, text] of written) sv.file(path, () => text);
		for (const [name, version] of dependencies) sv.dependency(name, version);
		({ notes } = planned.draft);
	},
	nextSteps: ({ packageManager }) =>
		notes.map((note) => withCommands(note, packageManager, color.command))
});

/** The project in the folder of `sv`. */
function project({ cwd, language, directory, dependencyVersion }: Workspace): Project {
	const kit = dependencyVersion('@sveltejs/kit');
	const sv = { file: () => undefined };
	return {
		language,
		kit: isKit3(kit) ? 3 : 2,
		declaresEnvironment: defineEnv({ sv, cwd, dependencyVersion }).mode === 'declared',
		src: directory.src,
		lib: directory.lib,
		routes: directory.kitRoutes,
		version: dependencyVersion,
		read: (path) => (fileExists(cwd, path) ? loadFile(cwd, path) : undefined),
		sources: () =>
			readdirSync(join(cwd, directory.src), { recursive: true, encoding: 'utf8' }).map(
				(name) => `${directory.src}/${name}`
			)
	};
}
