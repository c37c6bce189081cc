import * as mariadb from 'mariadb';
import { createPool, type Pool } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { StoreError, type SessionStoreData, type Store } from '../../src/index.js';
import { MySqlStore, type MySqlStoreOptions } from '../../src/stores/mysql.js';
import { testAtomicStore } from '../../src/testing.js';
import { visit, visitor, type Data } from '../visits.js';
import { startGalera, type GaleraCluster } from './galera-server.js';

/* A cluster of MariaDB (Galera), whose two servers both take writes. */

const SECRET = '0123456789abcdef0123456789abcdef';
const A = 'A'.repeat(16);
const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';

let cluster: GaleraCluster;
const closing: (() => Promise<unknown>)[] = [];

type Client = MySqlStoreOptions['client'];

const CLIENTS: Record<string, (port: number) => Client> = {
	mysql2: (port) => mysqlOf(port),
	mariadb: (port) => {
		const pool = mariadb.createPool({ ...at(port), connectionLimit: 5 });
		closing.push(async () => pool.end());
		return pool;
	}
};

const at = (port: number) => ({ host: '127.0.0.1', port, user: 'app', database: 'app' });

function mysqlOf(port: number): Pool {
	const pool = createPool({ ...at(port), connectionLimit: 5 });
	closing.push(async () => pool.end());
	return pool;
}

/** A store on each server of the cluster. */
async function stores(table: string, client = mysqlOf as (port: number) => Client) {
	const [one, other] = cluster.servers.map(
		({ port }) => new MySqlStore({ client: client(port), table, feed: true })
	);
	await one?.migrate();
	if (!one || !other) throw new Error('a cluster has two servers');
	return [one, other] as const;
}

beforeAll(async () => {
	cluster = await startGalera();
}, 120_000);

afterAll(async () => {
	await Promise.allSettled(closing.map(async (close) => close()));
	await cluster.stop();
});

for (const [name, connect] of Object.entries(CLIENTS)) {
	let made: Promise<Store> | undefined;
	const factory = async (): Promise<Store> =>
		(made ??= stores(`of_${name}`, connect).then(([one, other]) => inTurns(one, other)));
	const runner = { describe, test: test.concurrent };
	testAtomicStore(`MySqlStore in a cluster, each call by the other server, ${name}`, factory, {
		runner
	});
}

describe('MySqlStore in a cluster', () => {
	// On a busy machine, a server that applies the other one's writes late may be outrun in each attempt.
	test('requests to both servers lose no update, and one that fails has written nothing', async () => {
		const [one, other] = await stores('updates');
		const cookie = await visitor({ secret: SECRET, store: one }, { n: 0 });
		const loads = Array.from({ length: 8 }, async (_, load) => {
			const app = { secret: SECRET, store: load % 2 === 0 ? one : other };
			for (let request = 0; request < 20; request++)
				await untilFaster(async () => {
					await visit(
						app,
						async (session) => session.update(({ n = 0 }: Data) => ({ n: n + 1 })),
						cookie
					);
				});
		});
		await Promise.all(loads);
		for (const store of [one, other]) {
			const app = { secret: SECRET, store };
			const { session } = await visit(app, async () => undefined, cookie);
			expect(session.data).toEqual({ n: 160 });
		}
	});

	test('a server knows at once what the other one has created and ended', async () => {
		const [one, other] = await stores('at_once');
		for (let n = 0; n < 100; n++) {
			const id = `session ${n}`;
			expect(await one.atomic?.create(id, RECORD, 60_000, false)).toBe(true);
			expect(await other.atomic?.remove(id, A)).toBe('done');
			expect(await one.atomic?.read(id)).toBeNull();
			await one.set(id, JSON.parse(RECORD) as SessionStoreData, 60_000);
			await other.destroy(id);
			expect(await one.get(id)).toBeNull();
		}
	});

	test('a server that is behind waits, and does not take a session for missing', async () => {
		const [one, other] = await stores('behind');
		const { port } = cluster.servers[1];
		const client = mysqlOf(port);
		const connection = await client.getConnection();
		// It applies no more writes until the tables are unlocked.
		await connection.query('FLUSH TABLES WITH READ LOCK');
		await one.atomic?.create('id', RECORD, 60_000, false);
		const [rows] = await client.query('SELECT record FROM behind');
		expect(rows).toEqual([]);
		const reading = other.atomic?.read('id');
		await connection.query('UNLOCK TABLES');
		connection.release();
		expect(await reading).toBe(RECORD);
	});

	test('a server that refuses requests, as one without the others does, is no empty one', async () => {
		const [one] = await stores('refusing');
		await one.atomic?.create('id', RECORD, 60_000, false);
		const admin = await mysqlOf(cluster.servers[0].port).getConnection();
		await admin.query('SET GLOBAL wsrep_reject_queries = ALL');
		await expect(one.get('id')).rejects.toMatchObject({ errno: 1_047 });
		await expect(one.atomic?.remove('id', A)).rejects.toMatchObject({ errno: 1_047 });
		await admin.query('SET GLOBAL wsrep_reject_queries = NONE');
		admin.release();
		expect(await one.atomic?.read('id')).toBe(RECORD);
	});
});

/** A store whose calls go to one store and to the other in turns. */
function inTurns(one: Store, other: Store): Store {
	const { atomic } = other;
	if (!one.atomic || !atomic) throw new Error('the stores are atomic');
	const store = alternating(one, other);
	return {
		get: async (id) => store.get(id),
		set: async (id, data, ttl) => store.set(id, data, ttl),
		destroy: async (id) => store.destroy(id),
		touch: async (id, ttl) => store.touch(id, ttl),
		atomic: alternating(one.atomic, atomic)
	};
}

/** Functions that run on one object and on the other in turns. */
function alternating<T extends object>(one: T, other: T): T {
	let turn = 0;
	return new Proxy(one, {
		get: (_, key): unknown => {
			const value: unknown = Reflect.get(one, key);
			if (typeof value !== 'function') return value;
			return (...given: unknown[]): unknown => {
				const target = turn++ % 2 === 0 ? one : other;
				return Reflect.apply(Reflect.get(target, key) as () => unknown, target, given);
			};
		}
	});
}

/** Repeats a change that other requests have outrun. */
async function untilFaster(change: () => Promise<void>): Promise<void> {
	for (;;)
		try {
			await change();
			return;
		} catch (error) {
			if (!(error instanceof StoreError && error.code === 'store_busy')) throw error;
		}
}
