import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';

import { createClient } from '@libsql/client';
import { connect } from '@tursodatabase/database';
import BetterSqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { StoreError } from '../../src/index.js';
import { SqliteStore, type SqliteStoreOptions } from '../../src/stores/sqlite.js';

/* The likeliest faults of a deployment, with each driver: the error says what to do. */

const record = { cookie: { path: '/' }, data: {} };

let folder: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'vestiary-sqlite-failures-'));
	// For a user without privileges.
	await chmod(folder, 0o755);
});
afterAll(async () => {
	await rm(folder, { recursive: true, force: true });
});

type Database = SqliteStoreOptions['database'];

const DRIVERS: Record<string, (file: string) => Database | Promise<Database>> = {
	'a path': (file) => file,
	'node:sqlite': (file) => new DatabaseSync(file),
	'better-sqlite3': (file) => new BetterSqlite(file),
	'@libsql/client': (file) => createClient({ url: `file:${file}` }),
	'@tursodatabase/database': async (file) => connect(file)
};

/** The error of a write. */
async function failure(store: SqliteStore): Promise<StoreError> {
	const error: unknown = await store.set('id', record, 60_000).then(
		() => undefined,
		(thrown: unknown) => thrown
	);
	expect(error).toBeInstanceOf(StoreError);
	expect(error).toMatchObject({ code: 'store_failed', refused: true });
	return error as StoreError;
}

const TABLES = {
	'of another library': 'CREATE TABLE sessions (id TEXT PRIMARY KEY, user_id TEXT NOT NULL)',
	'with an end, too': 'CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expires INTEGER)',
	'with more columns':
		'CREATE TABLE sessions (key TEXT PRIMARY KEY, record TEXT, expires INTEGER, user TEXT NOT NULL)',
	'without a primary key': 'CREATE TABLE sessions (key TEXT, record TEXT, expires INTEGER)'
};

describe.each(Object.entries(DRIVERS))('with %s', (driver, open) => {
	const name = driver.replace(/\W/g, '');

	test.each(Object.entries(TABLES))(
		'a table `sessions` %s: the error names the option of another',
		async (table, sql) => {
			const file = join(folder, `${name} ${table}.db`);
			const other = new DatabaseSync(file);
			other.exec(sql);
			other.close();
			const database = await open(file);
			const { message } = await failure(new SqliteStore({ database }));
			expect(message).toContain('`sessions` is not a table of sessions');
			expect(message).toContain('the option `table`');
			const named = new SqliteStore({ database, table: 'visitors' });
			await named.set('id', record, 60_000);
			expect(await named.get('id')).toEqual(record);
		}
	);

	// Turso's own reads the header when it connects, which is the app's call.
	if (driver !== '@tursodatabase/database')
		test('a file of text', async () => {
			const file = join(folder, `${name}.txt`);
			await writeFile(file, 'x'.repeat(5_000));
			const { message } = await failure(new SqliteStore({ database: await open(file) }));
			expect(message).toContain('is not an SQLite database');
			expect(message).toContain('name another file');
		});
});

test.each([
	['node:sqlite', (file: string) => new DatabaseSync(file, { readOnly: true })],
	['better-sqlite3', (file: string) => new BetterSqlite(file, { readonly: true })]
])('a database that is open read-only in %s', async (name, open) => {
	const file = join(folder, `read-only ${name.replace(/\W/g, '')}.db`);
	await new SqliteStore({ database: file }).set('id', record, 60_000);
	const { message } = await failure(new SqliteStore({ database: open(file) }));
	expect(message).toContain('cannot be written');
	expect(message).toContain('opened it as read-only');
});

/** The message of a write by a process that may not write everywhere. */
async function withoutPrivileges(database: string): Promise<string> {
	const { stdout } = await promisify(execFile)(process.execPath, [
		'--input-type=module',
		'--eval',
		WRITE,
		new URL('../../dist/stores/sqlite.js', import.meta.url).href,
		database
	]);
	return stdout;
}

const WRITE = `
	const [, module, database] = process.argv;
	const { SqliteStore } = await import(module);
	if (process.getuid() === 0) process.seteuid(65534);
	const error = await new SqliteStore({ database })
		.set('id', { cookie: { path: '/' }, data: {} }, 60000)
		.catch((thrown) => thrown);
	console.log(error?.code + ': ' + error?.message);
`;

test('a file that may only be read, and a folder in which no file may be made', async () => {
	const [file, inFolder] = [join(folder, 'readable.db'), join(folder, 'closed', 'sessions.db')];
	await mkdir(join(folder, 'closed'));
	for (const made of [file, inFolder]) {
		const database = new DatabaseSync(made);
		database.exec('CREATE TABLE other (n)');
		database.close();
	}
	await chmod(file, 0o444);
	await chmod(inFolder, 0o666);
	await chmod(join(folder, 'closed'), 0o555);
	expect(await withoutPrivileges(file)).toMatch(/^store_failed: .* cannot be written: .*mode/);
	const said = await withoutPrivileges(inFolder);
	expect(said).toMatch(/^store_failed: .* cannot be (opened|written): .*its folder/);
	await chmod(join(folder, 'closed'), 0o755);
});
