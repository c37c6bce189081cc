import { run } from '../../../vestiary/test/runtimes/run.ts';
import { WRANGLER_ENV } from '../../../vestiary/test/runtimes/workers.ts';
import { startMySql } from '../../../vestiary/test/stores/mysql-server.ts';
import { startPostgres } from '../../../vestiary/test/stores/postgres-server.ts';
import { startRedis } from '../../../vestiary/test/stores/servers.ts';
import { change, readManifest, script } from './app.ts';
import { startUpstashServer } from './upstash-server.ts';

/* The servers of new apps: each function starts one for the app in a folder, and returns the function that ends it. */

/** Gives a variable of the app a value. */
export const env = (name: string, value: string) => async (folder: string) =>
	change(folder, '.env', (text) => text.replace(new RegExp(`${name}=.*`), `${name}="${value}"`));

export const redis = async (folder: string) => {
	const servers = await startRedis();
	await env('REDIS_URL', `redis://localhost:${servers.ports[0] ?? 0}`)(folder);
	return () => servers.stop();
};

export const postgres = async (folder: string) => {
	const server = await startPostgres();
	await env('DATABASE_URL', server.url)(folder);
	return () => server.stop();
};

export const mysql = async (folder: string) => {
	const server = await startMySql();
	await env('DATABASE_URL', server.url)(folder);
	return () => server.stop();
};

export const upstash = async (folder: string) => {
	const server = await startUpstashServer();
	await env('UPSTASH_REDIS_REST_URL', server.url)(folder);
	await env('UPSTASH_REDIS_REST_TOKEN', server.token)(folder);
	return () => server.stop();
};

/** Prepares an app for Workers: for a day that wrangler's own runtime knows, and with the types of its bindings. */
export const worker = async (folder: string) => {
	for (const name of ['wrangler.jsonc', 'wrangler.toml'])
		await change(folder, name, (text) =>
			text.replace(/(compatibility_date"?\s*[:=]\s*)"[^"]*"/, '$1"2026-11-01"')
		);
	// By which a test knows that its own server answers. A Worker has no variables of a process.
	await change(folder, 'src/routes/api/nonce/+server.ts', () => NONCE);
	const { scripts } = await readManifest(folder);
	if (scripts?.gen !== undefined) await script(folder, 'gen');
	return async () => undefined;
};

const NONCE = `import { env } from '$env/dynamic/private';

export const GET = ({ url }) => Response.json({ nonce: env.NONCE, origin: url.origin });
`;

/** Creates the table of the sessions in the database that this machine has for this binding. */
export const migrate = (binding: string) => async (folder: string) => {
	const stop = await worker(folder);
	const apply = ['d1', 'migrations', 'apply', binding, '--local'];
	await run('node_modules/.bin/wrangler', apply, folder, WRANGLER_ENV);
	return stop;
};
