import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { expect, test } from 'vitest';

import type { Server } from '../../../vestiary/test/runtimes/run.ts';
import {
	addVestiary,
	change,
	emptyFolder,
	install,
	script,
	serveDev,
	servePreview,
	sv
} from './app.ts';
import { cookieSessionApp, ironSessionApp, write, type FormerApp } from './former-apps.ts';
import { handWrittenApp, luciaApp } from './lucia-apps.ts';

/** A browser without a window: cookies, and the text of the page. */
class Browser {
	readonly cookies: Map<string, string>;

	constructor(cookies: Iterable<[string, string]> = []) {
		this.cookies = new Map(cookies);
	}

	/** Asks for the page, or posts a form to one of its actions. */
	async ask(server: Server, action?: string, form: Record<string, string> = {}): Promise<string> {
		const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
		const response = await fetch(`${server.url}/${action === undefined ? '' : `?/${action}`}`, {
			headers: { cookie, accept: 'text/html', origin: server.url },
			...(action !== undefined && { method: 'POST', body: new URLSearchParams(form) })
		});
		for (const header of response.headers.getSetCookie()) {
			const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? [];
			if (/;\s*max-age=0\b/i.test(header) || /;\s*expires=thu, 01 jan 1970/i.test(header))
				this.cookies.delete(name);
			else this.cookies.set(name, value);
		}
		return (
			/user: .*?(?=<)/.exec((await response.text()).replace(/<!--.*?-->/g, ''))?.[0] ??
			`${response.status}`
		);
	}
}

interface Case {
	readonly name: string;
	readonly from: string;
	readonly language: 'ts' | 'js';
	readonly app: FormerApp;
	/** The name of the old cookie. */
	readonly cookie: string;
}

const CASES: readonly Case[] = (['ts', 'js'] as const).flatMap((language) => [
	{
		name: `from-cookie-session-${language}`,
		from: 'svelte-kit-cookie-session',
		language,
		app: cookieSessionApp(language),
		cookie: 'kit.session'
	},
	{
		name: `from-iron-session-${language}`,
		from: 'iron-session',
		language,
		app: ironSessionApp(language, language === 'ts' ? '9.0.1' : '8.0.4'),
		cookie: 'app_session'
	}
]);

const LUCIA: readonly Case[] = (['ts', 'js'] as const).flatMap((language) => [
	{
		name: `from-lucia-${language}`,
		from: 'lucia',
		language,
		app: luciaApp(language),
		cookie: 'auth_session'
	},
	{
		name: `from-lucia-by-hand-${language}`,
		from: 'lucia',
		language,
		app: handWrittenApp(language),
		cookie: 'auth-session'
	}
]);

/** Whether an app is among those that the environment names. */
function wanted({ name }: Case): boolean {
	return name.includes(process.env.SV_APPS ?? '');
}

/** Makes the old app, and logs a visitor in. */
async function before(
	{ name, language, app, cookie }: Case,
	visit: (server: Server, visitor: Browser) => Promise<void>
): Promise<{ folder: string; visitor: Browser }> {
	const folder = await emptyFolder(name);
	const types = language === 'ts' ? 'ts' : 'jsdoc';
	await sv(
		['create', '--template', 'minimal', '--types', types, '--no-add-ons', '--no-install', '.'],
		folder
	);
	await write(folder, app.files);
	await change(folder, 'package.json', (text) => {
		const manifest = JSON.parse(text) as object;
		return JSON.stringify({ ...manifest, dependencies: app.packages }, null, '\t');
	});
	await install(folder);
	await script(folder, 'check');
	const visitor = new Browser();
	const server = await serveDev(folder);
	try {
		await visit(server, visitor);
	} finally {
		await server.stop();
	}
	expect([...visitor.cookies.keys()]).toEqual([cookie]);
	return { folder, visitor };
}

/** Adds Vestiary to the old app, twice, and builds it. */
async function leave({ from, language }: Case, folder: string): Promise<void> {
	const answers = `store:sqlite+demo:no+oidc:no+from:${from}`;
	const read = async (): Promise<string[]> =>
		Promise.all(
			['package.json', `src/hooks.server.${language}`, 'src/app.d.ts'].map(async (name) =>
				readFile(join(folder, name), 'utf8')
			)
		);
	await addVestiary(folder, answers);
	const once = await read();
	await addVestiary(folder, answers);
	expect(await read()).toEqual(once);
	await install(folder);
	await script(folder, 'check');
	await script(folder, 'build');
}

test.each(CASES.filter(wanted))('$name', async (one) => {
	const { folder, visitor } = await before(one, async (server, first) => {
		expect(await first.ask(server)).toBe('user: anonymous, visits: 0');
		await first.ask(server, 'login', { name: 'ada' });
		await first.ask(server, 'visit');
		expect(await first.ask(server)).toBe('user: ada, visits: 1');
	});
	const old = [...visitor.cookies];
	await leave(one, folder);
	const server = await servePreview(folder);
	try {
		expect(await visitor.ask(server)).toBe('user: ada, visits: 1');
		expect([...visitor.cookies.keys()]).toEqual(['connect.sid']);
		await visitor.ask(server, 'visit');
		expect(await visitor.ask(server)).toBe('user: ada, visits: 2');
		// Until then, the old cookie leads to the same session.
		expect(await new Browser(old).ask(server)).toBe('user: ada, visits: 2');
		await visitor.ask(server, 'logout');
		expect(await visitor.ask(server)).toBe('user: anonymous, visits: 0');
		const kept = new Browser(old);
		expect(await kept.ask(server)).toBe('user: anonymous, visits: 0');
		expect(kept.cookies.size).toBe(0);
		await visitor.ask(server, 'login', { name: 'grace' });
		expect(await visitor.ask(server)).toBe('user: grace, visits: 0');
	} finally {
		await server.stop();
	}
});

test.each(LUCIA.filter(wanted))('$name', async (one) => {
	const late = new Browser();
	const { folder, visitor } = await before(one, async (server, first) => {
		expect(await first.ask(server)).toBe('user: anonymous');
		await first.ask(server, 'login', { name: 'ada' });
		expect(await first.ask(server)).toBe('user: ada');
		await late.ask(server, 'login', { name: 'grace' });
		expect(await late.ask(server)).toBe('user: grace');
	});
	const old = [...visitor.cookies];
	await leave(one, folder);
	// The lifetime of one old session is over.
	const database = new DatabaseSync(join(folder, 'app.db'));
	database.exec("UPDATE session SET expires_at = 1 WHERE user_id = '2'");
	database.close();
	const server = await servePreview(folder);
	try {
		expect(await late.ask(server)).toBe('user: anonymous');
		expect(late.cookies.size).toBe(0);
		expect(await visitor.ask(server)).toBe('user: ada');
		expect([...visitor.cookies.keys()]).toEqual(['connect.sid']);
		expect(await visitor.ask(server)).toBe('user: ada');
		expect(await new Browser(old).ask(server)).toBe('user: ada');
		await visitor.ask(server, 'logout');
		expect(await visitor.ask(server)).toBe('user: anonymous');
		const kept = new Browser(old);
		expect(await kept.ask(server)).toBe('user: anonymous');
		expect(kept.cookies.size).toBe(0);
		await visitor.ask(server, 'login', { name: 'grace' });
		expect([...visitor.cookies.keys()]).toEqual(['connect.sid']);
		expect(await visitor.ask(server)).toBe('user: grace');
	} finally {
		await server.stop();
	}
});
