import { edited, type Edit } from './edits.ts';
import { renameSession } from './locals.ts';
import { formerModule, importText, portable } from './portable.ts';
import { importPath, printer, type Draft } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';
import { inComponent, sourcesOf, type Source } from './sources.ts';
import {
	constant,
	importsOf,
	lineOf,
	membersOf,
	nameOf,
	nodesOf,
	untyped,
	type Import,
	type Node
} from './syntax.ts';

const LIBRARY = 'iron-session';
/** The module that has Vestiary's session in the form of iron-session. */
const ownModule = ({ lib }: { lib: string }): string => `${lib}/server/iron-session`;

/** Leaves iron-session 8 or 9, if the app uses it. Returns what remains until its last session has expired. */
export function leaveIronSession(draft: Draft): readonly string[] | undefined {
	const sources = sourcesOf(draft).filter(({ text }) => imports(text));
	const using = sources.filter(
		({ path }) => path !== `${ownModule(draft.project)}.${draft.project.language}`
	);
	const calling = using.flatMap((source) => callsIn(source));
	if (calling.length === 0) return undefined;
	const texts = new Map(calling.map((call) => [optionsText(draft, call), call] as const));
	const [options, ...others] = texts.keys();
	if (options === undefined || others.length > 0)
		throw Refusal.until(
			`\`getIronSession\` is called with different options (${[...texts.values()].map(({ at }) => at).join(', ')}): give all calls the same`
		);
	writeModules(draft, options);
	for (const source of using) changeImports(draft, source);
	renameSession(draft, 'ironSession', ownModule(draft.project));
	changeTypes(draft);
	return [LIBRARY];
}

function imports(text: string): boolean {
	return /(['"])iron-session\1/.test(text) && /\bgetIronSession\b/.test(text);
}

/** A call of `getIronSession`. */
interface Call {
	readonly at: string;
	readonly source: Source;
	readonly script: Script;
	readonly options: Node;
}

function callsIn(source: Source): Call[] {
	const { path, text } = source;
	if (path.endsWith('.svelte')) throw inComponent(path, LIBRARY);
	const script = new Script(text);
	const local = importsOf(script).find(
		({ from, imported }) => from === LIBRARY && imported === 'getIronSession'
	)?.local;
	if (local === undefined) {
		if (!importsOf(script).some(({ from, imported }) => from === LIBRARY && imported === '*'))
			return [];
		throw Refusal.until(`${path} must import \`getIronSession\` by its name: change that`);
	}
	return [...nodesOf(script)].flatMap(({ node, around }) => {
		if (nameOf(node) !== local || around[0]?.type === 'ImportSpecifier') return [];
		const [call] = around;
		const options = call?.callee === node ? (call.arguments as Node[]).at(-1) : undefined;
		const at = `${path}:${lineOf(script, node)}`;
		if (!options)
			throw Refusal.until(`${at} uses \`getIronSession\` without calling it: call it there`);
		return [{ at, source, script, options: untyped(options) }];
	});
}

/** The statements that make the options of a call in the module of the former sessions: imports, and a constant. */
function optionsText(draft: Draft, { at, source, script, options }: Call): string {
	const name = nameOf(options);
	const found =
		name === undefined ? undefined : importsOf(script).find(({ local }) => local === name);
	if (found)
		return `${importText(draft.project, source.path, { ...found, local: 'ironOptions' })}\n`;
	const object = name === undefined ? options : constant(script, name);
	if (object?.type !== 'ObjectExpression')
		throw Refusal.until(
			`${at} makes the options of \`getIronSession\` in a way that cannot be followed: write them as an object, or import them from a module`
		);
	if (!membersOf(object))
		throw Refusal.until(
			`${at} takes some of the options of \`getIronSession\` from another object: write them out`
		);
	const lines = portable(draft, { path: source.path, at, script }, object);
	return `${lines.join('\n')}\n\nconst ironOptions = ${script.text(object)};\n`;
}

function writeModules(draft: Draft, options: string): void {
	const { project } = draft;
	const { ts, js } = printer(project);
	draft.add(
		draft.script(formerModule(project)),
		`import { unsealData } from 'iron-session';
import { fromIronSession } from 'vestiary';
${options}
/** The sessions of iron-session, which Vestiary takes over. Without them, this file and iron-session can go. */
export const former = fromIronSession(unsealData, ironOptions);
`.replace(/^(import .*\n)\n+(import )/gm, '$1$2')
	);
	draft.add(
		draft.script(ownModule(project)),
		`import { getRequestEvent } from '$app/server';

/**
 * A session as iron-session has it: its data, and these functions.${js('\n *\n * @template T\n * @typedef {T & {\n *   save(): Promise<void>;\n *   destroy(): void;\n *   updateConfig(options: unknown): void;\n * }} IronSession')}
 */${ts(`
export type IronSession<T> = T & {
	save(): Promise<void>;
	destroy(): void;
	updateConfig(options: unknown): void;
};
`)}
/**
 * The visitor's session, with its data as properties, as iron-session has them. The arguments say nothing any more: the
 * options are those of Vestiary's handle.${js('\n *\n * @param {...unknown} _former\n * @returns {Promise<any>}')}
 */
export async function getIronSession${ts('<T extends object>')}(..._former${ts(': unknown[]')})${ts(': Promise<IronSession<T>>')} {
	const { session } = getRequestEvent().locals;
	const data = copy(session.data);
	let ended = false;
	return Object.defineProperties(data, {
		save: {
			value: async () => {
				if (ended && Object.keys(data).length === 0) return;
				await session.update(() => copy(data));
			}
		},
		destroy: {
			value: () => {
				ended = true;
				for (const key of Object.keys(data)) delete data[key];
				// The handle waits for it before the response leaves.
				void session.destroy();
			}
		},
		updateConfig: { value: () => undefined }
	})${ts(' as IronSession<T>')};
}

/** A copy of JSON, without members that are undefined.${js(' @param {unknown} data')} */
function copy(data${ts(': unknown')})${ts(': any')} {
	return JSON.parse(JSON.stringify(data));
}
`
	);
}

/** Imports `getIronSession` and its type from the app's own module. */
function changeImports(draft: Draft, { path, text }: Source): void {
	const script = new Script(text);
	const own = importsOf(script).filter(({ from }) => from === LIBRARY);
	const statements = [...new Set(own.map(({ statement }) => statement))];
	const module = importPath(path, ownModule(draft.project));
	const edits: Edit[] = statements.map((statement) => {
		const all = own.filter((one) => one.statement === statement);
		const kind = statement.importKind === 'type' ? 'import type' : 'import';
		const moved = all.filter(
			({ imported }) => imported === 'getIronSession' || imported === 'IronSession'
		);
		const line = (some: readonly Import[], from: string): string =>
			`${kind} { ${some.map(({ specifier }) => script.text(specifier)).join(', ')} } from '${from}';`;
		const rest = all.filter((one) => !moved.includes(one));
		const lines = [
			...(moved.length > 0 ? [line(moved, module)] : []),
			...(rest.length > 0 ? [line(rest, LIBRARY)] : [])
		];
		return { ...script.place(statement), text: lines.join('\n') };
	});
	draft.write(path, edited(text, edits));
}

/** Takes the type of `App.Locals` from the app's own module. */
function changeTypes(draft: Draft): void {
	const types = `${draft.project.src}/app.d.ts`;
	const source = draft.read(types);
	if (source === undefined) return;
	const module = importPath(types, ownModule(draft.project));
	draft.write(
		types,
		source
			.replace(
				/import\((['"])iron-session\1\)\.IronSession\b/g,
				`import('${module}').IronSession`
			)
			.replace(
				/\{\s*(?:type )?IronSession\s*\} from (['"])iron-session\1/,
				`{ IronSession } from '${module}'`
			)
	);
}
