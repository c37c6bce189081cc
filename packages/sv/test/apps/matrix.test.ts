import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.ts';
import { CLIENT } from '../../../../examples/openid-connect/provider/clients.ts';
import { startProvider } from '../../../../examples/openid-connect/provider/provider.ts';
import { freePort, run } from '../../../vestiary/test/runtimes/run.ts';
import { startPostgres } from '../../../vestiary/test/stores/postgres-server.ts';
import { startRedis } from '../../../vestiary/test/stores/servers.ts';
import {
	addVestiary,
	change,
	emptyFolder,
	install,
	readManifest,
	script,
	serveDev,
	servePreview,
	sv,
	tryDemo
} from './app.ts';

let chromium: FreshChromium;
beforeAll(async () => {
	chromium = await freshChromium();
});
afterAll(() => chromium.close());

/** An app that `sv create` makes and the add-on completes. */
interface App {
	readonly name: string;
	readonly types?: 'ts' | 'jsdoc' | 'none';
	readonly kit?: 2 | 3;
	/** Other add-ons, with their answers. */
	readonly others?: readonly string[];
	readonly store: string;
	/** Changes the app before Vestiary is added. */
	readonly before?: (folder: string) => Promise<void>;
	/** Starts what the app needs, and returns the function that ends it. */
	readonly serve?: (folder: string) => Promise<() => Promise<unknown>>;
	readonly survives?: boolean;
}

const env = (name: string, value: string) => async (folder: string) =>
	change(folder, '.env', (text) => text.replace(new RegExp(`${name}=.*`), `${name}="${value}"`));

const redis = async (folder: string) => {
	const servers = await startRedis();
	await env('REDIS_URL', `redis://localhost:${servers.ports[0] ?? 0}`)(folder);
	return () => servers.stop();
};

const postgres = async (folder: string) => {
	const server = await startPostgres();
	await env('DATABASE_URL', server.url)(folder);
	return () => server.stop();
};

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
	{ name: 'memory-no-types', types: 'none', store: 'memory', survives: false },
	{
		name: 'sqlite-with-a-handle',
		store: 'sqlite',
		before: (folder) => change(folder, 'src/hooks.server.ts', () => HOOKS)
	},
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
	}
];

/** Whether an app is among those that the environment names. A skipped test would count as a failure. */
function wanted({ name }: { name: string }): boolean {
	return name.includes(process.env.SV_APPS ?? '');
}

/** There is no adapter-auto for SvelteKit 3 yet. */
async function useAdapterNode(folder: string): Promise<void> {
	const manifest = (text: string): string =>
		text.replace(/"@sveltejs\/adapter-auto": "[^"]*"/, '"@sveltejs/adapter-node": "6.0.1"');
	await change(folder, 'package.json', manifest);
	await change(folder, 'vite.config.ts', (text) => text.replace('adapter-auto', 'adapter-node'));
	await change(folder, 'vite.config.js', (text) => text.replace('adapter-auto', 'adapter-node'));
}

test.each(APPS.filter(wanted))('$name', async (app) => {
	const { name, types = 'ts', kit = 2, others = [], store, survives = true } = app;
	const folder = await emptyFolder(name);
	const typed = types === 'none' ? ['--no-types'] : ['--types', types];
	await sv(
		['create', '--template', 'minimal', ...typed, '--no-add-ons', '--no-install', '.'],
		folder
	);
	const addOns = [...others, ...(kit === 3 ? ['experimental=versions:kit+features:none'] : [])];
	if (addOns.length > 0) await sv(['add', ...addOns, '--no-git-check', '--no-install'], folder);
	if (kit === 3) await useAdapterNode(folder);
	await app.before?.(folder);
	const answers = `store:${store}+demo:yes+oidc:no+from:none`;
	await addVestiary(folder, answers);
	const wanted = await readManifest(folder);
	await addVestiary(folder, answers);
	expect(await readManifest(folder)).toEqual(wanted);

	await install(folder, kit === 3 ? { '@sveltejs/kit': '3.2.0' } : {});
	const stop = await app.serve?.(folder);
	try {
		if (types !== 'none') await script(folder, 'check');
		await tryDemo(chromium, () => serveDev(folder), survives);
		await script(folder, 'build');
		await tryDemo(chromium, () => servePreview(folder), survives);
	} finally {
		await stop?.();
	}
});

const PROVIDED = [
	{ name: 'openid-connect', types: 'ts', kit: 2 },
	{ name: 'openid-connect-js-kit3', types: 'jsdoc', kit: 3 }
];

test.each(PROVIDED.filter(wanted))('$name', async ({ name, types, kit }) => {
	const folder = await emptyFolder(name);
	const create = ['create', '--template', 'minimal', '--types', types];
	await sv([...create, '--no-add-ons', '--no-install', '.'], folder);
	if (kit === 3) {
		await sv(
			['add', 'experimental=versions:kit+features:none', '--no-git-check', '--no-install'],
			folder
		);
		await useAdapterNode(folder);
	}
	await addVestiary(folder, 'store:sqlite+demo:yes+oidc:yes+from:none');
	await install(folder, kit === 3 ? { '@sveltejs/kit': '3.2.0' } : {});
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
