import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { createClient } from '@libsql/client';
import { connect } from '@tursodatabase/database';
import BetterSqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	StoreError,
	sveltekitSessionHandle,
	type SessionEvent,
	type Store
} from '../../src/index.js';
import DefaultStore, { SqliteStore } from '../../src/stores/sqlite.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { startLibsql, type LibsqlServer } from './libsql-server.js';
import { touchesInOneCall } from './touching.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const record = { cookie: { path: '/' }, data: {} };

type Writes = Record<'replace' | 'remove', () => unknown>;

let folder: string;
let libsql: LibsqlServer;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'vestiary-sqlite-'));
	libsql = await startLibsql();
});

afterAll(async () => {
	await libsql.stop();
	await rm(folder, { recursive: true, force: true });
});

const STORES: Record<string, () => Store | Promise<Store>> = {
	MemoryStore: () => new MemoryStore(),
	SqliteStore: () => new SqliteStore({ database: join(folder, 'suite.db'), feed: true }),
	'SqliteStore in memory': () =>
		new SqliteStore({ database: new DatabaseSync(':memory:'), feed: true }),
	'SqliteStore with better-sqlite3': () =>
		new SqliteStore({ database: new BetterSqlite(join(folder, 'better.db')), feed: true }),
	'SqliteStore with @libsql/client': () =>
		new SqliteStore({
			database: createClient({ url: `file:${join(folder, 'libsql.db')}` }),
			feed: true
		}),
	'SqliteStore with @libsql/client, over HTTP': () =>
		new SqliteStore({ database: createClient({ url: libsql.url }), feed: true }),
	'SqliteStore with @tursodatabase/database': async () =>
		new SqliteStore({ database: await connect(join(folder, 'turso.db')), feed: true })
};

for (const [name, factory] of Object.entries(STORES)) {
	testStore(name, factory, { runner: { describe, test } });
	testAtomicStore(name, factory, { runner: { describe, test } });
}

describe('SqliteStore', () => {
	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall(new SqliteStore({ database: ':memory:' }));
	});

	test('is the default export, too', () => {
		expect(DefaultStore).toBe(SqliteStore);
	});

	test('sessions survive a restart', async () => {
		const database = join(folder, 'restart.db');
		const before = new SqliteStore({ database });
		await before.set('id', record, 60_000);
		before.close();
		expect(await new SqliteStore({ database }).get('id')).toEqual(record);
	});

	test('expired records are removed by later writes', async () => {
		const database = new DatabaseSync(':memory:');
		const store = new SqliteStore({ database });
		for (let n = 0; n < 50; n++) await store.set(`old-${n}`, record, 1);
		await new Promise((resolve) => setTimeout(resolve, 20));
		for (let n = 0; n < 5; n++) await store.set(`new-${n}`, record, 60_000);
		const rows = database.prepare('SELECT count(*) AS n FROM sessions').get();
		expect(rows).toEqual({ n: 5 });
	});

	test('a table of another name, and no other SQL', async () => {
		const database = new DatabaseSync(':memory:');
		await new SqliteStore({ database, table: 'visitors' }).set('id', record, 60_000);
		expect(await new SqliteStore({ database }).get('id')).toBeNull();
		expect(() => new SqliteStore({ database, table: 'x; DROP TABLE visitors' })).toThrow(
			ConfigError
		);
	});

	test("a file that it makes is its owner's alone; one that is there stays as it is", async () => {
		const mode = async (name: string): Promise<number> =>
			(await stat(join(folder, name))).mode & 0o777;
		const store = new SqliteStore({ database: join(folder, 'private.db') });
		await store.set('id', { cookie: { path: '/' }, data: {} }, 60_000);
		expect([await mode('private.db'), await mode('private.db-wal')]).toEqual([0o600, 0o600]);
		await writeFile(join(folder, 'there.db'), '', { mode: 0o640 });
		await new SqliteStore({ database: join(folder, 'there.db') }).get('id');
		expect(await mode('there.db')).toBe(0o640);
	});

	test('opens nothing before it is asked, and says what to do if it cannot', async () => {
		const database = join(folder, 'later.db');
		const store = new SqliteStore({ database });
		const handle = sveltekitSessionHandle({ secret: SECRET, store });
		await expect(stat(database)).rejects.toMatchObject({ code: 'ENOENT' });
		// A visitor without a cookie does not create it, either.
		const { event } = testEvent();
		await handle({ event, resolve: async () => new Response() });
		await expect(stat(database)).rejects.toMatchObject({ code: 'ENOENT' });
		await store.get('id');
		expect((await stat(database)).mode & 0o777).toBe(0o600);

		const missing = new SqliteStore({ database: join(folder, 'missing', 'sessions.db') });
		const error: unknown = await missing.get('id').catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(StoreError);
		expect(error).toMatchObject({
			code: 'store_failed',
			message: expect.stringContaining('its folder does not exist: make it') as string,
			cause: { code: 'SQLITE_CANTOPEN' }
		});
		// Once it is there, so is the store.
		await mkdir(join(folder, 'missing'));
		expect(await missing.get('id')).toBeNull();
		const none = new SqliteStore({ database: folder });
		await expect(none.get('id')).rejects.toThrow('must be able to read and write');
		const closed = new SqliteStore({ database: join(folder, 'closed.db') });
		closed.close();
		await expect(closed.get('id')).rejects.toBeInstanceOf(StoreError);
	});

	test('while another process writes, it waits without holding up the process, and writes then', async () => {
		const database = join(folder, 'locked.db');
		const store = new SqliteStore({ database });
		await store.set('id', record, 60_000);
		const other = new DatabaseSync(database);
		other.exec('BEGIN IMMEDIATE');
		let done = false;
		const writing = store.set('id', { ...record, data: { n: 1 } }, 60_000).then(() => {
			done = true;
		});
		// Readers wait for no writer, and timers run.
		expect(await store.get('id')).toEqual(record);
		await new Promise((resolve) => setTimeout(resolve, 5));
		expect(done).toBe(false);
		other.exec('COMMIT');
		await writing;
		expect(await store.get('id')).toEqual({ ...record, data: { n: 1 } });
		other.close();
	});

	test('a lock that lasts longer than `storeTimeout` is an error after it, and nothing is done', async () => {
		const database = join(folder, 'held.db');
		const store = new SqliteStore({ database });
		const events: string[] = [];
		const options = {
			secret: SECRET,
			store,
			storeTimeout: 200,
			onEvent: ({ type }: SessionEvent) => events.push(type)
		};
		const login = testEvent();
		const session = await Session.initialize(login.event, options);
		await session.save();
		const before = await store.get(session.id);
		const other = new DatabaseSync(database);
		other.exec('BEGIN IMMEDIATE');
		await session.setData({ n: 1 });
		for (const attempt of [() => session.save(), () => session.destroy()]) {
			let ticks = 0;
			const ticking = setInterval(() => ticks++, 1);
			const { atomic } = store;
			const writes = [vi.spyOn(atomic as object as Writes, 'replace')];
			writes.push(vi.spyOn(atomic as object as Writes, 'remove'));
			const error: unknown = await attempt().catch((thrown: unknown) => thrown);
			clearInterval(ticking);
			expect(error).toMatchObject({ code: 'store_timeout', cause: { code: 'SQLITE_BUSY' } });
			// One try, and not one for each step of the write protocol.
			expect(writes.flatMap(({ mock }) => mock.calls)).toHaveLength(1);
			writes.forEach((spy) => {
				spy.mockRestore();
			});
			expect(ticks).toBeGreaterThan(0);
		}
		other.exec('COMMIT');
		other.close();
		expect(await store.get(session.id)).toEqual(before);
	});
});

test('a value that is no text is an unreadable record, and fails no request', async () => {
	const file = join(folder, 'blob.db');
	const events: string[] = [];
	const handle = sveltekitSessionHandle({
		secret: SECRET,
		store: new SqliteStore({ database: file }),
		onEvent: ({ type }) => events.push(type)
	});
	const first = testEvent();
	let id = '';
	const response = await handle({
		event: first.event,
		resolve: async (event) => {
			await event.locals.session.setData({ n: 1 });
			await event.locals.session.save();
			({ id } = event.locals.session);
			return new Response();
		}
	});
	const [cookie = ''] = (response.headers.get('set-cookie') ?? '').split(';');
	const database = new DatabaseSync(file);
	const update = database.prepare('UPDATE sessions SET record = ? WHERE key = ?');
	for (const value of [Buffer.from([0x7b, 0xff]), Buffer.from('nonsense')]) {
		update.run(value, `sess:${id}`);
		const { event } = testEvent(cookie);
		await handle({
			event,
			resolve: async ({ locals }) => {
				expect(locals.session.data).toEqual({});
				return new Response();
			}
		});
		expect(events).toContain('unreadable');
		events.length = 0;
	}
	database.close();
});
