import { setTimeout as sleep } from 'node:timers/promises';

import { expect, test } from 'vitest';

import type { Server } from '../../../vestiary/test/runtimes/run.ts';
import { change, script, serveDev, serveWorker, wanted } from './app.ts';
import { CLOUDFLARE, createApp, type NewApp } from './new-app.ts';
import { env, migrate, mysql, postgres, redis, upstash, worker } from './servers.ts';

/* Mistakes of an operator with a new app: its log says how to mend each of them. */

type Change = (folder: string) => Promise<unknown>;

interface App extends NewApp {
	/** Starts what the app needs, and returns the function that ends it. */
	readonly serve: (folder: string) => Promise<() => Promise<unknown>>;
	/** Starts the app. Default: by `vite dev`. */
	readonly start?: (folder: string) => Promise<Server>;
	/** The mistakes, each after those before it, and what the log says of them. */
	readonly mistakes: readonly (readonly [name: string, make: Change, says: string])[];
}

const nothing: Change = async () => undefined;
const url = (from: RegExp, to: string) => (folder: string) =>
	change(folder, '.env', (text) => text.replace(from, to));

/** Takes the bindings of this kind out of the configuration. */
const unbind = (kind: string) => (folder: string) =>
	change(folder, 'wrangler.jsonc', (text) => {
		const settings = Object.entries(JSON.parse(text) as object);
		return JSON.stringify(Object.fromEntries(settings.filter(([name]) => name !== kind)));
	});

/** The Worker, built and started, whose own requests all fail. */
async function builtWorker(folder: string): Promise<Server> {
	await script(folder, 'gen');
	await script(folder, 'build');
	return serveWorker(folder, '/nonce');
}

const APPS: readonly App[] = [
	{
		name: 'mistakes-mysql',
		store: 'mysql',
		serve: mysql,
		mistakes: [
			['no table', nothing, 'call `await store.migrate()` once'],
			['another database', url(/\/app"/, '/other"'), 'its database does not exist'],
			['another user', url(/app@/, 'other:secret@'), 'the user or the password is wrong'],
			['a closed port', url(/:\d+\//, ':1/'), 'no server listens at its address']
		]
	},
	{
		name: 'mistakes-postgres',
		store: 'postgres',
		serve: postgres,
		mistakes: [
			['no table', nothing, 'call `await store.migrate()` once'],
			[
				'a read-only database',
				async (folder) => {
					await script(folder, 'db:sessions');
					await url(
						/(DATABASE_URL=".*)"/,
						'$1?default_transaction_read_only=on"'
					)(folder);
				},
				'it is read-only'
			],
			[
				'a parameter of Prisma',
				url(/\?.*"/, '?schema=public"'),
				'a parameter that the server does not know'
			],
			['another database', url(/\/\w+\?.*"/, '/other"'), 'its database does not exist'],
			['a closed port', url(/:\d+\//, ':1/'), 'no server listens at its address']
		]
	},
	{
		name: 'mistakes-redis',
		store: 'redis',
		serve: redis,
		mistakes: [['a closed port', url(/:\d+"/, ':1"'), 'check that its server runs']]
	},
	{
		name: 'mistakes-upstash',
		store: 'upstash',
		serve: upstash,
		mistakes: [
			['no address', env('UPSTASH_REDIS_REST_URL', ''), "The 'url' property is missing"]
		]
	},
	{
		name: 'mistakes-d1',
		others: [CLOUDFLARE],
		store: 'd1',
		serve: worker,
		start: (folder) => serveDev(folder, undefined, '/nonce'),
		mistakes: [
			['no table', nothing, '`npx wrangler d1 migrations apply`'],
			['no binding', unbind('d1_databases'), 'to `d1_databases` in wrangler.jsonc']
		]
	},
	{
		name: 'mistakes-d1-on-workers',
		others: [CLOUDFLARE],
		store: 'd1',
		serve: migrate('DB'),
		start: builtWorker,
		mistakes: [['no binding', unbind('d1_databases'), 'to `d1_databases` in wrangler.jsonc']]
	},
	{
		name: 'mistakes-durable-objects',
		others: [CLOUDFLARE],
		store: 'durable-objects',
		serve: worker,
		start: builtWorker,
		mistakes: [
			['no binding', unbind('durable_objects'), 'to `durable_objects` in wrangler.jsonc']
		]
	}
];

test.each(APPS.filter(wanted))('$name', async (app) => {
	const folder = await createApp(app);
	const stop = await app.serve(folder);
	try {
		for (const [name, make, says] of app.mistakes) {
			await make(folder);
			const server = await (app.start ?? serveDev)(folder);
			try {
				expect(await logIn(server), name).toBe(500);
				await expect(logOf(server, says), name).resolves.toContain(says);
			} finally {
				await server.stop();
			}
		}
	} finally {
		await stop();
	}
});

/** Logs in without a browser. Returns the status of the response. */
async function logIn({ url: origin }: Server): Promise<number> {
	const { status } = await fetch(`${origin}/login`, {
		method: 'POST',
		redirect: 'manual',
		headers: { accept: 'text/html', origin },
		body: new URLSearchParams({ name: 'ada', password: 'lovelace' })
	});
	return status;
}

/** The output of a server, once it contains this text, or after a while without it. */
async function logOf({ output }: Server, text: string): Promise<string> {
	for (let tries = 0; tries < 100 && !output().includes(text); tries++) await sleep(100);
	return output();
}
