import { describe, expect, test } from 'vitest';

import { plan } from '../src/plan.ts';
import { handWrittenApp, luciaApp } from './apps/lucia-apps.ts';
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
	const { files, packages } = luciaApp('ts');
	const app: Files = { ...files, 'package.json': JSON.stringify({ dependencies: packages }) };

	test('its calls stay, and act on the session of Vestiary', () => {
		const { written } = settled(project(app), answers);
		const auth = written.get(AUTH) ?? '';
		expect(auth).toContain('export const formerLucia = new Lucia(adapter, {');
		expect(auth).toContain('Lucia: typeof formerLucia;');
		expect(auth).toContain('await db.select().from(user).where(eq(user.id, userId));');
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
			'an adapter that is not of drizzle'
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

	test('another version is refused', () => {
		const old = {
			...app,
			'package.json': JSON.stringify({ dependencies: { lucia: '^2.7.0' } })
		};
		expect(reason(old)).toContain('update it first');
	});
});

describe('from the code by hand that lucia’s site has', () => {
	const { files } = handWrittenApp('ts');

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
			'no drizzle query that selects `user`'
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

	test('two modules with sessions are refused', () => {
		expect(reason({ ...files, 'src/lib/other.ts': files[AUTH] ?? '' })).toContain(
			'both make sessions'
		);
	});
});

test('an app without lucia gets Vestiary as any other', () => {
	expect(settled(project(), answers).written.has('src/lib/server/former-sessions.ts')).toBe(
		false
	);
});
