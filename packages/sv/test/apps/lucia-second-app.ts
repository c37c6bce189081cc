import { printer, type FormerApp, type Language } from './former-apps.ts';
import { around, finished, page } from './lucia-apps.ts';
import { databaseOf, inFile, type Database } from './lucia-databases.ts';

/** The tables of lucia 2. */
const DATABASE: Database = {
	...databaseOf('better-sqlite3'),
	expire: "db.prepare('UPDATE user_session SET active_expires = 1, idle_expires = 1 WHERE user_id = ?').run(id);",
	overrides: { '@lucia-auth/adapter-sqlite': { 'better-sqlite3': '13.2.0' } },
	start: inFile(
		'CREATE TABLE user (id TEXT PRIMARY KEY, username TEXT NOT NULL)',
		'CREATE TABLE user_key (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, hashed_password TEXT)',
		'CREATE TABLE user_session (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, active_expires INTEGER NOT NULL, idle_expires INTEGER NOT NULL)',
		"INSERT INTO user VALUES ('1', 'ada'), ('2', 'grace')"
	)
};

/** An app with lucia 2, as its documentation has it. */
export function luciaSecondApp(language: Language): FormerApp {
	const { ts, js } = printer(language);
	const files = {
		...DATABASE.files,
		'src/lib/server/auth.LANG': `import { betterSqlite3 } from '@lucia-auth/adapter-sqlite';
import { lucia } from 'lucia';
import { sveltekit } from 'lucia/middleware';
import { dev } from '$app/environment';
${DATABASE.imports}

export const auth = lucia({
	adapter: betterSqlite3(db, { user: 'user', session: 'user_session', key: 'user_key' }),
	env: dev ? 'DEV' : 'PROD',
	middleware: sveltekit(),
	getUserAttributes: (data) => ({ username: data.username })
});

${ts('export type Auth = typeof auth;')}${js('/** @typedef {typeof auth} Auth */')}
`,
		'src/hooks.server.LANG': `import { auth } from './lib/server/auth';
${ts("import type { Handle } from '@sveltejs/kit';\n")}
${js("/** @type {import('@sveltejs/kit').Handle} */\n")}export const handle${ts(': Handle')} = async ({ event, resolve }) => {
	event.locals.auth = auth.handleRequest(event);
	event.locals.session = await event.locals.auth.validate();
	event.locals.user = event.locals.session?.user ?? null;
	return resolve(event);
};
`,
		'src/app.d.ts': `/// <reference types="lucia" />
declare global {
	namespace Lucia {
		type Auth = import('./lib/server/auth').Auth;
		type DatabaseUserAttributes = { username: string };
		type DatabaseSessionAttributes = Record<string, never>;
	}

	namespace App {
		interface Locals {
			auth: import('lucia').AuthRequest;
			user: import('lucia').User | null;
			session: import('lucia').Session | null;
		}
	}
}

export {};
`,
		...page(DATABASE, language, {
			from: "import { auth } from '../lib/server/auth';",
			logIn: `		const session = await auth.createSession({ userId: user.id, attributes: {} });
		event.locals.auth.setSession(session);`,
			// One of the apps only removes the cookie.
			logOut: `${ts('\t\tawait auth.invalidateSession(event.locals.session.sessionId);\n')}		event.locals.auth.setSession(null);`
		})
	};
	return {
		...around(DATABASE),
		packages: { ...DATABASE.packages, '@lucia-auth/adapter-sqlite': '2.0.1', lucia: '2.7.7' },
		files: finished(language, 'number', files)
	};
}
