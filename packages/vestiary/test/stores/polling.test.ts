import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { createClient } from '@libsql/client';
import BetterSqlite from 'better-sqlite3';
import * as mysql2 from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sessions, sveltekitSessionHandle, type Store } from '../../src/index.js';
import { MySqlStore } from '../../src/stores/mysql.js';
import { SqliteStore } from '../../src/stores/sqlite.js';
import { testEvent } from '../event.js';
import { loggedIn } from '../visits.js';
import { startLibsql, type LibsqlServer } from './libsql-server.js';
import { startMySql, type MySqlServer } from './mysql-server.js';

/* Stores without messages are polled. The stores of a test do not share their state: each is a process of its own. */

const SECRET = '0123456789abcdef0123456789abcdef';

let folder: string;
let libsql: LibsqlServer;
let mysql: MySqlServer;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'vestiary-polling-'));
	libsql = await startLibsql();
	mysql = await startMySql();
});

afterAll(async () => {
	await Promise.allSettled(closing.map(async (close) => close()));
	await Promise.all([libsql.stop(), mysql.stop()]);
	await rm(folder, { recursive: true, force: true });
});

async function mysqlStore(): Promise<MySqlStore> {
	const client = mysql2.createPool({ uri: mysql.url, connectionLimit: 2 });
	closing.push(async () => client.end());
	const store = new MySqlStore({ client, feed: { every: 200 } });
	await store.migrate();
	return store;
}

const shared = new DatabaseSync(':memory:');

const STORES: Record<string, () => Store | Promise<Store>> = {
	'SQLite, a file': () => new SqliteStore({ database: join(folder, 'file.db'), feed: true }),
	'SQLite, one database for all': () => new SqliteStore({ database: shared, feed: true }),
	'SQLite, better-sqlite3': () =>
		new SqliteStore({ database: new BetterSqlite(join(folder, 'better.db')), feed: true }),
	'libSQL, a file': () =>
		new SqliteStore({
			database: createClient({ url: `file:${join(folder, 'libsql.db')}` }),
			feed: true
		}),
	'libSQL, a server': () =>
		new SqliteStore({ database: createClient({ url: libsql.url }), feed: true }),
	MySQL: mysqlStore
};

describe.each(Object.entries(STORES))('the feed of %s', (_, connect) => {
	test('ends the streams of the sessions that another process has ended', async () => {
		const [here, there] = [await connect(), await connect()];
		// The store is not asked by itself while the test runs.
		const options = { secret: SECRET, name: 'sid', store: here, recheckAfter: 300 };
		const signals = await Promise.all(
			['ada', 'ada', 'eve'].map(async (user) =>
				signalOf(options, await loggedIn(options, user))
			)
		);
		const [ada, other, eve] = signals;
		const away = sessions({ ...options, store: there });
		const [first] = await away.of('ada').list();
		await away.of('ada').revoke(first?.handle ?? '');
		await expect.poll(() => aborted(ada, other), PATIENCE).toBe(1);
		await away.of('ada').revokeAll();
		await expect.poll(() => aborted(ada, other), PATIENCE).toBe(2);
		expect(eve?.aborted).toBe(false);
		await away.of('eve').revokeAll();
		await expect.poll(() => eve?.aborted, PATIENCE).toBe(true);
	});
});

const PATIENCE = { timeout: 60_000 };

function aborted(...signals: (AbortSignal | undefined)[]): number {
	return signals.filter((signal) => signal?.aborted).length;
}

async function signalOf(
	options: Parameters<typeof sveltekitSessionHandle>[0],
	cookie: string
): Promise<AbortSignal | undefined> {
	const { event } = testEvent(cookie);
	let signal: AbortSignal | undefined;
	const resolve = (): Response => {
		({ signal } = event.locals.session);
		return new Response();
	};
	await sveltekitSessionHandle(options)({ event, resolve });
	return signal;
}

test('a process that looks only for changes when there are some reads no record', async () => {
	const database = join(folder, 'idle.db');
	const file = new DatabaseSync(database);
	const read: string[] = [];
	const counted = new Proxy(file, {
		get: (target, name) => {
			const value: unknown = Reflect.get(target, name);
			if (typeof value !== 'function') return value;
			return (...given: unknown[]): unknown => {
				if (name === 'prepare') read.push(String(given[0]));
				return Reflect.apply(value as () => unknown, target, given);
			};
		}
	});
	const { atomic } = new SqliteStore({ database: counted, feed: true });
	const other = new SqliteStore({ database });
	const state = async (): Promise<string | undefined> => atomic?.polling?.state?.();
	const record = { cookie: { path: '/' }, data: {} };
	const before = await state();
	expect(await state()).toBe(before);
	await other.set('id', record, 60_000);
	const after = await state();
	expect(after).not.toBe(before);
	expect(await state()).toBe(after);
	expect(read.some((sql) => sql.includes('json_each'))).toBe(false);
});
