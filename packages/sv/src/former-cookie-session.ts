import { edited, insertion, type Edit } from './edits.ts';
import { free } from './hooks.ts';
import { awaits, sessionUses } from './locals.ts';
import { optionsModule, writeOptions } from './options.ts';
import { importPath, type Draft } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';
import { inComponent, sourcesOf, withoutPackage } from './sources.ts';
import type { StoreKind } from './stores.ts';
import {
	constant,
	importsOf,
	lineOf,
	memberOf,
	membersOf,
	nameOf,
	nodesOf,
	untyped,
	type Found,
	type Import,
	type Node
} from './syntax.ts';

const LIBRARY = 'svelte-kit-cookie-session';
/** Leaves svelte-kit-cookie-session 4: its hook, the calls of its session, and the type of its data. */
export function leaveCookieSession(draft: Draft, store: StoreKind): void {
	const sources = sourcesOf(draft).filter(({ path }) => !path.endsWith('.d.ts'));
	const types = `${draft.project.src}/app.d.ts`;
	const all = sources.some(({ text }) => text.includes(LIBRARY));
	if (!all) return;
	const hooks = sources.filter(
		({ text }) => /\bhandleSession\b/.test(text) && text.includes(LIBRARY)
	);
	const [hook, ...others] = hooks;
	if (!hook || others.length > 0)
		throw Refusal.until(
			`\`handleSession\` of ${LIBRARY} is used in ${hooks.length === 0 ? 'no file' : hooks.map(({ path }) => path).join(' and ')}. Use it in one file`
		);
	for (const { path, text } of sources) {
		if (path.endsWith('.svelte')) {
			if (text.includes(LIBRARY)) throw inComponent(path, LIBRARY);
			continue;
		}
		if (!/\bsession\b/.test(text) && !text.includes(LIBRARY)) continue;
		const script = new Script(text);
		const edits = [...callEdits(path, script), ...typeEdits(path, script).edits];
		if (path === hook.path) edits.push(...hookEdits(draft, path, script));
		draft.write(path, edited(text, edits));
	}
	declareFormerData(draft, types);
	writeOptions(draft, store);
	draft.write('package.json', withoutPackage(draft.read('package.json') ?? '{}', LIBRARY));
	draft.notes.push(
		`Sessions now last as long as ${optionsModule(draft.project)} says. When the last one of ${LIBRARY} has expired, remove \`takeOver(…)\` from ${hook.path}.`
	);
}

/** Puts Vestiary's handles in the place of `handleSession(options, handle)`. */
function hookEdits(draft: Draft, path: string, script: Script): Edit[] {
	const own = importsOf(script).filter(({ from }) => from === LIBRARY);
	const name = own.find(({ imported }) => imported === 'handleSession')?.local;
	const calls = [...nodesOf(script)].filter(
		({ node }) =>
			node.type === 'CallExpression' && name !== undefined && nameOf(node.callee) === name
	);
	const [call] = calls;
	if (name === undefined || calls.length !== 1 || !call)
		throw Refusal.until(
			`${path} must import \`handleSession\` by its name and call it once: change that`
		);
	const [options, handle, ...rest] = call.node.arguments as Node[];
	if (!options || rest.length > 0)
		throw new Refusal(
			`${path}:${lineOf(script, call.node)} calls \`handleSession\` in an unknown way`
		);
	checkOptions(path, script, options);
	const shared = script.mentions('options') ? 'sessionOptions' : 'options';
	const local = shared === 'options' ? shared : free(script, shared);
	const sequence = script.imported('sequence', '@sveltejs/kit/hooks');
	const module = importPath(path, optionsModule(draft.project));
	const lines = [
		...(sequence === undefined ? ["import { sequence } from '@sveltejs/kit/hooks';"] : []),
		"import { fromCookieSession, sveltekitSessionHandle, takeOver } from 'vestiary';",
		`import { ${local === 'options' ? local : `options as ${local}`} } from '${module}';`
	];
	const end = handle ? script.start(handle) : script.end(call.node);
	const taking = `)), sveltekitSessionHandle(${local})${handle ? ', ' : ')'}`;
	return [
		...importEdits(script, own, lines),
		{
			start: script.start(call.node),
			end: script.start(options),
			text: `${sequence ?? 'sequence'}(takeOver(${local}, fromCookieSession(`
		},
		{ start: script.end(options), end, text: taking },
		...(handle ? [{ start: script.end(handle), end: script.end(call.node), text: ')' }] : [])
	];
}

/** Replaces the imports of the library by these lines. */
function importEdits(script: Script, own: readonly Import[], lines: readonly string[]): Edit[] {
	const [first, ...others] = [...new Set(own.map(({ statement }) => statement))];
	if (!first) return [];
	return [
		{ ...script.place(first), text: lines.join('\n') },
		...others.map((statement) => ({ ...script.place(statement), text: '' }))
	];
}

/** Options that Vestiary has in another way. */
const OWN_WAYS: Readonly<Record<string, string>> = {
	init: 'give the data its initial values where the app reads it, and remove `init` and `saveUninitialized`',
	saveUninitialized:
		'give the data its initial values where the app reads it, and remove `saveUninitialized`'
};

function checkOptions(path: string, script: Script, options: Node): void {
	const given = untyped(options);
	const name = nameOf(given);
	const object = name === undefined ? given : constant(script, name);
	const members = object?.type === 'ObjectExpression' ? membersOf(object) : undefined;
	const at = `${path}:${lineOf(script, options)}`;
	if (!members)
		throw Refusal.until(
			`${at} gives \`handleSession\` options that are not written out: write them as an object in ${path}`
		);
	for (const [option, cure] of Object.entries(OWN_WAYS))
		if (members.has(option))
			throw Refusal.until(
				`${at} has the option \`${option}\`, which Vestiary has not: ${cure}`
			);
}

/** Changes the calls of the session. Those of other libraries have other names. */
function callEdits(path: string, script: Script): Edit[] {
	const { expressions, unclear } = sessionUses(script);
	const [unknown] = unclear;
	if (unknown)
		throw Refusal.until(
			`${path}:${lineOf(script, unknown)} uses \`session\` in a way that cannot be followed: write \`locals.session\` there`
		);
	return expressions.flatMap((found) => useEdits(path, script, found));
}

function useEdits(path: string, script: Script, { node, around }: Found): Edit[] {
	const [member, call, ...outer] = around.filter(
		({ type }) => type !== 'ChainExpression' && type !== 'TSNonNullExpression'
	);
	const at = `${path}:${lineOf(script, node)}`;
	const name = member?.object === node ? memberOf(member) : undefined;
	if (!member || name === undefined)
		throw Refusal.until(
			`${at} passes the session on, or replaces it: use its members there, such as \`locals.session.data\``
		);
	if (name === 'data' || name === 'expires') return [];
	const given = call?.callee === member ? (call.arguments as Node[]) : undefined;
	if (!given || !call || !['set', 'update', 'refresh', 'destroy'].includes(name))
		throw Refusal.until(`${at} uses \`session.${name}\`, which Vestiary has not: change that`);
	const statement = outer[0]?.type === 'AwaitExpression' ? outer[1] : outer[0];
	if (name === 'destroy') return [];
	if (statement?.type !== 'ExpressionStatement')
		throw Refusal.until(
			`${at} uses the result of \`session.${name}()\`: read \`session.data\` afterwards instead`
		);
	const property = script.place(member.property as Node);
	const [argument, ...rest] = given;
	if (rest.length > 0 || argument?.type === 'SpreadElement' || (name === 'refresh' && argument))
		throw Refusal.until(
			`${at} calls \`session.${name}\` with arguments that Vestiary has not: change that`
		);
	if (name === 'refresh') return [{ ...property, text: 'touch' }];
	const renamed = name === 'set' ? [{ ...property, text: 'update' }] : [];
	if (!argument) return [...renamed, insertion(script.end(call) - 1, '() => ({})')];
	const [before, after] =
		name === 'set'
			? [`${awaits(argument) ? 'async ' : ''}() => (`, ')']
			: ['async (data) => ({ ...data, ...(await (', ')(data)) })'];
	return [
		...renamed,
		insertion(script.start(argument), before),
		insertion(script.end(argument), after)
	];
}

/** The library's type of a session, in a file: the edits, and the type of the data. */
function typeEdits(path: string, script: Script): { edits: Edit[]; data: string | undefined } {
	const { source } = script;
	const own = importsOf(script).filter(
		({ from, imported }) => from === LIBRARY && imported !== 'handleSession'
	);
	const other = own.find(({ imported }) => imported !== 'Session');
	if (other)
		throw Refusal.until(
			`${path}:${lineOf(script, other.statement)} imports \`${other.imported}\` of ${LIBRARY}: remove it`
		);
	const locals = own.map(({ local }) => `(?<![\\w.])${local}(?=\\s*[<;,|)}\\]]|\\s*$)`);
	const pattern = new RegExp(
		[`import\\((['"])${LIBRARY}\\1\\)\\.Session\\b`, ...locals].join('|'),
		'gm'
	);
	const isHook = importsOf(script).some(
		({ from, imported }) => from === LIBRARY && imported === 'handleSession'
	);
	const statements = isHook ? [] : [...new Set(own.map(({ statement }) => statement))];
	const edits: Edit[] = statements.map((statement) => ({ ...script.place(statement), text: '' }));
	let data: string | undefined;
	for (const { index, 0: text } of source.matchAll(pattern)) {
		if (
			own.some(
				({ statement }) => script.start(statement) <= index && index < script.end(statement)
			)
		)
			continue;
		const end = argumentsEnd(source, index + text.length);
		if (end > index + text.length)
			data ??= source.slice(source.indexOf('<', index) + 1, end - 1);
		edits.push({ start: index, end, text: "import('vestiary').Session" });
	}
	return { edits, data };
}

/** The end of the arguments of a type that begin here, or this place if there are none. */
function argumentsEnd(source: string, start: number): number {
	if (!/^\s*</.test(source.slice(start))) return start;
	let depth = 0;
	for (let at = source.indexOf('<', start); at < source.length; at++) {
		if (source[at] === '<') depth++;
		if (source[at] === '>' && source[at - 1] !== '=' && --depth === 0) return at + 1;
	}
	return start;
}

/** Declares the data that `App.Locals` had as that of Vestiary's session. */
function declareFormerData(draft: Draft, path: string): void {
	const source = draft.read(path);
	if (source?.includes(LIBRARY) !== true) return;
	const script = new Script(source);
	const { edits, data } = typeEdits(path, script);
	const isModule = script.body.some((node) => /^(?:Import|Export)/.test(node.type));
	const declared = `declare module 'vestiary' {
	interface SessionData extends FormerSessionData {}
}

/** The data of a session, as the app has had it. */
type FormerSessionData = ${data ?? 'Record<string, any>'};
`;
	const changed = edited(source, edits).trim();
	if (isModule) {
		draft.write(path, `import 'vestiary';\n\n${changed}\n\n${declared}`);
		return;
	}
	draft.write(path, `${changed}\n`);
	draft.add(`${draft.project.src}/session.d.ts`, `import 'vestiary';\n\n${declared}`);
}
