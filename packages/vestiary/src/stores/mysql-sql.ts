import { hexOf } from './mysql-client.js';
import { WRITE_ID_HEADS } from './options.js';
import { MOST } from './polling.js';

/** A statement. Keys, records and write IDs are hexadecimal digits, TTLs are numbers of milliseconds. */
export type Sql = string;

/** The statements of a MySQL table, the same as those of `MySqlStore` in the crate `vestiary-store`. */
export interface Statements {
	/** Key: `record`. */
	readonly read: Sql;
	/** Two keys: `key`, in hexadecimal, and `record`. */
	readonly readTwo: Sql;
	/** Key, record, TTL. */
	readonly set: Sql;
	/** Key, record, TTL: fails if there is a row, even an expired one. */
	readonly insert: Sql;
	/** Record, TTL, TTL, key: replaces an expired row. */
	readonly revive: Sql;
	/** Record, TTL, TTL, key, write ID. */
	readonly replace: Sql;
	/** TTL, TTL, key. */
	readonly touch: Sql;
	/** TTL, TTL, key, write ID. */
	readonly touchExpected: Sql;
	/** Key. */
	readonly destroy: Sql;
	/** Key, write ID. */
	readonly remove: Sql;
	/** `now`. */
	readonly now: Sql;
	/** As many keys as a number of {@link SIZES}: `key`, in hexadecimal, and `written`. */
	readonly writeIds: (size: number) => Sql;
	/** `key`, in hexadecimal, of a few expired records. */
	readonly expired: Sql;
	/** As many keys as {@link SWEEP}: removes those that have expired. */
	readonly sweep: Sql;
	/** Creates the table and its index. */
	readonly schema: Sql;
	/** The same, unless they exist, even if several processes do it at once. */
	readonly migrate: Sql;
}

/** Asks whether the server is in a cluster (Galera). A server that was built without clusters has no such variable. */
export const CLUSTERED: Sql = "SHOW VARIABLES LIKE 'wsrep_on'";

/**
 * The beginning of a statement that first waits for the writes of the other servers in a cluster. Otherwise a server
 * could read a session that another one has ended, and not find one that another one has created. Only MariaDB reads
 * such a comment.
 */
export const CAUSAL = '/*M! SET STATEMENT wsrep_sync_wait = 7 FOR */ ';

/** The write ID, in hexadecimal, that stands for a record without one. It is no write ID, because it is too short. */
export const NO_WRITE_ID = '2D';

/** One creation in this many sweeps, and removes twice as many records as were created meanwhile. */
export const SWEEP_EVERY = 10;

/** The number of expired records that one sweep removes: few, so that no request is slow. */
export const SWEEP: number = 2 * SWEEP_EVERY;

/** The numbers of keys in a question about write IDs. A server or client that caches statements has one of each. */
export const SIZES: readonly number[] = [8, 64, MOST];

/**
 * The most bytes of a key: the limit of an index in every row format and page size. A server that is not strict would
 * truncate a longer key, and mix up two sessions.
 */
export const LONGEST_KEY = 767;

/**
 * Now, in milliseconds. The time zone of the connection has no influence; with a local time, an hour of each autumn
 * would be ambiguous.
 */
const NOW = '(TIMESTAMPDIFF(MICROSECOND, MAKEDATE(1970, 1), UTC_TIMESTAMP(3)) DIV 1000)';

/**
 * The write ID of a record. The literals are bytes in hexadecimal, so no character set, collation or `sql_mode` has an
 * influence on the comparison, and no client finds a quote in a statement.
 */
const WRITE_ID = `CASE ${WRITE_ID_HEADS.map(
	(head) =>
		`WHEN LEFT(record, ${head.length}) = X'${hexOf(head)}' AND SUBSTRING(record, ${head.length + 17}, 1) = X'22' THEN SUBSTRING(record, ${head.length + 1}, 16)`
).join(' ')} ELSE X'${NO_WRITE_ID}' END`;

/**
 * The end of a record. A write always changes the row, by a millisecond if need be: some connections count the rows
 * that a statement has changed, and others those that it has found.
 */
const EXPIRES = `expires = ${NOW} + ? + (expires = ${NOW} + ?)`;

/** The statements for a table of this name, in this schema or in that of the connection. */
export function statementsFor(name: string, schema: string | undefined): Statements {
	const table = (schema === undefined ? '' : `${quoted(schema)}.`) + quoted(name);
	const present = `\`key\` = UNHEX(?) AND expires > ${NOW}`;
	// In a small table, a server may otherwise read all rows, and wait for those that others have locked.
	const byKey = `${table} FORCE INDEX (PRIMARY)`;
	const expected = `${present} AND ${WRITE_ID} = UNHEX(?)`;
	// Bytes, so that neither a collation makes two keys equal nor a character set changes a record.
	const columns =
		'`key` VARBINARY(767) NOT NULL PRIMARY KEY, record LONGBLOB NOT NULL, expires BIGINT NOT NULL, KEY expires (expires)';
	return {
		read: `SELECT record FROM ${table} WHERE ${present}`,
		readTwo: `SELECT HEX(\`key\`) AS \`key\`, record FROM ${byKey} WHERE \`key\` IN (UNHEX(?), UNHEX(?)) AND expires > ${NOW}`,
		set: `REPLACE INTO ${table} (\`key\`, record, expires) VALUES (UNHEX(?), UNHEX(?), ${NOW} + ?)`,
		insert: `INSERT INTO ${table} (\`key\`, record, expires) VALUES (UNHEX(?), UNHEX(?), ${NOW} + ?)`,
		revive: `UPDATE ${table} SET record = UNHEX(?), ${EXPIRES} WHERE \`key\` = UNHEX(?) AND expires <= ${NOW}`,
		replace: `UPDATE ${table} SET record = UNHEX(?), ${EXPIRES} WHERE ${expected}`,
		touch: `UPDATE ${table} SET ${EXPIRES} WHERE ${present}`,
		touchExpected: `UPDATE ${table} SET ${EXPIRES} WHERE ${expected}`,
		destroy: `DELETE FROM ${table} WHERE \`key\` = UNHEX(?)`,
		remove: `DELETE FROM ${table} WHERE ${expected}`,
		now: `SELECT ${NOW} AS now`,
		writeIds: (size) =>
			`SELECT HEX(\`key\`) AS \`key\`, HEX(${WRITE_ID}) AS written FROM ${byKey} WHERE \`key\` IN (${hexadecimals(size)})`,
		// A locked row is being swept by another request, or created again.
		expired: `SELECT HEX(\`key\`) AS \`key\` FROM ${table} WHERE expires <= ${NOW} ORDER BY expires LIMIT ${SWEEP} FOR UPDATE SKIP LOCKED`,
		sweep: `DELETE old FROM ${table} AS old FORCE INDEX (PRIMARY) WHERE \`key\` IN (${hexadecimals(SWEEP)}) AND expires <= ${NOW}`,
		schema: `CREATE TABLE ${table} (${columns}) ENGINE = InnoDB;`,
		migrate: `CREATE TABLE IF NOT EXISTS ${table} (${columns}) ENGINE = InnoDB`
	};
}

function hexadecimals(count: number): Sql {
	return Array<string>(count).fill('UNHEX(?)').join(', ');
}

/** A name as an identifier, whatever its characters. */
function quoted(name: string): string {
	return `\`${name.replaceAll('`', '``')}\``;
}
