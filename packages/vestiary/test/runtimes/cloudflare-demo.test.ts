import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { cloakroom } from '../../../../examples/sveltekit/e2e/cloakroom.js';
import { installPackages, type Kit } from './kits.js';
import { run, type Server } from './run.js';
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
	await run(process.execPath, ['examples/sveltekit-cloudflare/assemble.js', folder], ROOT);
	const { devDependencies } = JSON.parse(
		await readFile(join(folder, 'package.json'), 'utf8')
	) as { devDependencies: Record<string, string> };
	if (kit) await rm(join(folder, 'svelte.config.js'));
	for (const [name, text] of Object.entries(kit?.files ?? {}))
		await writeFile(join(folder, name), text);
	await installPackages(kit?.packages ?? devDependencies, folder);
	await writeFile(join(folder, '.dev.vars'), `SESSION_SECRET=${SECRET}\n`);
	await mkdir(join(folder, 'src/routes/nonce'), { recursive: true });
	await writeFile(join(folder, 'src/routes/nonce/+server.js'), NONCE);
	await run('node_modules/.bin/vite', ['build'], folder, WRANGLER_ENV);
}

describe('the demo on Workers, SvelteKit 2, in Chromium', () => {
	const folder = join(ROOT, 'target/runtimes/cloudflare-demo-kit2');

	beforeAll(() => assemble(folder));

	test('its types are right', async () => {
		await run('node_modules/.bin/svelte-kit', ['sync'], folder);
		await run('node_modules/.bin/svelte-check', ['--fail-on-warnings'], folder);
	});

	cloakroom(() => wranglerDev(folder, [], '/nonce'), { shots: 'workers-', visits: false });
});

describe('the demo on Workers, SvelteKit 3, by HTTP', () => {
	const folder = join(ROOT, 'target/runtimes/cloudflare-demo-kit3');
	let server: Server;

	beforeAll(async () => {
		await assemble(folder, CLOUDFLARE_KIT3);
		server = await wranglerDev(folder, [], '/nonce');
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
});
