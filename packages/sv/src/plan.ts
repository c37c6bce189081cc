import { declareData } from './app-types.ts';
import { writeDemo } from './demo.ts';
import { leave, type Former, type TakingOver } from './former.ts';
import { withHandles, type NewHandle } from './hooks.ts';
import { optionsModule, writeOptions } from './options.ts';
import { checkPlatform } from './platforms.ts';
import { Draft, importPath, type Project } from './project.ts';
import { Refusal } from './refusal.ts';
import { VERSIONS, type StoreKind } from './stores.ts';

/** The answers to the add-on's questions. */
export interface Answers {
	readonly store: StoreKind;
	readonly demo: boolean;
	readonly oidc: boolean;
	readonly from: Former;
}

/** The changes of a project, or the reason why there are none. */
export type Plan = { kind: 'changes'; draft: Draft } | { kind: 'refused'; reason: string };

/** Plans all changes before the first one is made, so that a refusal leaves the project as it was. */
export function plan(project: Project, answers: Answers): Plan {
	const draft = new Draft(project);
	try {
		const takingOver = leave(draft, answers.from, answers.store);
		if (!hasDependency(draft, 'vestiary')) draft.depend('vestiary', VERSIONS.vestiary);
		declareData(draft);
		addHandle(draft, answers.store, takingOver);
		if (answers.demo || answers.oidc)
			writeDemo(draft, answers.store, answers.oidc ? 'openid-connect' : 'password');
	} catch (error) {
		if (error instanceof Refusal) return { kind: 'refused', reason: error.message };
		throw error;
	}
	return { kind: 'changes', draft };
}

/** Whether package.json names a package by now. */
function hasDependency(draft: Draft, name: string): boolean {
	const { dependencies } = JSON.parse(draft.written.get('package.json') ?? '{}') as {
		dependencies?: object;
	};
	return Object.hasOwn(dependencies ?? {}, name);
}

/** Gives the app the session's handle, and the options that it needs, unless it has one. */
function addHandle(draft: Draft, store: StoreKind, takingOver: TakingOver | undefined): void {
	const { project } = draft;
	const path = draft.existing(`${project.src}/hooks.server`);
	const source = draft.read(path) ?? '';
	// The app may have options of its own there.
	const local = /\boptions\b/.test(source) ? 'sessionOptions' : 'options';
	const named = local === 'options' ? local : `options as ${local}`;
	const session: NewHandle = {
		known: 'sveltekitSessionHandle',
		name: 'handleSession',
		imports: [
			"import { sveltekitSessionHandle } from 'vestiary';",
			`import { ${named} } from '${importPath(path, optionsModule(project))}';`
		],
		value: `sveltekitSessionHandle(${local})`
	};
	const merged = withHandles(source, takingOver ? [takingOver(local), session] : [session]);
	if (merged === source) return;
	checkPlatform(project, store);
	writeOptions(draft, store);
	draft.write(path, merged);
}
