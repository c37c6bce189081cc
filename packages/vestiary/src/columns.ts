import { Constant, constant } from './generated/vestiary.js';
import { Recent } from './bounded.js';
import { StoreError } from './errors.js';
import type { SessionMeta, SessionStoreData } from './types.js';

/**
 * Records as stores get them that are not atomic: objects, whose `cookie.expires` is a Date. Such a store may have
 * a column for `cookie`, one for `data`, and none for `meta`, so what has to last stands in the cookie as well.
 */
export class Columns {
	/** Keys of records that were written lately, with metadata which has to last. */
	readonly #witnesses = new Recent(WITNESSES);
	#loss: StoreError | undefined;
	#hasLooked = false;

	/** A record for the store. */
	pack(key: string, text: string): SessionStoreData {
		const record = JSON.parse(text) as Packed;
		const { cookie } = record;
		// An encrypted record has none.
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

	/** A record from the store, as it was packed. */
	unpack(key: string, stored: SessionStoreData): SessionStoreData {
		const { cookie, meta, ...record } = stored as Packed;
		// A store may return something else, whatever its type says.
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

	/** Looks, once, whether a record that was written with metadata came back with it. */
	#look(key: string, meta: SessionMeta | undefined): void {
		if (this.#hasLooked || !this.#witnesses.has(key, Date.now())) return;
		this.#hasLooked = true;
		if (meta?.absolute === undefined && meta?.cookie === undefined)
			this.#loss = new StoreError(
				'store_lossy',
				'the session store keeps neither `meta` nor all of `cookie` of a record, so `absoluteTimeout` and what was assigned to `session.cookie` have no effect: let it keep the whole record'
			);
	}

	/** The parts of a record that this store loses, if any: reported once. */
	takeLoss(): StoreError | undefined {
		const loss = this.#loss;
		this.#loss = undefined;
		return loss;
	}
}

/** Most keys that are remembered: most visitors never come back. */
const WITNESSES = 1_000;

type Packed = SessionStoreData & {
	cookie: (SessionStoreData['cookie'] & { meta?: SessionMeta }) | null;
};

function isObject(value: unknown): value is object {
	return typeof value === 'object' && value !== null;
}
