import '../server-only.js';

import { DataError } from '../errors.js';
import type { Serializer, SessionStoreData, Store } from '../types.js';
import { checkClient, checkCommon } from './check.js';
import { isRemote } from './client.js';
import { full, millis, parsed, type StoreOptions } from './options.js';

/** The methods of a `Storage` of unstorage that the store uses. */
export interface UnstorageClient {
	getItem(key: string): Promise<unknown>;
	setItem(key: string, value: object, options: { ttl: number }): Promise<void>;
	removeItem(key: string): Promise<void>;
}

/** Options of an {@link UnstorageStore}. */
export interface UnstorageStoreOptions extends StoreOptions {
	/** The storage, as `createStorage()` returns it. */
	client: UnstorageClient;
}

/**
 * Keeps sessions in any storage of unstorage.
 *
 * unstorage has no conditional write, so this store is **not atomic**: of two concurrent writes the last one wins, and
 * a request in flight can bring back an ended session. `login()`, `idleTimeout` and `renewAfter` need another store.
 * Drivers that know a TTL, such as those of Redis and Workers KV, remove expired records. With others, such as `fs`,
 * an expired record is removed when it is read next.
 */
export class UnstorageStore implements Store {
	readonly client: UnstorageClient;
	readonly prefix: string;
	readonly serializer: Serializer;
	readonly ttl: number;

	constructor(options: UnstorageStoreOptions) {
		checkClient('UnstorageStore', options, ['getItem', 'setItem', 'removeItem']);
		checkCommon('UnstorageStore', options, ['client']);
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		isRemote(this, { kind: this.constructor, prefix: this.prefix, client: this.client });
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const item = await this.#item(id);
		return item && parsed(this.serializer, item.record);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		await this.#put(id, this.serializer.stringify(storeData), ttl);
	}

	async destroy(id: string): Promise<void> {
		await this.client.removeItem(this.#key(id));
	}

	/** unstorage can only restart a TTL by writing the record again, so a concurrent save may be lost. */
	async touch(id: string, ttl: number): Promise<void> {
		const item = await this.#item(id);
		if (item) await this.#put(id, item.record, ttl);
	}

	async #item(id: string): Promise<Item | null> {
		const item = await this.client.getItem(this.#key(id));
		if (item === null || item === undefined) return null;
		// A file that is being written is no JSON yet.
		if (!isItem(item)) throw new DataError('json', 'the stored record cannot be read');
		if (item.expires > Date.now()) return item;
		await this.destroy(id);
		return null;
	}

	async #put(id: string, record: string, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const item: Item = { record, expires: Date.now() + life };
		await this.client.setItem(this.#key(id), item, { ttl: Math.ceil(life / 1_000) });
	}

	/** unstorage takes `/`, `\` and `:` for the same, ends a key at `?`, and refuses some with dots. */
	#key(id: string): string {
		return this.prefix + encodeURIComponent(id).replaceAll('.', '%2E');
	}
}

/** A record in the storage. unstorage parses texts that look like JSON, but not those inside an object. */
interface Item {
	readonly record: string;
	readonly expires: number;
}

function isItem(value: unknown): value is Item {
	const { record, expires } = value as Partial<Record<keyof Item, unknown>>;
	return typeof record === 'string' && typeof expires === 'number';
}

export default UnstorageStore;
