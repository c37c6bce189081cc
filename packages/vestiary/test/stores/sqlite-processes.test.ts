/** A file of SQLite that several processes share. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createClient } from '@libsql/client';
import BetterSqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sveltekitSessionHandle, type SessionStoreData } from '../../src/index.js';
import { SqliteStore } from '../../src/stores/sqlite.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const record = { cookie: { path: '/' }, data: {} };

let folder: string;

/** A process that runs SQL in a file: two connections of one process would not see each other's locks. */
class OtherProcess {
	readonly #process: ChildProcess;

	private constructor(process: ChildProcess) {
		this.#process = process;
	}

	static async start(file: string): Promise<OtherProcess> {
		const script = join(folder, 'other.cjs');
		await writeFile(
			script,
			`const { DatabaseSync } = require('node:sqlite');
			const database = new DatabaseSync(process.argv[2], { timeout: 10_000 });
			process.on('message', ([sql, later]) => {
				if (sql.startsWith('SELECT')) return process.send(database.prepare(sql).get().record);
				database.exec(sql);
				process.send('done');
				if (later) setTimeout(() => database.exec(later), 50);
			});
			process.on('disconnect', () => process.exit());`
		);
		return new OtherProcess(fork(script, [file], { execArgv: [] }));
	}

	/** Runs a statement, and another one a moment later, if there is one. */
	async run(sql: string, later?: string): Promise<string> {
		const answer = new Promise<string>((resolve) => {
			this.#process.once('message', (text) => {
				resolve(text as string);
			});
		});
		this.#process.send([sql, later]);
		return answer;
	}

	/** The record that this process finds. */
	async record(): Promise<SessionStoreData> {
		return JSON.parse(await this.run('SELECT record FROM sessions')) as SessionStoreData;
	}

	stop(): void {
		this.#process.disconnect();
	}
}

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'vestiary-sqlite-processes-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('SqliteStore, whose file another process has open', () => {
	test('with better-sqlite3, too, it waits while another process writes', async () => {
		const file = join(folder, 'held by another.db');
		const store = new SqliteStore({ database: new BetterSqlite(file, { timeout: 0 }) });
		await store.set('id', record, 60_000);
		const other = await OtherProcess.start(file);
		await other.run('BEGIN IMMEDIATE');
		let done = false;
		const writing = store.set('id', { ...record, data: { n: 1 } }, 60_000).then(() => {
			done = true;
		});
		expect(await store.get('id')).toEqual(record);
		expect(done).toBe(false);
		await other.run('COMMIT');
		await writing;
		expect(await other.record()).toEqual({ ...record, data: { n: 1 } });
		store.close();
		other.stop();
	});

	test('with @libsql/client it waits as long as the client does', async () => {
		const file = join(folder, 'held by another, libsql.db');
		const database = createClient({ url: `file:${file}`, timeout: 20_000 });
		const store = new SqliteStore({ database });
		await store.set('id', record, 60_000);
		const other = await OtherProcess.start(file);
		// The client blocks this process meanwhile, so the other one ends its transaction by itself.
		await other.run('BEGIN IMMEDIATE', 'COMMIT');
		await store.set('id', { ...record, data: { n: 1 } }, 60_000);
		expect(await other.record()).toEqual({ ...record, data: { n: 1 } });
		store.close();
		other.stop();
	});

	test('with @libsql/client, what is acknowledged after a refused write is committed, and no read is old', async () => {
		const file = join(folder, 'refused by libsql.db');
		const database = createClient({ url: `file:${file}` });
		const store = new SqliteStore({ database });
		sveltekitSessionHandle({ secret: SECRET, store, storeTimeout: 150 });
		await store.set('id', record, 60_000);
		const other = await OtherProcess.start(file);
		/** The client may refuse for longer, but it must not claim a success that did not happen. */
		const acknowledged = async (write: Promise<void>): Promise<boolean> =>
			write.then(
				() => true,
				(error: unknown) => {
					expect(error).toMatchObject({ code: 'store_timeout' });
					return false;
				}
			);
		for (let n = 1; n <= 5; n++) {
			await other.run('BEGIN IMMEDIATE');
			expect(await acknowledged(store.set('id', record, 60_000))).toBe(false);
			await other.run('COMMIT');
			const written = { ...record, data: { n } };
			if (await acknowledged(store.set('id', written, 60_000)))
				expect(await other.record()).toEqual(written);
			const changed = { ...record, data: { other: n } };
			await other.run(`UPDATE sessions SET record = '${JSON.stringify(changed)}'`);
			const found = await store.get('id').catch(() => changed);
			expect(found).toEqual(changed);
		}
		store.close();
		other.stop();
	});

	test('several processes that begin at once: every write is there', async () => {
		const database = join(folder, 'shared.db');
		const module = new URL('../../dist/stores/sqlite.js', import.meta.url).href;
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
