import { VestiaryError } from './errors.js';
import { codeOfReply } from './refusal.js';

/**
 * Copies a store's error so that it can be logged. The errors of clients repeat the arguments of a command or the
 * body of a request, and with them session IDs and data. So only parts are kept that cannot contain them: the name
 * of the class, a code, and the same of each cause.
 */
export function redacted(error: unknown, depth = 0): unknown {
	if (copies.has(error as object)) return error;
	if (error instanceof VestiaryError) {
		// Its message contains no session ID or data. Its causes come from the application.
		if (error.cause !== undefined) error.cause = redacted(error.cause, depth + 1);
		return error;
	}
	const name = nameOf(error);
	const code = codeOf(error);
	const message = member(error, 'message');
	const copy: Error & { code?: string | number } = new Error(
		typeof message === 'string' && isPlain(message)
			? message
			: `${code ?? name}: the message is withheld, because it can contain session IDs and data`
	);
	Object.defineProperty(copy, 'name', { value: name, configurable: true, writable: true });
	if (code !== undefined) copy.code = code;
	const below = member(error, 'cause') ?? firstOf(member(error, 'errors'));
	if (below !== undefined && depth < DEEPEST) {
		Object.defineProperty(copy, 'cause', {
			value: redacted(below, depth + 1),
			configurable: true,
			writable: true
		});
	}
	copies.add(copy);
	return copy;
}

const copies = new WeakSet();

/** The maximum depth of nested causes. */
const DEEPEST = 4;

/** The form of an error code of a server or the system, which no session ID has. */
const CODE = /^[A-Z\d][A-Z\d_]{1,39}$/;

/** Result codes of SQLite that help an operator. */
const SQLITE: Record<number, string> = {
	5: 'SQLITE_BUSY',
	6: 'SQLITE_LOCKED',
	8: 'SQLITE_READONLY',
	10: 'SQLITE_IOERR',
	11: 'SQLITE_CORRUPT',
	13: 'SQLITE_FULL',
	14: 'SQLITE_CANTOPEN',
	26: 'SQLITE_NOTADB'
};

function nameOf(error: unknown): string {
	if (!(error instanceof Error)) return typeof error;
	const ofClass = member(member(error, 'constructor'), 'name');
	const names = [member(error, 'name'), ofClass];
	// Some clients, such as node-redis, name their classes and not their errors. A bundler may have shortened the name.
	if (names[0] === 'Error' && typeof ofClass === 'string' && ofClass.endsWith('Error'))
		names.reverse();
	const name = names.find((one) => typeof one === 'string' && /^[A-Za-z]{1,40}$/.test(one));
	return typeof name === 'string' ? name : 'Error';
}

function codeOf(error: unknown): string | number | undefined {
	const code = member(error, 'code') ?? member(error, 'status');
	// Node.js has one code for all errors of SQLite, with the result code beside it.
	const result = member(error, 'errcode');
	if (code === 'ERR_SQLITE_ERROR' && typeof result === 'number')
		return SQLITE[result & 0xff] ?? code;
	if (typeof code === 'number') return code;
	if (typeof code === 'string' && CODE.test(code)) return code;
	const message = member(error, 'message');
	if (typeof message !== 'string') return undefined;
	// Workers KV reports an HTTP status. Of any other message, only a leading error code of Redis is safe to keep.
	const status = /^KV [A-Z]+ failed: (\d{3})\b/.exec(message)?.[1];
	return status ?? codeOfReply(message);
}

/** Constant messages of clients. */
const CONSTANT = new Set([
	'All sentinels are unreachable.',
	'All the root nodes are unavailable',
	'Command timed out',
	'Connection is closed.',
	'Connection timeout',
	'Disconnects client',
	'fetch failed',
	'Socket closed unexpectedly',
	'The client is closed',
	'The client is offline',
	'The command was aborted',
	"Stream isn't writeable and enableOfflineQueue options is false"
]);

/** Whether a message cannot contain an ID or data: it is a known one, or a single word such as `down`. */
function isPlain(message: string): boolean {
	return CONSTANT.has(message) || /^[a-z]{1,12}$/.test(message);
}

function firstOf(errors: unknown): unknown {
	return Array.isArray(errors) ? (errors as unknown[])[0] : undefined;
}

/** A member of a value of any type. */
function member(value: unknown, name: string): unknown {
	try {
		return (value as Record<string, unknown> | null | undefined)?.[name];
	} catch {
		return undefined;
	}
}
