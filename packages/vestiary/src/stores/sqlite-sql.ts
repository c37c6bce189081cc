import { ConfigError } from '../errors.js';
import { WRITE_ID_HEADS } from './options.js';

/** The statements of an SQLite table, the same as those of `SqliteStore` in the crate `vestiary-store`. */
export interface Statements {
	/** Key, now: `record`. */
	readonly read: string;
	/** Two keys, now: `key`, `record`. */
	readonly readTwo: string;
	/** Key, record, end. */
	readonly set: string;
	/** Key, record, end, now. */
	readonly create: string;
	/** Record, end, key, now, write ID. */
	readonly replace: string;
	/** End, key, now. */
	readonly touch: string;
	/** End, key, now, write ID. */
	readonly touchExpected: string;
	/** Key. */
	readonly destroy: string;
	/** Key, now, write ID. */
	readonly remove: string;
	/** Now: removes a few expired records. */
	readonly sweep: string;
	/** Create the table and its index, unless they exist. */
	readonly schema: readonly [table: string, index: string];
	/** A list of keys, as JSON: `key`, `written`. */
	readonly writeIds: string;
}

/** The end of the statement that creates the table: it needs one tree less than with numbers of its rows. */
export const WITHOUT_ROWID = ' WITHOUT ROWID';

/**
 * A text that changes with each write: the changes of this connection, and a number that changes with those of others. A
 * database that is open in several stores may have one connection for all of them.
 */
export const STATE =
	"SELECT total_changes() || ' ' || data_version AS state FROM pragma_data_version";

/** The number of expired records that a write removes: few, so that no write is slow. */
const SWEEP = 20;

/** The write ID of a record, as an SQL expression; `''` without one. */
const WRITE_ID = `CASE ${WRITE_ID_HEADS.map(
	(head) =>
		`WHEN substr(record, 1, ${head.length}) = '${head}'
		AND substr(record, ${head.length + 17}, 1) = '"' THEN substr(record, ${head.length + 1}, 16)`
).join(' ')} ELSE '' END`;

/** The statements for a table of this name. */
export function statementsFor(table: string): Statements {
	const present = 'key = ? AND expires > ?';
	const over = 'DO UPDATE SET record = excluded.record, expires = excluded.expires';
	return {
		read: `SELECT record FROM ${table} WHERE ${present}`,
		readTwo: `SELECT key, record FROM ${table} WHERE key IN (?, ?) AND expires > ?`,
		set: `INSERT INTO ${table} (key, record, expires) VALUES (?, ?, ?) ON CONFLICT (key) ${over}`,
		create: `INSERT INTO ${table} (key, record, expires) VALUES (?, ?, ?)
			ON CONFLICT (key) ${over} WHERE expires <= ?`,
		replace: `UPDATE ${table} SET record = ?, expires = ? WHERE ${present} AND ${WRITE_ID} = ?`,
		touch: `UPDATE ${table} SET expires = ? WHERE ${present}`,
		touchExpected: `UPDATE ${table} SET expires = ? WHERE ${present} AND ${WRITE_ID} = ?`,
		destroy: `DELETE FROM ${table} WHERE key = ?`,
		remove: `DELETE FROM ${table} WHERE ${present} AND ${WRITE_ID} = ?`,
		sweep: `DELETE FROM ${table} WHERE key IN
			(SELECT key FROM ${table} WHERE expires <= ? ORDER BY expires LIMIT ${SWEEP})`,
		writeIds: `SELECT key, ${WRITE_ID} AS written FROM ${table}
			WHERE key IN (SELECT value FROM json_each(?))`,
		schema: [
			`CREATE TABLE IF NOT EXISTS ${table} (
	key TEXT PRIMARY KEY,
	record TEXT NOT NULL,
	expires INTEGER NOT NULL
)${WITHOUT_ROWID}`,
			`CREATE INDEX IF NOT EXISTS ${table}_expires ON ${table} (expires)`
		]
	};
}

/** The name of a table, validated. */
export function tableOf(table: unknown = 'sessions'): string {
	if (typeof table === 'string' && /^[A-Za-z_]\w{0,63}$/.test(table)) return table;
	throw new ConfigError(
		'options',
		'`table` must be letters, digits and `_`, not beginning with a digit'
	);
}
