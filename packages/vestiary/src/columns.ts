import { Constant, constant } from './generated/vestiary.js';
import { Recent } from './bounded.js';
import { StoreError } from './errors.js';
import type { SessionMeta, SessionStoreData } from './types.js';

/**
 * Converts records for stores that are not atomic: objects whose `cookie.expires` is a Date. Such a store may have
 * columns for `cookie` and `data` but none for `meta`, so metadata that must survive is also put into the cookie.
 */
export class Columns {
	/** Keys of recently written records whose metadata must survive. */
	readonly #witnesses = new Recent(WITNESSES);
	#loss: StoreError | undefined;
	#hasLooked = false;

	/** Converts a record's text for the store. */
	pack(key: string, text: string): SessionStoreData {
		const record = JSON.parse(text) as Packed;
		const { cookie } = record;
		// An encrypted record has no cookie.
		if (typeof cookie !== 'object') return record;
		if (typeof cookie.expires === 'string') cookie.expires = new Date(cookie.expires);
		const { meta } = record;
		if (meta?.absolute !== undefined || meta?.cookie !== undefined) {
			const { created, absolute, cookie: own } = meta;
			cookie.meta = {
				...(created !== undefined && { created }),
				...(absolute !== undefined && { absolute }),
				...(own && { cookie: own })
			};
			if (!this.#hasLooked) this.#witnesses.add(key, constant(Constant.StoreTtl), Date.now());
		}
		return record;
	}

	/** Converts a record from the store back. */
	unpack(key: string, stored: SessionStoreData): SessionStoreData {
		const { cookie, meta, ...record } = stored as Packed;
		// A store may return anything, whatever its type says.
		if (!isObject(cookie)) {
			this.#look(key, meta);
			return stored;
		}
		if ('originalMaxAge' in cookie) return stored;
		const { meta: kept, ...attributes } = cookie;
		const known = meta ?? kept;
		this.#look(key, known);
		return { ...record, cookie: attributes, ...(known && { meta: known }) };
	}

	/** Checks, once, whether a record that was written with metadata came back with it. */
	#look(key: string, meta: SessionMeta | undefined): void {
		if (this.#hasLooked || !this.#witnesses.has(key, Date.now())) return;
		this.#hasLooked = true;
		if (meta?.absolute === undefined && meta?.cookie === undefined)
			this.#loss = new StoreError(
				'store_lossy',
				'the session store keeps neither `meta` nor all of `cookie` of a record, so `absoluteTimeout` and attributes assigned to `session.cookie` have no effect: let it keep the whole record'
			);
	}

	/** The error for a store that drops parts of a record, if it does; returned once. */
	takeLoss(): StoreError | undefined {
		const loss = this.#loss;
		this.#loss = undefined;
		return loss;
	}
}

/** The maximum number of keys: most visitors never come back. */
const WITNESSES = 1_000;

type Packed = SessionStoreData & {
	cookie: (SessionStoreData['cookie'] & { meta?: SessionMeta }) | null;
};

function isObject(value: unknown): value is object {
	return typeof value === 'object' && value !== null;
}
