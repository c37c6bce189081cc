import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

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

const wanted = CASES.filter(({ name }) => name.includes(process.env.SV_APPS ?? ''));

test.each(wanted)('$name', async ({ name, from, language, app, cookie }) => {
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
	let server = await serveDev(folder);
	try {
		expect(await visitor.ask(server)).toBe('user: anonymous, visits: 0');
		await visitor.ask(server, 'login', { name: 'ada' });
		await visitor.ask(server, 'visit');
		expect(await visitor.ask(server)).toBe('user: ada, visits: 1');
	} finally {
		await server.stop();
	}
	expect([...visitor.cookies.keys()]).toEqual([cookie]);
	const old = [...visitor.cookies];

	const answers = `store:sqlite+demo:no+oidc:no+from:${from}`;
	await addVestiary(folder, answers);
	const [manifest, hooks] = [
		await readFile(join(folder, 'package.json'), 'utf8'),
		await readFile(join(folder, `src/hooks.server.${language}`), 'utf8')
	];
	await addVestiary(folder, answers);
	expect(await readFile(join(folder, 'package.json'), 'utf8')).toBe(manifest);
	expect(await readFile(join(folder, `src/hooks.server.${language}`), 'utf8')).toBe(hooks);
	await install(folder);
	await script(folder, 'check');
	await script(folder, 'build');

	server = await servePreview(folder);
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
