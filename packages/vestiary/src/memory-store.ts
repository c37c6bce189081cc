import { orThrow } from './errors.js';
import { Answer, MemoryTable } from './generated/vestiary.js';
import { checkCommon, checkNumber, checkObject } from './stores/check.js';
import { parsed } from './stores/options.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	Serializer,
	SessionStoreData,
	Store
} from './types.js';

/** The options of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
	/** Put before every ID. Default: `''`. */
	prefix?: string | undefined;
	/** Default: `JSON`. */
	serializer?: Serializer | undefined;
	/** Life in milliseconds of a record whose cookie has neither `maxAge` nor `expires`. Default: a day. */
	ttl?: number | undefined;
	/**
	 * Most records to hold; another one is refused with a `StoreError`, unless it is of a user
	 * (`session.login()`): for that one anonymous ones are evicted. Default: 100,000.
	 */
	maxEntries?: number | undefined;
	/**
	 * Most bytes to hold; a write that would exceed them is refused with a `StoreError`, unless it is of a user,
	 * as above. Default: 64 MiB.
	 */
	maxBytes?: number | undefined;
}

/** The table of a memory store, once it has one, and its prefix. */
interface Table {
	readonly table: MemoryTable | undefined;
	readonly prefix: string;
}

/** Set by the class, which alone can read its private fields. */
let readTable: (store: MemoryStore) => Table | undefined;

/**
 * The table of a store, if it is a memory store whose records are read as they lie there.
 * @internal
 */
export function tableOf(store: Store): Table | undefined {
	return store instanceof MemoryStore ? readTable(store) : undefined;
}

/**
 * Keeps sessions in the memory of this process: for development and tests, or a single process
 * whose restart may log everybody out. Expired records are freed, and its size is bounded.
 */
export class MemoryStore implements Store {
	readonly atomic: AtomicOperations | undefined;
	readonly #limits: ConstructorParameters<typeof MemoryTable>;
	#made: MemoryTable | undefined;
	readonly #prefix: string;
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
		this.#prefix = options.prefix ?? '';
		this.#serializer = options.serializer ?? JSON;
		this.#limits = [limitOf(maxEntries), limitOf(maxBytes), ttl];
		// A serializer may put the mark where it is not found.
		this.atomic = this.#serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = this.#made?.get(this.#prefix + id, Date.now());
		return text === undefined ? null : parsed(this.#serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const text = this.#serializer.stringify(storeData);
		orThrow(() => {
			this.#table.set(this.#prefix + id, text, ttl, Date.now());
		});
	}

	async destroy(id: string): Promise<void> {
		this.#made?.remove(this.#prefix + id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		this.#made?.touch(this.#prefix + id, ttl, Date.now());
	}

	static {
		readTable = (store) =>
			store.#serializer === JSON
				? {
						get table() {
							return store.#made;
						},
						prefix: store.#prefix
					}
				: undefined;
	}

	/** Made when something is stored: not every runtime frees what lies in linear memory by itself. */
	get #table(): MemoryTable {
		this.#made ??= new MemoryTable(...this.#limits);
		return this.#made;
	}

	/** Number of sessions alive. */
	get size(): number {
		return this.#made?.len(Date.now()) ?? 0;
	}

	#operations(): AtomicOperations {
		const key = (id: string): string => this.#prefix + id;
		return {
			resends: false,
			ttl: this.#limits[2] ?? undefined,
			read: async (id) => this.#made?.get(key(id), Date.now()) ?? null,
			readTwo: async (one, other) => {
				const now = Date.now();
				const read = (id: string): string | null => this.#made?.get(key(id), now) ?? null;
				return [read(one), read(other)];
			},
			create: async (id, text, ttl, bound) =>
				orThrow(() => this.#table.create(key(id), text, ttl, bound, Date.now())),
			replace: async (id, mark, text, ttl) =>
				orThrow(() =>
					outcome(this.#made?.replace(key(id), mark ?? undefined, text, ttl, Date.now()))
				),
			touchCompares: true,
			touch: async (id, ttl, mark) =>
				mark === undefined
					? (this.#made?.touch(key(id), ttl, Date.now()) ?? false)
					: outcome(this.#made?.touchMarked(key(id), mark ?? undefined, ttl, Date.now())),
			remove: async (id, mark) =>
				outcome(this.#made?.removeMarked(key(id), mark ?? undefined, Date.now()))
		};
	}
}

/** As many as there can be: linear memory has no more than 4 GiB. */
const UNLIMITED = 2 ** 32 - 1;

function limitOf(number: number | undefined): number | undefined {
	return number === undefined ? undefined : Math.min(number, UNLIMITED);
}

/** An answer of the table as an outcome. Default: that of a store in which nothing was ever stored. */
function outcome(answer = Answer.Gone): AtomicOutcome {
	if (answer === Answer.Done) return 'done';
	return answer === Answer.Gone ? 'gone' : 'conflict';
}
