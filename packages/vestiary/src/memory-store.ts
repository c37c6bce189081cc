import { orThrow } from './errors.js';
import { Answer, MemoryTable, Step } from './generated/vestiary.js';
import { checkCommon, checkNumber, checkObject } from './stores/check.js';
import { parsed } from './stores/options.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	Serializer,
	SessionStoreData,
	Store
} from './types.js';

/** Options of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
	/** The prefix of every key. Default: `''`. */
	prefix?: string | undefined;
	/** Converts records to text and back. Default: `JSON`. */
	serializer?: Serializer | undefined;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. Default: one day. */
	ttl?: number | undefined;
	/**
	 * The maximum number of records. Beyond it, new records are refused with a `StoreError`; for the session of a user
	 * (`session.login()`), anonymous ones are evicted instead. Default: 100,000.
	 */
	maxEntries?: number | undefined;
	/**
	 * The maximum number of bytes. A write beyond it is refused with a `StoreError`; for the session of a user,
	 * anonymous ones are evicted instead. Default: 64 MiB.
	 */
	maxBytes?: number | undefined;
}

/** Set by the class, which alone can read its private fields. */
let tableIn: (store: Store) => MemoryTable | undefined;

/**
 * The table of a memory store, if the store has one and its functions have not been replaced by a test or an
 * application.
 * @internal
 */
export function tableOf(store: Store): MemoryTable | undefined {
	return tableIn(store);
}

/**
 * Keeps sessions in the memory of this process: for development and tests, or for a single process whose restart may
 * log every visitor out. Expired records are freed, and the size is bounded.
 *
 * ```ts
 * const store = new MemoryStore({ maxEntries: 10_000 });
 * export const handle = sveltekitSessionHandle({ secret, store });
 * ```
 */
export class MemoryStore implements Store {
	/** The atomic operations; undefined with a `serializer` other than `JSON`. */
	readonly atomic: AtomicOperations | undefined;
	/** The store's original functions; undefined if it is not atomic. */
	readonly #own: AtomicOperations | undefined;
	readonly #limits: ConstructorParameters<typeof MemoryTable>;
	#made: MemoryTable | undefined;
	readonly #serializer: Serializer;

	constructor(options: MemoryStoreOptions = {}) {
		checkObject('MemoryStore', options, '`new MemoryStore({ maxEntries })`');
		checkCommon('MemoryStore', options, ['maxEntries', 'maxBytes']);
		const { maxEntries, maxBytes, ttl } = options;
		checkNumber('maxEntries', maxEntries, {
			unit: 'records',
			least: 1,
			whole: true,
			unlimited: true
		});
		checkNumber('maxBytes', maxBytes, {
			unit: 'bytes',
			least: 1,
			whole: true,
			unlimited: true
		});
		this.#serializer = options.serializer ?? JSON;
		this.#limits = [options.prefix ?? '', limitOf(maxEntries), limitOf(maxBytes), ttl];
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.#serializer === JSON ? this.#operations() : undefined;
		this.#own = this.atomic && { ...this.atomic };
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = this.#made?.get(id, Date.now());
		return text === undefined ? null : parsed(this.#serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const text = this.#serializer.stringify(storeData);
		orThrow(() => {
			this.#table.set(id, text, ttl, Date.now());
		});
	}

	async destroy(id: string): Promise<void> {
		this.#made?.remove(id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		this.#made?.touch(id, ttl, Date.now());
	}

	static {
		tableIn = (store) => {
			if (!(#own in store) || !store.#own) return undefined;
			const { atomic } = store;
			return atomic && isSame(atomic, store.#own) ? store.#made : undefined;
		};
	}

	/** Created with the first record, since not every runtime frees linear memory by itself. */
	get #table(): MemoryTable {
		this.#made ??= new MemoryTable(...this.#limits);
		return this.#made;
	}

	/** The number of active records. */
	get size(): number {
		return this.#made?.len(Date.now()) ?? 0;
	}

	#operations(): AtomicOperations {
		return {
			resends: false,
			ttl: this.#limits[3] ?? undefined,
			read: async (id) => this.#made?.get(id, Date.now()) ?? null,
			readTwo: async (one, other) => {
				const now = Date.now();
				const read = (id: string): string | null => this.#made?.get(id, now) ?? null;
				return [read(one), read(other)];
			},
			create: async (id, text, ttl, owned) =>
				write(this.#table, Step.Create, id, null, text, ttl, owned) === 'done',
			replace: async (id, writeId, text, ttl) =>
				write(this.#made, Step.Replace, id, writeId, text, ttl),
			touchCompares: true,
			touch: async (id, ttl, writeId) =>
				writeId === undefined
					? (this.#made?.touch(id, ttl, Date.now()) ?? false)
					: write(this.#made, Step.Touch, id, writeId, '', ttl),
			remove: async (id, writeId) => write(this.#made, Step.Remove, id, writeId)
		};
	}
}

/** Whether all members are the same. Written out, because each request asks, and a loop over names takes a while. */
function isSame(one: AtomicOperations, other: AtomicOperations): boolean {
	return (
		one.read === other.read &&
		one.readTwo === other.readTwo &&
		one.create === other.create &&
		one.replace === other.replace &&
		one.touch === other.touch &&
		one.remove === other.remove &&
		one.touchCompares === other.touchCompares &&
		one.resends === other.resends &&
		one.ttl === other.ttl
	);
}

/** An unreachable limit: linear memory has at most 4 GiB. */
const UNLIMITED = 2 ** 32 - 1;

function limitOf(number: number | undefined): number | undefined {
	return number === undefined ? undefined : Math.min(number, UNLIMITED);
}

/** Writes the record that has this write ID. Without a table, no record exists. */
function write(
	table: MemoryTable | undefined,
	step: Step,
	id: string,
	writeId: string | null,
	text = '',
	ttl = 0,
	owned = false
): AtomicOutcome {
	const answer = orThrow(() =>
		table?.write(step, id, writeId ?? '', text, ttl, owned, Date.now())
	);
	if (answer === Answer.Done) return 'done';
	return answer === Answer.Conflict ? 'conflict' : 'gone';
}
