import { printer, type FormerApp, type Language } from './former-apps.ts';
import type { Database } from './lucia-databases.ts';

const PAGE = `<script>
	let { data } = $props();
</script>

<p>user: {data.user ?? 'anonymous'}</p>
`;

/** The modules that all apps have: a page that logs in and out and shows what the app knows of its visitor, and its users. */
export function page(
	{ imports, userByName, expire }: Database,
	language: Language,
	{ logIn, logOut, from }: { from: string; logIn: string; logOut: string }
): Record<string, string> {
	const { ts, js } = printer(language);
	return {
		'src/routes/+page.svelte': PAGE,
		'src/lib/server/users.LANG': `${imports}

${js('/** @param {string} name */\n')}export async function userByName(name${ts(': string')}) {
	return ${userByName};
}

/** Ends the sessions of a user, as time does.${js(' @param {any} id')} */
export async function expire(id${ts(': any')}) {
	${expire}
}
`,
		'src/routes/+page.server.LANG': `import { fail } from '@sveltejs/kit';
${from}
import { expire, userByName } from '../lib/server/users';
${ts("import type { Actions, PageServerLoad } from './$types';\n")}
${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = ({ locals }) => ({
	user: locals.session ? locals.user?.username : undefined
});

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	login: async (event) => {
		const user = await userByName(String((await event.request.formData()).get('name')));
		if (!user) return fail(400);
${logIn}
	},
	logout: async (event) => {
		if (!event.locals.session) return fail(401);
${logOut}
	},
	expire: async (event) => {
		const user = await userByName(String((await event.request.formData()).get('name')));
		await expire(user?.id);
	}
};
`
	};
}

/** The files of an app in its language. Drizzle has dates in a column by hand, and seconds in that of lucia. */
export function finished(
	language: Language,
	mode: 'timestamp' | 'number',
	files: Record<string, string>
): Record<string, string> {
	const [open, close] = language === 'ts' ? ['(', ' as any)'] : ['/** @type {any} */ (', ')'];
	const expired = mode === 'number' ? '1' : 'new Date(1000)';
	return Object.fromEntries(
		Object.entries(files).map(([name, text]) => [
			name.replace('LANG', language),
			text
				.replaceAll('⟦', open)
				.replaceAll('⟧', close)
				.replace("'MODE'", `'${mode}'`)
				.replace('EXPIRED', expired)
		])
	);
}

/** An app with lucia 3, as its documentation has it. */
export function luciaApp(language: Language, database: Database): FormerApp {
	const { ts, js } = printer(language);
	const [from, adapter] = database.lucia;
	const setCookie = `		event.cookies.set(sessionCookie.name, sessionCookie.value, {
			path: '.',
			...sessionCookie.attributes
		});`;
	const files = {
		...database.files,
		'src/lib/server/auth.LANG': `import { dev } from '$app/environment';
${from}
import { Lucia } from 'lucia';
${database.imports.replace("import { eq } from 'drizzle-orm';\n", '')}

const adapter = ${adapter};

export const lucia = new Lucia(adapter, {
	sessionCookie: {
		attributes: {
			secure: !dev
		}
	},
	getUserAttributes: (attributes) => ({
		username: ${js('/** @type {any} */ (')}attributes${js(')')}.username
	})
});
${ts(`
declare module 'lucia' {
	interface Register {
		Lucia: typeof lucia;
		DatabaseUserAttributes: { username: string };
${database.id === 'number' ? '\t\tUserId: number;\n' : ''}	}
}
`)}`,
		'src/hooks.server.LANG': `import { lucia } from './lib/server/auth';
${ts("import type { Handle } from '@sveltejs/kit';\n")}
${js("/** @type {import('@sveltejs/kit').Handle} */\n")}export const handle${ts(': Handle')} = async ({ event, resolve }) => {
	const sessionId = event.cookies.get(lucia.sessionCookieName);
	if (!sessionId) {
		event.locals.user = null;
		event.locals.session = null;
		return resolve(event);
	}

	const { session, user } = await lucia.validateSession(sessionId);
	if (session && session.fresh) {
		const sessionCookie = lucia.createSessionCookie(session.id);
		event.cookies.set(sessionCookie.name, sessionCookie.value, {
			path: '.',
			...sessionCookie.attributes
		});
	}
	if (!session) {
		const sessionCookie = lucia.createBlankSessionCookie();
		event.cookies.set(sessionCookie.name, sessionCookie.value, {
			path: '.',
			...sessionCookie.attributes
		});
	}
	event.locals.user = user;
	event.locals.session = session;
	return resolve(event);
};
`,
		'src/app.d.ts': `declare global {
	namespace App {
		interface Locals {
			user: ${language === 'ts' ? "import('lucia').User | null" : 'any'};
			session: import('lucia').Session | null;
		}
	}
}

export {};
`,
		...page(database, language, {
			from: "import { lucia } from '../lib/server/auth';",
			logIn: `		const session = await lucia.createSession(user.id, {});
		const sessionCookie = lucia.createSessionCookie(session.id);
${setCookie}`,
			logOut: `		await lucia.invalidateSession(event.locals.session.id);
		const sessionCookie = lucia.createBlankSessionCookie();
${setCookie}`
		})
	};
	return {
		...around(database),
		packages: { ...database.packages, ...database.adapter, lucia: '3.2.2' },
		files: finished(language, 'number', files)
	};
}

/** An app with the code by hand that lucia's site has, as `sv add lucia` has written it. */
export function handWrittenApp(language: Language, database: Database): FormerApp {
	const { ts, js } = printer(language);
	const { code, id = 'string' } = database;
	const [starts, waits] = code.sync ? ['', ''] : ['async ', 'await '];
	const result = (type: string): string => ts(code.sync ? `: ${type}` : `: Promise<${type}>`);
	const files = {
		...database.files,
		'src/lib/server/auth.LANG': `${ts("import type { RequestEvent } from '@sveltejs/kit';\n")}import { sha256 } from '@oslojs/crypto/sha2';
import { encodeBase64url, encodeHexLowerCase } from '@oslojs/encoding';
${database.imports}

const DAY = 1000 * 60 * 60 * 24;

export const sessionCookieName = 'auth-session';
${ts(`
export interface AuthSession {
	id: string;
	userId: ${id};
	expiresAt: Date;
}
`)}
export function generateSessionToken() {
	const bytes = crypto.getRandomValues(new Uint8Array(18));
	return encodeBase64url(bytes);
}

${js('/** @param {string} token */\n')}const idOf = (token${ts(': string')}) => encodeHexLowerCase(sha256(new TextEncoder().encode(token)));

${js(`/** @param {string} token @param {${id}} userId */\n`)}export ${starts}function createSession(token${ts(': string')}, userId${ts(`: ${id}`)})${result('AuthSession')} {
	const session = { id: idOf(token), userId, expiresAt: new Date(Date.now() + DAY * 30) };
	${code.insert}
	return session;
}

${js('/** @param {string} token */\n')}export ${starts}function validateSessionToken(token${ts(': string')}) {
	${code.find}
	if (Date.now() >= session.expiresAt.getTime()) {
		${code.remove('session.id')}
		return { session: null, user: null };
	}
	if (Date.now() >= session.expiresAt.getTime() - DAY * 15) {
		session.expiresAt = new Date(Date.now() + DAY * 30);
		${code.prolong}
	}
	return { session, user };
}
${ts('\nexport type SessionValidationResult = Awaited<ReturnType<typeof validateSessionToken>>;\n')}
${js('/** @param {string} sessionId */\n')}export ${starts}function invalidateSession(sessionId${ts(': string')})${result('void')} {
	${code.remove('sessionId')}
}

${js("/** @param {import('@sveltejs/kit').RequestEvent} event @param {string} token @param {Date} expiresAt */\n")}export function setSessionTokenCookie(event${ts(': RequestEvent')}, token${ts(': string')}, expiresAt${ts(': Date')}) {
	event.cookies.set(sessionCookieName, token, { expires: expiresAt, path: '/' });
}

${js("/** @param {import('@sveltejs/kit').RequestEvent} event */\n")}export function deleteSessionTokenCookie(event${ts(': RequestEvent')}) {
	event.cookies.delete(sessionCookieName, { path: '/' });
}
`,
		'src/hooks.server.LANG': `${ts("import type { Handle } from '@sveltejs/kit';\n")}import * as auth from './lib/server/auth';

${js("/** @type {import('@sveltejs/kit').Handle} */\n")}const handleAuth${ts(': Handle')} = async ({ event, resolve }) => {
	const sessionToken = event.cookies.get(auth.sessionCookieName) ?? null;
	if (sessionToken === null) {
		event.locals.user = null;
		event.locals.session = null;
		return resolve(event);
	}
	const { session, user } = ${waits}auth.validateSessionToken(sessionToken);
	if (session) {
		auth.setSessionTokenCookie(event, sessionToken, session.expiresAt);
	} else {
		auth.deleteSessionTokenCookie(event);
	}
	event.locals.user = user;
	event.locals.session = session;
	return resolve(event);
};

export const handle = handleAuth;
`,
		'src/app.d.ts': `declare global {
	namespace App {
		interface Locals {
			user: ${language === 'ts' ? "import('./lib/server/auth').SessionValidationResult['user']" : `{ id: ${id}; username: string } | null`};
			session: ${language === 'ts' ? "import('./lib/server/auth').SessionValidationResult['session']" : `{ id: string; userId: ${id}; expiresAt: Date } | null`};
		}
	}
}

export {};
`,
		...page(database, language, {
			from: "import * as auth from '../lib/server/auth';",
			logIn: `		const token = auth.generateSessionToken();
		const session = ${waits}auth.createSession(token, user.id);
		auth.setSessionTokenCookie(event, token, session.expiresAt);`,
			logOut: `		${waits}auth.invalidateSession(event.locals.session.id);
		auth.deleteSessionTokenCookie(event);`
		})
	};
	return {
		...around(database),
		packages: { ...database.packages, '@oslojs/crypto': '1.0.1', '@oslojs/encoding': '1.1.0' },
		files: finished(language, 'timestamp', files)
	};
}

/** The members of an app beside its own files. */
export function around({
	overrides,
	start,
	prepare
}: Database): Omit<FormerApp, 'packages' | 'files'> {
	return {
		start,
		...(overrides && { overrides }),
		...(prepare && { prepare })
	};
}
