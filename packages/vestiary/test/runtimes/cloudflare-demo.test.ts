import { writeFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { cloakroom } from '../../../../examples/sveltekit/e2e/cloakroom.js';
import type { Kit } from './kits.js';
import { installPackages } from './packages.js';
import { run, serve, type Server } from './run.js';
import { CLOUDFLARE_KIT3, WRANGLER_ENV, wranglerDev } from './workers.js';

const ROOT = new URL('../../../../', import.meta.url).pathname;
const SECRET = 'the secret of the browser test, long enough';

/** A route by which the test recognises its own server. */
const NONCE = `export const GET = ({ platform, url }) =>
	Response.json({ nonce: platform.env.NONCE, origin: url.origin });
`;

/** Makes the app as its README says; with another SvelteKit, if one is given. */
async function assemble(folder: string, kit?: Kit): Promise<void> {
	await rm(join(folder, 'src'), { recursive: true, force: true });
	// Also the sessions of the last run.
	await rm(join(folder, '.wrangler'), { recursive: true, force: true });
	await run(process.execPath, ['examples/sveltekit-cloudflare/assemble.js', folder], ROOT);
	const { devDependencies } = JSON.parse(
		await readFile(join(folder, 'package.json'), 'utf8')
	) as { devDependencies: Record<string, string> };
	if (kit) await rm(join(folder, 'svelte.config.js'));
	for (const [name, text] of Object.entries(kit?.files ?? {}))
		await writeFile(
			join(folder, name),
			text.replace('adapter()', "adapter({ config: 'wrangler.build.jsonc' })")
		);
	await installPackages(kit?.packages ?? devDependencies, folder);
	await writeFile(join(folder, '.dev.vars'), `SESSION_SECRET=${SECRET}\n`);
	await mkdir(join(folder, 'src/routes/nonce'), { recursive: true });
	await writeFile(join(folder, 'src/routes/nonce/+server.js'), NONCE);
	await build(folder);
}

async function build(folder: string): Promise<void> {
	await run('node_modules/.bin/vite', ['build'], folder, WRANGLER_ENV);
}

/** Moves the sessions to D1, as the README says. */
async function moveToD1(folder: string): Promise<void> {
	const readme = await readFile(join(folder, 'README.md'), 'utf8');
	const names: string[] = [];
	for (const [, code = '', name = ''] of readme.matchAll(
		/^```\w+\n((?:\/\/|--) (\S+)\n.*?)^```$/gms
	)) {
		await mkdir(dirname(join(folder, name)), { recursive: true });
		await writeFile(join(folder, name), code);
		names.push(name);
	}
	expect(names).toEqual([
		'wrangler.jsonc',
		'migrations/0001_sessions.sql',
		'src/platform.d.ts',
		'src/lib/server/session.ts'
	]);
	const config = join(folder, 'vite.config.ts');
	const text = await readFile(config, 'utf8');
	await writeFile(config, text.replace(/adapter\(.*?\)/, 'adapter()'));
	for (const unused of ['worker.js', 'wrangler.build.jsonc']) await rm(join(folder, unused));
	await build(folder);
	const apply = ['d1', 'migrations', 'apply', 'cloakroom', '--local'];
	await run('node_modules/.bin/wrangler', apply, folder, WRANGLER_ENV);
}

describe('the demo on Workers, SvelteKit 2, in Chromium', () => {
	const folder = join(ROOT, 'target/runtimes/cloudflare-demo-kit2');

	beforeAll(() => assemble(folder));

	test('its types are right', async () => {
		await run('node_modules/.bin/svelte-kit', ['sync'], folder);
		await run('node_modules/.bin/svelte-check', ['--fail-on-warnings'], folder);
	});

	cloakroom(() => wranglerDev(folder, [], '/nonce'), 'workers-');
});

describe('the demo on Workers, SvelteKit 2, in vite dev, with sessions in memory', () => {
	const folder = join(ROOT, 'target/runtimes/cloudflare-demo-kit2');

	works(() =>
		serve(
			join(folder, 'node_modules/.bin/vite'),
			(port, nonce) => {
				// Not an environment variable: the platform has the variables of this file.
				const text = `SESSION_SECRET=${SECRET}\nNONCE=${nonce}\n`;
				writeFileSync(join(folder, '.dev.vars'), text);
				return ['dev', '--port', `${port}`, '--strictPort'];
			},
			folder,
			() => ({ ...WRANGLER_ENV, NODE_ENV: 'development' }),
			'/nonce'
		)
	);
});

describe('the demo on Workers, SvelteKit 3, by HTTP', () => {
	const folder = join(ROOT, 'target/runtimes/cloudflare-demo-kit3');

	describe('with Durable Objects', () => {
		beforeAll(() => assemble(folder, CLOUDFLARE_KIT3));

		works(() => wranglerDev(folder, [], '/nonce'));
	});

	describe('with D1', () => {
		beforeAll(() => moveToD1(folder));

		works(() => wranglerDev(folder, [], '/nonce'));
	});
});

/** The requests of a visitor, without a browser. */
function works(start: () => Promise<Server>): void {
	let server: Server;

	beforeAll(async () => {
		server = await start();
	});
	afterAll(() => server.stop());

	function get(path: string, cookie: string): Promise<Response> {
		return fetch(server.url + path, { redirect: 'manual', headers: { cookie } });
	}

	async function post(path: string, cookie: string, fields: object): Promise<Response> {
		return fetch(server.url + path, {
			method: 'POST',
			redirect: 'manual',
			headers: { accept: 'text/html', cookie, origin: server.origin },
			body: new URLSearchParams({ ...fields })
		});
	}

	function ticketOf(response: Response): string {
		const [cookie = ''] = response.headers.getSetCookie();
		return cookie.split(';')[0] ?? '';
	}

	test('login, to-dos, a forged ticket, logout', async () => {
		expect((await get('/todos', '')).status).toBe(303);
		const login = await post('/login?/login', '', { name: 'Ada' });
		expect(login.status).toBe(303);
		const ticket = ticketOf(login);
		expect(ticket).toMatch(/^cloakroom=./);
		expect((await post('/todos?/add', ticket, { text: 'Dance' })).status).toBe(200);
		const todos = await (await get('/todos', ticket)).text();
		expect(todos).toContain('Ada');
		expect(todos).toContain('Dance');
		const forged = ticket.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
		expect((await get('/todos', forged)).status).toBe(303);
		expect(ticketOf(await post('/login?/logout', ticket, {}))).toBe('cloakroom=');
		expect((await get('/todos', ticket)).status).toBe(303);
	});
}
