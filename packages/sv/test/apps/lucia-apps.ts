import type { FormerApp } from './former-apps.ts';

type Language = 'ts' | 'js';

/** A database in a file, with users, and the sessions of lucia. */
function database(expires: string): Record<string, string> {
	return {
		'src/lib/server/db/schema.LANG': `import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const user = sqliteTable('user', {
	id: text('id').primaryKey(),
	username: text('username').notNull()
});

export const session = sqliteTable('session', {
	id: text('id').primaryKey(),
	userId: text('user_id')
		.notNull()
		.references(() => user.id),
	expiresAt: ${expires}
});
`,
		'src/lib/server/db/index.LANG': `import { createClient } from '@libsql/client';
import { drizzle } from 'drizzle-orm/libsql';
import * as schema from './schema';

const client = createClient({ url: 'file:app.db' });
await client.executeMultiple(\`
	CREATE TABLE IF NOT EXISTS user (id TEXT PRIMARY KEY, username TEXT NOT NULL);
	CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, expires_at INTEGER NOT NULL);
	INSERT OR IGNORE INTO user VALUES ('1', 'ada'), ('2', 'grace');
\`);

export const db = drizzle(client, { schema });
`
	};
}

const PAGE = `<script>
	let { data } = $props();
</script>

<p>user: {data.user ?? 'anonymous'}</p>
`;

/** A page that logs in and out, and shows what the app knows of its visitor. */
function page(
	language: Language,
	imports: string,
	logIn: string,
	logOut: string
): Record<string, string> {
	const [ts, js] =
		language === 'ts' ? [(text: string) => text, () => ''] : [() => '', (text: string) => text];
	return {
		'src/routes/+page.svelte': PAGE,
		'src/routes/+page.server.LANG': `import { fail } from '@sveltejs/kit';
import { eq } from 'drizzle-orm';
import { db } from '../lib/server/db';
import * as table from '../lib/server/db/schema';
${imports}
${ts("import type { Actions, PageServerLoad } from './$types';\n")}
${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = ({ locals }) => ({
	user: locals.session ? locals.user?.username : undefined
});

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	login: async (event) => {
		const name = String((await event.request.formData()).get('name'));
		const [user] = await db.select().from(table.user).where(eq(table.user.username, name));
		if (!user) return fail(400);
${logIn}
	},
	logout: async (event) => {
		if (!event.locals.session) return fail(401);
${logOut}
	}
};
`
	};
}

function named(language: Language, files: Record<string, string>): Record<string, string> {
	return Object.fromEntries(
		Object.entries(files).map(([name, text]) => [name.replace('LANG', language), text])
	);
}

/** An app with lucia 3, as its documentation has it. */
export function luciaApp(language: Language): FormerApp {
	const [ts, js] =
		language === 'ts' ? [(text: string) => text, () => ''] : [() => '', (text: string) => text];
	const setCookie = `		event.cookies.set(sessionCookie.name, sessionCookie.value, {
			path: '.',
			...sessionCookie.attributes
		});`;
	const files = {
		...database("integer('expires_at').notNull()"),
		'src/lib/server/auth.LANG': `import { dev } from '$app/environment';
import { DrizzleSQLiteAdapter } from '@lucia-auth/adapter-drizzle';
import { Lucia } from 'lucia';
import { db } from './db';
import { session, user } from './db/schema';

const adapter = new DrizzleSQLiteAdapter(db, session, user);

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
	}
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
		...page(
			language,
			"import { lucia } from '../lib/server/auth';",
			`		const session = await lucia.createSession(user.id, {});
		const sessionCookie = lucia.createSessionCookie(session.id);
${setCookie}`,
			`		await lucia.invalidateSession(event.locals.session.id);
		const sessionCookie = lucia.createBlankSessionCookie();
${setCookie}`
		)
	};
	return {
		packages: {
			'@libsql/client': '0.18.0',
			'@lucia-auth/adapter-drizzle': '1.1.0',
			'drizzle-orm': '0.45.4',
			lucia: '3.2.2'
		},
		files: named(language, files)
	};
}

/** An app with the code by hand that lucia's site has, as `sv add lucia` has written it. */
export function handWrittenApp(language: Language): FormerApp {
	const [ts, js] =
		language === 'ts' ? [(text: string) => text, () => ''] : [() => '', (text: string) => text];
	const files = {
		...database("integer('expires_at', { mode: 'timestamp' }).notNull()"),
		'src/lib/server/auth.LANG': `${ts("import type { RequestEvent } from '@sveltejs/kit';\n")}import { sha256 } from '@oslojs/crypto/sha2';
import { encodeBase64url, encodeHexLowerCase } from '@oslojs/encoding';
import { eq } from 'drizzle-orm';
import { db } from './db';
import * as table from './db/schema';

const DAY = 1000 * 60 * 60 * 24;

export const sessionCookieName = 'auth-session';

export function generateSessionToken() {
	const bytes = crypto.getRandomValues(new Uint8Array(18));
	return encodeBase64url(bytes);
}

${js('/** @param {string} token */\n')}const idOf = (token${ts(': string')}) => encodeHexLowerCase(sha256(new TextEncoder().encode(token)));

${js('/** @param {string} token @param {string} userId */\n')}export async function createSession(token${ts(': string')}, userId${ts(': string')}) {
	const session = { id: idOf(token), userId, expiresAt: new Date(Date.now() + DAY * 30) };
	await db.insert(table.session).values(session);
	return session;
}

${js('/** @param {string} token */\n')}export async function validateSessionToken(token${ts(': string')}) {
	const [result] = await db
		.select({
			// The app shows these.
			user: { id: table.user.id, username: table.user.username },
			session: table.session
		})
		.from(table.session)
		.innerJoin(table.user, eq(table.session.userId, table.user.id))
		.where(eq(table.session.id, idOf(token)));
	if (!result) {
		return { session: null, user: null };
	}
	const { session, user } = result;
	if (Date.now() >= session.expiresAt.getTime()) {
		await db.delete(table.session).where(eq(table.session.id, session.id));
		return { session: null, user: null };
	}
	if (Date.now() >= session.expiresAt.getTime() - DAY * 15) {
		session.expiresAt = new Date(Date.now() + DAY * 30);
		await db.update(table.session).set({ expiresAt: session.expiresAt }).where(eq(table.session.id, session.id));
	}
	return { session, user };
}
${ts('\nexport type SessionValidationResult = Awaited<ReturnType<typeof validateSessionToken>>;\n')}
${js('/** @param {string} sessionId */\n')}export async function invalidateSession(sessionId${ts(': string')}) {
	await db.delete(table.session).where(eq(table.session.id, sessionId));
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
	const { session, user } = await auth.validateSessionToken(sessionToken);
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
			user: ${language === 'ts' ? "import('./lib/server/auth').SessionValidationResult['user']" : '{ id: string; username: string } | null'};
			session: ${language === 'ts' ? "import('./lib/server/auth').SessionValidationResult['session']" : '{ id: string; userId: string; expiresAt: Date } | null'};
		}
	}
}

export {};
`,
		...page(
			language,
			"import * as auth from '../lib/server/auth';",
			`		const token = auth.generateSessionToken();
		const session = await auth.createSession(token, user.id);
		auth.setSessionTokenCookie(event, token, session.expiresAt);`,
			`		await auth.invalidateSession(event.locals.session.id);
		auth.deleteSessionTokenCookie(event);`
		)
	};
	return {
		packages: {
			'@libsql/client': '0.18.0',
			'@oslojs/crypto': '1.0.1',
			'@oslojs/encoding': '1.1.0',
			'drizzle-orm': '0.45.4'
		},
		files: named(language, files)
	};
}
