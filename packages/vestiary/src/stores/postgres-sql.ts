import { WRITE_ID_HEADS } from './options.js';

/** A statement, and the columns of its rows. */
export type Sql = string;

/** The statements of a Postgres table, the same as those of `PostgresStore` in the crate `vestiary-store`. */
export interface Statements {
	/** `$1` key: `record`. */
	readonly read: Sql;
	/** `$1` and `$2` keys: `key`, `record`. */
	readonly readTwo: Sql;
	/** `$1` key, `$2` record, `$3` TTL. */
	readonly set: Sql;
	/** `$1` key, `$2` record, `$3` TTL: a row if it was created. */
	readonly create: Sql;
	/** `$1` key, `$2` write ID, `$3` record, `$4` TTL: `outcome`. */
	readonly replace: Sql;
	/** `$1` key, `$2` TTL: a row if there is a record. */
	readonly touch: Sql;
	/** `$1` key, `$2` write ID, `$3` TTL: `outcome`. */
	readonly touchExpected: Sql;
	/** `$1` key. */
	readonly destroy: Sql;
	/** `$1` key, `$2` write ID: `outcome`. */
	readonly remove: Sql;
	/** `now`. */
	readonly now: Sql;
	/** `$1` key, `$2` text, `$3` TTL: `now`, `record`. */
	readonly stamp: Sql;
	/** Removes a few expired records. */
	readonly sweep: Sql;
	/** Creates the table and its index. */
	readonly schema: Sql;
	/** The same, unless they exist, even if several processes do it at once. */
	readonly migrate: Sql;
}

/** The values of `outcome`. */
export const OUTCOMES: ReadonlyMap<unknown, 'done' | 'conflict' | 'gone'> = new Map([
	[1, 'done'],
	[0, 'conflict'],
	[-1, 'gone']
] as const);

/** One creation in this many sweeps, and removes twice as many records as were created meanwhile. */
export const SWEEP_EVERY = 10;

/** The number of expired records that one sweep removes: few, so that no request is slow. */
const SWEEP: number = 2 * SWEEP_EVERY;

/** The key of the advisory lock held while a process creates the table: the bytes of `vestiary`. */
const MIGRATION = '8531352012944667257';

/** The write ID of a record; `''` without one. */
const WRITE_ID = `CASE ${WRITE_ID_HEADS.map(
	(head) =>
		`WHEN left(record, ${head.length}) = '${head}' AND substr(record, ${head.length + 17}, 1) = '"' THEN substr(record, ${head.length + 1}, 16)`
).join(' ')} ELSE '' END`;

const CLOCK =
	'clock AS (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now)';

const OUTCOME = `SELECT CASE WHEN EXISTS (SELECT FROM done) THEN 1
	WHEN EXISTS (SELECT FROM found) THEN 0 ELSE -1 END AS outcome`;

/** The channel for the changes of a table. Those of other tables of this name only cost a question. */
export function channelOf(name: string): string {
	return `vestiary_${name.replaceAll('"', '')}`;
}

/**
 * The statements for a table of this name, in this schema or in the first one of the `search_path`.
 * @param feed Whether each write notifies the channel of the table
 */
export function statementsFor(name: string, schema: string | undefined, feed: boolean): Statements {
	const place = schema === undefined ? '' : `${quoted(schema)}.`;
	const [table, index] = [place + quoted(name), quoted(`${name}_expires`)];
	// The second of two concurrent writers waits for the row here, then sees the first one's result. Its outcome refers to
	// that, not to the row as it was when the statement began.
	const found = `${CLOCK}, found AS (SELECT key, ${WRITE_ID} AS write_id FROM ${table}, clock
		WHERE key = $1 AND expires > now FOR UPDATE OF ${quoted(name)})`;
	// Keys are only compared for equality, so the "C" collation suffices: its index survives a new libc.
	const told = feed
		? `pg_notify('${channelOf(name).replaceAll("'", "''")}', encode(sha256(convert_to($1, 'UTF8')), 'hex'))`
		: '1';
	const columns =
		'key text COLLATE "C" PRIMARY KEY, record text NOT NULL, expires bigint NOT NULL';
	return {
		read: `WITH ${CLOCK} SELECT record FROM ${table}, clock WHERE key = $1 AND expires > now`,
		readTwo: `WITH ${CLOCK} SELECT key, record FROM ${table}, clock WHERE key IN ($1, $2) AND expires > now`,
		set: `WITH ${CLOCK} INSERT INTO ${table} (key, record, expires) SELECT $1, $2, now + $3::bigint FROM clock
			ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires`,
		create: `WITH ${CLOCK} INSERT INTO ${table} AS present (key, record, expires)
			SELECT $1, $2, now + $3::bigint FROM clock
			ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires
			WHERE present.expires <= excluded.expires - $3::bigint RETURNING 1 AS created`,
		replace: `WITH ${found}, done AS (UPDATE ${table} AS present SET record = $3, expires = now + $4::bigint
			FROM found, clock WHERE present.key = found.key AND write_id = $2 RETURNING ${told}) ${OUTCOME}`,
		touch: `WITH ${CLOCK} UPDATE ${table} SET expires = now + $2::bigint FROM clock
			WHERE key = $1 AND expires > now RETURNING 1 AS touched`,
		touchExpected: `WITH ${found}, done AS (UPDATE ${table} AS present SET expires = now + $3::bigint
			FROM found, clock WHERE present.key = found.key AND write_id = $2 RETURNING 1) ${OUTCOME}`,
		destroy: `DELETE FROM ${table} WHERE key = $1`,
		remove: `WITH ${found}, done AS (DELETE FROM ${table} AS present USING found
			WHERE present.key = found.key AND write_id = $2 RETURNING ${told}) ${OUTCOME}`,
		now: `WITH ${CLOCK} SELECT now FROM clock`,
		// The clock is read after the row is locked, since another request may have held it. A row that was inserted
		// meanwhile, and not seen, is left alone.
		stamp: `WITH found AS (SELECT record, expires FROM ${table} WHERE key = $1 FOR UPDATE),
			clock AS (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
				FROM (SELECT count(*) FROM found) AS locked),
			present AS (SELECT record FROM found, clock WHERE expires > now),
			done AS (INSERT INTO ${table} (key, record, expires)
				SELECT $1, $2::text || now::text || '}', now + $3::bigint FROM clock
				WHERE NOT EXISTS (SELECT FROM present WHERE left(record, 6) <> left($2, 6)
					OR substr(record, 23, 14) <> substr($2, 23, 14))
				ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires = excluded.expires
				WHERE EXISTS (SELECT FROM found) RETURNING ${told})
			SELECT now, (SELECT record FROM present) AS record FROM clock WHERE EXISTS (SELECT FROM done)`,
		// A locked row is being swept by another request, or created again. The time is a subquery: with a join, the
		// server would read the whole index for each sweep.
		sweep: `WITH ${CLOCK} DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table}
			WHERE expires <= (SELECT now FROM clock) ORDER BY expires LIMIT ${SWEEP}
			FOR UPDATE OF ${quoted(name)} SKIP LOCKED)`,
		schema: `CREATE TABLE ${table} (${columns});\nCREATE INDEX ${index} ON ${table} (expires);`,
		// One statement: some clients take no more than one at a time.
		migrate: `DO $migrate$ BEGIN
			PERFORM pg_advisory_xact_lock(${MIGRATION});
			CREATE TABLE IF NOT EXISTS ${table} (${columns});
			CREATE INDEX IF NOT EXISTS ${index} ON ${table} (expires);
		END $migrate$`
	};
}

/** A name as an identifier, whatever its characters. */
function quoted(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}
