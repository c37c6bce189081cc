import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { Redis } from 'ioredis5';

const REDIS_SERVER = process.env.REDIS_SERVER ?? 'redis-server';

export interface Servers {
	ports: number[];
	/** Sends a signal to each process; not all servers have one of their own. */
	signal?: (signal: NodeJS.Signals) => void;
	stop: () => Promise<void>;
}

/** Starts a Redis server of its own, on a free port. */
export async function startRedis(...options: string[]): Promise<Servers> {
	return startServer(REDIS_SERVER, options);
}

/** The same of Valkey. */
export async function startValkey(...options: string[]): Promise<Servers> {
	return startServer(process.env.VALKEY_SERVER ?? 'valkey-server', options);
}

async function startServer(program: string, options: string[]): Promise<Servers> {
	const port = await freePort();
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-redis-'));
	const fixed = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
	const server = spawn(program, [...fixed, ...options], { stdio: 'ignore' });
	const client = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 50 });
	client.on('error', () => undefined);
	await client.ping();
	client.disconnect();
	return {
		ports: [port],
		signal: (signal) => server.kill(signal),
		stop: async () => {
			await ended(server);
			await rm(folder, { recursive: true, force: true });
		}
	};
}

/** Starts a cluster of three primaries on free ports, with this many replicas each. */
export async function startCluster(replicas = 0, start = startRedis): Promise<Servers> {
	const nodes: Servers[] = [];
	for (let n = 0; n < 3 * (1 + replicas); n++) {
		nodes.push(await start('--cluster-enabled', 'yes', '--appendonly', 'no'));
	}
	const ports = nodes.flatMap(({ ports }) => ports);
	const addresses = ports.map((port) => `127.0.0.1:${port}`);
	const cli = REDIS_SERVER.replace(/redis-server$/, 'redis-cli');
	const each = ['--cluster-replicas', `${replicas}`, '--cluster-yes'];
	await promisify(execFile)(cli, ['--cluster', 'create', ...addresses, ...each]);
	for (const port of ports) {
		const client = new Redis(port, '127.0.0.1');
		while (!(await client.cluster('INFO')).includes('cluster_state:ok')) await sleep(50);
		client.disconnect();
	}
	return {
		ports,
		stop: async () => {
			for (const node of nodes) await node.stop();
		}
	};
}

/**
 * Upstash's REST API in front of a real Redis: commands as JSON arrays, one or a pipeline, answered as
 * `{ "result": … }`, in base64 where the client asks for it.
 */
export async function startUpstash(redisPort: number, token: string): Promise<Servers> {
	const redis = new Redis(redisPort, '127.0.0.1');
	const server = createHttpServer((request, response) => {
		void (async () => {
			const base64 = request.headers['upstash-encoding'] === 'base64';
			const run = async ([name = '', ...args]: string[]): Promise<object> => {
				try {
					return { result: encoded(await redis.call(name, ...args), base64) };
				} catch (error) {
					return { error: error instanceof Error ? error.message : 'failed' };
				}
			};
			response.setHeader('content-type', 'application/json');
			if (request.headers.authorization !== `Bearer ${token}`) {
				response.statusCode = 401;
				response.end(JSON.stringify({ error: 'Unauthorized' }));
				return;
			}
			const body = await json(request);
			const answer =
				request.url === '/pipeline'
					? await Promise.all((body as string[][]).map(run))
					: await run(body as string[]);
			response.end(JSON.stringify(answer));
		})();
	});
	const port = await listening(server);
	return {
		ports: [port],
		stop: async () => {
			redis.disconnect();
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		}
	};
}

function encoded(result: unknown, base64: boolean): unknown {
	if (Array.isArray(result)) return result.map((one) => encoded(one, base64));
	return base64 && typeof result === 'string' && result !== 'OK'
		? Buffer.from(result).toString('base64')
		: result;
}

async function json(request: IncomingMessage): Promise<unknown> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
}

/** Ends a process that the tests have started. */
export async function ended(server: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
	const exit = new Promise((resolve) => server.once('exit', resolve));
	if (server.exitCode === null && server.kill(signal)) await exit;
}

/** A port at which no program listens. */
export async function freePort(): Promise<number> {
	const server = createServer();
	const port = await listening(server);
	await new Promise((resolve) => server.close(resolve));
	// A cluster node also listens ten thousand ports further up.
	return port < 50_000 ? port : freePort();
}

async function listening(server: Server): Promise<number> {
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	return (server.address() as AddressInfo).port;
}
