import { describe, expect, test } from 'vitest';

import { plan } from '../src/plan.ts';
import { luciaSecondApp } from './apps/lucia-second-app.ts';
import { ANSWERS, project, settled } from './projects.ts';

const AUTH = 'src/lib/server/auth.ts';
const ROUTE = 'src/routes/+page.server.ts';

const answers = { from: 'lucia' } as const;

describe('from lucia 2', () => {
	const { files, packages } = luciaSecondApp('ts');
	const app: Record<string, string> = {
		...files,
		'package.json': JSON.stringify({ dependencies: packages })
	};
	const changed = (name: string, before: string, after: string): Record<string, string> => {
		expect(app[name]).toContain(before);
		return { ...app, [name]: (app[name] ?? '').replaceAll(before, after) };
	};
	const reason = (changedFiles: Record<string, string>): string => {
		const planned = plan(project(changedFiles), { ...ANSWERS, ...answers });
		return planned.kind === 'refused' ? planned.reason : 'nothing is refused';
	};

	test('its calls stay, and act on the session of Vestiary', () => {
		const { written, notes } = settled(project(app), answers);
		const auth = written.get(AUTH) ?? '';
		expect(auth).toContain('export const formerLucia = lucia({');
		expect(auth).toContain('export type Auth = typeof formerLucia;');
		expect(auth).toContain(
			'export const auth: typeof formerLucia = Object.assign(Object.create(formerLucia), {'
		);
		const hooks = written.get('src/hooks.server.ts') ?? '';
		expect(hooks).toContain('event.locals.auth = auth.handleRequest(event);');
		expect(hooks).toContain('event.locals.authSession = await event.locals.auth.validate();');
		expect(hooks).toContain('sequence(takeOverSessions, handleSession, ');
		expect(written.get('src/lib/server/former-sessions.ts')).toContain(
			"owns: (name) => name === 'auth_session',"
		);
		expect(written.get(ROUTE)).toContain(
			'auth.invalidateSession(event.locals.authSession.sessionId)'
		);
		expect(notes.join()).toContain(
			'`formerLucia` from src/lib/server/auth.ts, and the old table'
		);
	});

	test('the cookie has the name of the options', () => {
		const named = (cookie: string): Record<string, string> =>
			changed(AUTH, 'middleware:', `sessionCookie: ${cookie}, middleware:`);
		const reader = (cookie: string): string =>
			settled(project(named(cookie)), answers).written.get(
				'src/lib/server/former-sessions.ts'
			) ?? '';
		expect(reader("{ name: 'other' }")).toContain("cookies.get('other')");
		expect(reader('{ expires: false }')).toContain("cookies.get('auth_session')");
		expect(reason(named('{ name: NAME }'))).toContain('whose name is not a string');
		expect(reason(named('COOKIE'))).toContain('whose name is not a string');
	});

	test.each([
		[
			'attributes of sessions',
			AUTH,
			'getUserAttributes:',
			'getSessionAttributes:',
			'attributes'
		],
		['options from elsewhere', AUTH, 'adapter:', '...more, adapter:', 'not written out'],
		['an object that is not exported', AUTH, 'export const auth', 'const auth', 'must export'],
		[
			'a function for sessions in the old table',
			ROUTE,
			'auth.invalidateSession(event.locals.session.sessionId)',
			'auth.getAllUserSessions(user.id)',
			'src/routes/+page.server.ts:19 calls `auth.getAllUserSessions`'
		],
		[
			'a token in a header',
			ROUTE,
			'await auth.invalidateSession(event.locals.session.sessionId)',
			'await event.locals.auth.validateBearerToken()',
			'calls `auth.validateBearerToken`'
		]
	])('%s is refused', (_, name, before, after, sentence) => {
		expect(reason(changed(name, before, after))).toContain(sentence);
	});
});
