import { importPath, type Draft, type Project } from './project.ts';
import { Refusal } from './refusal.ts';
import type { Script } from './script.ts';
import { importsOf, variablesIn, type Import, type Node } from './syntax.ts';

/** The module of the app that reads the former sessions, without its ending. */
export const formerModule = ({ lib }: { lib: string }): string => `${lib}/server/former-sessions`;

/** A place in a file of the app, for messages. */
export interface Origin {
	readonly path: string;
	readonly at: string;
	readonly script: Script;
}

/**
 * The imports that an expression needs in the module of the former sessions.
 * @throws Refusal if it has names that its file declares itself
 */
export function portable(draft: Draft, { path, at, script }: Origin, expression: Node): string[] {
	const known = new Map(importsOf(script).map((one) => [one.local, one]));
	const lines = new Set<string>();
	for (const { name: variable } of variablesIn(expression)) {
		const from = known.get(variable);
		if (from) lines.add(importText(draft.project, path, from));
		else if (!GLOBALS.has(variable))
			throw Refusal.until(
				`${at} uses \`${variable}\`, which is neither imported nor global: move it into a module of ${draft.project.lib}/server`
			);
	}
	return [...lines];
}

/** Names that mean the same in each module. */
const GLOBALS: ReadonlySet<string> = new Set([
	'process',
	'undefined',
	'Number',
	'String',
	'Boolean',
	'Date',
	'Infinity'
]);

/** An import of a file, as the module of the former sessions has it. */
export function importText(
	project: Project,
	path: string,
	{ from, imported, local }: Import
): string {
	const target = from.startsWith('.')
		? importPath(formerModule(project), joined(path, from))
		: from;
	if (imported === '*') return `import * as ${local} from '${target}';`;
	if (imported === 'default') return `import ${local} from '${target}';`;
	return `import { ${imported === local ? local : `${imported} as ${local}`} } from '${target}';`;
}

/** The path of a module, by its relative name in a file. */
export function joined(path: string, relative: string): string {
	const folders = path.split('/').slice(0, -1);
	for (const part of relative.split('/')) {
		if (part === '..') folders.pop();
		else if (part !== '.') folders.push(part);
	}
	return folders.join('/');
}
