import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startRedis, type Servers } from '../stores/servers.js';
import { install, KIT2 } from './kits.js';
import { run, serve, type Server } from './run.js';

const SAMPLES = new URL('readme/', import.meta.url).pathname;
const FOLDER = new URL('../../../../target/runtimes/readme', import.meta.url).pathname;

let redis: Servers;

beforeAll(async () => {
	redis = await startRedis();
	// SvelteKit 3 exports `Handle` from another place than the samples import it from.
	await install(KIT2, FOLDER, 'readme/');
	await run('node_modules/.bin/svelte-kit', ['sync'], FOLDER);
});

afterAll(() => redis.stop());

describe.each(['basic.ts', 'sequence.ts', 'authorization.ts', 'basic.js', 'sequence.js'])(
	'hooks/%s',
	(hooks) => {
		let server: Server;

		beforeAll(async () => {
			for (const old of ['ts', 'js'])
				await rm(join(FOLDER, `src/hooks.server.${old}`), { force: true });
			const hooksFile = `src/hooks.server.${hooks.slice(-2)}`;
			await cp(join(SAMPLES, 'hooks', hooks), join(FOLDER, hooksFile));
			server = await serve(
				join(FOLDER, 'node_modules/.bin/vite'),
				(port) => ['dev', '--port', `${port}`, '--strictPort'],
				FOLDER,
				() => ({ NODE_ENV: 'development', REDIS_PORT: `${redis.ports[0] ?? 0}` })
			);
		});
		afterAll(() => server.stop());

		if (hooks.endsWith('.ts')) {
			test('compiles', async () => {
				// The declarations of the packages are the same for all.
				const skipped = hooks === 'basic.ts' ? [] : ['--skipLibCheck'];
				const args = ['--noEmit', '--allowImportingTsExtensions', ...skipped];
				await run('node_modules/.bin/tsc', args, FOLDER);
			});
		}

		test('the action creates a session, load and the API route have it', async () => {
			const login = await fetch(`${server.url}/login?/login`, {
				method: 'POST',
				headers: { accept: 'text/html', origin: server.origin },
				body: new URLSearchParams({ email: 'ada@example.com', password: 'p' })
			});
			expect(login.status).toBe(200);
			const [cookie = ''] = login.headers.getSetCookie();
			expect(cookie).toMatch(
				/^connect\.sid=[\w-]{32}\.[\w%]+; Path=\/; HttpOnly; SameSite=Lax$/
			);
			const headers = { cookie: cookie.split(';')[0] ?? '' };
			const page = await fetch(`${server.url}/login`, { headers });
			expect(await page.text()).toContain('user: Ada');
			const todo = await fetch(`${server.url}/api/todo`, {
				method: 'POST',
				headers,
				body: JSON.stringify({ title: 'Dance', memo: '' })
			});
			expect(await todo.json()).toEqual({ id: 'Dance of user-7' });
			const name = hooks.startsWith('sequence') ? 'Ada' : null;
			expect(page.headers.get('x-name')).toBe(name);
		});

		test('a visitor without a session', async () => {
			const page = await fetch(`${server.url}/api/todo`, {
				method: 'POST',
				redirect: 'manual',
				body: JSON.stringify({ title: 'Dance', memo: '' })
			});
			if (hooks.startsWith('authorization')) {
				expect(page.status).toBe(302);
				expect(page.headers.get('location')).toBe('/login');
			} else {
				expect(await page.json()).toEqual({ id: 'Dance of undefined' });
			}
			expect(page.headers.getSetCookie()).toEqual([]);
		});
	}
);
