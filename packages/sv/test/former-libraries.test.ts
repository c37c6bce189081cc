import { describe, expect, test } from 'vitest';

import { plan } from '../src/plan.ts';
import { cookieSessionApp, ironSessionApp } from './apps/former-apps.ts';
import { ANSWERS, APP_TYPES, changed, changes, project, settled } from './projects.ts';

type Files = Record<string, string>;

/** The package.json of an app with this package. */
function manifest(packages: Record<string, string>): Files {
	return { 'package.json': `${JSON.stringify({ dependencies: packages }, null, '\t')}\n` };
}

describe('from svelte-kit-cookie-session', () => {
	const answers = { from: 'svelte-kit-cookie-session' } as const;
	const packages = manifest({ 'svelte-kit-cookie-session': '^4.1.1' });
	const HOOKS = `import { handleSession } from 'svelte-kit-cookie-session';

export const handle = handleSession({ secret: 'kept' });
`;
	const app = (files: Files): Files => ({ ...packages, 'src/hooks.server.ts': HOOKS, ...files });
	const routeAfter = (route: string): string =>
		settled(project(app({ 'src/routes/a.ts': route })), answers).written.get(
			'src/routes/a.ts'
		) ?? route;
	const reason = (files: Files): string => {
		const planned = plan(project(app(files)), { ...ANSWERS, ...answers });
		return planned.kind === 'refused' ? planned.reason : 'nothing is refused';
	};

	test('the app of its README changes, and nothing of it twice', () => {
		const { files, packages: versions } = cookieSessionApp('ts');
		const { written, notes } = settled(project({ ...files, ...manifest(versions) }), answers);
		expect(written.get('src/hooks.server.ts')).toBe(`import { env } from '$env/dynamic/private';
import { sequence } from '@sveltejs/kit/hooks';
import { fromCookieSession, sveltekitSessionHandle, takeOver } from 'vestiary';
import { options } from './lib/server/session-options';

export const handle = sequence(takeOver(options, fromCookieSession({
		secret: env.FORMER_SECRET ?? '',
		expires: 2,
		rolling: true
	})), sveltekitSessionHandle(options), async ({ event, resolve }) => {
		// The app's own hook.
		const response = await resolve(event);
		response.headers.set('x-user', event.locals.session.data.user ?? 'anonymous');
		return response;
	});
`);
		const types = written.get('src/app.d.ts') ?? '';
		expect(types).toContain("session: import('vestiary').Session;");
		expect(types).toContain('type FormerSessionData = SessionData;');
		expect(types).not.toContain('svelte-kit-cookie-session');
		expect(JSON.parse(written.get('package.json') ?? '')).toEqual({ dependencies: {} });
		expect(written.get('src/lib/server/session-options.ts')).toContain('SqliteStore');
		expect(notes.join()).toContain('remove `takeOver(…)` from src/hooks.server.ts');
	});

	test('a hook in a sequence, with names and options of its own, keeps its place', () => {
		const hooks = `import { sequence as all } from '@sveltejs/kit/hooks';
import { handleSession as sessions } from 'svelte-kit-cookie-session';

const options = { secret: 'kept', key: 'mine' };
const first = sessions(options);
export const handle = all(first, ({ event, resolve }) => resolve(event));
`;
		const { written } = settled(project(app({ 'src/hooks.server.ts': hooks })), answers);
		expect(written.get('src/hooks.server.ts')).toContain(
			'const first = all(takeOver(sessionOptions, fromCookieSession(options)), sveltekitSessionHandle(sessionOptions));'
		);
		expect(written.get('src/hooks.server.ts')).toContain(
			"import { options as sessionOptions } from './lib/server/session-options';"
		);
	});

	test.each([
		['await locals.session.set({ a: 1 });', 'await locals.session.update(() => ({ a: 1 }));'],
		[
			'event.locals.session.set(await data());',
			'event.locals.session.update(async () => (await data()));'
		],
		['await locals.session.set();', 'await locals.session.update(() => ({}));'],
		[
			'await locals.session.update(({ n }) => ({ n: n + 1 }));',
			'await locals.session.update(async (data) => ({ ...data, ...(await (({ n }) => ({ n: n + 1 }))(data)) }));'
		],
		['await locals.session.refresh();', 'await locals.session.touch();'],
		['await locals.session.destroy();', 'await locals.session.destroy();'],
		['if (locals.session?.data.user) go();', 'if (locals.session?.data.user) go();'],
		[
			'const { session } = event.locals; await session.set(a);',
			'const { session } = event.locals; await session.update(() => (a));'
		],
		[
			'const f = ({ locals: { session: mine } }) => { mine.refresh(); };',
			'const f = ({ locals: { session: mine } }) => { mine.touch(); };'
		],
		['const session = new Set(); session.set(1);', 'const session = new Set(); session.set(1);']
	])('%s', (before, after) => {
		expect(
			routeAfter(`async function run({ locals, event }) { ${before} }\n`).replace(/\s+/g, ' ')
		).toBe(`async function run({ locals, event }) { ${after} } `);
	});

	test.each([
		['return locals.session.set({});', 'src/routes/a.ts:1 uses the result of `session.set()`'],
		['await locals.session.refresh(3);', 'arguments that Vestiary has not'],
		['keep(locals.session);', 'passes the session on'],
		['locals.session = other;', 'passes the session on'],
		['locals.session.needsSync;', 'uses `session.needsSync`'],
		['const { session } = locals; { const session = 1; }', 'cannot be followed'],
		['const { session = 1 } = locals;', 'cannot be followed'],
		['locals[name];', 'cannot be followed']
	])('%s is refused', (code, sentence) => {
		const route = `async function run({ locals }) { ${code} }\n`;
		expect(reason({ 'src/routes/a.ts': `/* session */ ${route}` })).toContain(sentence);
	});

	test.each([
		['handleSession({ secret, init: () => ({}) })', 'has the option `init`'],
		[
			'handleSession({ secret, saveUninitialized: true })',
			'has the option `saveUninitialized`'
		],
		['handleSession({ ...more })', 'not written out'],
		['handleSession(imported)', 'not written out'],
		['[handleSession({ secret }), handleSession({ secret })]', 'call it once']
	])('the hook %s is refused', (code, sentence) => {
		const hooks = `import { handleSession } from 'svelte-kit-cookie-session';\nexport const handle = ${code};\n`;
		expect(reason({ 'src/hooks.server.ts': hooks })).toContain(sentence);
	});

	test('another version, and a hook in two files, are refused', () => {
		const old = manifest({ 'svelte-kit-cookie-session': '^3.4.1' });
		expect(reason(old)).toContain('update it first');
		expect(reason({ 'src/other.ts': HOOKS })).toContain('Use it in one file');
	});

	test('types outside of app.d.ts, and in comments, change as well', () => {
		const code = `import type { Session } from 'svelte-kit-cookie-session';\nexport let one: Session<{ a: Array<number> }>, two: Session;\n`;
		expect(routeAfter(code)).toBe(
			"\nexport let one: import('vestiary').Session, two: import('vestiary').Session;\n"
		);
		expect(
			routeAfter("/** @type {import('svelte-kit-cookie-session').Session<any>} */\nlet a;\n")
		).toBe("/** @type {import('vestiary').Session} */\nlet a;\n");
	});
});

describe('from iron-session', () => {
	const answers = { from: 'iron-session' } as const;
	const packages = manifest({ 'iron-session': '^8.0.4' });
	const reason = (files: Files): string => {
		const planned = plan(project({ ...packages, ...files }), { ...ANSWERS, ...answers });
		return planned.kind === 'refused' ? planned.reason : 'nothing is refused';
	};
	const call = (options: string, more = ''): string =>
		`import { getIronSession } from 'iron-session';\n${more}export const load = ({ request }) => getIronSession(request, new Response(), ${options});\n`;

	test('its calls stay, and come from a module of the app', () => {
		const { files } = ironSessionApp('ts', '9.0.1');
		const { written } = settled(project({ ...files, ...packages }), answers);
		const hooks = written.get('src/hooks.server.ts') ?? '';
		expect(hooks).toContain("import { getIronSession } from './lib/server/iron-session';");
		expect(hooks).toContain('event.locals.ironSession = await getIronSession<SessionData>(');
		expect(hooks).toContain('sequence(takeOverSessions, handleSession, ');
		expect(written.get('src/lib/server/former-sessions.ts')).toContain(
			"import { sessionOptions as ironOptions } from './session';"
		);
		expect(written.get('src/routes/+page.server.ts')).toContain(
			'const { ironSession: session } = locals;'
		);
		expect(written.get('src/routes/+page.server.ts')).toContain(
			'{ locals: { ironSession: session } }'
		);
		expect(written.get('src/app.d.ts')).toContain(
			"{ IronSession } from './lib/server/iron-session'"
		);
		expect(written.get('src/app.d.ts')).toContain('ironSession: IronSession<');
		expect(written.has('package.json')).toBe(false);
	});

	test('options in a route are copied, with the imports that they need', () => {
		const route = call(
			"{ cookieName: 'did', password: KEY, cookieOptions: { secure: process.env.NODE_ENV === 'production' } }",
			"import { KEY } from '../keys';\n"
		);
		const { written } = settled(
			project({ ...packages, 'src/routes/a/+page.server.ts': route }),
			answers
		);
		expect(written.get('src/lib/server/former-sessions.ts'))
			.toBe(`import { unsealData } from 'iron-session';
import { fromIronSession } from 'vestiary';
import { KEY } from '../../routes/keys';

const ironOptions = { cookieName: 'did', password: KEY, cookieOptions: { secure: process.env.NODE_ENV === 'production' } };

/** The sessions of iron-session, which Vestiary takes over. Without them, this file and iron-session can go. */
export const former = fromIronSession(unsealData, ironOptions);
`);
	});

	test('other functions of iron-session stay with it', () => {
		const code =
			"import { getIronSession, sealData, type SessionOptions } from 'iron-session';\nconst o = { cookieName: 'a', password: 'b' };\nexport const a = () => [getIronSession(1, o), sealData(1)];\n";
		const { written } = settled(project({ ...packages, 'src/lib/a.ts': code }), answers);
		expect(written.get('src/lib/a.ts')).toContain(
			"import { getIronSession } from './server/iron-session';\nimport { sealData, type SessionOptions } from 'iron-session';"
		);
	});

	test.each([
		[{ 'src/a.ts': call('options()') }, 'src/a.ts:2 makes the options'],
		[{ 'src/a.ts': call('{ ...more }') }, 'takes some of the options'],
		[{ 'src/a.ts': call('{ cookieName: name }', 'const name = 1;\n') }, 'uses `name`'],
		[
			{ 'src/a.ts': call("{ cookieName: 'a' }"), 'src/b.ts': call("{ cookieName: 'b' }") },
			'with different options (src/a.ts:2, src/b.ts:2)'
		],
		[
			{
				'src/a.ts':
					"import { getIronSession } from 'iron-session';\nexport const a = getIronSession;\n"
			},
			'without calling it'
		],
		[
			{ 'src/a.ts': "import * as iron from 'iron-session';\niron.getIronSession();\n" },
			'by its name'
		],
		[
			{
				'src/a.ts': call("{ cookieName: 'a' }"),
				'src/b.ts': 'export const f = ({ locals }, n) => locals[n];\n'
			},
			'by a name that is not known'
		],
		[manifest({ 'iron-session': '^6.3.1' }), 'update it first']
	])('%j is refused', (files, sentence) => {
		expect(reason(files)).toContain(sentence);
	});

	test('a second run without the package in use changes nothing', () => {
		const from = project({ ...packages, 'src/app.d.ts': APP_TYPES });
		const draft = changes(from, answers);
		expect([...draft.written.keys()]).not.toContain('src/lib/server/iron-session.ts');
		expect([...changes(changed(from, draft), answers).written.keys()]).toEqual([]);
	});
});
