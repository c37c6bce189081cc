import '../server-only.js';

import { building } from '../environment.js';
import { ConfigError, StoreError } from '../errors.js';
import { checkCommon, checkObject } from './check.js';
import type { StoreOptions } from './options.js';
import { driverOf, isDatabase, type Connection, type OpenDatabase } from './sqlite-driver.js';
import { everyOf, type PollingOptions } from './polling.js';
import { explained } from './sqlite-failure.js';
import { opened } from './sqlite-file.js';
import { STATE, tableOf, WITHOUT_ROWID } from './sqlite-sql.js';
import { SqliteTable } from './sqlite-table.js';

/** Options of a {@link SqliteStore}. */
export interface SqliteStoreOptions extends StoreOptions {
	/**
	 * The file, or an open database: of `node:sqlite`, `better-sqlite3`, `bun:sqlite`, `@libsql/client` or
	 * `@tursodatabase/database`. The first request opens the file, with the SQLite of Node.js. If it is missing, it is
	 * created so that only its owner can read it; its folder must exist.
	 */
	database: string | OpenDatabase;
	/** The table's name: letters, digits and `_`. It is created if it is missing. Default: `sessions`. */
	table?: string | undefined;
	/**
	 * Looks for changes by other processes while sessions are watched (`session.until()`, `session.signal`): twice in a second,
	 * or each `{ every }` milliseconds. So a stream ends within a second when another process ends its session. Only processes
	 * with streams need it, and writes stay as they are. Needs the default serializer. Default: false; streams end after
	 * `recheckAfter`.
	 */
	feed?: boolean | PollingOptions | undefined;
}

/**
 * Keeps sessions in SQLite. They survive a restart, and the processes of one machine can share them.
 *
 * A path needs Node.js 22.13 or newer. The first request opens the file. While another process writes, this one retries
 * until `storeTimeout`, and answers other requests meanwhile. SQLite's own work blocks with a synchronous driver:
 * reading and writing a record takes microseconds, but a slow disk delays all requests. So does the busy timeout of a
 * database that was passed open.
 *
 * ```ts
 * import { SqliteStore } from 'vestiary/sqlite';
 *
 * const store = new SqliteStore({ database: 'sessions.db' });
 * ```
 */
export class SqliteStore extends SqliteTable {
	readonly #source: string | OpenDatabase;
	readonly #table: string;
	#driver: Connection | undefined;
	#ready: Promise<Connection> | undefined;
	#closed = false;

	constructor(options: SqliteStoreOptions) {
		checkDatabase(options);
		checkCommon('SqliteStore', options, ['database', 'table', 'feed']);
		const table = tableOf(options.table);
		super(options, table, everyOf('SqliteStore', options));
		this.#table = table;
		this.#source = options.database;
	}

	/** Closes the database. */
	close(): void {
		this.#closed = true;
		void (typeof this.#source === 'string' ? this.#driver : this.#source)?.close();
	}

	protected async open(): Promise<Connection> {
		if (this.#closed) throw new StoreError('store_failed', 'the store was closed');
		const driver = (this.#driver ??= driverOf(
			typeof this.#source === 'string' ? opened(this.#source) : this.#source
		));
		this.#ready ??= this.#prepared(driver);
		try {
			return await this.#ready;
		} catch (error) {
			this.#ready = undefined;
			throw error;
		}
	}

	protected override explain(error: unknown): unknown {
		return explained(error, this.#table);
	}

	protected override async state(): Promise<string | undefined> {
		// The client of libSQL changes its connection, and numbers of two connections cannot be compared.
		if (typeof this.#source !== 'string' && 'execute' in this.#source) return undefined;
		try {
			const [row] = await this.rows(STATE);
			return typeof row?.state === 'string' ? row.state : undefined;
		} catch {
			// The database does not know it.
			return undefined;
		}
	}

	async #prepared(driver: Connection): Promise<Connection> {
		try {
			// With a write-ahead log, readers wait for no writer.
			await driver.set('PRAGMA journal_mode = WAL');
		} catch {
			// Another process is switching at the moment, and once is enough; a server decides it for itself.
		}
		const [table, index] = this.statements.schema;
		try {
			await driver.changes(table);
		} catch (error) {
			// Turso's database has no such tables yet.
			if (!String((error as Partial<Error>).message).includes('WITHOUT ROWID')) throw error;
			await driver.changes(table.replace(WITHOUT_ROWID, ''));
		}
		await driver.changes(index);
		return driver;
	}
}

function checkDatabase(options: unknown): void {
	const usage = '`new SqliteStore({ database })`';
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
		`${usage}: \`database\` must be the path of a file, or an open database of node:sqlite, better-sqlite3, bun:sqlite, @libsql/client or @tursodatabase/database`
	);
}

export default SqliteStore;
