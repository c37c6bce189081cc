import type { RequestEvent } from '@sveltejs/kit';

/**
 * What a session holds. Declare your own properties by merging:
 *
 * ```ts
 * declare module 'vestiary' {
 *   interface SessionData {
 *     userId: string;
 *   }
 * }
 * ```
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- made to be merged
export interface SessionData {}

/** The options of `cookie.serialize`, as in the npm package `cookie`. */
export interface CookieSerializeOptions {
	/** `Domain`: this host and those below it. Without it, only the host that answered. */
	domain?: string | undefined;
	/** Encodes the cookie's value. Default: `encodeURIComponent`. */
	encode?: ((value: string) => string) | undefined;
	/** `Expires`. `maxAge` wins where both are set. */
	expires?: Date | undefined;
	/** `HttpOnly`: scripts in the page cannot read the cookie. Default: true, as in SvelteKit. */
	httpOnly?: boolean | undefined;
	/** `Max-Age` in **seconds**, rounded down. 0 ends the session at once. */
	maxAge?: number | undefined;
	/** `Partitioned` (CHIPS): one jar for each top-level site. Turns `secure` on. */
	partitioned?: boolean | undefined;
	/** `Path`. Default: `/`. */
	path?: string | undefined;
	/** `Priority`: which cookies go first when the browser has too many. */
	priority?: 'low' | 'medium' | 'high' | undefined;
	/** `SameSite`; true is `strict`, false leaves it out. Default: `lax`, as in SvelteKit. */
	sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined;
	/** `Secure`: over https only. Default: SvelteKit's, which is true but for http://localhost. */
	secure?: boolean | undefined;
}

/** The options of the session cookie: those of the configuration, with a `path` in any case. */
export type SessionCookieOptions = CookieSerializeOptions & { path: string };

/** What a store keeps for a session. It is JSON: what JSON cannot hold does not come back. */
export interface SessionStoreData {
	/** Marks the write that made this record. Not in records of svelte-kit-sessions. */
	v?: string;
	/** The cookie's options when it was saved, without `encode`. */
	cookie: SessionCookieOptions;
	/** The session's data. */
	data: SessionData;
	/** What Vestiary itself knows of the session. Not in records of svelte-kit-sessions. */
	meta?: {
		/** When the session was created, in milliseconds since the epoch. */
		created?: number;
	};
}

/**
 * A session store. `MemoryStore` is an example of one.
 */
export interface Store {
	/**
	 * Returns what is stored for a session.
	 * @param id The session ID
	 * @returns The record, or null if there is none or it has expired
	 */
	get(id: string): Promise<SessionStoreData | null>;
	/**
	 * Stores a record, new or over an old one.
	 * @param id The session ID
	 * @param storeData The record: JSON
	 * @param ttl Its life in milliseconds, from the cookie's `maxAge` or else `expires`; `Infinity` if
	 * neither is set, and then the store decides
	 */
	set(id: string, storeData: SessionStoreData, ttl: number): Promise<void>;
	/**
	 * Removes a record, if it is there.
	 * @param id The session ID
	 */
	destroy(id: string): Promise<void>;
	/**
	 * Gives a record a new life, if it is there.
	 * @param id The session ID
	 * @param ttl Its life in milliseconds from now
	 */
	touch(id: string, ttl: number): Promise<void>;
}

/** The options of `sveltekitSessionHandle` and `Session.initialize`. */
export interface SveltekitSessionConfig {
	/** Name of the session cookie. Default: `connect.sid`. */
	name?: string | undefined;
	/** Options of the session cookie. The defaults are those of SvelteKit, with `path: '/'`. */
	cookie?: CookieSerializeOptions | undefined;
	/**
	 * Refreshes the cookie and the record on every response of an existing session, so that it
	 * expires `cookie.maxAge` after the last visit. Ignored without `cookie.maxAge`. Default: false.
	 */
	rolling?: boolean | undefined;
	/** Where sessions are kept. Default: a `MemoryStore`, which is for development. */
	store?: Store | undefined;
	/**
	 * Signs the session ID in the cookie. The first secret of a list signs, all of them verify: to
	 * change the secret, put the new one first. In production at least 16 bytes; better 32 random ones.
	 */
	secret: string | string[];
	/**
	 * Stores a new session, and every change, without a `save()`. Default: false, so that a visitor
	 * who only looks gets no cookie and costs no record.
	 */
	saveUninitialized?: boolean | undefined;
	/**
	 * Stores changed data when the request ends, without a `save()`: set by `setData`, or in place. A
	 * new session is stored once it was changed. Default: false.
	 */
	autoSave?: boolean | undefined;
	/**
	 * Seconds in which a rolling session is touched in the store at most once (by one process); so
	 * much longer than its cookie the record lives. 0 touches it on every request. Default: a tenth of
	 * `cookie.maxAge`.
	 */
	touchAfter?: number | undefined;
	/**
	 * Whose cookies and records are written: those of svelte-kit-sessions, or those of express-session,
	 * to share sessions with an Express app. Both are always read. Default: `'seed'`.
	 */
	format?: 'seed' | 'express' | undefined;
	/** Makes the ID of a new session: 16 to 256 visible characters, hard to guess. */
	genid?: ((event: RequestEvent) => string) | undefined;
	/** Requests that have nothing to do with sessions: for them `locals.session` is not set. */
	skip?: ((event: RequestEvent) => boolean) | undefined;
	/** Is told what happened to a request's session, for logs and metrics. It must not throw. */
	onEvent?: ((event: SessionEvent, request: RequestEvent) => void) | undefined;
	/**
	 * What a store that cannot be read means: an error on the request, or a session that is empty and
	 * cannot be saved. Either way nothing is overwritten. Default: `'throw'`.
	 */
	onStoreError?: 'throw' | 'anonymous' | undefined;
	/** Milliseconds to wait for the store before giving up with a `StoreError`. Default: 5,000; 0 waits. */
	storeTimeout?: number | undefined;
}

/** What can happen to a request's session. Nothing in it is secret. */
export type SessionEvent =
	/** A cookie of our name came that none of the secrets has signed. */
	| { type: 'rejected' }
	/** A genuine cookie came whose session the store does not know: expired, ended, or lost. */
	| { type: 'unknown' }
	/** The store has a record that cannot be read; `code` says why. The visitor has no session. */
	| { type: 'unreadable'; code: string }
	/** The store could not be read, and `onStoreError` is `'anonymous'`; or a rolling session not refreshed. */
	| { type: 'store_failed'; error: Error };
