import type { RequestEvent } from '@sveltejs/kit';

import type { ClientOptions, ClientSource } from './client-session.js';
import type { PublicData, RegisteredData } from './registered.js';
import type { Transformer } from './rich-values.js';
import type { SessionData } from './session-data.js';
import type { SessionMeta } from './session-meta.js';
import type { CacheOptions } from './cache-options.js';
import type { DeviceBoundOptions } from './device-bound-options.js';
import type { SessionsPerUser } from './session-limit.js';
import type { StandardSchema } from './standard-schema.js';

// Not by name: only so can applications merge it.
export * from './session-data.js';
export type * from './session-meta.js';

/** The options of a cookie, as in `cookie.serialize` of the npm package `cookie`. */
export interface CookieSerializeOptions {
	/** `Domain`: this host and its subdomains. Default: only the host that answered. */
	domain?: string | undefined;
	/** Encodes the cookie's value. Default: `encodeURIComponent`. */
	encode?: ((value: string) => string) | undefined;
	/** `Expires`. `maxAge` takes precedence if both are set. */
	expires?: Date | undefined;
	/** `HttpOnly`: scripts in the page cannot read the cookie. Default: true, as in SvelteKit. */
	httpOnly?: boolean | undefined;
	/** `Max-Age` in **seconds**, rounded down. 0 ends the session at once. */
	maxAge?: number | undefined;
	/** `Partitioned` (CHIPS): one cookie per top-level site. Implies `secure`. */
	partitioned?: boolean | undefined;
	/** `Path`. Default: `/`. */
	path?: string | undefined;
	/** `Priority`: which cookies the browser evicts first. */
	priority?: 'low' | 'medium' | 'high' | undefined;
	/** `SameSite`; true is `strict`, false omits it. Default: `lax`, as in SvelteKit. */
	sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined;
	/** `Secure`: over HTTPS only. Default: SvelteKit's, which is true except for http://localhost. */
	secure?: boolean | undefined;
}

/** The options of the session cookie, with a `path`. */
export type SessionCookieOptions = CookieSerializeOptions & { path: string };

/** The record of a session in a store. It is JSON: other values do not survive. */
export interface SessionStoreData {
	/** The write ID of the record. Absent in records of svelte-kit-sessions. */
	v?: string;
	/** The cookie's options when the record was written, without `encode`. */
	cookie: SessionCookieOptions;
	/** The session's data. */
	data: SessionData;
	/** Vestiary's own metadata. Absent in records of svelte-kit-sessions. */
	meta?: SessionMeta;
}

/** Converts records to text and back. `JSON` is a serializer. */
export interface Serializer {
	/** Converts the stored text to a record. May be asynchronous. */
	parse(text: string): SessionStoreData | Promise<SessionStoreData>;
	/** Converts a record to the text to store. */
	stringify(data: SessionStoreData): string;
}

/**
 * A session store, such as `MemoryStore`.
 *
 * Its errors become the `cause` of a `StoreError`. An error with `refused: true` says that the store has replied and
 * did nothing, so that there is no retry; with `full: true` as well, that the store is full. The errors of Redis,
 * SQLite, Postgres and MySQL are recognised without these properties.
 */
export interface Store {
	/**
	 * Reads the record of a session.
	 * @param id The session ID
	 * @returns The record, or null if there is none or it has expired. Its `cookie.expires` may also be the text
	 * that JSON makes of a Date
	 */
	get(id: string): Promise<SessionStoreData | null>;
	/**
	 * Stores a record, and replaces an existing one.
	 * @param id The session ID
	 * @param storeData The record: JSON, except for `cookie.expires`, which is a Date. A store with columns must keep all
	 * of `cookie` and `data`
	 * @param ttl Its TTL in milliseconds, from the cookie's `maxAge` or else `expires`; `Infinity` if neither is set: the
	 * store then chooses
	 */
	set(id: string, storeData: SessionStoreData, ttl: number): Promise<void>;
	/**
	 * Removes a record, if there is one.
	 * @param id The session ID
	 */
	destroy(id: string): Promise<void>;
	/**
	 * Restarts the TTL of a record, if there is one.
	 * @param id The session ID
	 * @param ttl The new TTL in milliseconds
	 */
	touch(id: string, ttl: number): Promise<void>;
	/**
	 * Operations that compare before they write. With them no update is lost, no ended session comes back, and timeouts
	 * and `session.login()` work. Without them, the last of two writes wins.
	 */
	readonly atomic?: AtomicOperations | undefined;
	/** Asks the server what it is, for a health check. */
	check?(): Promise<StoreInfo>;
}

/** The information that a store has about its server. */
export interface StoreInfo {
	/** Its name and version, such as `Redis 7.2.4`. */
	readonly version?: string | undefined;
	/**
	 * The policy by which it drops records when its memory is full. With any but `noeviction`, a full server drops
	 * sessions that are in use.
	 */
	readonly evictionPolicy?: string | undefined;
}

/**
 * Atomic operations on one record. Records are text here, and must be returned exactly as they were stored. The write
 * ID of a record is the 16 characters after `{"v":"` or `{"cookie":{"v":"` at the beginning of its text; other texts
 * have none.
 */
export interface AtomicOperations {
	/** Reads the text of a record; null if there is none or it has expired. */
	read(id: string): Promise<string | null>;
	/**
	 * Reads two records at once: a session and its user's session list, which may be on different nodes of a cluster. A
	 * store that can do it in one round trip should. Default: two concurrent calls of {@link read}.
	 * @returns The result of {@link read} for each, in this order; an `Error` where `read` would reject, so that the other
	 * record still counts
	 */
	readTwo?(one: string, other: string): Promise<readonly [AtomicRead, AtomicRead]>;
	/**
	 * Stores a record if there is none.
	 * @param ttl Its TTL in milliseconds; with `Infinity` the store chooses
	 * @param owned Whether the session has an owner: a full store may evict anonymous sessions
	 * @returns Whether the record was stored
	 */
	create(id: string, text: string, ttl: number, owned: boolean): Promise<boolean>;
	/**
	 * Replaces the record that has this write ID. Never creates one.
	 * @param writeId Null for a record without a write ID
	 */
	replace(id: string, writeId: string | null, text: string, ttl: number): Promise<AtomicOutcome>;
	/**
	 * Restarts the TTL of a record. Never creates one; returns whether it exists.
	 * @param writeId Only for a store with {@link touchCompares}: touch only the record with this write ID, and return the
	 * outcome. Null for a record without a write ID; undefined for any record
	 */
	touch(id: string, ttl: number, writeId?: string | null): Promise<boolean | AtomicOutcome>;
	/**
	 * Whether {@link touch} compares the write ID, so that the tombstone of a login is never prolonged. Otherwise the
	 * record is read before it is touched, and another request may write in between. Default: false.
	 */
	readonly touchCompares?: boolean | undefined;
	/**
	 * Removes the record that has this write ID.
	 * @param writeId Null for a record without a write ID
	 */
	remove(id: string, writeId: string | null): Promise<AtomicOutcome>;
	/** Whether the replicas have confirmed the last write of this record, if the store can tell. */
	confirm?(id: string): Promise<boolean>;
	/**
	 * Whether the client may send a write again by itself, for example after it lost its connection. If so, a late
	 * `conflict` proves nothing: the record in the way may be the result of this very write. Default: true.
	 */
	readonly resends?: boolean | undefined;
	/**
	 * The TTL of a record that is stored with `Infinity`, in milliseconds. A user's session list drops sessions that
	 * were idle for longer. Default: one day.
	 */
	readonly ttl?: number | undefined;
	/**
	 * The store's own clock on the node that holds `id`, in milliseconds since the epoch. With it, the order of a login
	 * and of `revokeAll()` does not depend on the clocks of two servers. Default: this server's clock.
	 */
	now?(id: string): Promise<number>;
	/**
	 * Stores a text with the time, in one step: `text`, the store's own time ({@link now}) in milliseconds, and `}`. It
	 * does so if there is no record, or if the record begins as `text` does: with the same 36 characters, the write ID
	 * apart, which is the 7th to the 22nd. Any other record is left alone. Default: a user's session list is read and
	 * replaced, so `revokeAll()` takes two round trips instead of one.
	 * @returns The time, and the replaced record or null; null if there is another record, and nothing was done
	 */
	stamp?(id: string, text: string, ttl: number): Promise<AtomicStamp | null>;
	/**
	 * Connects to the feed of the store's changes, and resolves when it is connected. From then on the listener gets each
	 * record that {@link replace}, {@link remove} or {@link stamp} has written, in any process. It is a hint: the
	 * store is then asked about the sessions that depend on the record. Lost, late and doubled ones do no harm. Needs
	 * {@link nameOf}. Default: no feed; the store is asked after `recheckAfter`.
	 * @returns Disconnects
	 */
	watch?(listener: ChangeListener): Promise<() => void>;
	/** The name of a record in the feed. It reveals nothing of the key, which may be a session ID. */
	nameOf?(id: string): string | Promise<string>;
	/** Questions by which changes are found in a store that has no {@link watch}. Default: none. */
	readonly polling?: Polling | undefined;
}

/**
 * Questions to a store about the changes of its records. They are asked while sessions are watched, and their answers are
 * hints, as those of `watch`.
 */
export interface Polling {
	/** The time between two questions about a record, in milliseconds. */
	readonly every: number;
	/** The maximum number of records in one question. */
	readonly most: number;
	/**
	 * Reads the write IDs of some records at once.
	 * @returns For each record that exists, by its ID, its write ID or a text that stands for it; any text for a record
	 * without one
	 */
	writeIds(ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
	/**
	 * A text that changes with each write to the store, if it is cheaper to read than the records: while it stays the same,
	 * they are not asked about. Undefined: unknown. Default: unknown.
	 */
	state?(): Promise<string | undefined>;
}

/** A listener of a store's feed of changes. */
export interface ChangeListener {
	/** A record has changed. */
	changed(name: string): void;
	/** The connection is lost. The feed is connected again later, by another call of `watch`. */
	lost(): void;
}

/** The result of `stamp`: the time in milliseconds, and the text of the replaced record; null if there was none. */
export type AtomicStamp = readonly [time: number, before: string | null];

/** A result of `readTwo`: the text of a record, null if there is none, or the reason why it cannot be read. */
export type AtomicRead = string | null | Error;

/** The outcome of a conditional write: `done`, or nothing done, because of another record (`conflict`) or none (`gone`). */
export type AtomicOutcome = 'done' | 'conflict' | 'gone';

/** A capability that the options can require of a store. */
export type StoreCapability = 'atomic';

/**
 * Short names of the formats.
 *
 * @deprecated Use `'svelte-kit-sessions'` and `'express-session'`.
 */
export type DeprecatedFormat = 'seed' | 'express';

/** The options of `sveltekitSessionHandle` and `Session.initialize`. */
export interface SveltekitSessionConfig {
	/** The name of the session cookie. Default: `connect.sid`. */
	name?: string | undefined;
	/**
	 * The property of `event.locals` that holds the session. An app with two handles gives each its own, and declares
	 * it in `App.Locals`. Default: `'session'`.
	 */
	as?: string | undefined;
	/** The options of the session cookie. Default: those of SvelteKit, with `path: '/'`. */
	cookie?: CookieSerializeOptions | undefined;
	/**
	 * Refreshes cookie and record on every response of an existing session, so that it expires `cookie.maxAge` after
	 * the last visit. Ignored without `cookie.maxAge`. Default: false.
	 */
	rolling?: boolean | undefined;
	/**
	 * The session store. Default: a `MemoryStore`, which is for development; one per cookie name and namespace in a
	 * process.
	 */
	store?: Store | undefined;
	/**
	 * Signs the session ID in the cookie. In a list, the first secret signs, and all of them verify: to change the
	 * secret, put the new one first. In production, at least 16 bytes, and none that repeats itself or is a known
	 * sample; 32 random bytes are better.
	 */
	secret: string | string[];
	/**
	 * Stores new sessions, and every change, without a `save()`. Default: false, so that a visitor who only reads gets
	 * no cookie and needs no record.
	 */
	saveUninitialized?: boolean | undefined;
	/**
	 * Stores changed data when the request ends, without a `save()`, whether it was changed by `setData` or in place. A
	 * new session is stored after its first change. Default: false.
	 */
	autoSave?: boolean | undefined;
	/**
	 * The minimum time between two touches of a rolling session's record by one process, in seconds; 0 touches on every
	 * request. The record outlives its cookie by this time. Default: a tenth of `cookie.maxAge`.
	 */
	touchAfter?: number | undefined;
	/**
	 * The format of the cookies and records that are written. Use `'express-session'` to share sessions with an
	 * Express app. Both formats are always read. Default: `'svelte-kit-sessions'`.
	 */
	// eslint-disable-next-line @typescript-eslint/no-deprecated -- still accepted
	format?: 'svelte-kit-sessions' | 'express-session' | DeprecatedFormat | undefined;
	/**
	 * Seconds without use after which a session expires, whatever its cookie and its store allow. It expires at most a
	 * tenth of this time later. Needs an atomic store. Default: none.
	 */
	idleTimeout?: number | undefined;
	/** Seconds after which a session expires, however much it is used. Default: none. */
	absoluteTimeout?: number | undefined;
	/**
	 * Seconds after which a session gets another ID, with the same data. Needs an atomic store. Not available with
	 * `format: 'express-session'`: Express would take the tombstone of the old ID for a session. Default: never.
	 */
	renewAfter?: number | undefined;
	/**
	 * The grace period of a renewal in seconds, in which the old ID still leads to the session: for requests in flight,
	 * and for lost responses. At most 600. Default: 30.
	 */
	renewGrace?: number | undefined;
	/**
	 * A request whose ID was replaced by a renewal longer ago has no session, and the event is `reuse`. With `'revoke'`,
	 * the session itself ends, too. Default: `'report'`.
	 */
	onReuse?: 'report' | 'revoke' | undefined;
	/** The seconds between two questions about a session that a stream watches. From 1 to 300. Default: 10. */
	recheckAfter?: number | undefined;
	/** A near cache: sessions that were read just now are opened without the store. Needs an atomic store. Default: none. */
	cache?: CacheOptions | undefined;
	/**
	 * The maximum number of sessions per user (`session.login()`). A login beyond it ends the session that has been
	 * idle longest, or is refused with `whenFull: 'refuse'`. With `Infinity` only the size of the session list is a
	 * limit: 64 KiB, several hundred sessions. Default: 100.
	 */
	sessionsPerUser?: number | SessionsPerUser | undefined;
	/**
	 * The maximum size of `session.data`, in bytes of JSON: at least 1,024. Vestiary's own metadata does not count.
	 * Default: 65,536.
	 */
	maxBytes?: number | undefined;
	/**
	 * The schema of `session.data`, of any library that implements Standard Schema. Data is checked when the application
	 * reads it and when it is saved. Top-level members of stored data that do not fit are dropped, and the event
	 * `invalid_data` is emitted. The schema must accept an empty object, and what it returns, as JSON. Default: none.
	 */
	schema?: StandardSchema | undefined;
	/**
	 * Converts values that JSON does not preserve, such as a `Map` or a `Date`, and back: `superjson`, or an object like
	 * it. Only members of the data with such a value are converted. Default: none, and they are refused.
	 */
	transformer?: Transformer | undefined;
	/**
	 * The version of the data that this application writes: a whole number from 1, stored in the record. Increase it when
	 * the meaning of stored data changes. Default: none.
	 */
	version?: number | undefined;
	/**
	 * Migrates data of an older `version`, 0 for records without one. Changes it in place, or returns an object that
	 * replaces it: any other value that it returns is ignored. It runs when the application reads the data, and again when
	 * the data is saved. If it throws, or returns a list or a `Map`, the data counts as not migrated, and the event
	 * `invalid_data` is emitted.
	 */
	migrate?: ((data: Record<string, unknown>, version: number) => unknown) | undefined;
	/**
	 * Selects what the visitor's browser may know about the session, for `session.forClient()`: values that SvelteKit can
	 * serialise. Not async. Called for stored sessions only. Default: nothing.
	 */
	public?: ((data: RegisteredData, session: ClientSource) => PublicData) | undefined;
	/**
	 * Lets the handle answer requests of `useSession()` (`vestiary/client`): whether the session has ended, when it will,
	 * and requests to extend it. `true` is the path `/_session`, or `/_` and the name in `as`. With
	 * SvelteKit's `paths.base`, give the whole path. Default: false; the handle then has no route of its own.
	 */
	client?: boolean | ClientOptions | undefined;
	/**
	 * Binds the sessions of logged-in visitors to their devices, in browsers that can: a copy of the cookies is worthless
	 * after some minutes. Needs an atomic store, and a cookie without `domain` and `partitioned`. Default: false.
	 */
	deviceBound?: boolean | DeviceBoundOptions | undefined;
	/** Stores hashes of IDs, so that a leaked dump of the store cannot be used as cookies. Default: false. */
	hashIds?: boolean | undefined;
	/**
	 * Encrypts records (XChaCha20-Poly1305), with a key derived from `secret` and the session's ID. Needs secrets of at
	 * least 32 bytes. `true` rejects unencrypted records; `'migrate'` accepts them, and encrypts them at their next
	 * write. Default: false.
	 */
	encrypt?: boolean | 'migrate' | undefined;
	/**
	 * Separates the sessions of this handle from those of others with the same secret and store: its cookies and
	 * records are invalid there. Default: none.
	 */
	namespace?: string | undefined;
	/** Capabilities that the store must have; otherwise the options are rejected. */
	require?: StoreCapability[] | undefined;
	/** Generates the ID of a new session: 16 to 256 visible characters, hard to guess. Default: 192 random bits. */
	genid?: ((event: RequestEvent) => string) | undefined;
	/** Selects requests that need no session: `locals.session` is not set for them. */
	skip?: ((event: RequestEvent) => boolean) | undefined;
	/**
	 * Selects requests that do not count as use of their session, such as the polls of a page that stays open. They read
	 * the session, and neither extend nor renew it, nor set its cookie, unless the application itself writes it. The
	 * cookie of an expired session is removed, as in any request. Requests by `event.fetch` belong to their page.
	 * Default: none.
	 */
	passive?: ((event: RequestEvent) => boolean) | undefined;
	/** Called for each event of a request's session, for logs and metrics. Its exceptions and rejections are ignored. */
	onEvent?: ((event: SessionEvent, request: RequestEvent) => void) | undefined;
	/** Receives metrics and traces: `opentelemetry()` of `vestiary/opentelemetry`. */
	telemetry?: Telemetry | undefined;
	/**
	 * How to treat requests while the store is unavailable: fail them (`'throw'`), or give them an empty session that
	 * cannot be saved (`'anonymous'`). Either way nothing is overwritten. Default: `'throw'`.
	 */
	onStoreError?: 'throw' | 'anonymous' | undefined;
	/**
	 * The timeout of a store operation in milliseconds, after which it fails with a `StoreError`; 0 and `Infinity`
	 * disable it. Default: 5,000.
	 */
	storeTimeout?: number | undefined;
}

/**
 * The parts of a request event that a session needs without a handle: `cookies` or `request`. SvelteKit's event has
 * both.
 */
export type SessionRequest = Omit<Partial<RequestEvent>, 'request'> &
	(Pick<RequestEvent, 'cookies'> | { request: { headers: Pick<Headers, 'get'> } });

/** Receives metrics and traces. */
export interface Telemetry {
	/** Called for each event of a session. */
	event(type: SessionEvent['type']): void;
	/** Runs a store operation and measures it. Must return the operation's result, or throw its error. */
	store<T>(operation: StoreOperation, run: () => Promise<T>): Promise<T>;
}

/** A store operation, as named in errors and telemetry. */
export type StoreOperation = 'read' | 'write' | 'touch' | 'remove';

/** An event of a request's session. It contains no secret. */
export type SessionEvent =
	/** A new session was stored. */
	| { type: 'created' }
	/** The session got another ID: by a login (`regenerate`, `login`), or by a renewal. */
	| { type: 'rotated'; reason: 'login' | 'renewal' }
	/**
	 * The application ended the session. `confirmed` says whether the replicas have confirmed it, if the store can tell
	 * (`confirm` of a `RedisStore`).
	 */
	| { type: 'destroyed'; confirmed?: boolean }
	/** A session was used after its idle or absolute deadline. */
	| { type: 'expired' }
	/** A session was used that has been revoked. */
	| { type: 'revoked' }
	/** Another request had written the session first, so both changes were merged. */
	| { type: 'conflict' }
	/** Another request had ended the session: this request's changes were dropped, and no cookie was set. */
	| { type: 'gone' }
	/** A replaced ID was used. `logId` names the session of a renewal; `revoked`: it was ended for that (`onReuse`). */
	| { type: 'reuse'; logId?: string; revoked: boolean }
	/** A browser has bound its session (`deviceBound`); a request had no valid bound cookie; a proof was refused. */
	| { type: 'bound'; reason: 'registered' | 'missing' | 'refused' }
	/** The request has a cookie of this name, but none with a valid signature. */
	| { type: 'rejected' }
	/** A cookie has a valid signature, but the store has no record of its session: it expired, ended, or was lost. */
	| { type: 'unknown' }
	/**
	 * The record or the user's session list cannot be read; `code` is the reason. The visitor has no session in this
	 * request, and neither record nor list is overwritten. If another instance of the application may be able to read
	 * it (`not_sealed`, `unsealable`, `too_large`, and every list), the cookie stays, too: only `login()`,
	 * `regenerate()` and `destroy()` replace it.
	 */
	| { type: 'unreadable'; code: string }
	/**
	 * Stored data does not fit the `schema`, or `migrate` has thrown. `keys` are the top-level members that were dropped
	 * from `session.data`. The next save removes them from the record, unless a newer version has written it.
	 */
	| { type: 'invalid_data'; keys: readonly string[] }
	/**
	 * The store failed in the background, for example while it refreshed a rolling session, or while a session was
	 * opened, whatever `onStoreError` says.
	 */
	| { type: 'store_failed'; error: Error }
	/**
	 * An operation that the application did not await, such as `save()`, failed after the response had left. Before
	 * that, the request fails with the error.
	 */
	| { type: 'failed'; error: Error };
