import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { addPlugin } from './panel-plugin.js';
import { run, serveDev, type Server } from './run.js';

const REFUSED =
	'vestiary is for the server only: import it in hooks.server.ts, +page.server.ts, +server.ts or src/lib/server, and its types with `import type`';

const REMOTE = `import { query } from '$app/server';
import { MemoryStore } from 'vestiary';

export const kind = query(async () => typeof MemoryStore);
`;

const TYPES = `<script lang="ts">
	import { type Session } from 'vestiary';
	import type { Store } from 'vestiary';

	import { kind } from './kind.remote';

	let seen: Session | Store | undefined;
	const ask = () => kind();
</script>

<button onclick={ask}>{typeof seen}</button>
`;

const UNIVERSAL = `import { MemoryStore } from 'vestiary';

export const load = () => typeof MemoryStore;
`;

/** Each store says by a file beside the app that it was opened. */
const STORES = `import { writeFileSync } from 'node:fs';
import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';
import { PostgresStore } from 'vestiary/postgres';
import { SqliteStore } from 'vestiary/sqlite';
import { UnstorageStore } from 'vestiary/unstorage';

const opened = (name) => async () => writeFileSync('opened-' + name, '');
const secret = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';
const client = { getItem: opened('getItem'), setItem: opened('setItem'), removeItem: opened('removeItem') };
const stores = [
	new SqliteStore({ database: 'opened.db' }),
	new PostgresStore({ client: { query: opened('query') } }),
	new UnstorageStore({ client })
];

export const handle = sequence(
	...stores.map((store, n) => sveltekitSessionHandle({ name: 'store' + n, secret, store }))
);
`;

/** A page that may import what it does. Its text says that its scripts run. */
const MENDED = `<script lang="ts">
	import { type Session } from 'vestiary';
	import type { Store } from 'vestiary';

	import { kind } from './kind.remote';

	let seen: Session | Store | undefined;
	let text = $state('rendered on the server');
	$effect(() => {
		const asked: any = kind();
		(asked.run ? asked.run() : asked).then((kind) => (text = typeof seen + ' and ' + kind));
	});
</script>

<p>{text}</p>
`;

const script = (text: string): string => `<script>\n\t${text}\n</script>\n`;

describe.each(NEW_APPS)('$name', (kit) => {
	let folder: string;
	const page = (name: string, text: string): Promise<void> =>
		writeFile(join(folder, 'src/routes', name), text);
	const build = async (): Promise<string> => {
		const built = run('node_modules/.bin/vite', ['build'], folder, {
			NODE_ENV: 'production',
			NO_COLOR: '1'
		});
		return built.then(
			() => 'built',
			(error: unknown) => String(error)
		);
	};

	beforeAll(async () => {
		folder = await newApp(kit, 'server-only');
	});

	test.each([
		['in a page', '+page.svelte', script("import { sessions } from 'vestiary';\n\tsessions;")],
		['in a universal load', '+page.ts', UNIVERSAL],
		['of a store, later', '+page.svelte', script("import('vestiary/redis');")]
	])('an app with an import %s is not built', async (_, name, text) => {
		await page('+page.svelte', '<p>page</p>');
		await page(name, text);
		expect(await build()).toContain(REFUSED);
		await rm(join(folder, 'src/routes', name));
	});

	describe('an app whose pages import types, its remote functions the package, and its hooks stores', () => {
		let built: string;

		beforeAll(async () => {
			await page('+page.svelte', TYPES);
			await page('+page.server.ts', 'export const prerender = true;');
			await page('kind.remote.ts', REMOTE);
			await writeFile(join(folder, 'src/hooks.server.ts'), STORES);
			built = await build();
		});
		afterAll(async () => {
			for (const name of ['hooks.server.ts', 'routes/+page.server.ts'])
				await rm(join(folder, 'src', name));
		});

		test('is built', () => {
			expect(built).toBe('built');
		});

		test('its stores are not opened', async () => {
			const names = await readdir(folder);
			expect(names).toContain('build');
			expect(names.filter((name) => name.startsWith('opened'))).toEqual([]);
		});
	});

	test('the server resolves every entry, and a browser in production none', async () => {
		const manifest = JSON.parse(
			await readFile(join(folder, 'node_modules/vestiary/package.json'), 'utf8')
		) as { exports: Record<string, unknown> };
		// The client is for the browser, and compiled with the app. The plugin is for Vite alone.
		const others = ['./package.json', './client', './vite'];
		const entries = Object.keys(manifest.exports).filter((name) => !others.includes(name));
		expect(entries).toHaveLength(14);
		const names = entries.map((name) => JSON.stringify(name.replace('.', 'vestiary')));
		const resolve = async (...conditions: string[]): Promise<string[]> => {
			const script = `console.log([${names.join()}].map((one) => import.meta.resolve(one).split('/dist/')[1]).join())`;
			const flags = conditions.flatMap((condition) => ['-C', condition]);
			const args = ['--input-type=module', ...flags, '-e', script];
			return (await run(process.execPath, args, folder)).trim().split(',');
		};
		const refused = entries.map(() => 'server-only.browser.js');
		expect(await resolve('browser', 'production')).toEqual(refused);
		// Bundlers for Cloudflare, Vercel and Netlify resolve for browsers, too.
		for (const conditions of [
			[],
			['workerd', 'worker', 'browser', 'production'],
			['edge-light', 'browser', 'production'],
			['browser']
		]) {
			const resolved = await resolve(...conditions);
			expect(
				resolved.filter((file) => refused.includes(file)),
				conditions.join()
			).toEqual([]);
		}
	});

	describe('vite dev', () => {
		let server: Server;
		let chromium: FreshChromium;
		const overlay = (): Promise<string> =>
			chromium.page.locator('vite-error-overlay .message-body').innerText();

		beforeAll(async () => {
			await page('+page.svelte', script("import { sessions } from 'vestiary';\n\tsessions;"));
			chromium = await freshChromium();
		});
		afterAll(async () => {
			await chromium.close();
		});
		afterEach(async () => {
			await server.stop();
		});

		test('the console and the page of the browser say it', async () => {
			server = await serveDev(folder);
			const said = chromium.page.waitForEvent('console', (message) =>
				message.text().includes(REFUSED)
			);
			await chromium.page.goto(server.url);
			await said;
			expect(await overlay()).toBe(REFUSED);
		});

		test('with the plugin, page and terminal say in which file it is, until only types and remote functions import it', async () => {
			await addPlugin(folder);
			// This test runs in vitest, and the developer's server does not.
			server = await serveDev(folder, { VITEST: undefined });
			await chromium.page.goto(server.url);
			const refused = `${REFUSED}. The import of 'vestiary' is in ${join(folder, 'src/routes/+page.svelte')}`;
			expect(await overlay()).toContain(refused);
			expect(server.output()).toContain(refused);
			await page('kind.remote.ts', REMOTE);
			await page('+page.svelte', MENDED);
			await chromium.page.getByText('undefined and function').waitFor();
			expect(await chromium.page.locator('vite-error-overlay').count()).toBe(0);
		});
	});
});
