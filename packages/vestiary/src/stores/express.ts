import type { SessionStoreData, Store } from '../types.js';
import { checkExpressStore } from './check.js';

/** A store of express-session, as the connect-* packages export them. */
export interface ExpressStore {
	get(sid: string, callback: (error: unknown, session?: unknown) => void): unknown;
	set(sid: string, session: object, callback: (error?: unknown) => void): unknown;
	destroy(sid: string, callback: (error?: unknown) => void): unknown;
	touch?(sid: string, session: object, callback: (error?: unknown) => void): unknown;
}

/**
 * Wraps a store that was written for express-session.
 *
 * ```ts
 * import { RedisStore } from 'connect-redis';
 * import { fromExpressStore, sveltekitSessionHandle } from 'vestiary';
 *
 * const store = fromExpressStore(new RedisStore({ client }));
 * export const handle = sveltekitSessionHandle({ secret, store, format: 'express-session' });
 * ```
 *
 * With `format: 'express-session'`, an Express app can read the sessions, too. These stores derive a record's TTL from
 * `cookie.expires`, most of them in whole seconds. Touching requires the whole record, so it costs a read.
 */
export function fromExpressStore(store: ExpressStore): Store {
	checkExpressStore(store);
	const get = async (id: string): Promise<SessionStoreData | null> => {
		const found = await answer<SessionStoreData | null | undefined>((done) =>
			store.get(id, done)
		).catch((error: unknown) => {
			if (isNotFound(error)) return null;
			throw error;
		});
		return found ?? null;
	};
	const set = (id: string, record: SessionStoreData, ttl: number): Promise<void> =>
		answer((done) => store.set(id, sessionOf(record, ttl), done));
	return {
		get,
		set,
		destroy: (id) => answer((done) => store.destroy(id, done)),
		touch: async (id, ttl) => {
			const record = await get(id);
			if (!record) return;
			if (!store.touch) return set(id, record, ttl);
			await answer((done) => store.touch?.(id, sessionOf(record, ttl), done));
		}
	};
}

/** The session as express-session passes it to a store: JSON, with a cookie object. */
function sessionOf(record: SessionStoreData, ttl: number): object {
	return { ...record, cookie: new ExpressCookie(record.cookie, ttl) };
}

/**
 * The part of express-session's `Cookie` that stores use. Its `maxAge` is in milliseconds, ours is in seconds. JSON has
 * the record's value, with the time of its expiry.
 */
class ExpressCookie {
	readonly expires: Date | null;
	readonly originalMaxAge: number | null;
	readonly #stored: object;

	constructor(stored: object, ttl: number) {
		this.#stored = stored;
		this.originalMaxAge = Number.isFinite(ttl) ? ttl : null;
		this.expires = this.originalMaxAge === null ? null : new Date(Date.now() + ttl);
	}

	get maxAge(): number | null {
		return this.expires && this.expires.getTime() - Date.now();
	}

	toJSON(): object {
		return this.expires ? { ...this.#stored, expires: this.expires } : this.#stored;
	}
}

/** Recognises the error with which file stores report a missing record. express-session does the same. */
function isNotFound(error: unknown): boolean {
	return (error as { code?: unknown } | null)?.code === 'ENOENT';
}

/** The value passed to a call's callback. If a store also returns a promise, it is ignored. */
async function answer<T = void>(
	call: (done: (error?: unknown, value?: unknown) => void) => unknown
): Promise<T> {
	return new Promise((resolve, reject) => {
		const done = (error?: unknown, value?: unknown): void => {
			// Whatever the store uses as an error becomes the `cause` of a StoreError.
			// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
			if (error) reject(error);
			else resolve(value as T);
		};
		const returned = call(done);
		if (returned instanceof Promise) returned.catch(reject);
	});
}
