import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.ts';
import { CLIENT } from '../../../../examples/openid-connect/provider/clients.ts';
import { startProvider } from '../../../../examples/openid-connect/provider/provider.ts';
import { freePort, run, startBuilt, type Server } from '../../../vestiary/test/runtimes/run.ts';
import { WRANGLER_ENV } from '../../../vestiary/test/runtimes/workers.ts';
import { change, script, serveDev, servePreview, serveWorker, tryDemo, wanted } from './app.ts';
import { CLOUDFLARE, createApp, type NewApp } from './new-app.ts';
import { env, migrate, mysql, postgres, redis, upstash, worker } from './servers.ts';

let chromium: FreshChromium;
beforeAll(async () => {
	chromium = await freshChromium();
});
afterAll(() => chromium.close());

/** A new app, and how it is tried. */
interface App extends NewApp {
	/** Starts what the app needs, and returns the function that ends it. */
	readonly serve?: (folder: string) => Promise<() => Promise<unknown>>;
	/** Whether a login survives a restart of the app: always, only when it is built, or never. Default: always. */
	readonly survives?: 'always' | 'built' | 'never';
	/** Serves the built app. Default: by `vite preview`. */
	readonly preview?: (folder: string) => Promise<Server>;
}

const HOOKS = `import type { Handle } from '@sveltejs/kit';

export const handle: Handle = async ({ event, resolve }) => {
	const response = await resolve(event);
	response.headers.set('x-visitor', event.locals.session.isNew ? 'new' : 'known');
	return response;
};
`;

const APPS: readonly App[] = [
	{ name: 'sqlite-kit3', kit: 3, store: 'sqlite' },
	{ name: 'sqlite-js', types: 'jsdoc', store: 'sqlite' },
	{ name: 'sqlite-js-kit3', types: 'jsdoc', kit: 3, store: 'sqlite' },
	{ name: 'memory-no-types', types: 'none', store: 'memory', survives: 'never' },
	{
		name: 'sqlite-with-a-handle',
		store: 'sqlite',
		before: (folder) => change(folder, 'src/hooks.server.ts', () => HOOKS)
	},
	{ name: 'libsql', store: 'libsql' },
	{ name: 'redis', store: 'redis', serve: redis },
	{ name: 'redis-kit3', kit: 3, store: 'redis', serve: redis },
	{
		name: 'postgres',
		store: 'postgres',
		serve: async (folder) => {
			const stop = await postgres(folder);
			await script(folder, 'db:sessions');
			return stop;
		}
	},
	{
		name: 'drizzle-libsql-with-prettier',
		others: ['prettier', 'drizzle=database:sqlite+sqlite:libsql'],
		store: 'sqlite',
		serve: async (folder) => {
			await run('node_modules/.bin/prettier', ['--write', '.'], folder);
			await run('node_modules/.bin/prettier', ['--check', 'src'], folder);
			await run('npm', ['run', 'db:push', '--', '--force'], folder);
			return async () => undefined;
		}
	},
	{
		name: 'drizzle-postgres',
		others: ['drizzle=database:postgresql+postgresql:postgres.js+docker:no'],
		store: 'postgres',
		serve: async (folder) => {
			const stop = await postgres(folder);
			await run('npm', ['run', 'db:push', '--', '--force'], folder);
			return stop;
		}
	},
	{
		name: 'mysql',
		store: 'mysql',
		serve: async (folder) => {
			const stop = await mysql(folder);
			await script(folder, 'db:sessions');
			return stop;
		}
	},
	{
		name: 'drizzle-mysql',
		others: ['drizzle=database:mysql+mysql:mysql2+docker:no'],
		store: 'mysql',
		serve: async (folder) => {
			const stop = await mysql(folder);
			await run('npm', ['run', 'db:push', '--', '--force'], folder);
			return stop;
		}
	},
	{
		name: 'sqlite-on-node',
		others: ['sveltekit-adapter=adapter:node'],
		store: 'sqlite',
		preview: async (folder) => startBuilt(folder, await freePort())
	},
	{ name: 'upstash', store: 'upstash', serve: upstash },
	{
		name: 'upstash-for-vercel',
		others: ['sveltekit-adapter=adapter:vercel'],
		store: 'upstash',
		serve: upstash
	},
	{
		name: 'upstash-for-netlify',
		others: ['sveltekit-adapter=adapter:netlify'],
		store: 'upstash',
		serve: upstash
	},
	{
		name: 'upstash-on-workers',
		others: [CLOUDFLARE],
		store: 'upstash',
		serve: async (folder) => {
			await worker(folder);
			return upstash(folder);
		},
		preview: serveWorker
	},
	{
		name: 'd1',
		others: [CLOUDFLARE],
		store: 'd1',
		// Beside this file, wrangler does not read .env.
		before: (folder) => change(folder, '.dev.vars', () => 'OTHER=1\n'),
		serve: migrate('DB'),
		preview: serveWorker
	},
	{
		name: 'd1-on-pages',
		others: ['sveltekit-adapter=adapter:cloudflare+cfTarget:pages'],
		store: 'd1',
		serve: migrate('DB'),
		preview: serveWorker
	},
	{
		name: 'd1-js-toml',
		types: 'jsdoc',
		others: [CLOUDFLARE],
		store: 'd1',
		// From which `sv` makes a file for Workers.
		first: (folder) => change(folder, 'wrangler.toml', () => MINE),
		serve: migrate('MINE'),
		preview: serveWorker
	},
	{
		name: 'drizzle-d1',
		others: [CLOUDFLARE, 'drizzle=database:d1'],
		store: 'd1',
		serve: async (folder) => {
			await worker(folder);
			const config = {
				CLOUDFLARE_ACCOUNT_ID: 'a',
				CLOUDFLARE_DATABASE_ID: 'b',
				CLOUDFLARE_D1_TOKEN: 'c'
			};
			await run(
				'node_modules/.bin/drizzle-kit',
				['generate', '--name', 'sessions'],
				folder,
				config
			);
			const execute = [
				'd1',
				'execute',
				'DB',
				'--local',
				'--file',
				'drizzle/0000_sessions.sql'
			];
			await run('node_modules/.bin/wrangler', execute, folder, WRANGLER_ENV);
			return async () => undefined;
		},
		preview: serveWorker
	},
	{
		name: 'durable-objects',
		others: [CLOUDFLARE],
		store: 'durable-objects',
		serve: worker,
		survives: 'built',
		preview: serveWorker
	},
	{
		name: 'durable-objects-js',
		types: 'jsdoc',
		others: [CLOUDFLARE],
		together: true,
		store: 'durable-objects',
		serve: worker,
		survives: 'built',
		preview: serveWorker
	}
];

const MINE = `name = "app"
compatibility_date = "2026-11-01"

[[d1_databases]]
binding = "MINE"
database_name = "app"
`;

test.each(APPS.filter(wanted))('$name', async (app) => {
	const { types, survives = 'always' } = app;
	const folder = await createApp(app);
	const stop = await app.serve?.(folder);
	try {
		if (types !== 'none') await script(folder, 'check');
		await tryDemo(chromium, () => serveDev(folder), survives === 'always');
		await script(folder, 'build');
		const { preview = servePreview } = app;
		await tryDemo(chromium, () => preview(folder), survives !== 'never');
	} finally {
		await stop?.();
	}
});

const PROVIDED = [
	{ name: 'openid-connect', types: 'ts', kit: 2 },
	{ name: 'openid-connect-js-kit3', types: 'jsdoc', kit: 3 }
] as const;

test.each(PROVIDED.filter(wanted))('$name', async ({ name, types, kit }) => {
	const folder = await createApp({ name, types, kit, store: 'sqlite', login: 'oidc' });
	await script(folder, 'check');

	const [port, at] = [await freePort(), await freePort()];
	const provider = await startProvider(at, [`http://localhost:${port}`]);
	await env('OIDC_ISSUER', provider.issuer)(folder);
	await env('OIDC_CLIENT_ID', CLIENT.id)(folder);
	await env('OIDC_CLIENT_SECRET', CLIENT.secret)(folder);
	// Only this provider has no https.
	const login = `src/lib/server/login.${types === 'ts' ? 'ts' : 'js'}`;
	const basic = /(client\.ClientSecretBasic\(.*\))\n/;
	await change(folder, login, (text) =>
		text.replace(basic, '$1,\n{ execute: [client.allowInsecureRequests] }\n')
	);
	const server = await serveDev(folder, port);
	try {
		const { browser, page } = chromium;
		await browser.clearCookies();
		await page.goto(`${server.url}/devices`);
		await page.fill('input[name=name]', 'Ada Lovelace');
		await page.click('text=Log in');
		await page.click('text=Allow');
		await page.waitForURL(`${server.url}/devices`);
		await page.getByText('Chrome on Linux (this device)').waitFor();
		await page.goto(`${server.url}/account`);
		await page.getByText('You are user').waitFor();
		await page.getByRole('button', { name: 'Log out' }).click();
		await page.waitForURL(`${provider.issuer}/**`);
		const cookies = await browser.cookies(server.url);
		expect(cookies.filter(({ name: cookie }) => cookie === 'connect.sid')).toEqual([]);
	} finally {
		await server.stop();
		await provider.close();
	}
});
