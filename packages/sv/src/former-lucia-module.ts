import { edited, insertion, type Edit } from './edits.ts';
import { isPerRequest, optionsModule } from './options.ts';
import { importPath, printer, type Draft, type Print } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';
import type { Source } from './sources.ts';
import type { StoreKind } from './stores.ts';
import {
	constant,
	importsOf,
	isNode,
	lineOf,
	memberOf,
	membersOf,
	nameOf,
	nodesOf,
	untyped,
	within,
	type Node
} from './syntax.ts';

const AGAIN = 'and run this again';

/** The module of the app that makes its sessions, changed. */
export interface AuthModule {
	readonly path: string;
	/** The function that finds a session by its cookie. */
	readonly validate: string;
	/** The name of the `Lucia` object; undefined for code by hand. */
	readonly object: string | undefined;
	/** The export that still reads the old table. */
	readonly former: string;
}

/** Whether a file makes sessions, and was not changed before. */
export function isAuthModule(text: string): boolean {
	if (/\b(?:formerLucia|validateFormerToken)\b/.test(text)) return false;
	if (/\bnew Lucia\b/.test(text) && /(['"])lucia\1/.test(text)) return true;
	return /\bexport (?:async function validateSessionToken\b|const validateSessionToken\s*=)/.test(
		text
	);
}

/** Lets the module's functions act on Vestiary's session. */
export function changeAuthModule(draft: Draft, source: Source, store: StoreKind): AuthModule {
	const script = new Script(source.text);
	const context: Context = {
		draft,
		script,
		...source,
		options: isPerRequest(store) ? 'options(getRequestEvent())' : 'options',
		print: printer(draft.project)
	};
	const lucia = importsOf(script).find(
		({ from, imported }) => from === 'lucia' && imported === 'Lucia'
	);
	return lucia ? changePackage(context, lucia.local) : changeByHand(context);
}

interface Context extends Source {
	readonly draft: Draft;
	readonly script: Script;
	/** The expression of Vestiary's options. */
	readonly options: string;
	readonly print: Print;
}

function refused({ path, script }: Context, node: Node, text: string): Refusal {
	return new Refusal(`${path}:${lineOf(script, node)} ${text}, ${AGAIN}`);
}

/** Writes the module, with these edits and functions. */
function write(
	{ draft, script, path, text, print: { ts, js } }: Context,
	edits: readonly Edit[],
	end: string,
	more: readonly string[] = []
): void {
	const imports = [
		"import { getRequestEvent } from '$app/server';",
		"import { sessions } from 'vestiary';",
		`import { options } from '${importPath(path, optionsModule(draft.project))}';`,
		...more
	];
	const shared = `/**
 * The session of a visitor who is logged in, as the app has it.${js("\n *\n * @template Id\n * @param {import('vestiary').Session} session\n * @param {Id} userId")}
 */
function sessionOf${ts('<Id>')}(session${ts(": import('vestiary').Session")}, userId${ts(': Id')}) {
	const expiresAt = session.expires ?? new Date(8.64e15);
	return { id: session.logId ?? '', userId, expiresAt, fresh: false };
}
`;
	const changed = edited(text, [...script.afterImports(imports), ...edits]);
	draft.write(path, `${changed.trimEnd()}\n\n${shared}\n${end}`);
}

/** The statements that end a session, of this visitor or of another device. */
const ending = (
	id: string,
	options: string
): string => `const { session } = getRequestEvent().locals;
	if (session.logId === ${id}) await session.destroy();
	else if (session.userId !== undefined) await sessions(${options}).of(session.userId).revoke(${id});`;

/** A function that a module exports. */
interface Exported {
	readonly id: Node;
	readonly params: readonly Node[];
	readonly body: Node;
}

function exportedFunctions(script: Script): ReadonlyMap<string, Exported> {
	const found = new Map<string, Exported>();
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
			const code = untyped(init);
			if (code.type.includes('Function'))
				found.set(name, { id, params: code.params as Node[], body: code.body as Node });
		}
	}
	return found;
}

/** Code by hand, as lucia's site has it and `sv` has written it. */
function changeByHand(context: Context): AuthModule {
	const {
		script,
		path,
		options,
		print: { ts, js }
	} = context;
	const functions = exportedFunctions(script);
	const validate = functions.get('validateSessionToken');
	const create = functions.get('createSession');
	if (!validate || !create)
		throw new Refusal(
			`${path} must export the functions \`validateSessionToken\` and \`createSession\`: change that, ${AGAIN}`
		);
	const edits: Edit[] = [
		{
			start: script.start(validate.id),
			end: script.start(validate.id) + 'validateSessionToken'.length,
			text: 'validateFormerToken'
		}
	];
	const user = userQuery(context, validate.body);
	for (const [name, { params, body }] of functions) {
		const last = params.at(-1);
		const parameter = last && nameOf(last);
		const becomes = (text: string): void => {
			if (body.type !== 'BlockStatement')
				throw refused(context, body, `has no block as the body of \`${name}\`: write one`);
			edits.push({ ...script.place(body), text: `{\n\t${text}\n}` });
		};
		if (name === 'createSession' && parameter !== undefined)
			becomes(`const { session } = getRequestEvent().locals;
	await session.login(String(${parameter}));
	return sessionOf(getRequestEvent().locals.session, ${parameter});`);
		else if (name === 'invalidateSession' && parameter !== undefined)
			becomes(ending(parameter, options));
		else if (
			/^invalidate(?:All|User)\w*Sessions$/.test(name) &&
			parameter !== undefined &&
			body.type === 'BlockStatement'
		)
			edits.push(
				insertion(
					script.start(body) + 1,
					`\n\tawait sessions(${options}).of(String(${parameter})).revokeAll();`
				)
			);
		else if (setsCookie(body)) becomes('// Vestiary sets its own cookie.');
	}
	const numeric = isNumber(script, create.params.at(-1)) ? 'Number(userId)' : 'userId';
	const end = `/**
 * The user of Vestiary's session, by the ID of their login.${js('\n *\n * @param {string} userId')}
 */
export async function validateSessionToken(userId${ts(': string')}) {
	const [found] = await ${user(numeric)};
	if (!found) return { session: null, user: null };
	return { session: sessionOf(getRequestEvent().locals.session, found.user.id), user: found.user };
}
`;
	write(context, edits, end);
	return {
		path,
		validate: 'validateSessionToken',
		object: undefined,
		former: 'validateFormerToken'
	};
}

function setsCookie(body: Node): boolean {
	return [...within(body, [])].some(({ node }) => {
		const { callee } = node;
		return (
			memberOf(callee) === 'set' &&
			isNode(callee) &&
			(memberOf(callee.object) ?? nameOf(callee.object)) === 'cookies'
		);
	});
}

function isNumber(script: Script, parameter: Node | undefined): boolean {
	return (
		isNode(parameter?.typeAnnotation) &&
		/:\s*number$/.test(script.text(parameter.typeAnnotation))
	);
}

/** The query for a user by their ID, from the one that has joined them with the session. */
function userQuery(context: Context, body: Node): (id: string) => string {
	const { script } = context;
	const calls = [...within(body, [])].flatMap(({ node }) =>
		node.type === 'CallExpression' ? [node] : []
	);
	const select = calls.find(({ callee }) => memberOf(callee) === 'select');
	const [columns] = (select?.arguments as Node[] | undefined) ?? [];
	const user = columns?.type === 'ObjectExpression' ? membersOf(columns)?.get('user') : undefined;
	const [table, on] =
		(calls.find(({ callee }) => memberOf(callee) === 'innerJoin')?.arguments as
			Node[] | undefined) ?? [];
	const of = table && script.text(table);
	const key = ((on?.arguments as Node[] | undefined) ?? [])
		.map((one) => script.text(one))
		.find((one) => one.startsWith(`${of ?? ''}.`));
	if (
		!select ||
		!user ||
		!of ||
		key === undefined ||
		!isNode(select.callee) ||
		!isNode(select.callee.object)
	)
		throw refused(
			context,
			body,
			'has no drizzle query that selects `user` with an inner join, so its users cannot be found: write it so'
		);
	const db = script.text(select.callee.object);
	const named = script.text(user);
	const equal = isNode(on?.callee) ? script.text(on.callee) : 'eq';
	return (id) => `${db}.select({ user: ${named} }).from(${of}).where(${equal}(${key}, ${id}))`;
}

/** The package lucia 3, with an adapter for drizzle. */
function changePackage(context: Context, constructor: string): AuthModule {
	const {
		script,
		path,
		options,
		print: { ts, js }
	} = context;
	const making = [...nodesOf(script)].find(
		({ node }) => node.type === 'NewExpression' && nameOf(node.callee) === constructor
	);
	const declarator = making?.around.find(({ type }) => type === 'VariableDeclarator');
	const object = declarator && nameOf(declarator.id);
	if (!making || object === undefined || !exportsName(script, object))
		throw new Refusal(
			`${path} must export a constant with the object of \`new ${constructor}(…)\`: change that, ${AGAIN}`
		);
	const [adapter, given] = making.node.arguments as Node[];
	const members = given?.type === 'ObjectExpression' ? membersOf(given) : new Map<string, Node>();
	if (!members || members.has('getSessionAttributes'))
		throw refused(
			context,
			making.node,
			'has session attributes, or options that are not written out: keep the attributes in the data of the session'
		);
	const made =
		adapter &&
		(nameOf(adapter) === undefined ? adapter : constant(script, nameOf(adapter) ?? ''));
	const [db, , users] = (made?.arguments as Node[] | undefined) ?? [];
	if (!made || !/^Drizzle\w+Adapter$/.test(nameOf(made.callee) ?? '') || !db || !users)
		throw refused(
			context,
			making.node,
			'has an adapter that is not of drizzle, so its users cannot be found: write the sessions by hand as lucia’s site says'
		);
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
	const table = script.text(users);
	const equal = script.imported('eq', 'drizzle-orm');
	const any = ts(': any');
	const end = `/**
 * The user with an ID, as lucia has had them.${js('\n *\n * @param {string} userId\n * @returns {Promise<any>}')}
 */
async function userOf(userId${ts(': string')})${ts(': Promise<any>')} {
	const [found]${ts(': any[]')} = await ${script.text(db)}.select().from(${table}).where(${equal ?? 'eq'}(${table}.id, userId));
	if (!found) return null;
	const { id, ...attributes } = found;
	return { ...formerLucia['getUserAttributes'](attributes), id };
}

/** The functions of lucia, for Vestiary's session. Its cookie needs no help; theirs is only removed. */
export const ${object} = {
	${js('/** @param {string} userId */\n\t')}async validateSession(userId${ts(': string')}) {
		const user${any} = await userOf(userId);
		if (!user) return { session: null, user: null };
		return { session: sessionOf(getRequestEvent().locals.session, userId), user };
	},
	${js('/** @param {string} userId @param {object} [_attributes] */\n\t')}async createSession(userId${ts(': string')}, _attributes${ts('?: object')}) {
		await getRequestEvent().locals.session.login(userId);
		return sessionOf(getRequestEvent().locals.session, userId);
	},
	${js('/** @param {string} _id */\n\t')}createSessionCookie: (_id${ts(': string')}) => formerLucia.createBlankSessionCookie(),
	createBlankSessionCookie: () => formerLucia.createBlankSessionCookie(),
	${js('/** @param {string} id */\n\t')}async invalidateSession(id${ts(': string')}) {
		${ending('id', options).replaceAll('\n', '\n\t')}
	},
	${js('/** @param {string} userId */\n\t')}async invalidateUserSessions(userId${ts(': string')}) {
		await formerLucia.invalidateUserSessions(userId);
		await sessions(${options}).of(userId).revokeAll();
	}
};
`;
	write(context, edits, end, equal === undefined ? ["import { eq } from 'drizzle-orm';"] : []);
	return { path, validate: 'validateSession', object, former: 'formerLucia' };
}

/** Whether a module exports a constant where it declares it. */
function exportsName(script: Script, name: string): boolean {
	return (script.body as unknown as Node[]).some(({ type, declaration }) => {
		if (type !== 'ExportNamedDeclaration' || !isNode(declaration)) return false;
		return ((declaration.declarations ?? []) as Node[]).some(({ id }) => nameOf(id) === name);
	});
}
