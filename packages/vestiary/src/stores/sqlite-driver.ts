import { has } from './check.js';
import type { Row } from './rows.js';

/** A value of a statement. */
export type Value = string | number;

/** A connection to SQLite: runs a statement. */
export interface Driver {
	/** The rows of a query. */
	rows(sql: string, ...values: Value[]): readonly Row[] | Promise<readonly Row[]>;
	/** The number of rows that a statement has changed. */
	changes(sql: string, ...values: Value[]): number | Promise<number>;
	close(): unknown;
}

/** A connection that an application can also configure. */
export interface Connection extends Driver {
	/** Runs a PRAGMA, outside any transaction. */
	set(pragma: string): unknown;
}

/**
 * An open database with prepared statements: `DatabaseSync` of `node:sqlite`, `Database` of `better-sqlite3`,
 * of `bun:sqlite` or of `@tursodatabase/database`.
 */
export interface PreparingDatabase {
	prepare(sql: string): unknown;
	exec(sql: string): unknown;
	close(): unknown;
}

/** A client of `@libsql/client`, for a file or for a server such as Turso's. */
export interface LibsqlClient {
	/** How it reaches its database: `file`, or the scheme of a server's URL. */
	readonly protocol: string;
	execute(statement: LibsqlStatement): Promise<unknown>;
	batch(statements: LibsqlStatement[], mode: 'read' | 'write'): Promise<unknown[]>;
	close(): unknown;
}

/** A statement of `@libsql/client`. */
export interface LibsqlStatement {
	sql: string;
	args: Value[];
}

/** A database that an application has opened. */
export type OpenDatabase = PreparingDatabase | LibsqlClient;

/** Whether a value is an open database. */
export function isDatabase(value: unknown): value is OpenDatabase {
	return has(value, ['prepare', 'exec']) || has(value, ['execute', 'close']);
}

/** The driver of an open database. */
export function driverOf(database: OpenDatabase): Connection {
	return 'execute' in database ? executing(database) : preparing(database);
}

/** A prepared statement. That of Turso answers with promises. */
interface Prepared {
	all(...values: Value[]): Row[] | Promise<Row[]>;
	run(...values: Value[]): Changed | Promise<Changed>;
	close?(): unknown;
}

interface Changed {
	readonly changes: number | bigint;
}

function preparing(database: PreparingDatabase): Connection {
	/** Statements that answer at once. */
	const known = new Map<string, Prepared>();
	/**
	 * Runs a statement. One that answers later is used once: the values of two calls would meet in it, and mix up two
	 * visitors' sessions.
	 */
	const run = async <T>(sql: string, ask: (one: Prepared) => T | Promise<T>): Promise<T> => {
		const there = known.get(sql);
		if (there) return ask(there);
		const statement = await (database.prepare(sql) as Prepared | Promise<Prepared>);
		const answer = ask(statement);
		if (!(answer instanceof Promise)) {
			known.set(sql, statement);
			return answer;
		}
		try {
			return await answer;
		} finally {
			statement.close?.();
		}
	};
	return {
		rows: async (sql, ...values) => run(sql, (one) => one.all(...values)),
		changes: async (sql, ...values) =>
			Number((await run(sql, (one) => one.run(...values))).changes),
		set: (pragma) => database.exec(pragma),
		close: () => database.close()
	};
}

function executing(client: LibsqlClient): Connection {
	/**
	 * Runs a statement; on a file, in a transaction of its own. After `SQLITE_BUSY`, the client leaves the refused
	 * statement unfinished until it is collected as garbage. Until then, its connection reads an old state, and what
	 * `execute` acknowledges is not committed. The end of a transaction fails instead, and the store tries again.
	 */
	const run = async (mode: 'read' | 'write', sql: string, args: Value[]): Promise<unknown> =>
		client.protocol === 'file'
			? (await client.batch([{ sql, args }], mode))[0]
			: client.execute({ sql, args });
	return {
		rows: async (sql, ...values) => ((await run('read', sql, values)) as { rows: Row[] }).rows,
		changes: async (sql, ...values) =>
			((await run('write', sql, values)) as { rowsAffected: number }).rowsAffected,
		set: async (pragma) => client.execute({ sql: pragma, args: [] }),
		close: () => {
			client.close();
		}
	};
}
