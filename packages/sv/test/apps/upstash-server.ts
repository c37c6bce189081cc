import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { installed } from '../../../vestiary/test/runtimes/packages.ts';
import { ended, freePort, startRedis } from '../../../vestiary/test/stores/servers.ts';

const SERVER = '@humanwhocodes/upstash-redis-server';
const TOKEN = 'the-token-of-the-test';

/** A server that speaks the REST API of Upstash, in front of a real Redis. */
export interface UpstashServer {
	readonly url: string;
	readonly token: string;
	readonly stop: () => Promise<void>;
}

/** Starts the open server of another author, so that no bridge of ours decides what the API is. */
export async function startUpstashServer(): Promise<UpstashServer> {
	const folder = await installed({ dependencies: { [SERVER]: '1.0.0' } });
	const redis = await startRedis();
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const server = spawn(
		process.execPath,
		[join(folder, 'node_modules', SERVER, 'dist/server.js')],
		{
			stdio: 'ignore',
			env: {
				...process.env,
				PORT: `${port}`,
				REDIS_URL: `redis://127.0.0.1:${redis.ports[0] ?? 0}`,
				URS_TOKEN: TOKEN
			}
		}
	);
	const stop = async (): Promise<void> => {
		await ended(server);
		await redis.stop();
	};
	for (let tries = 0; tries < 300 && server.exitCode === null; tries++) {
		if (await answers(url)) return { url, token: TOKEN, stop };
		await sleep(100);
	}
	await stop();
	throw new Error(`no answer from ${SERVER}`);
}

async function answers(url: string): Promise<boolean> {
	const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
	const body = JSON.stringify(['PING']);
	const response = await fetch(url, { method: 'POST', headers, body }).catch(() => undefined);
	return response?.ok === true;
}
