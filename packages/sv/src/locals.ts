import { edited, insertion, type Edit } from './edits.ts';
import type { Draft } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';
import { sourcesOf } from './sources.ts';
import {
	isNode,
	keyOf,
	lineOf,
	memberOf,
	nameOf,
	nodesOf,
	untyped,
	within,
	type Found,
	type Node
} from './syntax.ts';

/** Whether an expression is the `locals` of an event. */
function isLocals(value: unknown): boolean {
	if (!isNode(value)) return false;
	const node = untyped(value);
	return nameOf(node) === 'locals' || memberOf(node) === 'locals';
}

/** The uses of `locals.session` in a script. */
export interface SessionUses {
	/** Expressions that are the session: `event.locals.session`, or a variable that was made of it. */
	readonly expressions: readonly Found[];
	/** The keys that take it out of `locals`, as in `{ locals: { session } }`. */
	readonly patterns: readonly Node[];
	/** Uses that no program can follow. */
	readonly unclear: readonly Node[];
}

/** Finds the uses of `locals.session`. */
export function sessionUses(script: Script): SessionUses {
	const expressions: Found[] = [];
	const patterns: Node[] = [];
	const unclear: Node[] = [];
	const variables = new Set<string>();
	for (const found of nodesOf(script)) {
		const { node } = found;
		if (node.type === 'MemberExpression' && isLocals(node.object)) {
			if (memberOf(node) === 'session') expressions.push(found);
			else if (node.computed === true) unclear.push(node);
		}
		for (const pattern of patternsOf(node)) {
			for (const property of pattern.properties as Node[]) {
				if (property.type !== 'Property' || keyOf(property.key) !== 'session') continue;
				const name = nameOf(property.value);
				if (name === undefined) unclear.push(property);
				else variables.add(name);
				patterns.push(property);
			}
		}
	}
	for (const name of variables) {
		const taken = new Set(patterns.map((property) => property.value));
		for (const found of nodesOf(script)) {
			const { node, around } = found;
			if (nameOf(node) !== name || taken.has(node)) continue;
			const [outer] = around;
			if (!outer || isOnlyName(outer, node)) continue;
			// Another variable of this name would be taken for the session.
			if (isDeclared(outer, node, around)) unclear.push(node);
			else expressions.push(found);
		}
	}
	return { expressions, patterns, unclear };
}

/** The patterns that take members out of `locals`. */
function patternsOf(node: Node): Node[] {
	const { type, id, init, key, value } = node;
	if (type === 'VariableDeclarator' && isLocals(init)) return objectPattern(id);
	if (type === 'Property' && keyOf(key) === 'locals') return objectPattern(value);
	return [];
}

function objectPattern(value: unknown): Node[] {
	return isNode(value) && value.type === 'ObjectPattern' ? [value] : [];
}

/** Whether a name stands for a member or a key, and for no variable. */
function isOnlyName(outer: Node, node: Node): boolean {
	if (outer.type === 'MemberExpression')
		return outer.property === node && outer.computed !== true;
	if (outer.type === 'Property') return outer.key === node && outer.value !== node;
	return (
		outer.type.startsWith('TS') &&
		outer.type !== 'TSAsExpression' &&
		outer.type !== 'TSNonNullExpression'
	);
}

/** Whether a name is declared here, as a variable or a parameter. */
function isDeclared(outer: Node, node: Node, around: readonly Node[]): boolean {
	if (outer.type === 'VariableDeclarator') return outer.id === node;
	if (outer.type.includes('Function')) return (outer.params as Node[]).includes(node);
	return outer.type === 'Property' && around[1]?.type === 'ObjectPattern';
}

/** Gives the app's own `locals.session` another name, in all files but one, because Vestiary's session has that one. */
export function renameSession(draft: Draft, name: string, except: string): void {
	for (const { path, text } of sourcesOf(draft)) {
		if (!/\.[cm]?[jt]s$/.test(path) || path.endsWith('.d.ts') || !/\blocals\b/.test(text))
			continue;
		if (path.startsWith(except)) continue;
		const script = new Script(text);
		const { edits, unclear } = renamed(script, name);
		const [unknown] = unclear;
		if (unknown)
			throw Refusal.until(
				`${path}:${lineOf(script, unknown)} takes a member out of \`locals\` by a name that is not known: write \`locals.session\` there`
			);
		draft.write(path, edited(text, edits));
	}
	const types = `${draft.project.src}/app.d.ts`;
	const source = draft.read(types);
	if (source === undefined) return;
	const place = sessionInLocals(source);
	if (place === undefined) return;
	draft.write(
		types,
		edited(source, [{ start: place, end: place + 'session'.length, text: name }])
	);
}

/** The place of the property `session` of `App.Locals`, in the text of app.d.ts. */
export function sessionInLocals(source: string): number | undefined {
	const begin = source.search(/\binterface Locals\s*\{/);
	if (begin < 0) return undefined;
	// Comments become spaces, so that places stay the same.
	const code = source.replace(/\/\*[^]*?\*\/|\/\/.*/g, (comment) => ' '.repeat(comment.length));
	let depth = 0;
	for (let at = code.indexOf('{', begin); at < code.length; at++) {
		if (code[at] === '{') depth++;
		if (code[at] === '}' && --depth === 0) return undefined;
		if (depth === 1 && /^[\s;,{]session\s*\??\s*:/.test(code.slice(at))) return at + 1;
	}
	return undefined;
}

/** Gives `locals.session` another name in a script. */
function renamed(script: Script, name: string): { edits: Edit[]; unclear: readonly Node[] } {
	const { expressions, patterns, unclear } = sessionUses(script);
	const edits: Edit[] = [];
	for (const { node } of expressions)
		if (node.type === 'MemberExpression')
			edits.push({ ...script.place(node.property as Node), text: name });
	for (const { shorthand, key } of patterns) {
		if (shorthand === true) edits.push(insertion(script.start(key as Node), `${name}: `));
		else edits.push({ ...script.place(key as Node), text: name });
	}
	return { edits, unclear: unclear.filter((node) => node.type === 'MemberExpression') };
}

/** Whether an expression waits for a promise, not counting functions in it. */
export function awaits(node: Node): boolean {
	for (const found of within(node, [])) {
		const isOwn = !found.around.some(({ type }) => type.includes('Function'));
		if (found.node.type === 'AwaitExpression' && isOwn) return true;
	}
	return false;
}
