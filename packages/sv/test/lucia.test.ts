import { describe, expect, test } from 'vitest';

import { plan } from '../src/plan.ts';
import { handWrittenApp, luciaApp } from './apps/lucia-apps.ts';
import { databaseOf } from './apps/lucia-databases.ts';
import { ANSWERS, project, settled } from './projects.ts';

type Files = Record<string, string>;

const answers = { from: 'lucia' } as const;

/** The reason for which an app with these files is refused. */
function reason(files: Files): string {
	const planned = plan(project(files), { ...ANSWERS, ...answers });
	return planned.kind === 'refused' ? planned.reason : 'nothing is refused';
}

/** An app, with a text replaced in one of its files. */
function changedFile(files: Readonly<Files>, name: string, before: string, after: string): Files {
	const text = files[name] ?? '';
	expect(text).toContain(before);
	return { ...files, [name]: text.replaceAll(before, after) };
}

const AUTH = 'src/lib/server/auth.ts';
const HOOKS = 'src/hooks.server.ts';
const ROUTE = 'src/routes/+page.server.ts';

describe('from lucia', () => {
	const { files, packages } = luciaApp('ts', databaseOf('drizzle'));
	const app: Files = { ...files, 'package.json': JSON.stringify({ dependencies: packages }) };

	test('its calls stay, and act on the session of Vestiary', () => {
		const { written, notes } = settled(project(app), answers);
		const auth = written.get(AUTH) ?? '';
		expect(auth).toContain('export const formerLucia = new Lucia(adapter, {');
		expect(auth).toContain('Lucia: typeof formerLucia;');
		expect(auth).toContain(
			'await db.select().from(table.user).where(eq(table.user.id, userId));'
		);
		expect(auth).toContain('export const lucia = {');
		const hooks = written.get(HOOKS) ?? '';
		expect(hooks).toContain('const sessionId = event.locals.session.userId;');
		expect(hooks).toContain('event.locals.authSession = session;');
		expect(hooks).toContain('sequence(takeOverSessions, handleSession, ');
		expect(written.get('src/app.d.ts')).toContain(
			"authSession: import('lucia').Session | null;"
		);
		expect(written.get(ROUTE)).toContain(
			'lucia.invalidateSession(event.locals.authSession.id)'
		);
		expect(written.has('package.json')).toBe(false);
		expect(notes).toContain(
			'When the last session of lucia has expired, remove `takeOverSessions` from hooks.server, src/lib/server/former-sessions.ts, `formerLucia` from src/lib/server/auth.ts, and the old table.'
		);
	});

	test.each([
		[
			'attributes of sessions',
			AUTH,
			'getUserAttributes:',
			'getSessionAttributes:',
			'has session attributes'
		],
		[
			'another adapter',
			AUTH,
			'DrizzleSQLiteAdapter',
			'MongodbAdapter',
			'an adapter whose users cannot be found'
		],
		[
			'an object that is not exported',
			AUTH,
			'export const lucia',
			'const lucia',
			'must export a constant'
		],
		[
			'a cookie from elsewhere',
			HOOKS,
			'event.cookies.get(lucia.sessionCookieName)',
			'read(event)',
			'with something else than `event.cookies.get(…)`'
		],
		[
			'no validation',
			HOOKS,
			'lucia.validateSession(sessionId)',
			'other(sessionId)',
			'no file reads'
		],
		[
			'a cookie that is read elsewhere',
			ROUTE,
			"String((await event.request.formData()).get('name'))",
			'event.cookies.get(lucia.sessionCookieName)',
			"gets the session's cookie itself"
		],
		[
			'a function that only lucia has',
			ROUTE,
			'lucia.invalidateSession(',
			'lucia.getUserSessions(',
			'calls `lucia.getUserSessions`'
		]
	])('%s is refused', (_, name, before, after, sentence) => {
		expect(reason(changedFile(app, name, before, after))).toContain(sentence);
	});

	test.each([
		['prisma', 'const found = await prisma.user.findUnique({ where: { id: userId } });'],
		[
			'better-sqlite3',
			"const found = await db.prepare('SELECT * FROM `user` WHERE id = ?').get(userId);"
		],
		[
			'libsql',
			"const { rows: [found] }: any = await client.execute({ sql: 'SELECT * FROM `user` WHERE id = ?', args: [userId] });"
		],
		[
			'pg',
			`const { rows: [found] }: any = await pool.query('SELECT * FROM "auth_user" WHERE id = $1', [userId]);`
		],
		[
			'postgres-js',
			`const [found] = await sql.unsafe('SELECT * FROM "auth_user" WHERE id = $1', [userId]);`
		],
		[
			'mysql2',
			"const [[found]]: any = await pool.query('SELECT * FROM `user` WHERE id = ?', [userId]);"
		]
	])('its user is found with the client of the adapter for %s', (name, query) => {
		const database = databaseOf(name);
		const [language = 'ts'] = database.library;
		const { written } = settled(
			project(luciaApp(language, database).files, { language }),
			answers
		);
		expect(written.get(`src/lib/server/auth.${language}`)).toContain(query);
	});

	test('users with numbers keep them', () => {
		const { written } = settled(project(luciaApp('ts', databaseOf('mysql2')).files), answers);
		const auth = written.get(AUTH) ?? '';
		expect(auth).toContain('async validateSession(userId: string) {');
		expect(auth).toContain('await userOf(Number(userId));');
		expect(auth).toContain('async createSession(userId: number, _attributes?: object) {');
		expect(auth).toContain('.locals.session.login(String(userId));');
		expect(auth).toContain('async invalidateUserSessions(userId: number) {');
		expect(auth).toContain('.of(String(userId)).revokeAll();');
	});

	test('a table with its schema has no quotes, and one with other characters is refused', () => {
		const pg = luciaApp('ts', databaseOf('pg')).files;
		const named = (name: string): Files =>
			changedFile(pg, AUTH, "user: 'auth_user'", `user: '${name}'`);
		const { written } = settled(project(named('app.users')), answers);
		expect(written.get(AUTH)).toContain("'SELECT * FROM app.users WHERE id = $1'");
		expect(reason(named('"users"'))).toContain('an adapter whose users cannot be found');
		expect(reason(changedFile(pg, AUTH, "user: 'auth_user'", 'user: NAME'))).toContain(
			'an adapter whose users cannot be found'
		);
	});

	test('the cookie may be read of a part of the event, in more than one place', () => {
		const layout = `import { lucia } from '../lib/server/auth';

export const load = async ({ cookies }) => {
	const sessionId = cookies.get('auth_session');
	return sessionId ? lucia.validateSession(sessionId) : null;
};

export const more = async (event) => {
	const sessionId = event.cookies.get(lucia.sessionCookieName);
	return sessionId ? lucia.validateSession(sessionId) : null;
};
`;
		const { written } = settled(
			project({ ...app, 'src/routes/+layout.server.ts': layout }),
			answers
		);
		expect(written.get('src/routes/+layout.server.ts')).toBe(
			layout
				.replace(
					"'../lib/server/auth';",
					"$&\nimport { getRequestEvent } from '$app/server';"
				)
				.replace("cookies.get('auth_session')", 'getRequestEvent().locals.session.userId')
				.replace(
					'event.cookies.get(lucia.sessionCookieName)',
					'event.locals.session.userId'
				)
		);
	});

	test('another version is refused', () => {
		const old = {
			...app,
			'package.json': JSON.stringify({ dependencies: { lucia: '^1.8.0' } })
		};
		expect(reason(old)).toContain('update it first');
		const first = { ...old, 'package.json': '{ "dependencies": { "lucia-auth": "^1.8.0" } }' };
		expect(reason(first)).toContain('the app has lucia-auth');
	});
});

describe('from the code by hand that lucia’s site has', () => {
	const { files } = handWrittenApp('ts', databaseOf('drizzle'));

	test('its functions stay, and act on the session of Vestiary', () => {
		const { written } = settled(project({ ...files }), answers);
		const auth = written.get(AUTH) ?? '';
		expect(auth).toContain('export async function validateFormerToken(token: string) {');
		expect(auth).toContain('export async function validateSessionToken(userId: string) {');
		expect(auth).toContain(
			'await db.select({ user: { id: table.user.id, username: table.user.username } }).from(table.user).where(eq(table.user.id, userId));'
		);
		expect(auth).toContain('await session.login(String(userId));');
		expect(auth).not.toContain('cookies.set(');
		const former = written.get('src/lib/server/former-sessions.ts') ?? '';
		expect(former).toContain("import { validateFormerToken } from './auth';");
		expect(former).toContain('name === auth.sessionCookieName');
	});

	test('users with numbers keep them, and the logout of a user ends all sessions', () => {
		const numbers = changedFile(
			files,
			AUTH,
			'token: string, userId: string',
			'token: string, userId: number'
		);
		const all = 'export async function invalidateAllSessions(userId: number) {\n}\n';
		const { written } = settled(
			project({ ...numbers, [AUTH]: `${numbers[AUTH] ?? ''}\n${all}` }),
			answers
		);
		expect(written.get(AUTH)).toContain('eq(table.user.id, Number(userId))');
		expect(written.get(AUTH)).toContain('sessions(options).of(String(userId)).revokeAll();');
	});

	test.each([
		[
			'a query without its user',
			AUTH,
			'user: {',
			'person: {',
			'finds its user in a way that cannot be followed'
		],
		[
			'no function for a new session',
			AUTH,
			'function createSession(',
			'function begin(',
			'must export the functions'
		],
		[
			'a cookie that is set elsewhere',
			ROUTE,
			'auth.deleteSessionTokenCookie(event);',
			"event.cookies.set(auth.sessionCookieName, '', { path: '/' });",
			"sets the session's cookie itself"
		]
	])('%s is refused', (_, name, before, after, sentence) => {
		expect(reason(changedFile(files, name, before, after))).toContain(sentence);
	});

	test('cookies with different names are refused', () => {
		const layout = `import { validateSessionToken } from '../lib/server/auth';

export const load = ({ cookies }) => validateSessionToken(cookies.get('other'));
`;
		expect(reason({ ...files, 'src/routes/+layout.server.ts': layout })).toContain(
			'cookies with different names'
		);
	});

	test('two modules with sessions are refused', () => {
		expect(reason({ ...files, 'src/lib/other.ts': files[AUTH] ?? '' })).toContain(
			'both make sessions'
		);
	});
});

test('an app without lucia gets Vestiary as any other', () => {
	const { written, notes } = settled(project(), answers);
	expect(written.has('src/lib/server/former-sessions.ts')).toBe(false);
	expect(written.get(HOOKS)).not.toContain('takeOver');
	expect(notes).toEqual([]);
});
