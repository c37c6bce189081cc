import { getTableName, sql } from 'drizzle-orm';
import {
	bigint,
	customType,
	getTableConfig,
	index,
	mysqlTable,
	varbinary
} from 'drizzle-orm/mysql-core';
import { drizzle } from 'drizzle-orm/mysql2';
import * as mariadb from 'mariadb';
import * as callbacks from 'mysql2';
import * as mysql2 from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { ConfigError, Session, sessions, StoreError } from '../../src/index.js';
import { refusalOf } from '../../src/refusal.js';
import DefaultStore, { MySqlStore, type MySqlStoreOptions } from '../../src/stores/mysql.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { counting } from './counting.js';
import { isMySql, startMySql, type MySqlServer } from './mysql-server.js';
import { planetScaleOf } from './planetscale.js';
import { freePort } from './servers.js';
import { eachOperation } from './rounds.js';
import { touchesInOneCall } from './touching.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';
const A = 'A'.repeat(16);

let server: MySqlServer;
const closing: (() => Promise<unknown>)[] = [];

type Client = MySqlStoreOptions['client'];

/** The clients that an application may have, each connected when it is used. */
const CLIENTS: Record<string, () => Client | Promise<Client>> = {
	'a pool of mysql2': () => poolOf(),
	'a pool of mysql2 with callbacks': () => callbackPoolOf(),
	'a connection of mysql2': async () => connectionOf(),
	'a pool of mariadb': () => mariadbOf(),
	'a connection of mariadb': async () => mariadbConnectionOf(),
	'the client of PlanetScale, whose server is simulated': () => planetScaleOf(poolOf())
};

function poolOf(options: mysql2.PoolOptions = {}, port = server.port): mysql2.Pool {
	const at = { host: '127.0.0.1', port, user: 'app', database: 'app', connectionLimit: 5 };
	const pool = mysql2.createPool({ ...at, ...options });
	closing.push(async () => pool.end());
	return pool;
}

function callbackPoolOf(): callbacks.Pool {
	const pool = callbacks.createPool({ uri: server.url, connectionLimit: 5 });
	closing.push(async () => pool.promise().end());
	return pool;
}

async function connectionOf(
	options: mysql2.ConnectionOptions = {},
	first?: string
): Promise<mysql2.Connection> {
	const at = { host: '127.0.0.1', port: server.port, user: 'app', database: 'app' };
	const connection = await mysql2.createConnection({ ...at, ...options });
	closing.push(async () => connection.end());
	if (first !== undefined) await connection.query(first);
	return connection;
}

function mariadbOf(options: mariadb.PoolConfig = {}, port = server.port): mariadb.Pool {
	const at = { host: '127.0.0.1', port, user: 'app', database: 'app', connectionLimit: 5 };
	const pool = mariadb.createPool({ ...at, ...options });
	closing.push(async () => pool.end());
	return pool;
}

async function mariadbConnectionOf(
	options: mariadb.ConnectionConfig = {}
): Promise<mariadb.Connection> {
	const at = { host: '127.0.0.1', port: server.port, user: 'app', database: 'app' };
	const connection = await mariadb.createConnection({ ...at, ...options });
	closing.push(async () => connection.end());
	return connection;
}

beforeAll(async () => {
	server = await startMySql();
});

afterAll(async () => {
	await Promise.allSettled(closing.map(async (close) => close()));
	await server.stop();
});

let tables = 0;

/** Modes that MySQL does not have. */
const MODES_OF_MARIADB = isMySql()
	? []
	: [
			"sql_mode = 'ORACLE,EMPTY_STRING_IS_NULL'",
			"sql_mode = 'TRADITIONAL,SIMULTANEOUS_ASSIGNMENT'"
		];

/** Rows for an `INSERT`. */
function rows(count: number, row: (n: number) => string): string {
	return Array.from({ length: count }, (_, n) => row(n + 1)).join(', ');
}

/** A store whose table exists. */
async function store(
	client: Client,
	options: Partial<MySqlStoreOptions> = {}
): Promise<MySqlStore> {
	const made = new MySqlStore({ client, table: `sessions_${++tables}`, ...options });
	await made.migrate();
	return made;
}

/** The atomic operations of a store whose table exists. */
async function atomicOf(
	client: Client,
	options: Partial<MySqlStoreOptions> = {}
): Promise<NonNullable<MySqlStore['atomic']>> {
	const { atomic } = await store(client, options);
	if (!atomic) throw new Error('the store is not atomic');
	return atomic;
}

for (const [name, connect] of Object.entries(CLIENTS)) {
	let made: Promise<MySqlStore> | undefined;
	const factory = async (): Promise<MySqlStore> =>
		(made ??= Promise.resolve(connect()).then(async (client) => store(client, { feed: true })));
	// At the same time, since most of them wait for the end of a record.
	const runner = { describe, test: test.concurrent };
	testStore(`MySqlStore with ${name}`, factory, { runner });
	testAtomicStore(`MySqlStore with ${name}`, factory, { runner });
}

describe('MySqlStore', () => {
	test('is the default export, too', () => {
		expect(DefaultStore).toBe(MySqlStore);
	});

	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall(await store(poolOf()));
	});

	test.each(['mysql2', 'mariadb'])(
		'%s reads, writes and logs in by one round trip each',
		async (name) => {
			const proxy = await counting(server.port);
			// Its pool opens more connections in the background, and pings one that has rested for half a second.
			const quiet = { connectionLimit: 1, minDelayValidation: 60_000 };
			const client =
				name === 'mysql2' ? poolOf({}, proxy.port) : mariadbOf(quiet, proxy.port);
			const atomic = await atomicOf(client);
			const id = 'A'.repeat(32);
			const all = [
				async () => atomic.create(id, RECORD, 60_000, false),
				async () => atomic.read(id),
				async () => atomic.readTwo?.(id, 'none'),
				async () => atomic.replace(id, A, RECORD, 60_000),
				async () => atomic.touch(id, 60_000, A),
				async () => atomic.now?.(id),
				async () => atomic.remove(id, A)
			];
			// Once for the connection and the sweep.
			for (const one of all) await one();
			for (const one of all) {
				const before = proxy.roundTrips();
				await one();
				expect(proxy.roundTrips() - before, one.toString()).toBe(1);
			}
			const before = proxy.roundTrips();
			await atomic.stamp?.('list', '{"v":"BBBBBBBBBBBBBBBB","sessions":{},"at":', 60_000);
			expect(proxy.roundTrips() - before).toBe(3);
		}
	);

	test.each(['mysql2', 'mariadb'])(
		'%s works with a server that was built without clusters',
		async (name) => {
			const proxy = await counting(server.port, 0, () => (chunk) => {
				const at = chunk.indexOf('wsrep_on');
				if (at >= 0) chunk.write('wsrep_no', at);
			});
			const client = name === 'mysql2' ? poolOf({}, proxy.port) : mariadbOf({}, proxy.port);
			const atomic = await atomicOf(client);
			const ids = ['a', 'b', 'c'];
			const created = ids.map(async (id) => atomic.create(id, RECORD, 60_000, false));
			expect(await Promise.all(created)).toEqual([true, true, true]);
			expect(await atomic.read('a')).toBe(RECORD);
		}
	);

	test.each(['mysql2', 'mariadb'])(
		'%s connects for the first request, and again when its server comes later',
		async (name) => {
			const port = await freePort();
			const short = { acquireTimeout: 300, connectTimeout: 200, initializationTimeout: 100 };
			const client = name === 'mysql2' ? poolOf({}, port) : mariadbOf(short, port);
			const made = new MySqlStore({ client, table: 'later' });
			const error: unknown = await made.get('id').catch((thrown: unknown) => thrown);
			expect(error).toBeInstanceOf(Error);
			expect(refusalOf(error)).toBeUndefined();
			const proxy = await counting(server.port, port);
			await vi.waitFor(async () => made.migrate(), 20_000);
			expect(await made.get('id')).toBeNull();
			await proxy.stop();
		}
	);

	test.each<[string, () => Client]>([
		['mysql2', () => poolOf()],
		['mariadb', () => mariadbOf()],
		['PlanetScale', () => planetScaleOf(poolOf())]
	])(
		'with %s and without the table, the error says what to do, and afterwards the store works',
		async (_, connect) => {
			const table = `not yet ${++tables}`;
			const made = new MySqlStore({ client: connect(), table });
			const error: unknown = await made.get('id').catch((thrown: unknown) => thrown);
			expect(error).toBeInstanceOf(StoreError);
			expect(error).toMatchObject({
				code: 'store_failed',
				refused: true,
				message: `the table \`${table}\` does not exist: call \`await store.migrate()\` once, or run the SQL of \`store.schema\``
			});
			await made.migrate();
			expect(await made.get('id')).toBeNull();
		}
	);

	test('without a database, the error says what to do', async () => {
		const made = new MySqlStore({ client: await connectionOf({ database: '' }) });
		await expect(made.get('id')).rejects.toMatchObject({
			refused: true,
			message:
				'the connection has no database: name one in the options of the client, or set the option `schema`'
		});
	});

	test('several processes may create the table at once, and `schema` creates the same one', async () => {
		const client = poolOf();
		const made = new MySqlStore({ client, table: 'at once' });
		await Promise.all(Array.from({ length: 8 }, async () => made.migrate()));
		const other = new MySqlStore({ client, table: 'by hand' });
		await client.query(other.schema);
		const definition = async (table: string): Promise<unknown> => {
			const [rows] = await client.query<mysql2.RowDataPacket[]>(
				`SHOW CREATE TABLE \`${table}\``
			);
			return String(rows[0]?.['Create Table']).replace(table, '');
		};
		expect(await definition('by hand')).toEqual(await definition('at once'));
		expect(await definition('at once')).toContain('PRIMARY KEY (`key`)');
	});

	test.each(['`; DROP TABLE x; --', "it's", 'sessions.x', '%_\\', '"', 'é', 'Sessions', ':a'])(
		'a table and a schema named %j are names, and nothing else',
		async (name) => {
			await poolOf().query(`CREATE DATABASE \`${name.replaceAll('`', '``')}\``);
			for (const client of [poolOf(), mariadbOf(), planetScaleOf(poolOf())]) {
				const { atomic } = await store(client, { table: name, schema: name });
				expect(await atomic?.create('id', RECORD, 60_000, false)).toBe(true);
				expect(await atomic?.replace('id', A, RECORD, 60_000)).toBe('done');
				expect(await atomic?.remove('id', A)).toBe('done');
			}
		}
	);

	test('keys are bytes: case, accents, spaces at the end and odd characters make another key', async () => {
		for (const client of [poolOf(), mariadbOf(), planetScaleOf(poolOf())]) {
			const atomic = await atomicOf(client, { prefix: "'" });
			const keys = [
				'a',
				'A',
				'á',
				'a ',
				'a\0',
				...["'", '"', '%', '_', '\\', '?', ':a', '😀']
			];
			const recordOf = (key: string): string =>
				JSON.stringify({ v: A, text: `${key}\\' " \0 ${key.repeat(1_000)}` });
			for (const key of keys)
				expect(await atomic.create(key, recordOf(key), 60_000, false)).toBe(true);
			for (const key of keys) expect(await atomic.read(key)).toBe(recordOf(key));
			for (const key of keys) expect(await atomic.remove(key, A)).toBe('done');
		}
	});

	test('a record of a megabyte is kept, and a key that does not fit is refused', async () => {
		for (const client of [poolOf(), mariadbOf(), planetScaleOf(poolOf())]) {
			const atomic = await atomicOf(client);
			const large = `{"v":"${A}","text":"${'é'.repeat(500_000)}"}`;
			expect(await atomic.create('large', large, 60_000, false)).toBe(true);
			expect((await atomic.read('large')) === large).toBe(true);
			const [longest, longer] = ['x'.repeat(762), 'x'.repeat(763)];
			expect(await atomic.create(longest, RECORD, 60_000, false)).toBe(true);
			expect(await atomic.read(longest)).toBe(RECORD);
			await expect(atomic.read(longer)).rejects.toMatchObject({ refused: true });
			await expect(atomic.create('x'.repeat(1 << 20), '', 1, false)).rejects.toMatchObject({
				refused: true
			});
		}
	});

	test.each([
		"sql_mode = ''",
		"sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE'",
		...MODES_OF_MARIADB,
		"time_zone = '+09:30'",
		'NAMES latin1',
		'NAMES utf8mb4 COLLATE utf8mb4_general_ci',
		'TRANSACTION ISOLATION LEVEL SERIALIZABLE',
		'TRANSACTION ISOLATION LEVEL READ UNCOMMITTED'
	])('a connection with SET SESSION %s works as another one does', async (setting) => {
		const table = `sessions_${++tables}`;
		const odd = await connectionOf(
			{},
			`SET ${setting.startsWith('N') ? '' : 'SESSION '}${setting}`
		);
		const [one, other] = await Promise.all([
			atomicOf(odd, { table }),
			atomicOf(poolOf(), { table })
		]);
		const text = `{"v":"${A}","cookie":{},"data":{"t":"é ü 秘密 🧥 \\\\ ' \\" %_"}}`;
		for (const [first, second] of [
			[one, other],
			[other, one]
		] as const) {
			const key = 'a\'\\"é😀';
			expect(await first.create(key, text, 60_000, false)).toBe(true);
			expect(await second.create(key, text, 60_000, false)).toBe(false);
			expect(await second.read(key)).toBe(text);
			expect(await second.replace(key, null, text, 60_000)).toBe('conflict');
			expect(await second.replace(key, A, '{"data":{}}', 60_000)).toBe('done');
			expect(await first.replace(key, A, text, 60_000)).toBe('conflict');
			expect(await first.touch(key, 60_000, null)).toBe('done');
			expect(await first.replace(key, null, text, 60_000)).toBe('done');
			expect(await first.touch(key, 1)).toBe(true);
			await vi.waitUntil(async () => (await second.read(key)) === null, 20_000);
			expect(await second.create(key, text, 60_000, false)).toBe(true);
			expect(await first.remove(key, A)).toBe('done');
		}
	});

	test.each<[string, () => Client | Promise<Client>]>([
		['mysql2 counts changed rows', () => poolOf({ flags: ['-FOUND_ROWS'] })],
		['mariadb counts changed rows', () => mariadbOf({ foundRows: false })],
		['mariadb counts found rows', () => mariadbOf({ foundRows: true })],
		[
			'mysql2 has other forms of rows',
			() =>
				poolOf({
					rowsAsArray: true,
					nestTables: true,
					namedPlaceholders: true,
					supportBigNumbers: true,
					bigNumberStrings: true,
					typeCast: () => 'x',
					charset: 'latin1'
				})
		],
		[
			'mariadb has other forms of rows',
			() =>
				mariadbOf({
					rowsAsArray: true,
					nestTables: '_',
					metaAsArray: true,
					namedPlaceholders: true,
					bigIntAsNumber: true,
					typeCast: () => 'x',
					charset: 'latin1'
				})
		]
	])('the store does not depend on options of the client: %s', async (_, connect) => {
		const atomic = await atomicOf(await connect());
		const text = `{"v":"${A}","data":{"t":"é 🧥"}}`;
		expect(await atomic.create('a', text, 60_000, false)).toBe(true);
		// The same record, and perhaps in the same millisecond.
		for (let n = 0; n < 20; n++) {
			expect(await atomic.replace('a', A, text, 60_000)).toBe('done');
			expect(await atomic.touch('a', 60_000, A)).toBe('done');
			expect(await atomic.touch('a', 60_000)).toBe(true);
		}
		expect(await atomic.readTwo?.('a', 'b')).toEqual([text, null]);
		expect(await atomic.now?.('a')).toBeGreaterThan(1.7e12);
		expect(await atomic.remove('a', A)).toBe('done');
	});

	test('a write that waited for a lock decides by the result of the other one', async () => {
		const table = `sessions_${++tables}`;
		const atomic = await atomicOf(poolOf(), { table });
		const other = await connectionOf();
		const meanwhile = {
			conflict: `UPDATE ${table} SET record = REPLACE(record, 'A', 'B')`,
			gone: `DELETE FROM ${table}`,
			done: `UPDATE ${table} SET expires = expires + 1`
		};
		for (const [outcome, sql] of Object.entries(meanwhile)) {
			await other.query(`DELETE FROM ${table}`);
			await atomic.create('a', RECORD, 60_000, false);
			await other.beginTransaction();
			await other.query(sql);
			const waiting = atomic.replace('a', A, RECORD, 60_000);
			await untilOneWaits(other);
			await other.commit();
			expect(await waiting).toBe(outcome);
		}
	});

	test('a lock that is held too long is a refusal, and no lost reply', async () => {
		const table = `sessions_${++tables}`;
		const setting = 'SET innodb_lock_wait_timeout = 1';
		const atomic = await atomicOf(await connectionOf({}, setting), { table });
		await atomic.create('a', RECORD, 60_000, false);
		const other = await connectionOf();
		await other.beginTransaction();
		await other.query(`SELECT * FROM ${table} FOR UPDATE`);
		const error: unknown = await atomic.remove('a', A).catch((thrown: unknown) => thrown);
		await other.rollback();
		expect(refusalOf(error)).toEqual({ code: 'ER_LOCK_WAIT_TIMEOUT', full: false });
		expect(await atomic.remove('a', A)).toBe('done');
	});

	test('a statement that the server rolled back because of a deadlock is run again', async () => {
		const pool = poolOf();
		let deadlocks = 2;
		const client = {
			escapeId: (name: string) => name,
			query: async (sql: string, values: unknown) => {
				if (deadlocks-- > 0)
					throw Object.assign(new Error('Deadlock found'), { errno: 1213 });
				return pool.query(sql, values as mysql2.QueryValues);
			}
		};
		const table = `sessions_${++tables}`;
		await store(pool, { table });
		const made = new MySqlStore({ client, table });
		expect(await made.atomic?.create('a', RECORD, 60_000, false)).toBe(true);
		deadlocks = Infinity;
		vi.useFakeTimers();
		const given = made.atomic?.remove('a', A).catch((thrown: unknown) => thrown);
		await vi.advanceTimersByTimeAsync(60_000);
		vi.useRealTimers();
		expect(await given).toMatchObject({ errno: 1213 });
	});

	test.each(['mysql2', 'mariadb'])(
		'with %s, a connection that is lost during a write leaves it in doubt',
		async (name) => {
			const proxy = await counting(server.port);
			const client = name === 'mysql2' ? poolOf({}, proxy.port) : mariadbOf({}, proxy.port);
			const table = `sessions_${++tables}`;
			const atomic = await atomicOf(client, { table });
			await atomic.create('a', RECORD, 60_000, false);
			const other = await connectionOf();
			await other.beginTransaction();
			await other.query(`SELECT * FROM ${table} FOR UPDATE`);
			const waiting = atomic.remove('a', A).catch((thrown: unknown) => thrown);
			await untilOneWaits(other);
			proxy.cut();
			const error: unknown = await waiting;
			expect(error).toBeInstanceOf(Error);
			expect(refusalOf(error)).toBeUndefined();
			await other.rollback();
			await proxy.stop();
		}
	);

	test('expired records are removed by later writes, and count as none before', async () => {
		const client = poolOf();
		const table = `sessions_${++tables}`;
		const atomic = await atomicOf(client, { table });
		await client.query(
			`INSERT INTO ${table} VALUES ${rows(30, (n) => `('sess:old-${n}', '{}', ${n})`)}`
		);
		expect(await atomic.read('old-1')).toBeNull();
		// A locked row is left to a later sweep, and nothing waits for it.
		const other = await connectionOf();
		await other.beginTransaction();
		await other.query(`SELECT * FROM ${table} WHERE \`key\` = 'sess:old-1' FOR UPDATE`);
		for (let n = 0; n < 30; n++) await atomic.create(`new-${n}`, RECORD, 60_000, false);
		const count = async (): Promise<unknown> =>
			(await client.query<mysql2.RowDataPacket[]>(`SELECT count(*) AS n FROM ${table}`))[0][0]
				?.n;
		expect(await count()).toBe(31);
		await other.rollback();
		for (let n = 30; n < 40; n++) await atomic.create(`new-${n}`, RECORD, 60_000, false);
		expect(await count()).toBe(40);
	});

	test('no operation reads all records', async () => {
		const client = poolOf({ connectionLimit: 1 });
		const table = `sessions_${++tables}`;
		const atomic = await atomicOf(client, { table });
		await client.query(
			`INSERT INTO ${table} VALUES ${rows(20_000, (n) => `('sess:old-${n}', '{}', ${2 ** 52})`)}`
		);
		await client.query(`ANALYZE TABLE ${table}`);
		const read = async (): Promise<number> => {
			const status = "SHOW SESSION STATUS LIKE 'Handler_read_%'";
			const [counts] = await client.query<mysql2.RowDataPacket[]>(status);
			return counts.reduce((sum, { Value }) => sum + Number(Value), 0);
		};
		const before = await read();
		await eachOperation(atomic);
		const count = (await read()) - before;
		expect(count).toBeGreaterThan(20);
		expect(count).toBeLessThan(1_000);
	});

	test('a record is created although another request sweeps the expired one meanwhile', async () => {
		const pool = poolOf();
		const table = `sessions_${++tables}`;
		const query = async (sql: string, values?: never): Promise<unknown> =>
			pool.query(sql, values).catch(async (error: unknown) => {
				await pool.query(`DELETE FROM ${table}`);
				throw error;
			});
		const client = { query, escapeId: (name: string) => pool.escapeId(name) };
		const atomic = await atomicOf(client, { table });
		await pool.query(`INSERT INTO ${table} VALUES ('sess:id', '{}', 1)`);
		expect(await atomic.create('id', RECORD, 60_000, false)).toBe(true);
	});

	test('rows of others are left alone, and bytes that are no text are unreadable', async () => {
		const client = poolOf();
		const table = `sessions_${++tables}`;
		const made = await store(client, { table });
		const options = { secret: SECRET, store: made };
		await client.query(
			`INSERT INTO ${table} VALUES (X'FF00', X'FF', 1e15), ('other:a', 'x', 1e15), ('sess:odd', X'7BFF', 1e15)`
		);
		const { atomic } = made;
		expect(await atomic?.read('odd')).toBe('\ufffd');
		expect(await atomic?.readTwo?.('odd', 'a')).toEqual(['\ufffd', null]);
		expect(await atomic?.replace('odd', A, RECORD, 60_000)).toBe('conflict');
		expect(await atomic?.stamp?.('odd', RECORD, 60_000)).toBeNull();
		const events: string[] = [];
		const { event, cookies } = testEvent();
		const session = await Session.initialize(event, options);
		await session.save();
		await client.query(`UPDATE ${table} SET record = X'7BFF' WHERE \`key\` = ?`, [
			`sess:${session.id}`
		]);
		const cookie = `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
		const again = await Session.initialize(testEvent(cookie).event, {
			...options,
			onEvent: ({ type }) => events.push(type)
		});
		expect([again.isNew, events]).toEqual([true, ['unreadable']]);
		const [rows] = await client.query<mysql2.RowDataPacket[]>(
			`SELECT * FROM ${table} WHERE \`key\` NOT LIKE 'sess:%'`
		);
		expect(rows).toHaveLength(2);
	});

	test('a page of a logged-in user is one statement, found by the key', async () => {
		const client = poolOf();
		const table = `sessions_${++tables}`;
		const made = await store(client, { table });
		await client.query(
			`INSERT INTO ${table} VALUES ${rows(5_000, (n) => `(CONCAT('sess:', MD5(${n})), '{}', 1e15)`)}`
		);
		await made.get('one');
		const spy = vi.spyOn(client, 'query');
		await made.atomic?.readTwo?.('one', 'other');
		expect(spy).toHaveBeenCalledTimes(1);
		const [statement, values] = spy.mock.calls[0] as unknown as [{ sql: string }, string[]];
		const [plan] = await client.query<mysql2.RowDataPacket[]>(
			`EXPLAIN ${statement.sql}`,
			values
		);
		expect(plan[0]).toMatchObject({ key: 'PRIMARY' });
		expect(Number(plan[0]?.rows)).toBeLessThan(10);
	});

	test('the client of Drizzle is passed on, and its definition in the docs is that of the table', async () => {
		const definition = mysqlTable(
			`sessions_${tables + 1}`,
			{
				key: varbinary('key', { length: 767 }).primaryKey(),
				record: customType<{ data: Uint8Array }>({ dataType: () => 'longblob' })(
					'record'
				).notNull(),
				expires: bigint('expires', { mode: 'number' }).notNull()
			},
			(table) => [index('expires').on(table.expires)]
		);
		const db = drizzle(server.url);
		closing.push(async () => db.$client.promise().end());
		const made = await store(db.$client);
		await made.atomic?.create('a', RECORD, 60_000, false);
		const [row] = await db.select().from(definition);
		expect(new TextDecoder().decode(row?.record)).toBe(RECORD);
		const [[shown]] = (await db.execute(
			sql.raw(`SHOW CREATE TABLE ${getTableName(definition)}`)
		)) as unknown as [[Record<string, string>]];
		// MySQL 8 shows no width of a number any more.
		const table = String(shown['Create Table']).replace('bigint(20)', 'bigint');
		const { columns, indexes } = getTableConfig(definition);
		for (const column of columns)
			expect(table).toContain(`\`${column.name}\` ${column.getSQLType()} NOT NULL`);
		for (const { config } of indexes) expect(table).toContain(`KEY \`${config.name}\` (`);
	});

	test('sessions, lists and revocations work on it', async () => {
		for (const client of [poolOf(), mariadbOf(), planetScaleOf(poolOf())]) {
			const options = { secret: SECRET, store: await store(client) };
			const { event } = testEvent();
			const session = await Session.initialize(event, options);
			await session.login('ada');
			await session.update((data) => ({ ...data, n: 1 }));
			expect(await sessions(options).of('ada').list()).toHaveLength(1);
			await sessions(options).of('ada').revokeAll();
			expect(await sessions(options).of('ada').list()).toEqual([]);
		}
	});

	test.each<[string, unknown]>([
		['no client', {}],
		['a client in place of the options', { query: async () => [], escapeId: () => '' }],
		['a client of another kind', { client: { get: async () => null } }],
		['a client of Postgres', { client: { query: async () => [] } }],
		['an empty name', { client: { execute: async () => [] }, table: '' }],
		['a long name', { client: { execute: async () => [] }, table: 'x'.repeat(65) }],
		['a name with a placeholder', { client: { execute: async () => [] }, table: 'a?' }],
		['a name with a space at the end', { client: { execute: async () => [] }, table: 'a ' }],
		['a name with an emoji', { client: { execute: async () => [] }, schema: '😀' }],
		['an unknown option', { client: { execute: async () => [] }, name: 'x' }]
	])('%s is refused at once', (_, options) => {
		expect(() => new MySqlStore(options as MySqlStoreOptions)).toThrow(ConfigError);
	});
});

/** Waits until a statement waits for a lock. */
async function untilOneWaits(connection: mysql2.Connection): Promise<void> {
	const sql = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
	await vi.waitUntil(
		async () => {
			const [rows] = await connection.query<mysql2.RowDataPacket[]>(sql);
			return rows.length > 0;
		},
		// The server makes this table anew only if it was not read for a tenth of a second.
		{ timeout: 20_000, interval: 150 }
	);
}
