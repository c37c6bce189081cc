import { StoreError } from '../errors.js';
import { has } from './check.js';
import type { Row } from './rows.js';

/** A pool or a connection of `mysql2` or `mariadb`. Those of `mysql2` may be of either interface. */
export interface QueryClient {
	query(sql: string, values?: unknown): unknown;
	escapeId(name: string): string;
}

/** A client of `@planetscale/database`. */
export interface ExecuteClient {
	execute(sql: string, values?: string[] | null): Promise<unknown>;
}

/** A value of a statement: hexadecimal digits, or a number. No client has to escape anything. */
export type Value = string | number;

/** Runs statements, whatever the client. */
export interface Driver {
	/** The rows of a query. */
	rows(sql: string, values: readonly Value[]): Promise<readonly Row[]>;
	/** The number of rows that a statement has changed. */
	changes(sql: string, values: readonly Value[]): Promise<number>;
}

/** Whether a value is a client of MySQL. Those of Postgres have a `query` as well, but no `escapeId`. */
export function isClient(value: unknown): boolean {
	if (has(value, ['query'])) return has(value, ['escapeId']);
	return has(value, ['execute']);
}

/** The driver of a client. */
export function driverOf(client: QueryClient | ExecuteClient): Driver {
	return 'query' in client ? querying(client) : executing(client);
}

/** Options of one statement, for both clients, whatever an application has set for all of its own. */
const OPTIONS = {
	namedPlaceholders: false,
	nestTables: false,
	rowsAsArray: false,
	metaAsArray: false,
	typeCast: (_: unknown, next: () => unknown): unknown => next()
};

function querying(client: QueryClient): Driver {
	const { promise } = client as { promise?: () => QueryClient };
	// Without it, a query of mysql2 returns an object that throws when it is awaited.
	const asked = typeof promise === 'function' ? promise.call(client) : client;
	const run = async (sql: string, values: readonly Value[]): Promise<unknown> => {
		const answer = asked.query({ ...OPTIONS, sql } as unknown as string, values);
		if (has(answer, ['then'])) return answer;
		throw unexpected('it has no promises');
	};
	return {
		rows: async (sql, values) => {
			const answer = await run(sql, values);
			const [first] = Array.isArray(answer) ? (answer as unknown[]) : [];
			// mysql2 answers with the rows and the columns, mariadb with the rows.
			const rows = Array.isArray(first) ? (first as unknown[]) : answer;
			if (Array.isArray(rows)) return (rows as Row[]).map(decoded);
			throw unexpected();
		},
		changes: async (sql, values) => {
			const answer = await run(sql, values);
			const [result] = Array.isArray(answer) ? (answer as unknown[]) : [answer];
			const { affectedRows } = (result ?? {}) as { affectedRows?: unknown };
			if (typeof affectedRows === 'number') return affectedRows;
			throw unexpected();
		}
	};
}

function executing(client: ExecuteClient): Driver {
	return {
		rows: async (sql, values) => {
			const { rows } = (await client.execute(sql, [...values] as string[])) as {
				rows?: unknown;
			};
			if (Array.isArray(rows)) return (rows as Row[]).map(decoded);
			throw unexpected();
		},
		changes: async (sql, values) => {
			const answer = await client.execute(sql, [...values] as string[]);
			const { rowsAffected } = (answer ?? {}) as { rowsAffected?: unknown };
			if (typeof rowsAffected === 'number') return rowsAffected;
			throw unexpected();
		}
	};
}

function unexpected(why = 'it sent an unexpected reply'): StoreError {
	return new StoreError('store_failed', `the MySQL client cannot be used: ${why}`);
}

/** The bytes of a text in hexadecimal, as `HEX` writes them. */
export function hexOf(text: string): string {
	let hex = '';
	for (const byte of encoder.encode(text)) hex += DIGITS[byte] ?? '';
	return hex;
}

const encoder = new TextEncoder();

const DIGITS = Array.from({ length: 256 }, (_, byte) =>
	byte.toString(16).toUpperCase().padStart(2, '0')
);

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The row with its record as text. Bytes that are not text are left as they are. */
function decoded(row: Row): Row {
	const { record } = row;
	if (!(record instanceof Uint8Array)) return row;
	try {
		return { ...row, record: decoder.decode(record) };
	} catch {
		return row;
	}
}

/** The number of a server's error. */
export function errorNumberOf(error: unknown): number | undefined {
	const { errno } = (error ?? {}) as { errno?: unknown };
	return typeof errno === 'number' ? errno : numberOfPlanetScale(error);
}

/**
 * Whether PlanetScale's server has refused a statement. Other clients' errors say so themselves, by a code that
 * `refusal.ts` knows.
 */
export function isRefusal(error: unknown): boolean {
	const number = numberOfPlanetScale(error);
	if (number === undefined) return false;
	const isOfConnection = number >= 2_000 && number < 3_000;
	return !isOfConnection && !IN_DOUBT.includes(number);
}

/** A shutdown, an error without a name, a failed commit, an interrupted statement, a closed connection. */
const IN_DOUBT = [1_053, 1_105, 1_180, 1_317, 1_927];

/** Its errors have the number in their message. */
function numberOfPlanetScale(error: unknown): number | undefined {
	const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
	if (name !== 'DatabaseError' || typeof message !== 'string') return undefined;
	const number = /\(errno (\d{1,5})\) \(sqlstate \w{5}\)/.exec(message)?.[1];
	return number === undefined ? undefined : Number(number);
}
