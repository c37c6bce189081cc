import { edited, type Edit } from '../edits.ts';
import { refused, type Context } from './module.ts';
import { selectsAll, userSelect } from './joined-select.ts';
import type { Script } from '../script.ts';
import {
	isNode,
	memberOf,
	membersOf,
	nameOf,
	variablesIn,
	within,
	type Node,
	type Variable
} from '../syntax.ts';

/** The declaration of a query, which finds a user by their ID now. */
export interface Query {
	readonly lines: readonly string[];
	/** The variables of the function that it still needs. */
	readonly needs: readonly string[];
	/** Whether the user has a member `id`. */
	readonly hasId: boolean;
	/** The test for no such user, if the code around has another one; and what follows it. */
	readonly isAbsent?: string;
	readonly after: readonly string[];
}

/** A declaration in the function that validates a token. */
export interface Declaration {
	readonly node: Node;
	/** Its value, without types. */
	readonly init: Node;
	/** The variables of the function. */
	readonly local: ReadonlySet<string>;
	/** The expression of the user's ID. */
	readonly id: string;
}

/** Changes a query for a session with its user, or for the user of a session. Undefined if it is neither. */
export function changeQuery(context: Context, declaration: Declaration): Query | undefined {
	return (
		prismaQuery(context, declaration) ??
		drizzleQuery(context, declaration) ??
		sqlQuery(context, declaration) ??
		secondQuery(context, declaration)
	);
}

/** The text of a declaration, with edits in its value. */
function declared(script: Script, node: Node, edits: readonly Edit[]): string {
	const { start, end } = script.place(node);
	return `const ${edited(script.source.slice(0, end), edits).slice(start)};`;
}

/** The calls of these functions in an expression. */
function callsOf(init: Node, name: RegExp): Node[] {
	return [...within(init, [])].flatMap(({ node }) =>
		node.type === 'CallExpression' && name.test(memberOf(node.callee) ?? '') ? [node] : []
	);
}

function argumentsOf(call: Node | undefined): readonly Node[] {
	return (call?.arguments as Node[] | undefined) ?? [];
}

function objectMembers(node: Node | undefined): ReadonlyMap<string, Node> | undefined {
	return node?.type === 'ObjectExpression' ? membersOf(node) : undefined;
}

/** `prisma.session.findUnique({ where, include: { user: true } })`, whose user has a model of its own. */
function prismaQuery(context: Context, { node, init, id }: Declaration): Query | undefined {
	const { script } = context;
	const [call] = callsOf(init, /^find(?:Unique|First)(?:OrThrow)?$/);
	const query = objectMembers(argumentsOf(call)[0]);
	const related = objectMembers(query?.get('include') ?? query?.get('select'));
	const relation = related?.has('user') === true ? 'user' : [...(related?.keys() ?? [])][0];
	const model = isNode(call?.callee) ? call.callee.object : undefined;
	const name = nameOf(node.id);
	if (!query?.has('where') || relation === undefined || !isNode(model)) return undefined;
	const client = isNode(model.object) ? script.text(model.object) : undefined;
	if (client === undefined || name === undefined) return undefined;
	const user = modelOf(context, memberOf(model) ?? '', relation);
	const options = related?.get(relation);
	const inner = objectMembers(options);
	const more = [...(inner ?? [])].map(([key, value]) => `, ${key}: ${script.text(value)}`);
	const selected = objectMembers(inner?.get('select'));
	const found = name === 'found' ? 'user' : 'found';
	const where = `{ where: { ${user.key}: ${id} }${more.join('')} }`;
	return {
		lines: [`const ${found} = await ${client}.${user.model}.findUnique(${where});`],
		needs: [],
		hasId: selected ? selected.has('id') : true,
		isAbsent: `!${found}`,
		after: [`const ${name} = { ${relation}: ${found} };`]
	};
}

/** The model to which a relation leads, and its key, by the schema of Prisma. */
function modelOf(
	{ draft }: Context,
	from: string,
	relation: string
): { model: string; key: string } {
	const lower = (name: string): string => name.slice(0, 1).toLowerCase() + name.slice(1);
	const schema = draft.read('prisma/schema.prisma') ?? '';
	for (const [, name = '', fields = ''] of schema.matchAll(/^model\s+(\w+)\s*\{([^}]*)\}/gm)) {
		if (lower(name) !== from) continue;
		const [, model, rest = ''] =
			new RegExp(`^\\s*${relation}\\s+(\\w+)(.*)$`, 'm').exec(fields) ?? [];
		const key = /references:\s*\[\s*(\w+)\s*\]/.exec(rest)?.[1] ?? 'id';
		if (model !== undefined) return { model: lower(model), key };
	}
	return { model: relation, key: 'id' };
}

/** `db.select({ user, session }).from(…).innerJoin(…).where(…)` of drizzle. */
function drizzleQuery({ script }: Context, { node, init, id }: Declaration): Query | undefined {
	const [select] = callsOf(init, /^select$/);
	const user = objectMembers(argumentsOf(select)[0])?.get('user');
	const [join] = callsOf(init, /^innerJoin$/);
	const [where] = callsOf(init, /^where$/);
	const [table, on] = argumentsOf(join);
	const [first] = argumentsOf(callsOf(init, /^from$/)[0]);
	if (!user || !table || !first || !where || !isNode(on?.callee)) return undefined;
	if (!isNode(select?.callee) || !isNode(select.callee.object)) return undefined;
	const named = script.text(user);
	const of = [table, first]
		.map((one) => script.text(one))
		.find((one) => named === one || named.includes(`${one}.`));
	const key = argumentsOf(on)
		.map((one) => script.text(one))
		.find((one) => one.startsWith(`${of ?? ''}.`));
	if (of === undefined || key === undefined) return undefined;
	const db = script.text(select.callee.object);
	const equal = script.text(on.callee);
	const text = `${db}.select({ user: ${named} }).from(${of}).where(${equal}(${key}, ${id}))`;
	return {
		lines: [declared(script, node, [{ ...script.place(where), text }])],
		needs: [],
		hasId: user.type === 'ObjectExpression' ? membersOf(user)?.has('id') === true : true,
		after: []
	};
}

/** A query in SQL that joins the session with its user. */
function sqlQuery(context: Context, declaration: Declaration): Query | undefined {
	const { script } = context;
	const { node, init, local, id } = declaration;
	const text = [...within(init, [])].find(
		(one) =>
			/^(?:Literal|TemplateLiteral)$/.test(one.node.type) &&
			/\bselect\b[^]*\bjoin\b/i.test(script.text(one.node))
	)?.node;
	if (!text) return undefined;
	const sql = script.text(text).slice(1, -1);
	const changed = userSelect(sql, id);
	if (changed === undefined)
		throw refused(
			context,
			text,
			'has a query that cannot be changed into one for the user: write it as `SELECT … FROM session INNER JOIN user ON user.id = session.user_id WHERE session.id = ?`, with the names of the tables before those of the columns'
		);
	if (selectsAll(sql) && /\buser_?id\b/i.test(script.source.slice(script.end(node))))
		throw refused(context, text, 'selects `*`: name the columns');
	const { start, end } = script.place(text);
	const edits: Edit[] = [{ start: start + 1, end: end - 1, text: changed }];
	const parameters = [...variablesIn(init)].filter(
		({ name, node: one, around }) => local.has(name) && one !== text && !around.includes(text)
	);
	for (const one of parameters) edits.push({ ...script.place(whole(one)), text: id });
	return {
		lines: [declared(script, node, edits)],
		needs: [],
		hasId: false,
		after: []
	};
}

/** A variable, or the call of a function to which it is given, as in `hash(token)`. */
function whole({ node, around }: Variable): Node {
	let value = node;
	for (const outer of around) {
		const isArgument = outer.type === 'CallExpression' && outer.callee !== value;
		if (!isArgument || nameOf(outer.callee) === undefined) break;
		value = outer;
	}
	return value;
}

/** A query for the user of a session that another query has found: by `session.userId`. */
function secondQuery(
	{ script }: Context,
	{ node, init, local, id }: Declaration
): Query | undefined {
	const places: Node[] = [];
	for (const { node: one, around } of within(init, [])) {
		const isCalled = around.some(({ type }) =>
			/^(?:Call|TaggedTemplate)Expression$/.test(type)
		);
		const name = isUserId(memberOf(one) ?? (local.has(nameOf(one) ?? '') ? nameOf(one) : ''));
		if (!isCalled || !name || places.some((place) => around.includes(place))) continue;
		if (one.type === 'MemberExpression' && !local.has(nameOf(one.object) ?? '')) continue;
		if (around[0]?.type === 'Property' && around[0].key === one && around[0].shorthand !== true)
			continue;
		places.push(one);
	}
	if (places.length === 0) return undefined;
	const needs = [...variablesIn(init)].filter(
		({ name, node: one, around }) =>
			local.has(name) && !places.some((place) => place === one || around.includes(place))
	);
	const edits = places.map((place) => ({ ...script.place(place), text: id }));
	return {
		lines: [declared(script, node, edits)],
		needs: needs.map(({ name }) => name),
		hasId: false,
		after: []
	};
}

function isUserId(name: string | undefined): boolean {
	return /^user_?id$/i.test(name ?? '');
}
