import '../server-only.js';

import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

import { redacted } from '../cause.js';
import { building } from '../environment.js';
import { ConfigError, StoreError } from '../errors.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	Serializer,
	SessionStoreData,
	Store
} from '../types.js';
import { checkCommon, checkObject, has } from './check.js';
import { full, WRITE_ID_HEADS, millis, parsed, type StoreOptions } from './options.js';
import { patienceOf } from './patience.js';

/** Options of a {@link SqliteStore}. */
export interface SqliteStoreOptions extends StoreOptions {
	/**
	 * The file, or an open database. The first request opens the file. If it is missing, it is created so that only its
	 * owner can read it; its folder must exist.
	 */
	database: string | DatabaseSync;
	/** The table's name: letters, digits and `_`. It is created if it is missing. Default: `sessions`. */
	table?: string | undefined;
}

/** The number of expired records that a write removes: few, so that no write is slow. */
const SWEEP = 20;

/** The write ID of a record, as an SQL expression; `''` without one. */
const WRITE_ID = `CASE ${WRITE_ID_HEADS.map(
	(head) =>
		`WHEN substr(record, 1, ${head.length}) = '${head}'
		AND substr(record, ${head.length + 17}, 1) = '"' THEN substr(record, ${head.length + 1}, 16)`
).join(' ')} ELSE '' END`;

/** The longest pause between two attempts while another process writes, in milliseconds. */
const LONGEST_PAUSE = 50;

type Statements = Record<
	| 'get'
	| 'set'
	| 'destroy'
	| 'touch'
	| 'sweep'
	| 'create'
	| 'replace'
	| 'touchExpected'
	| 'remove',
	StatementSync
>;

/**
 * Keeps sessions in an SQLite file, with the SQLite of Node.js (22.13 or newer). They survive a restart, and the
 * processes of one machine can share them.
 *
 * The first request opens the file. While another process writes, this one retries until `storeTimeout`, and answers
 * other requests meanwhile. SQLite's own work blocks, since `node:sqlite` is synchronous: reading and writing a record
 * takes microseconds, but a slow disk delays all requests. So does the busy timeout of a database that was passed open.
 */
export class SqliteStore implements Store {
	readonly prefix: string;
	readonly serializer: Serializer;
	readonly ttl: number;
	readonly atomic: AtomicOperations | undefined;
	readonly #table: string;
	readonly #source: string | DatabaseSync;
	#database: DatabaseSync | undefined;
	#prepared: Statements | undefined;
	#closed = false;

	constructor(options: SqliteStoreOptions) {
		checkDatabase(options);
		checkCommon('SqliteStore', options, ['database', 'table']);
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		const { database, table = 'sessions' } = options;
		if (typeof (table as unknown) !== 'string' || !/^[A-Za-z_]\w{0,63}$/.test(table)) {
			throw new ConfigError(
				'options',
				'`table` must be letters, digits and `_`, not beginning with a digit'
			);
		}
		this.#table = table;
		this.#source = database;
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const row = await this.#run(({ get }) => get.get(this.prefix + id, Date.now()));
		return typeof row?.record === 'string' ? parsed(this.serializer, row.record) : null;
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const text = this.serializer.stringify(storeData);
		await this.#run(({ set, sweep }) => {
			const now = Date.now();
			set.run(this.prefix + id, text, now + life);
			swept(sweep, now);
		});
	}

	async destroy(id: string): Promise<void> {
		await this.#run(({ destroy }) => destroy.run(this.prefix + id));
	}

	async touch(id: string, ttl: number): Promise<void> {
		await this.#touch(id, ttl);
	}

	/** Closes the database file. */
	close(): void {
		this.#closed = true;
		const database = typeof this.#source === 'string' ? this.#database : this.#source;
		database?.close();
	}

	#operations(): AtomicOperations {
		/** Explains why a statement changed nothing. Each statement is a transaction of its own, so this reads afterwards. */
		const outcome = (
			changes: number | bigint,
			{ get }: Statements,
			key: string,
			now: number
		): AtomicOutcome => {
			if (Number(changes) > 0) return 'done';
			return get.get(key, now) === undefined ? 'gone' : 'conflict';
		};
		const read = ({ get }: Statements, id: string): string | null => {
			const row = get.get(this.prefix + id, Date.now());
			if (!row) return null;
			// A blob is no record; this text stands for an unreadable one.
			return typeof row.record === 'string' ? row.record : '\ufffd';
		};
		return {
			resends: false,
			ttl: this.ttl,
			read: async (id) => this.#run((statements) => read(statements, id)),
			readTwo: async (one, other) =>
				this.#run((statements) => [read(statements, one), read(statements, other)]),
			create: async (id, text, ttl) =>
				this.#run(({ create, sweep }) => {
					const now = Date.now();
					const expires = now + millis(ttl, this.ttl);
					const { changes } = create.run(this.prefix + id, text, expires, now);
					swept(sweep, now);
					return Number(changes) > 0;
				}),
			replace: async (id, writeId, text, ttl) =>
				this.#run((statements) => {
					const now = Date.now();
					const key = this.prefix + id;
					const expires = now + millis(ttl, this.ttl);
					const { changes } = statements.replace.run(
						text,
						expires,
						key,
						now,
						writeId ?? ''
					);
					return outcome(changes, statements, key, now);
				}),
			touchCompares: true,
			touch: async (id, ttl, writeId) => {
				if (writeId === undefined) return this.#touch(id, ttl);
				return this.#run((statements) => {
					const now = Date.now();
					const key = this.prefix + id;
					const expires = now + millis(ttl, this.ttl);
					const { changes } = statements.touchExpected.run(
						expires,
						key,
						now,
						writeId ?? ''
					);
					return outcome(changes, statements, key, now);
				});
			},
			remove: async (id, writeId) =>
				this.#run((statements) => {
					const now = Date.now();
					const key = this.prefix + id;
					const { changes } = statements.remove.run(key, now, writeId ?? '');
					return outcome(changes, statements, key, now);
				})
		};
	}

	async #touch(id: string, ttl: number): Promise<boolean> {
		const changed = await this.#run(({ touch }) => {
			const now = Date.now();
			return touch.run(now + millis(ttl, this.ttl), this.prefix + id, now);
		});
		return Number(changed.changes) > 0;
	}

	/** Runs statements, and retries them while another process writes. They may run more than once. */
	async #run<T>(run: (statements: Statements) => T): Promise<T> {
		const patience = patienceOf(this);
		const began = performance.now();
		for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
			try {
				return run(this.#open());
			} catch (error) {
				if (!isBusy(error)) throw error;
				const left = patience - (performance.now() - began);
				if (left <= 0) throw locked(patience, error);
				// Jitter, so that several waiting writers do not return at once.
				const jitter = pause * (0.5 + Math.random() / 2);
				// Timers count whole milliseconds: the last pause must not end before the limit.
				const wait = Math.min(Math.ceil(left) + 1, jitter);
				await new Promise((resolve) => setTimeout(resolve, wait));
			}
		}
	}

	/** Opens the database, unless it is open. After a failure, the next call tries again. */
	#open(): Statements {
		if (this.#prepared) return this.#prepared;
		if (this.#closed) throw new StoreError('store_failed', 'the store was closed');
		const database = (this.#database ??=
			typeof this.#source === 'string' ? opened(this.#source) : this.#source);
		try {
			// With a write-ahead log, readers wait for no writer.
			database.exec('PRAGMA journal_mode = WAL');
		} catch {
			// Another process is switching at the moment, and once is enough.
		}
		database.exec(`
			CREATE TABLE IF NOT EXISTS ${this.#table} (
				key TEXT PRIMARY KEY,
				record TEXT NOT NULL,
				expires INTEGER NOT NULL
			) WITHOUT ROWID;
			CREATE INDEX IF NOT EXISTS ${this.#table}_expires ON ${this.#table} (expires);
		`);
		this.#prepared = prepared(database, this.#table);
		return this.#prepared;
	}
}

function prepared(database: DatabaseSync, table: string): Statements {
	const prepare = (sql: string): StatementSync => database.prepare(sql);
	return {
		get: prepare(`SELECT record FROM ${table} WHERE key = ? AND expires > ?`),
		set: prepare(
			`INSERT INTO ${table} (key, record, expires) VALUES (?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires`
		),
		destroy: prepare(`DELETE FROM ${table} WHERE key = ?`),
		touch: prepare(`UPDATE ${table} SET expires = ? WHERE key = ? AND expires > ?`),
		sweep: prepare(
			`DELETE FROM ${table} WHERE key IN
			(SELECT key FROM ${table} WHERE expires <= ? ORDER BY expires LIMIT ${SWEEP})`
		),
		create: prepare(
			`INSERT INTO ${table} (key, record, expires) VALUES (?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires
			WHERE expires <= ?`
		),
		replace: prepare(
			`UPDATE ${table} SET record = ?, expires = ?
			WHERE key = ? AND expires > ? AND ${WRITE_ID} = ?`
		),
		touchExpected: prepare(
			`UPDATE ${table} SET expires = ? WHERE key = ? AND expires > ? AND ${WRITE_ID} = ?`
		),
		remove: prepare(`DELETE FROM ${table} WHERE key = ? AND expires > ? AND ${WRITE_ID} = ?`)
	};
}

/** Removes a few expired records. The written record is stored, whatever becomes of the sweep. */
function swept(sweep: StatementSync, now: number): void {
	try {
		sweep.run(now);
	} catch {
		// The next write sweeps again.
	}
}

/** Opens a file. SQLite would make it readable for every user of the machine, and gives its other files the same mode. */
function opened(file: string): DatabaseSync {
	// `file:` URLs and `:memory:` name no file.
	const isFile = !file.includes(':');
	try {
		if (isFile) closeSync(openSync(file, 'wx', 0o600));
	} catch {
		// The file exists, or SQLite reports why it cannot be created.
	}
	try {
		// Its busy timeout would block all requests of this process.
		return new DatabaseSync(file, { timeout: 0 });
	} catch (error) {
		const folder = isFile ? /^.*[\\/]/.exec(file)?.[0] : undefined;
		const missing = folder !== undefined && !existsSync(folder);
		const what = missing
			? 'its folder does not exist: make it before the app starts'
			: 'this process must be able to read and write the file, and to make files beside it';
		throw new StoreError(
			'store_failed',
			`the SQLite file of the option \`database\` cannot be opened: ${what}`,
			{ cause: redacted(error) }
		);
	}
}

function locked(after: number, error: unknown): StoreError {
	const message = `the session store could not write within ${Math.ceil(after)} ms: another process holds the write lock of the SQLite file. Nothing was done`;
	return new StoreError('store_timeout', message, { cause: redacted(error), refused: true });
}

/** `SQLITE_BUSY` and `SQLITE_LOCKED`, in the low byte of the code. */
function isBusy(error: unknown): boolean {
	const { errcode } = (error ?? {}) as { errcode?: unknown };
	return typeof errcode === 'number' && [5, 6].includes(errcode & 0xff);
}

function checkDatabase(options: unknown): void {
	const usage = '`new SqliteStore({ database })`';
	const isDatabase = (value: unknown): boolean => has(value, ['prepare', 'exec']);
	if (typeof options === 'string' || isDatabase(options))
		throw new ConfigError(
			'options',
			`\`new SqliteStore(database)\` must be ${usage}: the database is one of the options`
		);
	checkObject('SqliteStore', options, usage);
	const { database } = options as { database?: unknown };
	if ((typeof database === 'string' && database !== '') || isDatabase(database)) return;
	if (building && (database === undefined || database === '')) return;
	throw new ConfigError(
		'options',
		`${usage}: \`database\` must be the path of a file, or a \`DatabaseSync\` of node:sqlite`
	);
}

export default SqliteStore;
