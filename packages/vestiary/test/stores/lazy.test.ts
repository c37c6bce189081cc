import { connect as connectTo, createServer, type AddressInfo } from 'node:net';

import pg from 'pg';
import postgres from 'postgres';
import { createStorage } from 'unstorage';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { Session, StoreError, sveltekitSessionHandle, type Store } from '../../src/index.js';
import { D1Store, type D1Binding } from '../../src/stores/d1.js';
import {
	DurableObjectStore,
	type SessionNamespace,
	type SessionStub
} from '../../src/stores/durable-objects.js';
import { PostgresStore, type PostgresStoreOptions } from '../../src/stores/postgres.js';
import { UnstorageStore, type UnstorageClient } from '../../src/stores/unstorage.js';
import { testEvent } from '../event.js';
import { startPostgres, type PostgresServer } from './postgres-server.js';

const SECRET = '0123456789abcdef0123456789abcdef';

/** Makes a handle with a store, and lets it answer a visitor without a cookie. */
async function serve(store: Store): Promise<void> {
	const handle = sveltekitSessionHandle({ secret: SECRET, store });
	await handle({ event: testEvent().event, resolve: async () => new Response() });
}

/** Reads a session that is in a cookie, as a request does. */
async function load(store: Store, cookie: string): Promise<Session> {
	return Session.initialize(testEvent(cookie).event, { secret: SECRET, store });
}

/** The signed cookie of a session that no store has. */
async function someCookie(): Promise<string> {
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, { secret: SECRET });
	await session.save();
	return `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
}

/** Whether a program accepts connections there. A killed server's last process can do so for a moment. */
async function listens(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connectTo(port, '127.0.0.1');
		socket.once('error', () => {
			resolve(false);
		});
		socket.once('connect', () => {
			socket.destroy();
			resolve(true);
		});
	});
}

/** A client whose calls are counted, and fail until its server is there. */
class Late {
	calls = 0;
	isThere = false;

	call<T>(answer: T): Promise<T> {
		this.calls++;
		return this.isThere ? Promise.resolve(answer) : Promise.reject(new Error('down'));
	}
}

const STORES: Record<string, (late: Late) => Store> = {
	PostgresStore: (late) =>
		new PostgresStore({ client: { query: () => late.call({ rows: [] }) } }),
	D1Store: (late) => {
		const statement: ReturnType<D1Binding['prepare']> = {
			bind: () => statement,
			all: () => late.call({ results: [] }),
			run: () => late.call({ meta: {} })
		};
		return new D1Store({ client: { prepare: () => statement } });
	},
	DurableObjectStore: (late) => {
		const stub = { read: () => late.call(null) } as unknown as SessionStub;
		const client: SessionNamespace = { idFromName: () => ({}), get: () => stub };
		return new DurableObjectStore({ client });
	},
	UnstorageStore: (late) => {
		const storage = createStorage();
		const client: UnstorageClient = {
			getItem: () => late.call(null),
			setItem: (key, value) => storage.setItem(key, value as Record<string, string>),
			removeItem: (key) => storage.removeItem(key)
		};
		return new UnstorageStore({ client });
	}
};

describe.each(Object.entries(STORES))('%s', (_, make) => {
	test('asks nothing before a visitor has a session, and fails and recovers with its server', async () => {
		const late = new Late();
		const store = make(late);
		await serve(store);
		expect(late.calls).toBe(0);
		const cookie = await someCookie();
		const error: unknown = await load(store, cookie).catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(StoreError);
		expect(error).toMatchObject({ code: 'store_failed' });
		late.isThere = true;
		expect((await load(store, cookie)).isNew).toBe(true);
	});
});

describe('PostgresStore with a real server', () => {
	const closing: (() => Promise<unknown>)[] = [];
	let server: PostgresServer;

	beforeAll(async () => {
		server = await startPostgres();
	});
	afterAll(() => server.stop());
	afterEach(async () => {
		await Promise.allSettled(closing.splice(0).map(async (close) => close()));
	});

	function poolOf(options: pg.PoolConfig): pg.Pool {
		const pool = new pg.Pool(options);
		pool.on('error', () => undefined);
		closing.push(async () => pool.end());
		return pool;
	}

	function postgresOf(url: string): postgres.Sql {
		const sql = postgres(url, { onnotice: () => undefined, backoff: () => 0 });
		closing.push(async () => sql.end({ timeout: 0 }));
		return sql;
	}

	test.each<[string, (url: string) => PostgresStoreOptions['client']]>([
		['pg', (connectionString) => poolOf({ connectionString })],
		['postgres.js', postgresOf]
	])('%s: no connection before a visitor has a session', async (_, connect) => {
		let connections = 0;
		const listener = createServer((socket) => {
			connections++;
			socket.destroy();
		});
		await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
		const { port } = listener.address() as AddressInfo;
		const store = new PostgresStore({ client: connect(`postgres://app@127.0.0.1:${port}/db`) });
		await serve(store);
		expect(connections).toBe(0);
		await expect(load(store, await someCookie())).rejects.toBeInstanceOf(StoreError);
		expect(connections).toBeGreaterThan(0);
		await new Promise((resolve) => listener.close(resolve));
	});

	test.each<[string, (url: string) => PostgresStoreOptions['client']]>([
		['pg', (connectionString) => poolOf({ connectionString })],
		['postgres.js', postgresOf]
	])('%s: a server that starts later is found without a restart', async (_, connect) => {
		const late = await startPostgres();
		await late.kill();
		await expect.poll(async () => listens(late.port)).toBe(false);
		const store = new PostgresStore({ client: connect(late.url) });
		try {
			await expect(load(store, await someCookie())).rejects.toMatchObject({
				code: 'store_failed',
				cause: { code: 'ECONNREFUSED' }
			});
			await late.start();
			await store.migrate();
			expect((await load(store, await someCookie())).isNew).toBe(true);
		} finally {
			await late.stop();
		}
	});

	test('a wrong password is a typed error without it, until it is corrected', async () => {
		const admin = poolOf({ connectionString: server.url });
		await admin.query("CREATE ROLE visitor LOGIN PASSWORD 'the right one'");
		await new PostgresStore({ client: admin }).migrate();
		await admin.query('GRANT ALL ON sessions TO visitor');
		const { rows } = await admin.query<{ hba_file: string }>('SHOW hba_file');
		const rules = ['host all visitor all scram-sha-256', 'host all all all trust'];
		const values = rules.map((rule) => `('${rule}')`).join(', ');
		await admin.query(`COPY (VALUES ${values}) TO '${rows[0]?.hba_file ?? ''}'`);
		await admin.query('SELECT pg_reload_conf()');
		let password = 'a canary';
		const client = poolOf({
			host: '127.0.0.1',
			port: server.port,
			user: 'visitor',
			database: 'postgres',
			password: () => password
		});
		const store = new PostgresStore({ client });
		const cookie = await someCookie();
		// The server reads its rules a moment later.
		const error = (): Promise<unknown> =>
			load(store, cookie).catch((thrown: unknown) => thrown);
		await expect.poll(error, { timeout: 20_000 }).toBeInstanceOf(StoreError);
		expect(await error()).toMatchObject({ code: 'store_failed', cause: { code: '28P01' } });
		expect(String(await error())).not.toContain('canary');
		password = 'the right one';
		expect((await load(store, cookie)).isNew).toBe(true);
	});
});
