/** Codes of a {@link ConfigError}. */
export type ConfigErrorCode =
	| 'cookie_name'
	| 'cookie_option'
	| 'cookie_prefix'
	| 'express_renewal'
	| 'max_bytes_option'
	| 'namespace_option'
	| 'options'
	| 'store_capability'
	| 'timeout_option'
	| 'secret_missing'
	| 'secret_short'
	| 'secret_weak';

/** Codes of a {@link DataError}. */
export type DataErrorCode =
	| 'data_not_object'
	| 'forbidden_key'
	| 'invalid_data'
	| 'json'
	| 'newer_version'
	| 'not_sealed'
	| 'session_id'
	| 'slots_full'
	| 'too_deep'
	| 'too_large'
	| 'unsealable';

/** Codes of a {@link StoreError}. */
export type StoreErrorCode =
	| 'store_busy'
	| 'store_failed'
	| 'store_full'
	| 'store_lossy'
	| 'store_timeout'
	| 'store_unconfirmed';

/** Codes of a {@link OnceError}. */
export type OnceErrorCode = 'once_busy' | 'once_ended' | 'once_failed' | 'once_lost';

/** Codes of a {@link LogoutError}. */
export type LogoutErrorCode =
	| 'keys_unavailable'
	| 'logout_request'
	| 'token_algorithm'
	| 'token_audience'
	| 'token_critical'
	| 'token_events'
	| 'token_expired'
	| 'token_id'
	| 'token_issued'
	| 'token_issuer'
	| 'token_key'
	| 'token_lifetime'
	| 'token_malformed'
	| 'token_nonce'
	| 'token_replayed'
	| 'token_signature'
	| 'token_subject'
	| 'token_type';

/** All codes of a {@link VestiaryError}. They are stable: test for them, not for messages. */
export type VestiaryErrorCode =
	| ConfigErrorCode
	| DataErrorCode
	| StoreErrorCode
	| OnceErrorCode
	| LogoutErrorCode
	| 'login_outdated'
	| 'response_sent'
	| 'session_ended'
	| 'too_many_sessions'
	| 'update_nested';

/**
 * The base class of all errors of this package. No message contains a secret, a session ID or session data. An
 * invalid cookie is never an error: its visitor has no session.
 *
 * ```ts
 * try {
 * 	await event.locals.session.save();
 * } catch (error) {
 * 	if (error instanceof VestiaryError && error.code === 'too_large') error(413);
 * 	throw error;
 * }
 * ```
 */
export class VestiaryError extends Error {
	override name = 'VestiaryError';
	/** The stable code of the error. */
	readonly code: VestiaryErrorCode;

	constructor(code: VestiaryErrorCode, message: string, options?: ErrorOptions) {
		const limit = raised();
		super(message, options);
		if (limit !== undefined) Error.stackTraceLimit = limit;
		this.code = code;
	}
}

/** The number of lines of an error's stack. The package's own take more than the ten that Node.js keeps. */
const LINES = 50;

/**
 * Makes the stack of the next error as long as that the line of the application is in it.
 * @returns The limit from before; undefined if it was not changed
 */
function raised(): number | undefined {
	const { stackTraceLimit: limit } = Error as { stackTraceLimit?: number };
	// Not in every engine, and 0 means that the application wants none.
	if (limit === undefined || limit <= 0 || limit >= LINES) return undefined;
	try {
		Error.stackTraceLimit = LINES;
	} catch {
		// The application has frozen it.
		return undefined;
	}
	return limit;
}

/**
 * An option is invalid. Thrown when the handle or the session is created, not per request. `session.save()` throws
 * it for attributes that were assigned to `session.cookie`.
 */
export class ConfigError extends VestiaryError {
	override name = 'ConfigError';
	declare readonly code: ConfigErrorCode;
}

/** The session data cannot be stored, or its record cannot be read here. The stored record stays unchanged. */
export class DataError extends VestiaryError {
	override name = 'DataError';
	declare readonly code: DataErrorCode;
	/**
	 * The path of the value that is the problem: `cart.items[3].price`, or an empty text for all of the data. Undefined
	 * if the problem is not a single value.
	 */
	readonly path: string | undefined;

	constructor(
		code: DataErrorCode,
		message: string,
		{ path, ...options }: ErrorOptions & { path?: string | undefined } = {}
	) {
		super(code, message, options);
		this.path = path;
	}
}

/**
 * The store failed. `cause` is a copy of its own error with only the name of its class and its `code`, because the
 * errors of clients repeat session IDs and data. To log the rest, listen where the client is created
 * (`client.on('error', …)`), or in a store of your own.
 */
export class StoreError extends VestiaryError {
	override name = 'StoreError';
	declare readonly code: StoreErrorCode;
	/**
	 * Whether the store has confirmed that it did nothing. Otherwise the operation is in doubt: it may have been
	 * performed, or may still be.
	 */
	readonly refused: boolean;

	constructor(
		code: StoreErrorCode,
		message: string,
		{ refused = code === 'store_full', ...options }: ErrorOptions & { refused?: boolean } = {}
	) {
		super(code, message, options);
		this.refused = refused;
	}
}

/**
 * The session was written inside the function that `session.update()` runs on its data. Use the function's argument
 * instead, and call the session before or after the update.
 */
export class UpdateNestedError extends VestiaryError {
	override name = 'UpdateNestedError';
	declare readonly code: 'update_nested';

	constructor() {
		super(
			'update_nested',
			'the session was written inside the function of `session.update()`: change the data that the function gets, and call the session before or after the update'
		);
	}
}

/**
 * The response had already left, so the cookie could not be set: of a new session that was saved, or of a session
 * that was to get another ID (`login`, `regenerate`, `renew`). Nothing was stored. Call the method before the
 * `load`, action, endpoint or hook returns.
 */
export class ResponseSentError extends VestiaryError {
	override name = 'ResponseSentError';
	declare readonly code: 'response_sent';

	constructor(options?: ErrorOptions) {
		super(
			'response_sent',
			'the response has already left, so the cookie of a new session cannot be set and the session was not stored: call `save()` before your `load`, action, endpoint or hook returns',
			options
		);
	}
}

/**
 * All sessions of this user were revoked after the request of this login began. The proof that it relies on, such as
 * a password, may have changed since; the same holds for a proof that is more than a day old. Nothing was stored.
 * Let the visitor log in again.
 */
export class LoginOutdatedError extends VestiaryError {
	override name = 'LoginOutdatedError';
	declare readonly code: 'login_outdated';

	constructor() {
		super(
			'login_outdated',
			'all sessions of this user were ended while the login was in progress: log in again'
		);
	}
}

/**
 * The user already has as many sessions as `sessionsPerUser` allows, and a login beyond it is refused
 * (`whenFull: 'refuse'`). Nothing was stored, and the visitor keeps the earlier session. Let the user end one of the
 * others (`sessions(options).of(userId)`), and log in again.
 */
export class TooManySessionsError extends VestiaryError {
	override name = 'TooManySessionsError';
	declare readonly code: 'too_many_sessions';
}

const ONCE: Record<OnceErrorCode, string> = {
	once_busy:
		'other requests have run the function of `session.once()` or `session.tokens()` for too long: try again',
	once_ended:
		'the session was ended while a request waited for `session.once()` or `session.tokens()`',
	once_failed:
		'the request that ran the function of `session.once()` or `session.tokens()` has failed: its log has the error',
	once_lost:
		'the result of `session.once()` or `session.tokens()` was not kept: its lease or its session has ended before its function. Make the function faster or `lease` longer, and end or replace the session after it'
};

/**
 * `session.once()` or `session.tokens()` has no result:
 *
 * - `once_failed`: another request has run the function, and it failed. Its error is only in that request.
 * - `once_busy`: other requests have run the function for twice the lease.
 * - `once_lost`: this request has run the function, but its lease or its session has ended. The result was not kept.
 * - `once_ended`: the session was ended meanwhile.
 */
export class OnceError extends VestiaryError {
	override name = 'OnceError';
	declare readonly code: OnceErrorCode;

	constructor(code: OnceErrorCode) {
		super(code, ONCE[code]);
	}
}

/**
 * A provider's logout is refused: {@link backChannelLogout}. The code says which check has failed. `keys_unavailable` if the
 * token could not be checked, because the provider's keys could not be fetched; `cause` is then the reason.
 */
export class LogoutError extends VestiaryError {
	override name = 'LogoutError';
	declare readonly code: LogoutErrorCode;

	constructor(code: LogoutErrorCode, options?: ErrorOptions) {
		super(code, `the logout by the provider is refused: ${REFUSED[code]}`, options);
	}
}

const REFUSED: Record<LogoutErrorCode, string> = {
	keys_unavailable: "the provider's keys could not be fetched",
	logout_request: 'the request has another form',
	token_algorithm: 'the token is signed by an algorithm that is not allowed',
	token_audience: 'the token is for another client',
	token_critical: 'the token requires an extension that is not supported',
	token_events: 'the token has no event of a logout',
	token_expired: 'the token has expired, or does not say when it does',
	token_id: 'the token has no ID (`jti`)',
	token_issued: 'the token has no time of issue, or one in the future',
	token_issuer: 'it is of another issuer',
	token_key: 'the token is signed by a key that the provider does not have',
	token_lifetime: 'the token expires too late: in more than 23 hours',
	token_malformed: 'the token is not a signed JWT in compact form',
	token_nonce: 'the token has a nonce',
	token_replayed: 'the token was used before',
	token_signature: 'the token is not signed by the provider',
	token_subject: 'the token names neither a session nor a user',
	token_type: 'the token is of another type'
};

/** The session has ended: the reason with which `session.signal` aborts, and with which the source of a stream is cancelled. */
export class SessionEndedError extends VestiaryError {
	override name = 'SessionEndedError';
	declare readonly code: 'session_ended';

	constructor() {
		super('session_ended', 'the session has ended');
	}
}

type Subclass = new (code: never, message: string, options?: ErrorOptions) => VestiaryError;

const CLASS_OF: Record<
	Exclude<
		VestiaryErrorCode,
		| OnceErrorCode
		| LogoutErrorCode
		| 'login_outdated'
		| 'response_sent'
		| 'session_ended'
		| 'update_nested'
	>,
	Subclass
> = {
	cookie_name: ConfigError,
	cookie_option: ConfigError,
	cookie_prefix: ConfigError,
	express_renewal: ConfigError,
	max_bytes_option: ConfigError,
	namespace_option: ConfigError,
	options: ConfigError,
	secret_missing: ConfigError,
	secret_short: ConfigError,
	secret_weak: ConfigError,
	store_capability: ConfigError,
	timeout_option: ConfigError,
	data_not_object: DataError,
	forbidden_key: DataError,
	invalid_data: DataError,
	json: DataError,
	newer_version: DataError,
	not_sealed: DataError,
	session_id: DataError,
	slots_full: DataError,
	too_deep: DataError,
	too_large: DataError,
	too_many_sessions: TooManySessionsError,
	unsealable: DataError,
	store_busy: StoreError,
	store_failed: StoreError,
	store_full: StoreError,
	store_lossy: StoreError,
	store_timeout: StoreError,
	store_unconfirmed: StoreError
};

/**
 * Calls the core, and converts the string that it throws, `<code>\n<message>`, to an error.
 * @internal
 */
export function orThrow<T>(call: () => T): T {
	try {
		return call();
	} catch (thrown) {
		throw typeof thrown === 'string' ? errorOf(thrown) : thrown;
	}
}

/**
 * Converts an error of the core: its code and its message, on two lines.
 * @internal
 */
export function errorOf(text: string): VestiaryError {
	const [code = '', message] = text.split('\n', 2);
	if (message === undefined || !Object.hasOwn(CLASS_OF, code)) throw new TypeError(text);
	return new CLASS_OF[code as keyof typeof CLASS_OF](code as never, message);
}
