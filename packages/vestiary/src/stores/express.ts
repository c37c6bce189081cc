import type { SessionStoreData, Store } from '../types.js';
import { checkExpressStore } from './check.js';

/** A store of express-session: what the connect-* packages export. */
export interface ExpressStore {
	get(sid: string, callback: (error: unknown, session?: unknown) => void): unknown;
	set(sid: string, session: object, callback: (error?: unknown) => void): unknown;
	destroy(sid: string, callback: (error?: unknown) => void): unknown;
	touch?(sid: string, session: object, callback: (error?: unknown) => void): unknown;
}

/**
 * Makes a store of one that was written for express-session.
 *
 * ```ts
 * import { RedisStore } from 'connect-redis';
 * import { fromExpressStore, sveltekitSessionHandle } from 'vestiary';
 *
 * const store = fromExpressStore(new RedisStore({ client }));
 * export const handle = sveltekitSessionHandle({ secret, store, format: 'express-session' });
 * ```
 *
 * With `format: 'express-session'` an Express app reads the sessions, too. These stores take their records'
 * life from `cookie.expires`, most of them in whole seconds. To touch a record they want all of it,
 * so touching costs a read.
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

/** What express-session hands to a store: JSON with a live cookie. */
function sessionOf(record: SessionStoreData, ttl: number): object {
	return { ...record, cookie: new ExpressCookie(record.cookie, ttl) };
}

/**
 * As much of express-session's `Cookie` as stores look at. `maxAge` is in milliseconds here, in our
 * own records in seconds; what is stored is the record's, with the instant at which it expires.
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

/** Stores of files say so when there is none; express-session takes it for an answer, too. */
function isNotFound(error: unknown): boolean {
	return (error as { code?: unknown } | null)?.code === 'ENOENT';
}

/** What a call passes to its callback. A promise that some stores return besides says the same. */
async function answer<T = void>(
	call: (done: (error?: unknown, value?: unknown) => void) => unknown
): Promise<T> {
	return new Promise((resolve, reject) => {
		const done = (error?: unknown, value?: unknown): void => {
			// Whatever a store thinks an error is, it becomes the `cause` of a StoreError.
			// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
			if (error) reject(error);
			else resolve(value as T);
		};
		const returned = call(done);
		if (returned instanceof Promise) returned.catch(reject);
	});
}
