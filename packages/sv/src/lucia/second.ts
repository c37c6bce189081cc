import { edited, type Edit } from '../edits.ts';
import { formerModule } from '../portable.ts';
import { importPath, type Draft } from '../project.ts';
import { Refusal } from '../refusal.ts';
import { Script } from '../script.ts';
import { sourcesOf } from '../sources.ts';
import { isNode, lineOf, memberOf, membersOf, nameOf, nodesOf, type Node } from '../syntax.ts';
import { ending, importsFor, refused, type Context } from './module.ts';
import { madeObject, renamed } from './object.ts';

/** The functions of lucia 2 that read or change its sessions, and that Vestiary has in another way. */
const OTHER_WAYS: ReadonlySet<string> = new Set([
	'deleteDeadUserSessions',
	'getAllUserSessions',
	'getSession',
	'readBearerToken',
	'readSessionCookie',
	'updateSessionAttributes',
	'validateBearerToken',
	'validateSession'
]);

/** Leaves lucia 2: the app's own object has its functions, those of sessions for Vestiary's. Returns what remains. */
export function leaveSecond(context: Context, constructor: string): readonly string[] {
	const { draft, script, path, text } = context;
	const { object, node } = madeObject(context, constructor, 'CallExpression');
	const cookie = cookieName(context, node);
	const isKnown = script.imported('LuciaError', 'lucia') !== undefined;
	const error = isKnown ? [] : ["import { LuciaError } from 'lucia';"];
	const imports = script.afterImports([...importsFor(context), ...error]);
	const edits: Edit[] = [...imports, ...renamed(script, object)];
	draft.write(path, `${edited(text, edits).trimEnd()}\n\n${functions(context, object)}`);
	for (const source of sourcesOf(draft))
		if (/\.[cm]?[jt]s$/.test(source.path) && source.path !== path)
			checkUses(source.path, new Script(source.text), object);
	writeReader(draft, context, cookie);
	return [`\`formerLucia\` from ${path}`, 'the old table'];
}

/** The name of the old cookie, as the source text of a string. */
function cookieName(context: Context, node: Node): string {
	const [given] = node.arguments as Node[];
	const members = given?.type === 'ObjectExpression' ? membersOf(given) : undefined;
	if (!members || members.has('getSessionAttributes'))
		throw refused(
			context,
			node,
			'has session attributes, or options that are not written out: keep the attributes in the data of the session'
		);
	const cookie = members.get('sessionCookie');
	if (!cookie) return "'auth_session'";
	const inner = cookie.type === 'ObjectExpression' ? membersOf(cookie) : undefined;
	const name = inner?.get('name');
	if (inner && !name) return "'auth_session'";
	if (name?.type === 'Literal') return context.script.text(name);
	throw refused(context, cookie, 'has a cookie whose name is not a string: write it out');
}

/** Refuses functions of lucia that would act on the old table. */
function checkUses(path: string, script: Script, own: string): void {
	for (const { node } of nodesOf(script)) {
		const member = memberOf(node.callee);
		if (member === undefined || !OTHER_WAYS.has(member) || !isNode(node.callee)) continue;
		const object = memberOf(node.callee.object) ?? nameOf(node.callee.object);
		// `locals.auth` is what the object has made of a request.
		if (object === undefined || ![own, 'auth'].includes(object)) continue;
		throw Refusal.until(
			`${path}:${lineOf(script, node)} calls \`${object}.${member}\`, for which Vestiary has another way: change that`
		);
	}
}

/** The functions for the app, with the names and types that lucia has. */
function functions({ options, print: { ts, js } }: Context, object: string): string {
	const { type, any } = { type: js('/** @type {typeof formerLucia} */\n'), any: ts(': any') };
	return `/**
 * The visitor's session, as lucia has it.${js('\n *\n * @param {any} user')}
 */
function sessionOf(user${any})${any} {
	const { session } = getRequestEvent().locals;
	const end = session.expires ?? new Date(8.64e15);
	return {
		user,
		sessionId: session.logId ?? '',
		activePeriodExpiresAt: end,
		idlePeriodExpiresAt: end,
		state: 'active',
		fresh: false
	};
}

/** The visitor's session in a request. Null if they are not logged in, or if their user is gone. */
async function validate() {
	const { userId } = getRequestEvent().locals.session;
	if (userId === undefined) return null;
	try {
		return sessionOf(await formerLucia.getUser(userId));
	} catch (error) {
		if (error instanceof LuciaError) return null;
		throw error;
	}
}

/**
 * Logs the visitor out. The handle waits for it before the response leaves.${js('\n *\n * @param {any} given')}
 */
function setSession(given${any}) {
	const { session } = getRequestEvent().locals;
	if (given === null && session.userId !== undefined) void session.destroy();
}

/** The functions of lucia, those of sessions for Vestiary's session. Its cookie needs no help; theirs is only removed. */
${type}export const ${object}${ts(': typeof formerLucia')} = Object.assign(Object.create(formerLucia), {
	handleRequest: () => ({
		validate,
		setSession,
		invalidate: () => undefined,
		validateBearerToken: async () => null
	}),
	${js('/** @param {{ userId: string }} options */\n\t')}async createSession({ userId }${ts(': { userId: string }')}) {
		await getRequestEvent().locals.session.login(userId);
		return sessionOf(await formerLucia.getUser(userId));
	},
	createSessionCookie: () => formerLucia.createSessionCookie(null),
	${js('/** @param {string} id */\n\t')}async invalidateSession(id${ts(': string')}) {
		${ending('id', options).replaceAll('\n', '\n\t')}
	},
	${js('/** @param {string} userId */\n\t')}async invalidateAllUserSessions(userId${ts(': string')}) {
		await formerLucia.invalidateAllUserSessions(userId);
		await sessions(${options}).of(userId).revokeAll();
	},
	${js('/** @param {string} userId */\n\t')}async deleteUser(userId${ts(': string')}) {
		await sessions(${options}).of(userId).revokeAll();
		await formerLucia.deleteUser(userId);
	}
});
`;
}

/** Writes the module that reads the old cookies. */
function writeReader(
	draft: Draft,
	{ path: from, print: { ts, js } }: Context,
	cookie: string
): void {
	const path = formerModule(draft.project);
	draft.add(
		draft.script(path),
		`import { LuciaError } from 'lucia';
${ts("import type { FormerSessions } from 'vestiary';\n")}
import { formerLucia } from '${importPath(path, from.replace(/\.[cm]?[jt]s$/, ''))}';

/**
 * The sessions in the old table, which Vestiary takes over. Without them, this file can go.${js("\n *\n * @type {import('vestiary').FormerSessions}")}
 */
export const former${ts(': FormerSessions')} = {
	owns: (name) => name === ${cookie},
	async read(cookies) {
		try {
			const session = await formerLucia.validateSession(cookies.get(${cookie}) ?? '');
			const { sessionId, user, idlePeriodExpiresAt } = session;
			return { id: sessionId, userId: user.userId, expires: idlePeriodExpiresAt };
		} catch (error) {
			// The session is unknown, or has expired.
			if (error instanceof LuciaError) return null;
			throw error;
		}
	}
};
`
	);
}
