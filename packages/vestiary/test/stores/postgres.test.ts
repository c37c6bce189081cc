import { PGlite } from '@electric-sql/pglite';
import { neon, neonConfig } from '@neondatabase/serverless';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ConfigError, Session, sessions, StoreError } from '../../src/index.js';
import DefaultStore, {
	PostgresStore,
	type PostgresStoreOptions
} from '../../src/stores/postgres.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { counting } from './counting.js';
import { startPgBouncer, startPostgres, type PostgresServer } from './postgres-server.js';
import { eachOperation } from './rounds.js';
import { touchesInOneCall } from './touching.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';

let server: PostgresServer;
let pooler: PostgresServer;
/** One for all tests: it takes seconds to start. */
let embedded: PGlite;
const closing: (() => Promise<unknown>)[] = [];

type Client = PostgresStoreOptions['client'];

/** The clients that an application may have, each connected when it is used. */
const CLIENTS: Record<string, () => Client> = {
	'Pool of pg': () => poolOf(server.url),
	'postgres.js': () => postgresOf(server.url),
	PGlite: () => embedded,
	'the function of Neon, whose server is simulated': () => neonOf(server.url),
	'Pool of pg behind PgBouncer': () => poolOf(pooler.url),
	'postgres.js behind PgBouncer, as its documentation has it': () =>
		postgresOf(pooler.url, { prepare: false })
};

function poolOf(url: string): pg.Pool {
	const pool = new pg.Pool({ connectionString: url, max: 5 });
	pool.on('error', () => undefined);
	closing.push(async () => pool.end());
	return pool;
}

/** Neon's own client, whose requests over HTTP are answered by a Postgres of the tests. */
function neonOf(url: string): Client {
	const pool = poolOf(url);
	neonConfig.fetchFunction = async (_: string, { body }: { body: string }) => {
		const { query, params } = JSON.parse(body) as { query: string; params: unknown[] };
		try {
			const { fields, ...answer } = await pool.query({
				text: query,
				values: params,
				rowMode: 'array',
				types: { getTypeParser: () => (value: unknown) => value }
			});
			const named = fields.map(({ name, dataTypeID }) => ({ name, dataTypeID }));
			return Response.json({ ...answer, fields: named });
		} catch (error) {
			const { message, code } = error as pg.DatabaseError;
			return Response.json({ message, code }, { status: 400 });
		}
	};
	return neon('postgres://app:secret@db.neon.example/postgres');
}

function postgresOf(url: string, options: { prepare?: boolean } = {}): postgres.Sql {
	const sql = postgres(url, { max: 5, onnotice: () => undefined, ...options });
	closing.push(async () => sql.end());
	return sql;
}

beforeAll(async () => {
	server = await startPostgres();
	pooler = await startPgBouncer(server);
	embedded = await PGlite.create();
	closing.push(async () => embedded.close());
});

afterAll(async () => {
	await Promise.allSettled(closing.map(async (close) => close()));
	await pooler.stop();
	await server.stop();
});

let tables = 0;

/** A store whose table exists. */
async function store(
	client: Client,
	options: Partial<PostgresStoreOptions> = {}
): Promise<PostgresStore> {
	const made = new PostgresStore({ client, table: `sessions_${++tables}`, ...options });
	await made.migrate();
	return made;
}

for (const [name, connect] of Object.entries(CLIENTS)) {
	let client: Client | undefined;
	const factory = async (): Promise<PostgresStore> => store((client ??= connect()));
	testStore(`PostgresStore with ${name}`, factory, { runner: { describe, test } });
	testAtomicStore(`PostgresStore with ${name}`, factory, { runner: { describe, test } });
}

describe('PostgresStore', () => {
	test('is the default export, too', () => {
		expect(DefaultStore).toBe(PostgresStore);
	});

	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall(await store(poolOf(server.url)));
	});

	test.each(['pg', 'postgres'])(
		'%s reads, writes and logs in by one round trip each',
		async (name) => {
			const proxy = await counting(server.port);
			const url = `postgres://app@127.0.0.1:${proxy.port}/postgres`;
			const client = name === 'pg' ? poolOf(url) : postgresOf(url, {});
			const made = await store(client);
			const { atomic } = made;
			if (!atomic?.stamp) throw new Error('the store is not atomic');
			const id = 'A'.repeat(32);
			const all = [
				async () => atomic.create(id, RECORD, 60_000, false),
				async () => atomic.read(id),
				async () => atomic.readTwo?.(id, 'none'),
				async () => atomic.replace(id, 'A'.repeat(16), RECORD, 60_000),
				async () => atomic.touch(id, 60_000, 'A'.repeat(16)),
				async () =>
					atomic.stamp?.(
						'list',
						'{"v":"BBBBBBBBBBBBBBBB","cookie":{},"data":{},"at":',
						60_000
					),
				async () => atomic.remove(id, 'A'.repeat(16))
			];
			// Once for the connection, the sweep, and the prepared statements of `postgres`.
			for (const one of all) await one();
			for (const one of all) {
				const before = proxy.roundTrips();
				await one();
				expect(proxy.roundTrips() - before, one.toString()).toBe(1);
			}
			await proxy.stop();
		}
	);

	test('opens no connection before the first request', async () => {
		const made = new PostgresStore({ client: poolOf('postgres://app@127.0.0.1:1/postgres') });
		await expect(made.get('id')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
	});

	test('without the table, the error says what to do, and afterwards the store works', async () => {
		const made = new PostgresStore({ client: poolOf(server.url), table: 'not yet' });
		const error: unknown = await made.get('id').catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(StoreError);
		expect(error).toMatchObject({
			code: 'store_failed',
			refused: true,
			message:
				'the table `not yet` does not exist: call `await store.migrate()` once, or run the SQL of `store.schema`',
			cause: { code: '42P01' }
		});
		await made.migrate();
		expect(await made.get('id')).toBeNull();
	});

	test('several processes may create the table at once, and `schema` creates the same one', async () => {
		const client = poolOf(server.url);
		const made = new PostgresStore({ client, table: 'at once' });
		await Promise.all(Array.from({ length: 8 }, async () => made.migrate()));
		const other = new PostgresStore({ client, table: 'by hand' });
		await client.query(other.schema);
		const columns = async (table: string): Promise<unknown> =>
			(
				await client.query(
					'SELECT column_name, data_type, is_nullable, collation_name FROM information_schema.columns WHERE table_name = $1 ORDER BY 1',
					[table]
				)
			).rows;
		expect(await columns('by hand')).toEqual(await columns('at once'));
		expect(await columns('at once')).toHaveLength(3);
	});

	test.each(['"; DROP TABLE x; --', "it's", 'sessions.x', '%_\\', '😀', 'Sessions'])(
		'a table and a schema named %j are names, and nothing else',
		async (name) => {
			const client = poolOf(server.url);
			await client.query(`CREATE SCHEMA IF NOT EXISTS "${name.replaceAll('"', '""')}"`);
			const made = new PostgresStore({ client, table: name, schema: name });
			await made.migrate();
			const { atomic } = made;
			expect(await atomic?.create('id', RECORD, 60_000, false)).toBe(true);
			expect(await atomic?.replace('id', 'A'.repeat(16), RECORD, 60_000)).toBe('done');
			expect(await atomic?.remove('id', 'A'.repeat(16))).toBe('done');
		}
	);

	test.each(["'", '"', '%', '_', '\\', '$1', '😀', 'x'.repeat(2_000)])(
		'keys with %j are different keys',
		async (odd) => {
			const made = await store(poolOf(server.url), { prefix: odd });
			const { atomic } = made;
			expect(await atomic?.create(`a${odd}`, RECORD, 60_000, false)).toBe(true);
			expect(await atomic?.read(`a${odd}`)).toBe(RECORD);
			expect(await atomic?.read('a')).toBeNull();
		}
	);

	test('expired records are removed by later writes, and count as none before', async () => {
		const client = poolOf(server.url);
		const made = await store(client);
		for (let n = 0; n < 30; n++) await made.atomic?.create(`old-${n}`, RECORD, 1, false);
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(await made.atomic?.read('old-1')).toBeNull();
		for (let n = 0; n < 30; n++) await made.atomic?.create(`new-${n}`, RECORD, 60_000, false);
		const { rows } = await client.query<{ n: number }>(
			`SELECT count(*)::int AS n FROM sessions_${tables}`
		);
		expect(rows[0]?.n).toBe(30);
	});

	test('no operation reads all records', async () => {
		// One connection: a server tells of the reads of others only later.
		const client = new pg.Pool({ connectionString: server.url, max: 1 });
		closing.push(async () => client.end());
		const { atomic } = await store(client);
		const table = `sessions_${tables}`;
		await client.query(`INSERT INTO ${table} SELECT 'sess:' || md5(n::text), '${RECORD}', ${2 ** 52}
			FROM generate_series(1, 20000) AS n`);
		await client.query(`ANALYZE ${table}`);
		const read = async (): Promise<number> => {
			await client.query('SELECT pg_stat_force_next_flush()');
			const { rows } = await client.query<{ n: number }>(
				`SELECT (seq_tup_read + idx_tup_fetch)::int AS n FROM pg_stat_user_tables WHERE relname = $1`,
				[table]
			);
			return rows[0]?.n ?? NaN;
		};
		const before = await read();
		await eachOperation(atomic);
		const count = (await read()) - before;
		expect(count).toBeGreaterThan(20);
		expect(count).toBeLessThan(1_000);
	});

	test('sessions, lists and revocations work on it', async () => {
		const options = { secret: SECRET, store: await store(poolOf(server.url)) };
		const { event } = testEvent();
		const session = await Session.initialize(event, options);
		await session.login('ada');
		await session.update((data) => ({ ...data, n: 1 }));
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
		await sessions(options).of('ada').revokeAll();
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test.each<[string, unknown]>([
		['no client', {}],
		['a client in place of the options', { query: async () => [] }],
		['a client of another kind', { client: { get: async () => null } }],
		['an empty name', { client: { query: async () => [] }, table: '' }],
		['a long name', { client: { query: async () => [] }, table: 'x'.repeat(55) }],
		['a NUL in the prefix', { client: { query: async () => [] }, prefix: '\0' }],
		['an unknown option', { client: { query: async () => [] }, name: 'x' }]
	])('%s is refused at once', (_, options) => {
		expect(() => new PostgresStore(options as PostgresStoreOptions)).toThrow(ConfigError);
	});
});
