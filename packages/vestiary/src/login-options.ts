import { ConfigError } from './errors.js';
import { checkNames } from './names.js';
import type { SessionData } from './types.js';

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
 * Refuses options of a login that are none, before anything is done.
 * @throws ConfigError
 */
export function checkLoginOptions(options: unknown): void {
	if (typeof options !== 'object' || options === null)
		throw wrong('the options of `session.login()` must be an object');
	checkNames(options, NAMES, { kind: 'an option of `session.login()`' });
	const { keep, label } = options as { keep?: unknown; label?: unknown };
	// A header that is missing is null.
	if (label !== undefined && label !== null && typeof label !== 'string')
		throw wrong('`label` of `session.login()` must be a string');
	if (keep !== undefined && keep !== null && !Array.isArray(keep))
		throw wrong('`keep` of `session.login()` must be a list of keys');
}

function wrong(message: string): ConfigError {
	return new ConfigError('options', message);
}
