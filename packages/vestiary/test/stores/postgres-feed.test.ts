import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ConfigError, sessions, sveltekitSessionHandle } from '../../src/index.js';
import { PostgresStore, type PostgresStoreOptions } from '../../src/stores/postgres.js';
import type { AtomicOperations } from '../../src/types.js';
import { testEvent } from '../event.js';
import { loggedIn } from '../visits.js';
import { startPgBouncer, startPostgres, type PostgresServer } from './postgres-server.js';
import { SilentProxy } from './silent-proxy.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';
const NEWER = RECORD.replace(/A{16}/, 'B'.repeat(16));
const LIST = '{"v":"AAAAAAAAAAAAAAAA","sessions":{},"ended":';

type Client = PostgresStoreOptions['client'];

let server: PostgresServer;
let pooler: PostgresServer;
let admin: pg.Pool | undefined;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
	server = await startPostgres();
	pooler = await startPgBouncer(server);
});

afterAll(async () => {
	await Promise.allSettled(closing.map(async (close) => close()));
	await pooler.stop();
	await server.stop();
});

function poolOf({ url }: Pick<PostgresServer, 'url'> = server, max = 5): pg.Pool {
	const pool = new pg.Pool({ connectionString: url, max });
	pool.on('error', () => undefined);
	closing.push(async () => pool.end());
	return pool;
}

function postgresOf(): postgres.Sql {
	const sql = postgres(server.url, { max: 5, onnotice: () => undefined, backoff: () => 0.05 });
	closing.push(async () => sql.end());
	return sql;
}

const CLIENTS: Record<string, () => Promise<Client>> = {
	// Its only connection is for the store.
	'a Pool of pg': async () => poolOf(server, 1),
	'a Client of pg': async () => {
		const client = new pg.Client({ connectionString: server.url });
		client.on('error', () => undefined);
		closing.push(async () => client.end());
		await client.connect();
		return client;
	},
	'postgres.js': async () => postgresOf(),
	PGlite: async () => {
		const database = await PGlite.create();
		closing.push(async () => database.close());
		return database;
	}
};

let tables = 0;

function tableOf(): string {
	return `Sessions "${++tables}" 'é'`;
}

function operationsOf(store: PostgresStore): Required<AtomicOperations> {
	return store.atomic as Required<AtomicOperations>;
}

/** The connection that listens to the channel of the table `$1`. */
const LISTENS = `query ~* '^listen' AND strpos(query, replace($1, '"', '')) > 0`;

const WAIT = { timeout: 30_000 };

/** The number of connections that listen to the channel of a table. */
async function listening(table: string): Promise<number | null> {
	admin ??= poolOf();
	const found = await admin.query(`SELECT FROM pg_stat_activity WHERE ${LISTENS}`, [table]);
	return found.rowCount;
}

/** The names that a feed has told so far, and those that it waits for. */
class Told {
	readonly names: string[] = [];
	lost = 0;

	readonly listener = {
		changed: (name: string): void => {
			this.names.push(name);
		},
		lost: (): void => {
			this.lost++;
		}
	};

	async count(count: number): Promise<void> {
		await expect.poll(() => this.names.length, WAIT).toBe(count);
	}
}

describe.each(Object.entries(CLIENTS))('the feed of Postgres with %s', (name, connect) => {
	test('tells of each replaced and removed record, and of nothing else', async () => {
		const client = await connect();
		const table = tableOf();
		const store = new PostgresStore({ client, table, feed: true });
		await store.migrate();
		// With PGlite there is no other process.
		const writer = name === 'PGlite' ? client : poolOf();
		const other = operationsOf(new PostgresStore({ client: writer, table, feed: true }));
		const silent = operationsOf(new PostgresStore({ client: writer, table }));
		const atomic = operationsOf(store);
		const told = new Told();
		const stop = await atomic.watch(told.listener);
		await other.create('one', RECORD, 60_000, true);
		await other.touch('one', 60_000, 'A'.repeat(16));
		await silent.replace('one', 'A'.repeat(16), RECORD, 60_000);
		expect(await other.replace('one', 'C'.repeat(16), RECORD, 60_000)).toBe('conflict');
		expect(await other.replace('none', 'A'.repeat(16), RECORD, 60_000)).toBe('gone');
		expect(await other.replace('one', 'A'.repeat(16), NEWER, 60_000)).toBe('done');
		await told.count(1);
		expect(await other.stamp('list', LIST, 60_000)).not.toBeNull();
		await told.count(2);
		expect(await other.remove('one', 'B'.repeat(16))).toBe('done');
		await told.count(3);
		const [one, list] = await Promise.all([atomic.nameOf('one'), atomic.nameOf('list')]);
		expect(told.names).toEqual([one, list, one]);
		// The SHA-256 of `sess:one`, as in the Rust crate.
		expect(one).toBe('a837cd2f1d97e63adc432b45145d4227e56baba6e67d33cbf9176baca7ea840f');
		stop();
		// What comes after it on the same connection would have been told before the last one.
		await other.stamp('list', LIST, 60_000);
		// Until the server has heard that, it would tell the next listener on this connection of the record, too.
		if (name !== 'PGlite') await expect.poll(() => listening(table), WAIT).toBe(0);
		const last = new Told();
		const leave = await atomic.watch(last.listener);
		await other.stamp('list', LIST, 60_000);
		await last.count(1);
		expect(told.names).toHaveLength(3);
		expect(told.lost).toBe(0);
		leave();
	});

	// The connection of PGlite is not lost.
	if (name === 'PGlite') return;

	test('the listener learns of a lost connection', async () => {
		const client = await connect();
		const table = tableOf();
		const store = new PostgresStore({ client, table, feed: true });
		await store.migrate();
		const told = new Told();
		await operationsOf(store).watch(told.listener);
		const { rowCount } = await poolOf().query(
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${LISTENS}`,
			[table]
		);
		expect(rowCount).toBe(1);
		await expect.poll(() => told.lost, WAIT).toBe(1);
	});
});

test.each<[string, (url: string) => Promise<Client>]>([
	['a Pool of pg', async (url) => poolOf({ url })],
	[
		'a Client of pg',
		async (url) => {
			const client = new pg.Client({ connectionString: url });
			client.on('error', () => undefined);
			await client.connect();
			return client;
		}
	]
])('%s notices that its connection was cut off without a word', async (_, connect) => {
	const url = new URL(server.url);
	const proxy = await SilentProxy.launch(Number(url.port));
	url.hostname = '127.0.0.1';
	url.port = String(proxy.port);
	const store = new PostgresStore({ client: await connect(url.href), feed: true });
	const told = new Told();
	await operationsOf(store).watch(told.listener);
	proxy.silence();
	await expect.poll(() => told.lost, WAIT).toBe(1);
	await proxy.stop();
});

test('a session that another process has ended ends its stream here, also behind PgBouncer', async () => {
	const table = tableOf();
	const here = new PostgresStore({ client: poolOf(pooler), table, feed: { client: poolOf() } });
	const there = new PostgresStore({ client: poolOf(pooler), table, feed: true });
	await here.migrate();
	// The store is not asked by itself while the test runs.
	const options = { secret: SECRET, name: 'sid', store: here, recheckAfter: 300 };
	const cookie = await loggedIn(options);
	const { event } = testEvent(cookie);
	let signal = AbortSignal.abort();
	const resolve = (): Response => {
		({ signal } = event.locals.session);
		return new Response();
	};
	await sveltekitSessionHandle(options)({ event, resolve });
	expect(signal.aborted).toBe(false);
	const ended = new Promise((end) => {
		signal.addEventListener('abort', end);
	});
	await expect.poll(() => listening(table), WAIT).toBe(1);
	await sessions({ ...options, store: there })
		.of('ada')
		.revokeAll();
	await ended;
});

test.each<[string, object, RegExp]>([
	[
		'a client that cannot listen',
		{ feed: true, client: { query: async () => [] } },
		/can listen/
	],
	['a client in place of its options', { feed: { query: async () => [] } }, /\{ client \}/],
	['no client', { feed: {} }, /can listen/],
	['a number', { feed: 1 }, /must be an object/],
	['an unknown option', { feed: { clients: {} } }, /did you mean `feed.client`/]
])('%s is refused at once', (_, given, message) => {
	const client = new pg.Pool();
	expect(() => new PostgresStore({ client, ...given })).toThrow(ConfigError);
	expect(() => new PostgresStore({ client, ...given })).toThrow(message);
});
