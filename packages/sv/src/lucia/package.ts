import { ending, refused, writeModule, type AuthModule, type Context } from './module.ts';
import { madeObject, renamed } from './object.ts';
import type { Script } from '../script.ts';
import { constant, membersOf, nameOf, type Node } from '../syntax.ts';

/** The package lucia 3: the app's own object has its functions, for Vestiary's session. */
export function changePackage(context: Context, constructor: string): AuthModule {
	const { script, path, text, options } = context;
	const { ts, js } = context.print;
	const { object, node: making } = madeObject(context, constructor, 'NewExpression');
	const [adapter, given] = making.arguments as Node[];
	const members = given?.type === 'ObjectExpression' ? membersOf(given) : new Map<string, Node>();
	if (!members || members.has('getSessionAttributes'))
		throw refused(
			context,
			making,
			'has session attributes, or options that are not written out: keep the attributes in the data of the session'
		);
	const made =
		adapter &&
		(nameOf(adapter) === undefined ? adapter : constant(script, nameOf(adapter) ?? ''));
	// The type of `Register` says which one the users have.
	const isNumber = /\bUserId\s*:\s*number\b/.test(text);
	const [type, id] = isNumber ? ['number', 'Number(userId)'] : ['string', 'userId'];
	const user = made && userQuery(script, made);
	if (!user)
		throw refused(
			context,
			making,
			`has an adapter whose users cannot be found: it must be that of Drizzle or Prisma, or one of ${[...ADAPTERS.keys()].join(', ')} with its tables written out; or write the sessions by hand as lucia’s site says`
		);
	const end = `/**
 * The user with an ID, as lucia has had them.${js(`\n *\n * @param {${type}} userId\n * @returns {Promise<any>}`)}
 */
async function userOf(userId${ts(`: ${type}`)})${ts(': Promise<any>')} {
	${js('/** @type {any} */\n\t')}const ${user.pattern}${ts(': any')} = await ${user.query};
	if (!found) return null;
	const { id, ...attributes } = found;
	return { ...formerLucia['getUserAttributes'](attributes), id };
}

/** The functions of lucia, for Vestiary's session. Its cookie needs no help; theirs is only removed. */
export const ${object} = {
	${js('/** @param {string} userId */\n\t')}async validateSession(userId${ts(': string')}) {
		const user${ts(': any')} = await userOf(${id});
		if (!user) return { session: null, user: null };
		return { session: sessionOf(getRequestEvent().locals.session, ${id}), user };
	},
	${js(`/** @param {${type}} userId @param {object} [_attributes] */\n\t`)}async createSession(userId${ts(`: ${type}`)}, _attributes${ts('?: object')}) {
		await getRequestEvent().locals.session.login(${isNumber ? 'String(userId)' : 'userId'});
		return sessionOf(getRequestEvent().locals.session, userId);
	},
	${js('/** @param {string} _id */\n\t')}createSessionCookie: (_id${ts(': string')}) => formerLucia.createBlankSessionCookie(),
	createBlankSessionCookie: () => formerLucia.createBlankSessionCookie(),
	${js('/** @param {string} id */\n\t')}async invalidateSession(id${ts(': string')}) {
		${ending('id', options).replaceAll('\n', '\n\t')}
	},
	${js(`/** @param {${type}} userId */\n\t`)}async invalidateUserSessions(userId${ts(`: ${type}`)}) {
		await formerLucia.invalidateUserSessions(userId);
		await sessions(${options}).of(${isNumber ? 'String(userId)' : 'userId'}).revokeAll();
	}
};
`;
	writeModule(context, renamed(script, object), end, user.imports);
	return { path, validate: 'validateSession', object, former: 'formerLucia', awaited: [] };
}

/** The query that finds a user, and the pattern that takes them out of its answer as `found`. */
interface UserQuery {
	readonly query: string;
	readonly pattern: string;
	readonly imports?: readonly string[];
}

/** The query for the user with the ID `userId`, with the client of lucia's adapter. */
function userQuery(script: Script, made: Node): UserQuery | undefined {
	const name = nameOf(made.callee) ?? '';
	const [client, second, third] = made.arguments as Node[];
	if (!client || !second) return undefined;
	if (/^Drizzle\w+Adapter$/.test(name)) {
		if (!third) return undefined;
		const table = script.text(third);
		const equal = script.imported('eq', 'drizzle-orm');
		return {
			query: `${script.text(client)}.select().from(${table}).where(${equal ?? 'eq'}(${table}.id, userId))`,
			pattern: '[found]',
			imports: equal === undefined ? ["import { eq } from 'drizzle-orm';"] : []
		};
	}
	if (name === 'PrismaAdapter')
		return {
			query: `${script.text(second)}.findUnique({ where: { id: userId } })`,
			pattern: 'found'
		};
	const tables =
		second.type === 'ObjectExpression' ? second : constant(script, nameOf(second) ?? '');
	const users = tables?.type === 'ObjectExpression' ? membersOf(tables)?.get('user') : undefined;
	const table = users?.type === 'Literal' ? String(users.value) : undefined;
	// A name with other characters would need another way to be quoted.
	if (table === undefined || !/^[\w.]+$/.test(table)) return undefined;
	return ADAPTERS.get(name)?.(script.text(client), table);
}

/** The adapters of lucia that speak SQL: the query with their client. */
const ADAPTERS: ReadonlyMap<string, (client: string, table: string) => UserQuery> = new Map([
	[
		'BetterSqlite3Adapter',
		(client, table) => ({
			query: `${client}.prepare('SELECT * FROM \`${table}\` WHERE id = ?').get(userId)`,
			pattern: 'found'
		})
	],
	[
		'LibSQLAdapter',
		(client, table) => ({
			query: `${client}.execute({ sql: 'SELECT * FROM \`${table}\` WHERE id = ?', args: [userId] })`,
			pattern: '{ rows: [found] }'
		})
	],
	[
		'NodePostgresAdapter',
		(client, table) => ({
			query: `${client}.query('SELECT * FROM ${postgresName(table)} WHERE id = $1', [userId])`,
			pattern: '{ rows: [found] }'
		})
	],
	[
		'PostgresJsAdapter',
		(client, table) => ({
			query: `${client}.unsafe('SELECT * FROM ${postgresName(table)} WHERE id = $1', [userId])`,
			pattern: '[found]'
		})
	],
	[
		'Mysql2Adapter',
		(client, table) => ({
			query: `${client}.query('SELECT * FROM \`${table}\` WHERE id = ?', [userId])`,
			pattern: '[[found]]'
		})
	]
]);

/** A table, as the adapters for Postgres name it: one with its schema is not quoted. */
function postgresName(table: string): string {
	return table.includes('.') ? table : `"${table}"`;
}
