import type { Serializer } from '../memory-store.js';
import type { SessionStoreData, Store } from '../types.js';
import { full, millis, parsed, type StoreOptions } from './options.js';

/** What is used of the client of `@upstash/redis`, `/cloudflare` or `/fastly`. */
export interface UpstashClient {
	get(key: string): Promise<unknown>;
	set(key: string, value: string, options: { px: number }): Promise<unknown>;
	del(key: string): Promise<number>;
	pexpire(key: string, milliseconds: number): Promise<number>;
}

/** The options of a {@link RedisStore}. */
export interface UpstashRedisStoreOptions extends StoreOptions {
	/** A client of `@upstash/redis`. */
	client: UpstashClient;
}

/** Keeps sessions in Upstash Redis, over HTTP: for runtimes without sockets. */
export class RedisStore implements Store {
	readonly client: UpstashClient;
	readonly prefix: string;
	readonly serializer: Serializer;
	readonly ttl: number;

	constructor(options: UpstashRedisStoreOptions) {
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const value = await this.client.get(this.prefix + id);
		// The client parses JSON itself, unless it was told not to (`automaticDeserialization`).
		if (typeof value === 'string') return value === '' ? null : parsed(this.serializer, value);
		return (value ?? null) as SessionStoreData | null;
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const px = millis(ttl, this.ttl);
		if (px === 0) return this.destroy(id);
		await this.client.set(this.prefix + id, this.serializer.stringify(storeData), { px });
	}

	async destroy(id: string): Promise<void> {
		await this.client.del(this.prefix + id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		await this.client.pexpire(this.prefix + id, millis(ttl, this.ttl));
	}
}

export { RedisStore as UpstashRedisStore };
export default RedisStore;
