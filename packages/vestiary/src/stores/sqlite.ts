import '../server-only.js';

import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

import type { Serializer } from '../memory-store.js';
import type { AtomicOperations, AtomicOutcome, SessionStoreData, Store } from '../types.js';
import { full, MARK_HEADS, millis, parsed, type StoreOptions } from './options.js';

/** The options of a {@link SqliteStore}. */
export interface SqliteStoreOptions extends StoreOptions {
	/**
	 * The file; or a database that is open already. If the file is missing it is made, and only its owner can
	 * read it.
	 */
	database: string | DatabaseSync;
	/** Name of the table, made if it is missing: letters, digits and `_`. Default: `sessions`. */
	table?: string | undefined;
}

/** How many expired records a write removes: a little each time, so that none of them is slow. */
const SWEEP = 20;

/** The mark of a record, as an expression; `''` without one. */
const MARK = `CASE ${MARK_HEADS.map(
	(head) =>
		`WHEN substr(record, 1, ${head.length}) = '${head}'
		AND substr(record, ${head.length + 17}, 1) = '"' THEN substr(record, ${head.length + 1}, 16)`
).join(' ')} ELSE '' END`;

/**
 * Keeps sessions in an SQLite file, with the SQLite of Node.js (22.13 or newer): they survive a
 * restart, and several processes on one machine may share them.
 */
export class SqliteStore implements Store {
	readonly prefix: string;
	readonly serializer: Serializer;
	readonly ttl: number;
	readonly atomic: AtomicOperations | undefined;
	readonly #database: DatabaseSync;
	readonly #statements: Record<
		'get' | 'set' | 'destroy' | 'touch' | 'sweep' | 'create' | 'replace' | 'remove',
		StatementSync
	>;

	constructor(options: SqliteStoreOptions) {
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		const { database, table = 'sessions' } = options;
		if (!/^[A-Za-z_]\w{0,63}$/.test(table)) {
			throw new TypeError(
				'`table` must be letters, digits and `_`, not beginning with a digit'
			);
		}
		this.#database = typeof database === 'string' ? opened(database) : database;
		// Writers wait for each other instead of failing, and readers wait for nobody.
		this.#database.exec('PRAGMA busy_timeout = 5000');
		try {
			this.#database.exec('PRAGMA journal_mode = WAL');
		} catch {
			// This one does not wait: another process is doing it at the moment, and once is enough.
		}
		this.#database.exec(`
			CREATE TABLE IF NOT EXISTS ${table} (
				key TEXT PRIMARY KEY,
				record TEXT NOT NULL,
				expires INTEGER NOT NULL
			) WITHOUT ROWID;
			CREATE INDEX IF NOT EXISTS ${table}_expires ON ${table} (expires);
		`);
		const prepare = (sql: string): StatementSync => this.#database.prepare(sql);
		this.#statements = {
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
				WHERE key = ? AND expires > ? AND ${MARK} = ?`
			),
			remove: prepare(`DELETE FROM ${table} WHERE key = ? AND expires > ? AND ${MARK} = ?`)
		};
		// A serializer may put the mark where it is not found.
		this.atomic = this.serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const row = this.#statements.get.get(this.prefix + id, Date.now());
		return typeof row?.record === 'string' ? parsed(this.serializer, row.record) : null;
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const now = Date.now();
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		this.#statements.set.run(
			this.prefix + id,
			this.serializer.stringify(storeData),
			now + life
		);
		this.#statements.sweep.run(now);
	}

	async destroy(id: string): Promise<void> {
		this.#statements.destroy.run(this.prefix + id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		const now = Date.now();
		this.#statements.touch.run(now + millis(ttl, this.ttl), this.prefix + id, now);
	}

	#operations(): AtomicOperations {
		const { get, touch, create, replace, remove, sweep } = this.#statements;
		/** Each statement is a transaction of its own; what else there is only explains a refusal. */
		const outcome = (changes: number | bigint, key: string, now: number): AtomicOutcome => {
			if (Number(changes) > 0) return 'done';
			return get.get(key, now) === undefined ? 'gone' : 'conflict';
		};
		return {
			resends: false,
			read: async (id) => {
				const row = get.get(this.prefix + id, Date.now());
				return typeof row?.record === 'string' ? row.record : null;
			},
			create: async (id, text, ttl) => {
				const now = Date.now();
				const expires = now + millis(ttl, this.ttl);
				const { changes } = create.run(this.prefix + id, text, expires, now);
				sweep.run(now);
				return Number(changes) > 0;
			},
			replace: async (id, mark, text, ttl) => {
				const now = Date.now();
				const key = this.prefix + id;
				const expires = now + millis(ttl, this.ttl);
				const { changes } = replace.run(text, expires, key, now, mark ?? '');
				return outcome(changes, key, now);
			},
			touch: async (id, ttl) => {
				const now = Date.now();
				const { changes } = touch.run(now + millis(ttl, this.ttl), this.prefix + id, now);
				return Number(changes) > 0;
			},
			remove: async (id, mark) => {
				const now = Date.now();
				const key = this.prefix + id;
				return outcome(remove.run(key, now, mark ?? '').changes, key, now);
			}
		};
	}

	/** Closes the database file. */
	close(): void {
		this.#database.close();
	}
}

/** SQLite would let every user of the machine read the sessions, as it gives its other files the mode of this one. */
function opened(file: string): DatabaseSync {
	try {
		// Not `file:` URLs and `:memory:`, which name no file.
		if (!file.includes(':')) closeSync(openSync(file, 'wx', 0o600));
	} catch {
		// It is there, or SQLite will say why it cannot be made.
	}
	return new DatabaseSync(file);
}

export default SqliteStore;
