import { createPool as createMariaDbPool } from 'mariadb';
import { createPool } from 'mysql2/promise';
import { Cluster, Redis } from 'ioredis6';
import { Pool } from 'pg';
import postgres from 'postgres';
import * as redis6 from 'redis6';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { sessions, type Store } from '../../src/index.js';
import { MySqlStore } from '../../src/stores/mysql.js';
import { PostgresStore } from '../../src/stores/postgres.js';
import { RedisStore } from '../../src/stores/redis.js';
import { SqliteStore } from '../../src/stores/sqlite.js';
import { startMySql, type MySqlServer } from './mysql-server.js';
import { startPostgres, type PostgresServer } from './postgres-server.js';
import { startCluster, startRedis, type Servers } from './servers.js';

/* The condition of stores, by `sessions().health()`, on their servers. */

const SECRET = 'a secret of the tests for the condition of stores';

let redis: Servers;
let cluster: Servers;
let database: PostgresServer;
let mysql: MySqlServer;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
	redis = await startRedis();
	cluster = await startCluster();
	database = await startPostgres();
	mysql = await startMySql();
}, 120_000);

afterAll(async () => {
	for (const close of closing) await close();
	await redis.stop();
	await cluster.stop();
	await database.stop();
	await mysql.stop();
});

const url = (port = redis.ports[0] ?? 0): string => `redis://127.0.0.1:${port}`;

function closed<T>(client: T, close: () => unknown): T {
	closing.push(close);
	return client;
}

async function connected<T extends { connect(): unknown; destroy(): unknown }>(
	client: T
): Promise<T> {
	await client.connect();
	return closed(client, () => client.destroy());
}

async function migrated<T extends Store & { migrate(): Promise<void> }>(store: T): Promise<T> {
	await store.migrate();
	return store;
}

const REDIS = {
	version: expect.stringMatching(/^Redis \d+\.\d+\.\d+$/) as string,
	evictionPolicy: 'noeviction'
};
const POSTGRES = { version: expect.stringMatching(/^Postgres \d+\.\d+/) as string };
const MARIADB = { version: expect.stringMatching(/^MariaDB \d+\.\d+\.\d+$/) as string };

const STORES: [string, object, () => Store | Promise<Store>][] = [
	[
		'Redis, by ioredis',
		REDIS,
		() => {
			const client = new Redis(url());
			return new RedisStore({
				client: closed(client, () => {
					client.disconnect();
				})
			});
		}
	],
	[
		'a cluster of Redis, by ioredis',
		REDIS,
		() => {
			const client = new Cluster(cluster.ports.map(url));
			return new RedisStore({
				client: closed(client, () => {
					client.disconnect();
				})
			});
		}
	],
	[
		'Redis, by node-redis',
		REDIS,
		async () => new RedisStore({ client: await connected(redis6.createClient({ url: url() })) })
	],
	[
		'a cluster of Redis, by node-redis',
		REDIS,
		async () => {
			const rootNodes = cluster.ports.map((port) => ({ url: url(port) }));
			return new RedisStore({ client: await connected(redis6.createCluster({ rootNodes })) });
		}
	],
	[
		'Postgres, by pg',
		POSTGRES,
		async () => {
			const client = new Pool({ connectionString: database.url });
			return migrated(
				new PostgresStore({ client: closed(client, async () => client.end()) })
			);
		}
	],
	[
		'Postgres, by postgres',
		POSTGRES,
		async () => {
			const client = postgres(database.url, { onnotice: () => undefined });
			return migrated(
				new PostgresStore({ client: closed(client, async () => client.end()) })
			);
		}
	],
	[
		'MariaDB, by mysql2',
		MARIADB,
		async () => {
			const client = createPool(mysql.url);
			return migrated(new MySqlStore({ client: closed(client, async () => client.end()) }));
		}
	],
	[
		'MariaDB, by mariadb',
		MARIADB,
		async () => {
			const client = createMariaDbPool(mysql.url.replace('mysql:', 'mariadb:'));
			return migrated(new MySqlStore({ client: closed(client, async () => client.end()) }));
		}
	],
	[
		'SQLite',
		{ version: expect.stringMatching(/^SQLite 3\.\d+/) as string },
		() => {
			const store = new SqliteStore({ database: ':memory:' });
			return closed(store, () => {
				store.close();
			});
		}
	]
];

test.each(STORES)('%s is sound, and tells its version', async (_, info, open) => {
	const store = await open();
	const health = await sessions({ secret: SECRET, store }).health();
	expect(health).toEqual({ writable: true, latency: expect.any(Number) as number, ...info });
});

test('a replica of Redis is not writable, and a full server is not, either', async () => {
	const client = new Redis(url());
	closing.push(() => {
		client.disconnect();
	});
	const health = sessions({ secret: SECRET, store: new RedisStore({ client }) });
	await client.replicaof('127.0.0.1', 1);
	// A server that has lost its primary serves what it has.
	await client.config('SET', 'replica-serve-stale-data', 'yes');
	expect(await health.health()).toMatchObject({
		writable: false,
		latency: expect.any(Number) as number,
		error: { code: 'store_failed' },
		...REDIS
	});
	await client.replicaof('NO', 'ONE');
	expect(await health.health()).toMatchObject({ writable: true });
	await client.config('SET', 'maxmemory', '1');
	expect(await health.health()).toMatchObject({ writable: false, error: { code: 'store_full' } });
	await client.config('SET', 'maxmemory', '0');
});

test('a server that is gone is not writable, and has no latency', async () => {
	const client = new Redis(1, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: null });
	client.on('error', () => undefined);
	const health = await sessions({ secret: SECRET, store: new RedisStore({ client }) }).health();
	expect(health).toMatchObject({
		writable: false,
		latency: undefined,
		error: { code: 'store_failed' }
	});
	expect(health.version).toBeUndefined();
});
