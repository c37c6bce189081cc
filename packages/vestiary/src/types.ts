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
	meta?: SessionMeta;
}

/** Turns records into text and back. `JSON` is one. */
export interface Serializer {
	parse(text: string): SessionStoreData | Promise<SessionStoreData>;
	stringify(data: SessionStoreData): string;
}

/** Vestiary's own metadata of a session: JSON. Instants are in milliseconds since the epoch. */
export interface SessionMeta {
	/** When the session was created. */
	created?: number;
	/** When it got its ID, if that is not the first one. */
	renewed?: number;
	/** From when on it has expired because it was not used. */
	idle?: number;
	/** From when on it has expired in any case. */
	absolute?: number;
	/** Whose session it is, after `session.login()`. */
	user?: string;
	/** Its public name in the list of its user's sessions. */
	handle?: string;
	/** The cookie attributes that differ from the options: what was assigned to `session.cookie`. */
	cookie?: Record<string, string | number | boolean | null>;
	/** The write IDs of earlier writes. */
	writes?: string[];
	/** The session has another ID now, which only the holder of this one can read. */
	next?: string;
	/** Until when this ID leads to the other one. */
	grace?: number;
}

/**
 * A session store. `MemoryStore` is an example of one.
 *
 * Any error of it becomes the `cause` of a `StoreError`. An error with `refused: true` says that the store has
 * answered and did nothing, so that it is not asked again; with `full: true` as well, that it has no room. The
 * errors of Redis, SQLite, Postgres and MySQL are known without that.
 */
export interface Store {
	/**
	 * Returns what is stored for a session.
	 * @param id The session ID
	 * @returns The record, or null if there is none or it has expired. Its `cookie.expires` may also be the text
	 * that JSON makes of a Date
	 */
	get(id: string): Promise<SessionStoreData | null>;
	/**
	 * Stores a record, new or over an old one.
	 * @param id The session ID
	 * @param storeData The record: JSON, but for `cookie.expires`, which is a Date. A store that keeps only some
	 * of its columns has to keep all of `cookie` and `data`
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
	/**
	 * What a store can do that compares before it writes. With it no update is lost, no ended session
	 * comes back, and timeouts and `session.login()` work; without it, of two writes the last one wins.
	 */
	readonly atomic?: AtomicOperations | undefined;
}

/**
 * Operations on one record, each of them atomic. Records are text here, and come back as they were
 * stored. The mark of a record is the 16 characters after `{"v":"` or `{"cookie":{"v":"` at the head
 * of its text; a text that begins otherwise has none.
 */
export interface AtomicOperations {
	/** Returns the text of a record, or null if there is none or it has expired. */
	read(id: string): Promise<string | null>;
	/**
	 * Reads two records at the same time: a session and its user's session list, which the nodes of a cluster may keep
	 * apart. A store that can do it in one round trip should. Default: two calls of {@link read} at once.
	 * @returns The result of {@link read} for each, in this order; an `Error` for one that `read` would reject, so that
	 * it does not hide the other
	 */
	readTwo?(one: string, other: string): Promise<readonly [AtomicRead, AtomicRead]>;
	/**
	 * Stores a record if there is none.
	 * @param ttl Its life in milliseconds; `Infinity` leaves it to the store
	 * @param owned Whether the session has an owner: a full store may evict anonymous sessions
	 * @returns Whether it did
	 */
	create(id: string, text: string, ttl: number, owned: boolean): Promise<boolean>;
	/**
	 * Stores a record in place of the one that has this mark. Never creates one.
	 * @param mark Null for a record without a mark
	 */
	replace(id: string, mark: string | null, text: string, ttl: number): Promise<AtomicOutcome>;
	/**
	 * Gives a record a new TTL. Never creates one; returns whether it is there.
	 * @param mark Only for a store with {@link touchCompares}: touch the record that has this mark, and no other,
	 * and return the outcome. Null for a record without a mark; undefined for any record
	 */
	touch(id: string, ttl: number, mark?: string | null): Promise<boolean | AtomicOutcome>;
	/**
	 * Whether {@link touch} compares the mark, so that the tombstone that a login left is never prolonged. The
	 * record is read before it is touched otherwise, and another request may write between the two. Default: false.
	 */
	readonly touchCompares?: boolean | undefined;
	/**
	 * Removes the record that has this mark, and no other.
	 * @param mark Null for a record without a mark
	 */
	remove(id: string, mark: string | null): Promise<AtomicOutcome>;
	/** Whether replicas of the store know of the last write of this record, where it can tell. */
	confirm?(id: string): Promise<boolean>;
	/**
	 * Whether a write may be sent again by itself, such as by a client that lost its connection. Then a
	 * `conflict` that took long says nothing: the record that was in the way may be this very write, done
	 * before. Default: true.
	 */
	readonly resends?: boolean | undefined;
	/**
	 * The TTL in milliseconds that a record gets that is written with `Infinity`. A user's session list drops a
	 * session that was not used for longer. Default: a day.
	 */
	readonly ttl?: number | undefined;
	/**
	 * The store's own clock in milliseconds since the epoch, as the node that keeps `id` has it. With it the order of
	 * a login and of `revokeAll()` does not depend on the clocks of two servers. Default: the server's clock.
	 */
	now?(id: string): Promise<number>;
	/**
	 * Stores a text that says when it was stored, in one step: `text`, the time by the store's own clock ({@link now}) in
	 * milliseconds, and `}`. It does so where there is no record, and in place of a record that begins as `text` does: with the
	 * same 36 characters, but for the mark, which is the 7th to the 22nd. It leaves any other record alone. Default: a
	 * user's session list is read and replaced, which takes two round trips for `revokeAll()` instead of one.
	 * @returns The time, and the record that was there, or null; null if there is another record, and nothing was done
	 */
	stamp?(id: string, text: string, ttl: number): Promise<AtomicStamp | null>;
}

/** The result of `stamp`: the time in milliseconds, and the text of the record that was there, null if there was none. */
export type AtomicStamp = readonly [time: number, before: string | null];

/** A result of `readTwo`: the text of a record, null if there is none, or why it cannot be read. */
export type AtomicRead = string | null | Error;

/** Done; or nothing done, because there is another record (`conflict`) or none (`gone`). */
export type AtomicOutcome = 'done' | 'conflict' | 'gone';

/** What the options can demand of a store. */
export type StoreCapability = 'atomic';

/**
 * Short names of the formats.
 *
 * @deprecated Write `'svelte-kit-sessions'` for `'seed'`, and `'express-session'` for `'express'`.
 */
export type DeprecatedFormat = 'seed' | 'express';

/** The options of `sveltekitSessionHandle` and `Session.initialize`. */
export interface SveltekitSessionConfig {
	/** Name of the session cookie. Default: `connect.sid`. */
	name?: string | undefined;
	/**
	 * Name of the property of `event.locals` that holds the session. An app with two handles gives each its own, and
	 * declares it in `App.Locals`. Default: `'session'`.
	 */
	as?: string | undefined;
	/** Options of the session cookie. The defaults are those of SvelteKit, with `path: '/'`. */
	cookie?: CookieSerializeOptions | undefined;
	/**
	 * Refreshes the cookie and the record on every response of an existing session, so that it
	 * expires `cookie.maxAge` after the last visit. Ignored without `cookie.maxAge`. Default: false.
	 */
	rolling?: boolean | undefined;
	/**
	 * Where sessions are kept. Default: a `MemoryStore`, which is for development; one for each cookie name and
	 * namespace in a process.
	 */
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
	 * The format of the cookies and records that are written. Use `'express-session'` to share sessions with an
	 * Express app. Both formats are always read. Default: `'svelte-kit-sessions'`.
	 */
	format?: 'svelte-kit-sessions' | 'express-session' | DeprecatedFormat | undefined;
	/**
	 * Seconds after which a session expires that was not used, whatever its cookie and its store say: not
	 * earlier, and at most a tenth later. Needs an atomic store.
	 */
	idleTimeout?: number | undefined;
	/** Seconds after which a session ends in any case. Nothing extends it. */
	absoluteTimeout?: number | undefined;
	/**
	 * Seconds after which a session gets another ID, with all that it holds. Needs an atomic store, and cannot go
	 * with `format: 'express-session'`: Express would take the old ID for a session.
	 */
	renewAfter?: number | undefined;
	/**
	 * Seconds for which the old ID still leads to a session that was renewed: for requests that are
	 * under way, and responses that get lost. At most 600. Default: 30.
	 */
	renewGrace?: number | undefined;
	/**
	 * Most sessions of one user (`session.login()`): the longest unused one ends. With `Infinity` only the size of
	 * the list bounds them: 64 KiB, enough for several hundred. Default: 100.
	 */
	sessionsPerUser?: number | undefined;
	/**
	 * Most bytes of `session.data` as JSON, at least 1,024. What Vestiary adds to a record does not count.
	 * Default: 65,536.
	 */
	maxBytes?: number | undefined;
	/** The store gets hashes of IDs, so that whoever reads it has no cookie. Default: false. */
	hashIds?: boolean | undefined;
	/**
	 * The store gets records encrypted (XChaCha20-Poly1305), with a key made of `secret` and the
	 * session's ID: secrets of at least 32 bytes. `'migrate'` still reads those that are not, and encrypts
	 * them when they are written next; `true` takes them for no session. Default: false.
	 */
	encrypt?: boolean | 'migrate' | undefined;
	/**
	 * Keeps the sessions of this handle apart from those of another one with the same secret and store:
	 * neither its cookies nor its records mean anything there.
	 */
	namespace?: string | undefined;
	/** What the store must be able to do; without it, the options are refused. */
	require?: StoreCapability[] | undefined;
	/** Makes the ID of a new session: 16 to 256 visible characters, hard to guess. */
	genid?: ((event: RequestEvent) => string) | undefined;
	/** Requests that have nothing to do with sessions: for them `locals.session` is not set. */
	skip?: ((event: RequestEvent) => boolean) | undefined;
	/**
	 * Is told what happened to a request's session, for logs and metrics. What it throws, or its promise
	 * rejects with, is dropped.
	 */
	onEvent?: ((event: SessionEvent, request: RequestEvent) => void) | undefined;
	/** Is told what happens, to measure it: `opentelemetry()` of `vestiary/opentelemetry`. */
	telemetry?: Telemetry | undefined;
	/**
	 * What a store that cannot be read means: an error on the request, or a session that is empty and
	 * cannot be saved. Either way nothing is overwritten. Default: `'throw'`.
	 */
	onStoreError?: 'throw' | 'anonymous' | undefined;
	/**
	 * Milliseconds to wait for the store before giving up with a `StoreError`; 0 and `Infinity` wait as long as it
	 * takes. Default: 5,000.
	 */
	storeTimeout?: number | undefined;
}

/**
 * As much of a request event as a session needs without a handle: its `cookies`, or its `request`. SvelteKit's event
 * has both.
 */
export type SessionRequest = Omit<Partial<RequestEvent>, 'request'> &
	(Pick<RequestEvent, 'cookies'> | { request: { headers: Pick<Headers, 'get'> } });

/** What measures sessions. */
export interface Telemetry {
	/** Something happened to a session. */
	event(type: SessionEvent['type']): void;
	/** Runs what the store is asked, and measures it. Must return, or throw, what it does. */
	store<T>(operation: StoreOperation, run: () => Promise<T>): Promise<T>;
}

/** What a store is asked. */
export type StoreOperation = 'read' | 'write' | 'touch' | 'remove';

/** What can happen to a request's session. Nothing in it is secret. */
export type SessionEvent =
	/** A new session was stored. */
	| { type: 'created' }
	/** The session got another ID: at a login (`regenerate`, `login`), or because it was time. */
	| { type: 'rotated'; reason: 'login' | 'renewal' }
	/**
	 * The session was ended by the application. `confirmed` says whether replicas of the store know it,
	 * where it can tell (`confirm` of a `RedisStore`).
	 */
	| { type: 'destroyed'; confirmed?: boolean }
	/** A session was used after its idle or absolute timeout. */
	| { type: 'expired' }
	/** A session was used that its user has ended elsewhere. */
	| { type: 'revoked' }
	/** Another request wrote the session meanwhile: this one's changes were applied to that. */
	| { type: 'conflict' }
	/** The session was ended meanwhile: this request's changes were dropped, and no cookie was set. */
	| { type: 'gone' }
	/**
	 * An ID was used that a login or a renewal has taken out of use: by a request that was late, or by
	 * somebody who has stolen it.
	 */
	| { type: 'reuse' }
	/** A cookie of our name came that none of the secrets has signed. */
	| { type: 'rejected' }
	/** A genuine cookie came whose session the store does not know: expired, ended, or lost. */
	| { type: 'unknown' }
	/**
	 * The store has a record, or a user's session list, that cannot be read; `code` says why. The visitor has no
	 * session in this request, and neither the record nor the list is written over. If another instance of the
	 * application may be able to read it (`not_sealed`, `unsealable`, `too_large`, and every list), the cookie stays,
	 * too: only `login()`, `regenerate()` and `destroy()` replace it.
	 */
	| { type: 'unreadable'; code: string }
	/**
	 * The store failed where no code of the application waits for it, such as while it refreshed a session that rolls; or
	 * while a session was opened, whatever `onStoreError` says.
	 */
	| { type: 'store_failed'; error: Error }
	/**
	 * An operation that the application did not await, such as `save()`, failed when the response had already left.
	 * Before that, the request fails with the error.
	 */
	| { type: 'failed'; error: Error };
