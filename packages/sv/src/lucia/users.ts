import { refused, type Context } from './module.ts';
import { changeQuery, type Query } from './queries.ts';
import type { Refusal } from '../refusal.ts';
import type { Script } from '../script.ts';
import {
	isNode,
	memberOf,
	membersOf,
	nameOf,
	untyped,
	variablesIn,
	within,
	type ExportedFunction,
	type Node
} from '../syntax.ts';

const ABSENT = 'return { session: null, user: null };';

/** How the app finds a user by their ID. */
export interface UserLookup {
	/** Statements, which return if there is no such user. */
	readonly lines: readonly string[];
	/** The variable with the user. */
	readonly user: string;
	/** The ID of the user, with the type that the app gives it. */
	readonly id: string;
}

/** A declaration of a function, with the variables that it declares. */
interface Step {
	readonly node: Node;
	readonly init: Node;
	readonly names: readonly string[];
}

/** A declaration on which the user depends, changed. */
interface Kept {
	readonly lines: readonly string[];
	/** The query of the user, if it is this declaration. */
	readonly query: Query | undefined;
}

/**
 * The statements by which a function has found the user of a token: those on which the user depends, and none that is
 * only about the session. Their query is by the user's ID.
 */
export function userLookup(
	context: Context,
	{ body, params }: ExportedFunction,
	id: string
): UserLookup {
	const { script } = context;
	const statements = statementsOf(body);
	const steps = statements.flatMap((statement) => stepsOf(statement));
	const returned = returnedUser(body);
	if (!returned) throw unknown(context, body);
	const local = new Set([
		...steps.flatMap(({ names }) => names),
		...params.flatMap((parameter) => namesOf(parameter))
	]);
	const needed = new Set(localsIn(returned, local));
	const kept = new Map<Node, Kept>();
	for (const { node, init, names } of steps.toReversed()) {
		if (!names.some((name) => needed.has(name))) continue;
		const query = changeQuery(context, { node, init, local, id });
		const pattern = patternText(script, node.id as Node, needed);
		const lines = query?.lines ?? [`const ${pattern} = ${script.text(node.init as Node)};`];
		kept.set(node, { lines, query });
		for (const name of names) needed.delete(name);
		for (const name of query?.needs ?? localsIn(init, local)) needed.add(name);
	}
	const query = [...kept.values()].find((one) => one.query)?.query;
	if (needed.size > 0 || !query) throw unknown(context, body);
	const lines = linesOf(script, statements, kept, nameOf(returned));
	if (!lines.some((line) => line.includes(ABSENT)))
		throw refused(
			context,
			body,
			'does not say what happens without a user: return `{ session: null, user: null }` then'
		);
	const name = nameOf(returned);
	const user = name ?? (local.has('user') ? 'known' : 'user');
	const object = name === undefined ? returned : madeOf(steps, name);
	const members = object?.type === 'ObjectExpression' ? membersOf(object) : undefined;
	const hasId = object?.type === 'ObjectExpression' ? members?.has('id') === true : query.hasId;
	const last = name === undefined ? [`const ${user} = ${script.text(returned)};`] : [];
	return { lines: [...lines, ...last], user, id: hasId ? `${user}.id` : id };
}

/** The value of a variable that is declared by its name alone. */
function madeOf(steps: readonly Step[], name: string): Node | undefined {
	return steps.find(({ node }) => nameOf(node.id) === name)?.init;
}

function unknown(context: Context, body: Node): Refusal {
	return refused(
		context,
		body,
		'finds its user in a way that cannot be followed: use one query of drizzle, Prisma or SQL that joins the session with its `user`, or a query for the user by `session.userId`'
	);
}

/** The statements of a function, also those that it tries. */
function statementsOf({ body }: Node): Node[] {
	return (Array.isArray(body) ? (body as Node[]) : []).flatMap((statement) =>
		statement.type === 'TryStatement' ? statementsOf(statement.block as Node) : [statement]
	);
}

function stepsOf(statement: Node): Step[] {
	if (statement.type !== 'VariableDeclaration') return [];
	return (statement.declarations as Node[]).flatMap((node) =>
		isNode(node.init)
			? [{ node, init: untyped(node.init), names: namesOf(node.id as Node) }]
			: []
	);
}

/** The variables that a pattern declares. */
function namesOf(pattern: Node): string[] {
	if (pattern.type === 'Identifier') return [String(pattern.name)];
	const { properties, elements, argument, left } = pattern;
	const value = pattern.type === 'Property' ? pattern.value : undefined;
	return [properties, elements, argument, left, value]
		.flat()
		.flatMap((part) => (isNode(part) ? namesOf(part) : []));
}

function localsIn(node: Node, local: ReadonlySet<string>): string[] {
	return [...variablesIn(node)].map(({ name }) => name).filter((name) => local.has(name));
}

/** A pattern, without the parts of an object that are not needed. */
function patternText(script: Script, pattern: Node, needed: ReadonlySet<string>): string {
	if (pattern.type !== 'ObjectPattern') return script.text(pattern);
	const isNeeded = (part: Node): boolean => namesOf(part).some((name) => needed.has(name));
	const parts = pattern.properties as Node[];
	// What is taken out before the rest is missing in the rest.
	if (parts.some((part) => part.type === 'RestElement' && isNeeded(part)))
		return script.text(pattern);
	const texts = parts.filter((part) => isNeeded(part)).map((part) => script.text(part));
	return `{ ${texts.join(', ')} }`;
}

/** The user in the last `return { session, user }` of a function. */
function returnedUser(body: Node): Node | undefined {
	const users = [...within(body, [])].flatMap(({ node, around }) => {
		const isOwn = !around.some(({ type }) => type.includes('Function'));
		if (node.type !== 'ReturnStatement' || !isNode(node.argument) || !isOwn) return [];
		const object = untyped(node.argument);
		const user =
			object.type === 'ObjectExpression' ? membersOf(object)?.get('user') : undefined;
		return user && user.type !== 'Literal' ? [user] : [];
	});
	return users.at(-1);
}

/** The statements that remain, in their order, with the checks for absence between them. */
function linesOf(
	script: Script,
	statements: readonly Node[],
	kept: ReadonlyMap<Node, Kept>,
	user: string | undefined
): string[] {
	const lines: string[] = [];
	const found = new Set<string>();
	const all = new Set(
		statements
			.flatMap((statement) => stepsOf(statement))
			.flatMap(({ node, names }) => (kept.has(node) ? names : []))
	);
	const isChecked = statements.some((statement) => absences(statement, all).length > 0);
	for (const statement of statements) {
		for (const { node, names } of stepsOf(statement)) {
			const one = kept.get(node);
			if (!one) continue;
			lines.push(...one.lines);
			if (one.query?.isAbsent !== undefined) {
				lines.push(`if (${one.query.isAbsent}) ${ABSENT}`, ...one.query.after);
				continue;
			}
			for (const name of names) found.add(name);
			const [name = '', ...others] = names;
			const isUser = name === user || (node.id as Node).type === 'ArrayPattern';
			if (one.query && !isChecked && isUser && others.length === 0)
				lines.push(`if (!${name}) ${ABSENT}`);
		}
		const tests = absences(statement, found).map((test) => script.text(test));
		if (tests.length > 0) lines.push(`if (${tests.join(' || ')}) ${ABSENT}`);
	}
	return lines;
}

/** The tests of a statement that find one of these variables absent. */
function absences(statement: Node, found: ReadonlySet<string>): Node[] {
	if (statement.type !== 'IfStatement') return [];
	return alternatives(statement.test as Node).filter((test) => isAbsence(test, found));
}

function alternatives(test: Node): Node[] {
	if (test.type !== 'LogicalExpression' || test.operator !== '||') return [test];
	return [test.left, test.right].flatMap((part) => alternatives(part as Node));
}

/** Whether a test finds that one of these variables is nothing, or has no rows. */
function isAbsence(test: Node, found: ReadonlySet<string>): boolean {
	const { type, operator, argument, left, right } = test;
	if (type === 'UnaryExpression') return operator === '!' && isPart(argument, found);
	if (type !== 'BinaryExpression' || !['===', '==', '<'].includes(String(operator))) return false;
	const isNothing = isNode(right) && (right.type === 'Literal' || nameOf(right) === 'undefined');
	return isNothing && isPart(left, found);
}

/** Whether an expression is one of these variables, its rows or one of them, or their number. */
function isPart(value: unknown, found: ReadonlySet<string>): boolean {
	if (!isNode(value)) return false;
	const node = value.type === 'ChainExpression' ? (value.expression as Node) : untyped(value);
	if (node.type !== 'MemberExpression') return found.has(nameOf(node) ?? '');
	const member = memberOf(node);
	const isKnown =
		member === undefined
			? (node.property as Node).type === 'Literal'
			: /^(?:rows|length|user)$/.test(member);
	return isKnown && isPart(node.object, found);
}
