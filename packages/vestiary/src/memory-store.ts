import { orThrow } from './errors.js';
import { MemoryTable } from './generated/vestiary.js';
import type { SessionStoreData, Store } from './types.js';

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
	/** Most records to hold; another one is refused with a `StoreError`. Default: 100,000. */
	maxEntries?: number | undefined;
	/** Most bytes to hold; what would exceed them is refused with a `StoreError`. Default: 64 MiB. */
	maxBytes?: number | undefined;
}

/**
 * Keeps sessions in the memory of this process: for development and tests, or a single process
 * whose restart may log everybody out. Expired records are freed, and its size is bounded.
 */
export class MemoryStore implements Store {
	readonly #table: MemoryTable;
	readonly #prefix: string;
	readonly #serializer: Serializer;

	constructor(options: MemoryStoreOptions = {}) {
		this.#prefix = options.prefix ?? '';
		this.#serializer = options.serializer ?? JSON;
		this.#table = new MemoryTable(options.maxEntries, options.maxBytes, options.ttl);
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = this.#table.get(this.#prefix + id, Date.now());
		return text === undefined ? null : this.#serializer.parse(text);
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

	/** Number of sessions alive. */
	get size(): number {
		return this.#table.len(Date.now());
	}
}
