import type { Edit } from '../edits.ts';
import { Refusal } from '../refusal.ts';
import type { Script } from '../script.ts';
import { isNode, nameOf, nodesOf, type Node } from '../syntax.ts';
import type { Context } from './module.ts';

/** The object of lucia: the name of its constant, and the call that makes it. */
export interface MadeObject {
	readonly object: string;
	readonly node: Node;
}

/**
 * Finds the object of lucia in the module that exports it.
 * @throws Refusal if it is not exported as a constant
 */
export function madeObject(
	{ script, path }: Context,
	constructor: string,
	type: 'NewExpression' | 'CallExpression'
): MadeObject {
	const made = [...nodesOf(script)].find(
		({ node }) => node.type === type && nameOf(node.callee) === constructor
	);
	const declarator = made?.around.find((outer) => outer.type === 'VariableDeclarator');
	const object = declarator && nameOf(declarator.id);
	if (made && object !== undefined && exportsName(script, object))
		return { object, node: made.node };
	const call = type === 'NewExpression' ? `new ${constructor}(…)` : `${constructor}(…)`;
	throw Refusal.until(
		`${path} must export a constant with the object of \`${call}\`: change that`
	);
}

/** Gives lucia's own object another name. */
export function renamed(script: Script, object: string): Edit[] {
	const edits: Edit[] = [];
	for (const { node, around } of nodesOf(script)) {
		if (nameOf(node) !== object) continue;
		const [outer] = around;
		if (
			outer?.type === 'MemberExpression' &&
			outer.property === node &&
			outer.computed !== true
		)
			continue;
		if (outer?.type === 'Property' && outer.key === node && outer.shorthand !== true) continue;
		edits.push({
			start: script.start(node),
			end: script.start(node) + object.length,
			text: 'formerLucia'
		});
	}
	return edits;
}

/** Whether a module exports a constant where it declares it. */
function exportsName(script: Script, name: string): boolean {
	return (script.body as unknown as Node[]).some(({ type, declaration }) => {
		if (type !== 'ExportNamedDeclaration' || !isNode(declaration)) return false;
		return ((declaration.declarations ?? []) as Node[]).some(({ id }) => nameOf(id) === name);
	});
}
