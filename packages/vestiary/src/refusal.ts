/** A reply from a store's server or library that says that nothing was done. */
export interface Refusal {
	/** Its code, such as `READONLY`, which contains no secret. */
	readonly code: string | undefined;
	/** Whether the store is full. */
	readonly full: boolean;
}

/**
 * The error replies with which Redis and Valkey refuse a command. HTTP clients prefix them with a note that a command
 * failed.
 */
const REDIS =
	/^(?:[A-Za-z]+: |Command (?:\d+ \[ \w+ \] )?failed: )?(ASK|BUSY|CLUSTERDOWN|CROSSSLOT|DENIED|ERR|EXECABORT|LOADING|MASTERDOWN|MISCONF|MOVED|NOAUTH|NOPERM|NOREPLICAS|NOSCRIPT|OOM|READONLY|TRYAGAIN|UNKILLABLE|WRONGPASS|WRONGTYPE)(?= |$)/;

const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/** Postgres: a lost connection, a shutdown, and a transaction whose end is unknown. */
const LOST = /^(08|57P0[123]|40003)/;

/** MySQL: a lost connection, and an interrupted statement. */
const LOST_BY_MYSQL = /^(08|70)/;

/** MySQL: errors of an unknown kind, of a commit, and of a connection that was idle for too long. */
const IN_DOUBT_BY_MYSQL = new Set([
	'ER_UNKNOWN_ERROR',
	'ER_ERROR_DURING_COMMIT',
	'ER_CLIENT_INTERACTION_TIMEOUT'
]);

/** The numbers from here on are those of errors that the client `mariadb` reports by itself. */
const OF_MARIADB_CLIENT = 45_000;

/**
 * Recognises a refusal in a store's error; undefined if the store did not reply, so that the operation is in doubt. It
 * knows the errors of Redis, SQLite, Postgres and MySQL. Other stores set `refused: true` on their errors, and
 * `full: true` if they are full.
 */
export function refusalOf(cause: unknown): Refusal | undefined {
	try {
		return read(cause);
	} catch {
		// A getter of the error threw.
		return undefined;
	}
}

function read(cause: unknown): Refusal | undefined {
	if (typeof cause !== 'object' || cause === null) return undefined;
	const error = cause as Partial<
		Record<'refused' | 'full' | 'message' | 'name' | 'code' | 'errcode', unknown>
	>;
	if (error.refused === true) return { code: undefined, full: error.full === true };
	return ofRedis(error) ?? ofSqlite(error) ?? ofSql(error);
}

/** The code at the start of an error reply from Redis or Valkey. */
export function codeOfReply(message: string): string | undefined {
	return REDIS.exec(message)?.[1];
}

function ofRedis({ message, name }: { message?: unknown; name?: unknown }): Refusal | undefined {
	const code = typeof message === 'string' ? codeOfReply(message) : undefined;
	// ioredis gives this name to each error reply, for example of a module.
	if (code === undefined && name !== 'ReplyError') return undefined;
	return { code, full: code === 'OOM' };
}

/** `node:sqlite` has a number, other libraries a name. */
function ofSqlite({ code, errcode }: { code?: unknown; errcode?: unknown }): Refusal | undefined {
	if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') {
		const kind = errcode & 0xff;
		// A failed write may be in the file.
		if (kind === SQLITE_IOERR) return undefined;
		return { code: `SQLite error ${errcode}`, full: kind === SQLITE_FULL };
	}
	if (typeof code !== 'string' || !/^SQLITE_[A-Z_]+$/.test(code)) return undefined;
	return code.startsWith('SQLITE_IOERR') ? undefined : { code, full: code === 'SQLITE_FULL' };
}

function ofSql(error: {
	code?: unknown;
	errno?: unknown;
	sqlState?: unknown;
}): Refusal | undefined {
	const { code, errno, sqlState } = error;
	if (typeof code !== 'string') return undefined;
	if ('severity' in error && /^[0-9A-Z]{5}$/.test(code))
		return LOST.test(code) ? undefined : { code, full: /^53[12]00$/.test(code) };
	if (typeof sqlState !== 'string' || !/^ER_[A-Z\d_]+$/.test(code)) return undefined;
	if (LOST_BY_MYSQL.test(sqlState) || IN_DOUBT_BY_MYSQL.has(code)) return undefined;
	if (typeof errno === 'number' && errno >= OF_MARIADB_CLIENT) return undefined;
	return { code, full: code === 'ER_DISK_FULL' || code === 'ER_RECORD_FILE_FULL' };
}
