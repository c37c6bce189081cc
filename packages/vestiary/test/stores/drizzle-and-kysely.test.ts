import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { createClient } from '@libsql/client';
import { sql } from 'drizzle-orm';
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { drizzle } from 'drizzle-orm/postgres-js';
import { getTableConfig as getSqliteConfig, type SQLiteTable } from 'drizzle-orm/sqlite-core';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Session, sessions, type Store } from '../../src/index.js';
import { PostgresStore } from '../../src/stores/postgres.js';
import { SqliteStore } from '../../src/stores/sqlite.js';
import { testEvent } from '../event.js';
import { startPostgres, type PostgresServer } from './postgres-server.js';

const PAGE = new URL('../../../../docs/how-to/drizzle-and-kysely.md', import.meta.url);
const SAMPLES = new URL('../generated/drizzle-and-kysely/', import.meta.url).pathname;

let server: PostgresServer;
let folder: string;

beforeAll(async () => {
	server = await startPostgres();
	folder = await mkdtemp(join(tmpdir(), 'vestiary-drizzle-'));
});

afterAll(async () => {
	await server.stop();
	await rm(folder, { recursive: true, force: true });
});

/** A sample of the page, as a module. Its first line is a comment with its name. */
async function sample<T>(name: string): Promise<T> {
	const page = await readFile(PAGE, 'utf8');
	const [, code = ''] =
		[...page.matchAll(/^```ts\n(.*?)^```$/gms)].find(([, code = '']) =>
			code.startsWith(`// ${name}\n`)
		) ?? [];
	const file = join(SAMPLES, `${name.replaceAll(/\W+/g, '-')}.ts`);
	await mkdir(dirname(file), { recursive: true });
	await writeFile(file, code);
	return (await import(file)) as T;
}

/** The part of a column's definition that drizzle-kit writes into a migration. */
interface Column {
	name: string;
	primary: boolean;
	notNull: boolean;
	getSQLType(): string;
}

function columnsOf(columns: readonly Column[]): string {
	return columns
		.map(
			(column) =>
				`"${column.name}" ${column.getSQLType()}${column.primary ? ' PRIMARY KEY' : ''}${column.notNull ? ' NOT NULL' : ''}`
		)
		.join(', ');
}

/** A pool whose tables are in a schema of its own. */
async function poolIn(schema: string): Promise<pg.Pool> {
	const options = { connectionString: server.url, options: `-c search_path=${schema}` };
	const pool = new pg.Pool(options);
	pool.on('error', () => undefined);
	await pool.query(`CREATE SCHEMA ${schema}`);
	return pool;
}

/** The table of sessions, as Postgres describes it. */
async function described(pool: pg.Pool, schema: string): Promise<unknown> {
	const columns = await pool.query(
		`SELECT column_name, data_type, collation_name, is_nullable FROM information_schema.columns
		WHERE table_schema = $1 AND table_name = 'sessions' ORDER BY 1`,
		[schema]
	);
	const indexes = await pool.query<{ indexdef: string }>(
		`SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename = 'sessions' ORDER BY 1`,
		[schema]
	);
	return [
		columns.rows,
		indexes.rows.map(({ indexdef }) => indexdef.replaceAll(`${schema}.`, ''))
	];
}

/** The table that the store itself makes. */
async function made(): Promise<unknown> {
	const pool = await poolIn('made');
	await new PostgresStore({ client: pool }).migrate();
	const table = await described(pool, 'made');
	await pool.end();
	return table;
}

/** Checks that sessions of a deleted user end, which nothing in the database does. */
async function endsWithItsUser(
	store: Store,
	deleteUser: () => PromiseLike<unknown>
): Promise<void> {
	const options = { secret: '0123456789abcdef0123456789abcdef', store };
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, options);
	await session.login('1');
	const cookie = `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
	const load = (): Promise<Session> => Session.initialize(testEvent(cookie).event, options);
	await deleteUser();
	expect((await load()).userId).toBe('1');
	await sessions(options).of('1').revokeAll();
	expect((await load()).userId).toBeUndefined();
}

test('with Drizzle and Postgres, the definition of the page makes the table of the store', async () => {
	const { sessions: table, users } = await sample<{ sessions: PgTable; users: PgTable }>(
		'src/lib/server/db/schema.ts, Postgres'
	);
	const pool = await poolIn('drizzle');
	const { columns, indexes } = getTableConfig(table);
	await pool.query(`CREATE TABLE sessions (${columnsOf(columns)})`);
	for (const { config } of indexes) {
		const names = config.columns.map((column) => `"${(column as { name: string }).name}"`);
		await pool.query(`CREATE INDEX "${config.name ?? ''}" ON sessions (${names.join()})`);
	}
	expect(await described(pool, 'drizzle')).toEqual(await made());
	await pool.query(`CREATE TABLE users (${columnsOf(getTableConfig(users).columns)})`);
	const connection = { search_path: 'drizzle' };
	const db = drizzle(postgres(server.url, { connection, onnotice: () => undefined }));
	await db.execute(sql`INSERT INTO users (email) VALUES ('ada@example.com')`);
	const store = new PostgresStore({ client: db.$client });
	await endsWithItsUser(store, () => db.delete(users));
	await db.$client.end();
	await pool.end();
});

test('with Drizzle and libSQL, the store uses the table that the definition makes', async () => {
	const { sessions: table, users } = await sample<{ sessions: SQLiteTable; users: SQLiteTable }>(
		'src/lib/server/db/schema.ts, libSQL'
	);
	const described = async (file: string): Promise<unknown> => {
		const client = createClient({ url: `file:${file}` });
		const rows = async (pragma: string): Promise<unknown[]> =>
			(await client.execute(`PRAGMA ${pragma}`)).rows.map((row) => ({ ...row }));
		const columns = await rows('table_info(sessions)');
		const indexed = await rows('index_info(sessions_expires)');
		client.close();
		return [columns, indexed];
	};
	const file = join(folder, 'drizzle.db');
	const db = drizzleLibsql(createClient({ url: `file:${file}` }));
	const { columns, indexes } = getSqliteConfig(table);
	await db.run(`CREATE TABLE sessions (${columnsOf(columns)})`);
	for (const { config } of indexes) {
		const names = config.columns.map((column) => (column as { name: string }).name);
		await db.run(`CREATE INDEX ${config.name} ON sessions (${names.join()})`);
	}
	await db.run(`CREATE TABLE users (${columnsOf(getSqliteConfig(users).columns)})`);
	await db.run("INSERT INTO users (email) VALUES ('ada@example.com')");
	const store = new SqliteStore({ database: db.$client });
	await endsWithItsUser(store, () => db.delete(users));
	store.close();
	const other = new SqliteStore({ database: join(folder, 'made.db') });
	await other.get('id');
	other.close();
	const [made, drizzled] = [await described(join(folder, 'made.db')), await described(file)];
	// A primary key of SQLite may be NULL unless it says otherwise, or the table has no row IDs.
	const plain = (table: unknown): unknown =>
		JSON.parse(JSON.stringify(table), (key, value: unknown) =>
			key === 'notnull' ? undefined : value
		);
	expect(plain(drizzled)).toEqual(plain(made));
});

test('with Kysely, the migration of the page makes the table of the store, and removes it', async () => {
	const { up, down } = await sample<
		Record<'up' | 'down', (db: Kysely<unknown>) => Promise<void>>
	>('migrations/2026_11_26_sessions.ts');
	const pool = await poolIn('kysely');
	const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
	await up(db);
	const table = await described(pool, 'kysely');
	const own = await poolIn('own');
	await new PostgresStore({ client: own }).migrate();
	expect(table).toEqual(await described(own, 'own'));
	await endsWithItsUser(new PostgresStore({ client: pool }), async () => undefined);
	await down(db);
	expect(await described(pool, 'kysely')).toEqual([[], []]);
	await own.end();
	await db.destroy();
});
