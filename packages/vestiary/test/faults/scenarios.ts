/** The faults, each with the store that suffers them. */
import { setTimeout as sleep } from 'node:timers/promises';

import {
	connectPgSimple,
	disturbNetwork,
	galeraBehind,
	killAgainAndAgain,
	libsqlKilled,
	mariadbKilled,
	postgresKilled,
	postgresOverBadNetwork,
	sqliteWithKilledProcesses,
	workerdKilled
} from './databases.ts';
import type { Setup } from './messages.ts';
import { Proxy } from './proxy.ts';
import { RedisCluster, RedisServer } from './servers.ts';
import { WORKERS, type Scenario, type Stage } from './stage.ts';

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];

export const SCENARIOS: Scenario[] = [
	{
		name: 'Redis, killed',
		faults: 'SIGKILL of the server, which writes each command to disk, and a restart',
		strict: true,
		atomic: true,
		begin: async () => {
			const redis = await RedisServer.launch(...DURABLE);
			return {
				setups: redisSetups(redis.port),
				disturb: async (disturbed) => killAgainAndAgain(redis, disturbed),
				end: async () => redis.stop()
			};
		}
	},
	{
		name: 'Redis, stopped',
		faults: 'SIGSTOP of the server, or of a process, for longer than `storeTimeout`, CLIENT KILL, SCRIPT FLUSH',
		strict: true,
		atomic: true,
		begin: async () => {
			const redis = await RedisServer.launch();
			return {
				setups: redisSetups(redis.port),
				disturb: async ({ workers, chance, over, fault }) => {
					while (!over()) {
						await sleep(300 + chance.below(900));
						const kinds = { stopped: 2, frozen: 2, disconnected: 1, forgot: 1 };
						const kind = chance.weighted(kinds);
						if (kind === 'stopped') {
							redis.signal('SIGSTOP');
							await sleep(200 + chance.below(1_300));
							redis.signal('SIGCONT');
						} else if (kind === 'frozen')
							await workers.freeze(chance.below(workers.count), chance.below(2_000));
						else if (kind === 'disconnected')
							await redis.admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
						else await redis.admin.script('FLUSH');
						fault(kind);
					}
				},
				end: async () => redis.stop()
			};
		}
	},
	{
		name: 'Redis, bad network',
		faults: 'a proxy that loses answers, delays requests or answers, cuts and tears connections',
		strict: true,
		atomic: true,
		begin: async () => {
			const redis = await RedisServer.launch();
			const proxy = await Proxy.launch(redis.port);
			return {
				setups: redisSetups(proxy.port, { sealed: true }),
				disturb: async (disturbed) => disturbNetwork(proxy, disturbed),
				end: async () => {
					await proxy.stop();
					await redis.stop();
				}
			};
		}
	},
	{
		name: 'SQLite, processes killed',
		faults: 'SIGKILL of one of the processes that share the file, and another one in its place',
		strict: true,
		atomic: true,
		begin: sqliteWithKilledProcesses
	},
	{
		name: 'Postgres, killed',
		faults: 'SIGKILL of the server and its connections, and a restart',
		strict: true,
		atomic: true,
		begin: postgresKilled
	},
	{
		name: 'MariaDB, killed',
		faults: 'SIGKILL of the server, and a restart',
		strict: true,
		atomic: true,
		begin: mariadbKilled
	},
	{
		name: 'MariaDB cluster, one behind',
		faults: 'one of two servers (Galera) writes nothing for up to 700 ms, and SIGKILL of a process',
		strict: true,
		atomic: true,
		begin: galeraBehind
	},
	{
		name: 'libSQL, killed',
		faults: 'SIGKILL of the server, which is asked over HTTP, and a restart',
		strict: true,
		atomic: true,
		begin: libsqlKilled
	},
	{
		name: 'D1, killed',
		faults: 'SIGKILL of workerd, and a restart',
		strict: true,
		atomic: true,
		begin: async () => workerdKilled('d1')
	},
	{
		name: 'Durable Objects, killed',
		faults: 'the same',
		strict: true,
		atomic: true,
		begin: async () => workerdKilled('durable-objects')
	},
	{
		name: 'PgBouncer, bad network',
		faults: 'the proxy before PgBouncer in transaction mode, and SIGKILL of a process',
		strict: true,
		atomic: true,
		begin: postgresOverBadNetwork
	},
	{
		name: 'Cluster, primary killed',
		faults: 'SIGKILL of a primary, its replica takes over, and it comes back as a replica',
		strict: false,
		atomic: true,
		begin: async () => failover({ cutOff: false })
	},
	{
		name: 'Cluster, cut off and killed',
		faults: 'the same, but the replica hears nothing for the last 300 ms of the primary',
		strict: false,
		atomic: true,
		begin: async () => failover({ cutOff: true })
	},
	{
		name: 'the same, `min-replicas-to-write 1`',
		faults: 'the same, and a primary without a replica refuses to write',
		strict: false,
		atomic: true,
		begin: async () => failover({ cutOff: true }, '--min-replicas-to-write', '1')
	},
	{
		name: 'Redis, not atomic',
		faults: 'none: the control, a store of four methods, to see that the checks find something',
		strict: false,
		atomic: false,
		begin: async () => {
			const redis = await RedisServer.launch();
			return {
				setups: redisSetups(redis.port, { plain: true }),
				disturb: async ({ over }) => {
					while (!over()) await sleep(100);
				},
				end: async () => redis.stop()
			};
		}
	},
	{
		name: 'connect-pg-simple',
		faults: 'none: the control on Postgres, a store of express-session in `fromExpressStore`',
		strict: false,
		atomic: false,
		begin: connectPgSimple
	}
];

/** The clients that most applications have, by turns. */
function redisSetups(port: number, more: { plain?: boolean; sealed?: boolean } = {}): Setup[] {
	return Array.from({ length: WORKERS }, (_, n) => ({
		store: { kind: 'redis', client: n % 2 === 0 ? 'ioredis' : 'node-redis', port },
		plain: false,
		sealed: false,
		...more
	}));
}

/** A cluster whose primaries fail, one after another. */
async function failover({ cutOff }: { cutOff: boolean }, ...options: string[]): Promise<Stage> {
	const cluster = await RedisCluster.launch(...options);
	const store = { kind: 'cluster', ports: cluster.nodes.map(({ port }) => port) } as const;
	return {
		setups: Array.from({ length: WORKERS }, () => ({ store, plain: false, sealed: false })),
		disturb: async ({ chance, over, fault }) => {
			while (!over()) {
				await sleep(1_000 + chance.below(1_000));
				const pairs = await cluster.pairs();
				const pair = pairs[chance.below(pairs.length)];
				if (!pair) continue;
				const { primary, replica } = pair;
				if (cutOff) {
					replica.signal('SIGSTOP');
					await primary.admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
					await sleep(300);
				}
				fault('primary killed');
				await primary.kill();
				replica.signal('SIGCONT');
				while (!(await replica.admin.info('replication')).includes('role:master'))
					await sleep(50);
				await sleep(200);
				await primary.start();
				await cluster.settled();
			}
		},
		end: async () => cluster.stop()
	};
}
