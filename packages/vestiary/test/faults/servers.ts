/** Servers that can be killed, stopped, and started again where they were. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { Redis } from 'ioredis6';

import { freePort } from '../stores/servers.ts';

export const REDIS_SERVER = process.env.REDIS_SERVER ?? 'redis-server';

/** Everything that was started here ends with this process, in whatever way. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
	for (const child of running) child.kill('SIGKILL');
});

/** Starts a process that must not outlive this one. */
export function tied(child: ChildProcess): ChildProcess {
	running.add(child);
	child.once('exit', () => running.delete(child));
	return child;
}

/** Kills a process, and waits until it is gone. */
export async function killed(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exit = new Promise((resolve) => child.once('exit', resolve));
	child.kill('SIGKILL');
	await exit;
}

/** A Redis server on a port and a folder of its own, which it keeps when it is killed. */
export class RedisServer {
	readonly port: number;
	readonly #folder: string;
	readonly #options: string[];
	#process: ChildProcess | undefined;
	#admin: Redis | undefined;

	private constructor(port: number, folder: string, options: string[]) {
		this.port = port;
		this.#folder = folder;
		this.#options = options;
	}

	static async launch(...options: string[]): Promise<RedisServer> {
		const folder = await mkdtemp(join(tmpdir(), 'vestiary-faults-'));
		const server = new RedisServer(await freePort(), folder, options);
		await server.start();
		return server;
	}

	/** A client for what only the tests do. */
	get admin(): Redis {
		if (!this.#admin) throw new Error('the server has not been started');
		return this.#admin;
	}

	/** Starts the server, and waits until it has loaded its data. */
	async start(): Promise<void> {
		const fixed = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', ''];
		const args = [...fixed, '--dir', this.#folder, ...this.#options];
		this.#process = tied(spawn(REDIS_SERVER, args, { stdio: 'ignore' }));
		this.#admin?.disconnect();
		this.#admin = new Redis(this.port, '127.0.0.1', {
			retryStrategy: () => 20,
			maxRetriesPerRequest: null
		});
		this.#admin.on('error', () => undefined);
		await this.#admin.ping();
	}

	async kill(): Promise<void> {
		this.#admin?.disconnect();
		if (this.#process) await killed(this.#process);
	}

	signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
		this.#process?.kill(signal);
	}

	async stop(): Promise<void> {
		await this.kill();
		await rm(this.#folder, { recursive: true, force: true });
	}
}

/** A Redis Cluster of three primaries with a replica each. */
export class RedisCluster {
	readonly nodes: RedisServer[];

	private constructor(nodes: RedisServer[]) {
		this.nodes = nodes;
	}

	static async launch(...options: string[]): Promise<RedisCluster> {
		const nodes: RedisServer[] = [];
		const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
		for (let n = 0; n < 6; n++) {
			nodes.push(await RedisServer.launch(...cluster, '--appendonly', 'yes', ...options));
		}
		const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
		const cli = REDIS_SERVER.replace(/redis-server$/, 'redis-cli');
		const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', '1'];
		await promisify(execFile)(cli, [...create, '--cluster-yes']);
		const made = new RedisCluster(nodes);
		await made.settled();
		return made;
	}

	/** Waits until all nodes agree, and each replica follows its primary. */
	async settled(): Promise<void> {
		for (const node of this.nodes) {
			while (!(await node.admin.cluster('INFO')).includes('cluster_state:ok'))
				await sleep(50);
			while (!isComplete(await node.admin.info('replication'))) await sleep(50);
		}
	}

	/** The primaries that there are, and the replica of each. */
	async pairs(): Promise<{ primary: RedisServer; replica: RedisServer }[]> {
		const pairs = [];
		for (const replica of this.nodes) {
			const port = /^role:slave[^]*^master_port:(\d+)/m.exec(
				await replica.admin.info('replication')
			)?.[1];
			const primary = this.nodes.find((node) => `${node.port}` === port);
			if (primary) pairs.push({ primary, replica });
		}
		return pairs;
	}

	async stop(): Promise<void> {
		for (const node of this.nodes) await node.stop();
	}
}

/** Whether a replica has all that its primary has, or a primary has a replica. */
function isComplete(replication: string): boolean {
	return /^role:slave[^]*^master_link_status:up|^role:master[^]*^slave0:.*state=online/m.test(
		replication
	);
}
