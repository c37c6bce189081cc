import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { MemoryStore } from '../src/index.js';
import DefaultStore, { SqliteStore } from '../src/stores/sqlite.js';
import { testAtomicStore, testStore } from '../src/testing.js';

const record = { cookie: { path: '/' }, data: {} };

let folder: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'vestiary-sqlite-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const STORES = {
	MemoryStore: () => new MemoryStore(),
	SqliteStore: () => new SqliteStore({ database: join(folder, 'suite.db') }),
	'SqliteStore in memory': () => new SqliteStore({ database: new DatabaseSync(':memory:') })
};

for (const [name, factory] of Object.entries(STORES)) {
	testStore(name, factory, { runner: { describe, test } });
	testAtomicStore(name, factory, { runner: { describe, test } });
}

describe('SqliteStore', () => {
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
			TypeError
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

	test('several processes that begin at once: every write is there', async () => {
		const database = join(folder, 'shared.db');
		const module = new URL('../dist/stores/sqlite.js', import.meta.url).href;
		const script = `
			import { SqliteStore } from ${JSON.stringify(module)};
			const [database, name] = process.argv.slice(1);
			const store = new SqliteStore({ database });
			for (let n = 0; n < 100; n++) {
				await store.set(name + n, { cookie: { path: '/' }, data: { n } }, 60_000);
				await store.touch(name + n, 90_000);
			}
		`;
		const run = (name: string): Promise<number | null> =>
			new Promise((resolve) => {
				const args = ['--input-type=module', '-e', script, database, name];
				spawn(process.execPath, args, { stdio: 'inherit' }).once('exit', resolve);
			});
		const names = ['a', 'b', 'c', 'd'];
		expect(await Promise.all(names.map(run))).toEqual([0, 0, 0, 0]);
		const store = new SqliteStore({ database });
		for (const name of names) {
			for (let n = 0; n < 100; n++)
				expect((await store.get(`${name}${n}`))?.data).toEqual({ n });
		}
	});
});
