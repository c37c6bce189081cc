import type { Placed, Script } from './script.ts';

/** A node of a script, of whatever type. */
export interface Node extends Placed {
	readonly type: string;
	readonly [member: string]: unknown;
}

/** A node, and the nodes around it, from the inner to the outer one. */
export interface Found {
	readonly node: Node;
	readonly around: readonly Node[];
}

/** All nodes of a script, each after the one that has it. */
export function* nodesOf(script: Script): Generator<Found> {
	for (const statement of script.body) yield* within(statement as unknown as Node, []);
}

/** A node with all nodes in it. */
export function* within(node: Node, around: readonly Node[]): Generator<Found> {
	yield { node, around };
	const outer = [node, ...around];
	for (const [name, member] of Object.entries(node)) {
		if (name === 'loc' || name === 'parent') continue;
		for (const part of Array.isArray(member) ? member : [member])
			if (isNode(part)) yield* within(part, outer);
	}
}

export function isNode(value: unknown): value is Node {
	return typeof (value as Node | null | undefined)?.type === 'string';
}

/** The name of an identifier. */
export function nameOf(value: unknown): string | undefined {
	return isNode(value) && value.type === 'Identifier' ? String(value.name) : undefined;
}

/** A variable that an expression reads, by its name. */
export interface Variable extends Found {
	readonly name: string;
}

/** The variables that an expression or a statement names, without the names of members and keys. */
export function* variablesIn(node: Node): Generator<Variable> {
	for (const found of within(node, [])) {
		const name = nameOf(found.node);
		const [outer] = found.around;
		if (name === undefined) continue;
		if (outer?.type === 'Property' && outer.key === found.node && outer.shorthand !== true)
			continue;
		const isMember = outer?.type === 'MemberExpression' && outer.property === found.node;
		if (isMember && outer.computed !== true) continue;
		yield { ...found, name };
	}
}

/** The name of a member, as in `object.name`. */
export function memberOf(value: unknown): string | undefined {
	if (!isNode(value) || value.type !== 'MemberExpression' || value.computed === true)
		return undefined;
	return nameOf(value.property);
}

/** An expression without the types around it, such as `as const`. */
export function untyped(node: Node): Node {
	const { expression } = node;
	return node.type.startsWith('TS') && isNode(expression) ? untyped(expression) : node;
}

/** The members of a literal object by their names; undefined if it has others, such as `...more`. */
export function membersOf(object: Node): ReadonlyMap<string, Node> | undefined {
	const members = new Map<string, Node>();
	for (const member of object.properties as Node[]) {
		const name = member.computed === true ? undefined : keyOf(member.key);
		if (member.type !== 'Property' || name === undefined) return undefined;
		members.set(name, member.value as Node);
	}
	return members;
}

/** The name that a key in an object has. */
export function keyOf(key: unknown): string | undefined {
	if (isNode(key) && key.type === 'Literal') return String(key.value);
	return nameOf(key);
}

/** The value that a module gives to a constant. */
export function constant(script: Script, name: string): Node | undefined {
	for (const statement of script.body as unknown as Node[]) {
		const declared = (statement.declaration ?? statement) as Node;
		if (declared.type !== 'VariableDeclaration' || declared.kind !== 'const') continue;
		for (const { id, init } of declared.declarations as Node[])
			if (nameOf(id) === name && isNode(init)) return untyped(init);
	}
	return undefined;
}

/** A function that a module exports. */
export interface ExportedFunction {
	readonly id: Node;
	readonly node: Node;
	readonly params: readonly Node[];
	readonly body: Node;
}

/** The functions that a module exports where it declares them, by their names. */
export function exportedFunctions(script: Script): ReadonlyMap<string, ExportedFunction> {
	const found = new Map<string, ExportedFunction>();
	for (const statement of script.body as unknown as Node[]) {
		if (statement.type !== 'ExportNamedDeclaration' || !isNode(statement.declaration)) continue;
		const { declaration } = statement;
		const pairs =
			declaration.type === 'FunctionDeclaration'
				? [{ id: declaration.id, init: declaration }]
				: ((declaration.declarations ?? []) as { id: unknown; init: unknown }[]);
		for (const { id, init } of pairs) {
			const name = nameOf(id);
			if (name === undefined || !isNode(id) || !isNode(init)) continue;
			const node = untyped(init);
			const { params, body } = node;
			if (node.type.includes('Function'))
				found.set(name, { id, node, params: params as Node[], body: body as Node });
		}
	}
	return found;
}

/** An import of a script: the module, the name there, and the name here. */
export interface Import {
	readonly statement: Node;
	readonly specifier: Node;
	readonly from: string;
	readonly imported: string;
	readonly local: string;
}

/** The imports of a script. That of a whole module has the name `*`, and that of its default the name `default`. */
export function importsOf(script: Script): Import[] {
	return (script.body as unknown as Node[]).flatMap((statement) => {
		if (statement.type !== 'ImportDeclaration') return [];
		const from = String((statement.source as Node).value);
		return (statement.specifiers as Node[]).map((specifier) => {
			const whole = specifier.type === 'ImportNamespaceSpecifier' ? '*' : 'default';
			const imported = keyOf(specifier.imported) ?? whole;
			return { statement, specifier, from, imported, local: nameOf(specifier.local) ?? '' };
		});
	});
}

/** The line of a node, from 1. */
export function lineOf(script: Script, node: Placed): number {
	return script.source.slice(0, script.start(node)).split('\n').length;
}
