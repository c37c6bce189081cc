import type { Contents } from './contents.js';
import { ConfigError, orThrow } from './errors.js';
import { checkName, constant, Constant, Given } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { checkNames } from './names.js';
import { checkWellFormed, userKey } from './runtime.js';
import type { Scope } from './scope.js';
import type { SessionData } from './types.js';
import type { Input } from './visit.js';

/** What may be said at a login. */
export interface LoginOptions {
	/** What the session is to hold. Default: nothing. */
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- applications merge it
	data?: Partial<SessionData> | undefined;
	/** Keys of the old session's data that the new one keeps, such as a cart. Default: none. */
	keep?: (keyof SessionData)[] | undefined;
	/** What the user will recognise the session by: a device, a place. */
	label?: string | undefined;
	/**
	 * When the visitor proved who it is. If all sessions of the user were ended since by another request, or if that
	 * was more than a day ago, the login is refused. Default: when the request began.
	 */
	provenAt?: Date | undefined;
}

const NAMES = ['data', 'keep', 'label', 'provenAt'];

/**
 * Refuses what is no name of a user, and options that are none, before anything is done.
 * @throws ConfigError
 */
export function checkLogin(userId: unknown, options: unknown): void {
	checkUser(userId);
	if (typeof options !== 'object' || options === null)
		throw wrong('the options of `session.login()` must be an object');
	checkNames(options, NAMES, { kind: 'an option of `session.login()`' });
	const { keep, label } = options as { keep?: unknown; label?: unknown };
	// A header that is missing is null.
	if (label !== undefined && label !== null && typeof label !== 'string')
		throw wrong('`label` of `session.login()` must be a string');
	checkWellFormed('the label of a session', label ?? undefined);
	if (keep !== undefined && keep !== null && !Array.isArray(keep))
		throw wrong('`keep` of `session.login()` must be a list of keys');
}

/** Refuses what is no name of a user. */
export function checkUser(userId: unknown): void {
	if (typeof userId !== 'string') throw wrong('the user ID must be a string');
	checkWellFormed('the user ID', userId);
	orThrow(() => {
		checkName(userId);
	});
}

/** The data of the session that a login begins, and the arguments of the operation. */
export function loginOf(
	{ visit, own, began, runtime }: Scope,
	contents: Contents,
	userId: string,
	options: LoginOptions
): { readonly data: SessionData; readonly input: Input } {
	const { core, options: config } = runtime;
	const { data: old } = contents;
	const kept = Object.fromEntries(
		(options.keep ?? []).flatMap((key) => (Object.hasOwn(old, key) ? [[key, old[key]]] : []))
	);
	const more = options.data ?? {};
	const data: SessionData = { ...kept, ...more };
	const text =
		visit.storedId === undefined
			? jsonOf(data)
			: core.keep(visit.record, contents.base, jsonOf(kept), jsonOf(more));
	const label = options.label ?? undefined;
	const most = config.sessionsPerUser ?? constant(Constant.SessionsPerUser);
	const input = {
		flags: label === undefined ? 0 : Given.More,
		texts: [JSON.stringify(userId), text, JSON.stringify(label ?? '')],
		login: {
			proven: provenAt(options) ?? began,
			own: own.ended?.get(userKey(config, userId)),
			// A list holds no more than its size allows.
			most: Math.min(most, MOST)
		}
	};
	return { data, input };
}

/** More sessions of a user than a list can hold. */
const MOST = 2 ** 32 - 1;

/** When the visitor proved who it is, in milliseconds since the epoch. A date that is none would count as the year 1970. */
function provenAt({ provenAt: date }: LoginOptions): number | undefined {
	if (date === undefined) return undefined;
	if ((date as unknown) instanceof Date && !Number.isNaN(date.getTime())) return date.getTime();
	throw wrong('`provenAt` of `session.login()` must be a valid Date');
}

function wrong(message: string): ConfigError {
	return new ConfigError('options', message);
}
