import { insertion, type Edit } from './edits.ts';
import type { Script } from './script.ts';
import {
	isNode,
	keyOf,
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

/** Gives `locals.session` another name in a script. */
export function renamed(script: Script, name: string): { edits: Edit[]; unclear: readonly Node[] } {
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
