import { orThrow } from './errors.js';
import { Answer, MemoryTable } from './generated/vestiary.js';
import { parsed } from './stores/options.js';
import type { AtomicOperations, AtomicOutcome, SessionStoreData, Store } from './types.js';

/** Turns records into text and back. `JSON` is one. */
export interface Serializer {
	parse(text: string): SessionStoreData | Promise<SessionStoreData>;
	stringify(data: SessionStoreData): string;
}

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
	 * (`session.login()`) and there is one that is not, which is dropped. Default: 100,000.
	 */
	maxEntries?: number | undefined;
	/** Most bytes to hold; what would exceed them is refused with a `StoreError`. Default: 64 MiB. */
	maxBytes?: number | undefined;
}

/**
 * The table of a memory store and what it puts before each ID, if the records in it are as they are read.
 * @internal
 */
export let tableOf: (store: Store) => { table: MemoryTable; prefix: string } | undefined;

/**
 * Keeps sessions in the memory of this process: for development and tests, or a single process
 * whose restart may log everybody out. Expired records are freed, and its size is bounded.
 */
export class MemoryStore implements Store {
	readonly atomic: AtomicOperations | undefined;
	readonly #table: MemoryTable;
	readonly #prefix: string;
	readonly #serializer: Serializer;

	constructor(options: MemoryStoreOptions = {}) {
		this.#prefix = options.prefix ?? '';
		this.#serializer = options.serializer ?? JSON;
		this.#table = new MemoryTable(options.maxEntries, options.maxBytes, options.ttl);
		// A serializer may put the mark where it is not found.
		this.atomic = this.#serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = this.#table.get(this.#prefix + id, Date.now());
		return text === undefined ? null : parsed(this.#serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const text = this.#serializer.stringify(storeData);
		orThrow(() => {
			this.#table.set(this.#prefix + id, text, ttl, Date.now());
		});
	}

	async destroy(id: string): Promise<void> {
		this.#table.remove(this.#prefix + id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		this.#table.touch(this.#prefix + id, ttl, Date.now());
	}

	static {
		tableOf = (store) =>
			store instanceof MemoryStore && store.#serializer === JSON
				? { table: store.#table, prefix: store.#prefix }
				: undefined;
	}

	/** Number of sessions alive. */
	get size(): number {
		return this.#table.len(Date.now());
	}

	#operations(): AtomicOperations {
		const table = this.#table;
		const key = (id: string): string => this.#prefix + id;
		return {
			resends: false,
			read: async (id) => table.get(key(id), Date.now()) ?? null,
			create: async (id, text, ttl, bound) =>
				orThrow(() => table.create(key(id), text, ttl, bound, Date.now())),
			replace: async (id, mark, text, ttl) =>
				orThrow(() =>
					outcome(table.replace(key(id), mark ?? undefined, text, ttl, Date.now()))
				),
			touch: async (id, ttl) => table.touch(key(id), ttl, Date.now()),
			remove: async (id, mark) =>
				outcome(table.removeMarked(key(id), mark ?? undefined, Date.now()))
		};
	}
}

function outcome(answer: Answer): AtomicOutcome {
	if (answer === Answer.Done) return 'done';
	return answer === Answer.Gone ? 'gone' : 'conflict';
}
