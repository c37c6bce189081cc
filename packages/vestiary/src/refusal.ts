/** An answer of a store's server or library that says that nothing was done. */
export interface Refusal {
	/** Its code, such as `READONLY`: nothing in it is secret. */
	readonly code: string | undefined;
	/** There is no room. */
	readonly full: boolean;
}

/**
 * The errors with which Redis and Valkey answer instead of doing what was asked. Clients over HTTP say first that
 * a command failed.
 */
const REDIS =
	/^(?:[A-Za-z]+: |Command (?:\d+ \[ \w+ \] )?failed: )?(ASK|BUSY|CLUSTERDOWN|CROSSSLOT|DENIED|ERR|EXECABORT|LOADING|MASTERDOWN|MISCONF|MOVED|NOAUTH|NOPERM|NOREPLICAS|NOSCRIPT|OOM|READONLY|TRYAGAIN|UNKILLABLE|WRONGPASS|WRONGTYPE)(?= |$)/;

const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/** Postgres: a lost connection, a shutdown, and a transaction whose end is not known. */
const LOST = /^(08|57P0[123]|40003)/;

/**
 * The refusal in an error that a store has thrown; undefined if the store did not answer, so that what it was
 * asked may have been done. Knows the errors of Redis, SQLite, Postgres and MySQL; any other store marks its own
 * with `refused: true`, and `full: true` if there is no room.
 */
export function refusalOf(cause: unknown): Refusal | undefined {
	try {
		return read(cause);
	} catch {
		// A member that throws when it is looked at.
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

/** The code with which Redis or Valkey begins an answer that is an error. */
export function codeOfReply(message: string): string | undefined {
	return REDIS.exec(message)?.[1];
}

function ofRedis({ message, name }: { message?: unknown; name?: unknown }): Refusal | undefined {
	const code = typeof message === 'string' ? codeOfReply(message) : undefined;
	// What ioredis calls each answer that is an error, of a module for example.
	if (code === undefined && name !== 'ReplyError') return undefined;
	return { code, full: code === 'OOM' };
}

/** `node:sqlite` has a number, other libraries the name. */
function ofSqlite({ code, errcode }: { code?: unknown; errcode?: unknown }): Refusal | undefined {
	if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') {
		const kind = errcode & 0xff;
		// A write that failed may be in the file.
		if (kind === SQLITE_IOERR) return undefined;
		return { code: `SQLite error ${errcode}`, full: kind === SQLITE_FULL };
	}
	if (typeof code !== 'string' || !/^SQLITE_[A-Z_]+$/.test(code)) return undefined;
	return code.startsWith('SQLITE_IOERR') ? undefined : { code, full: code === 'SQLITE_FULL' };
}

function ofSql(error: { code?: unknown }): Refusal | undefined {
	const { code } = error;
	if (typeof code !== 'string') return undefined;
	if ('severity' in error && /^[0-9A-Z]{5}$/.test(code))
		return LOST.test(code) ? undefined : { code, full: /^53[12]00$/.test(code) };
	return 'sqlState' in error && /^ER_[A-Z_]+$/.test(code)
		? { code, full: code === 'ER_DISK_FULL' || code === 'ER_RECORD_FILE_FULL' }
		: undefined;
}
