import type { Serializer } from '../memory-store.js';
import type { SessionStoreData, Store } from '../types.js';
import { full, millis, parsed, type StoreOptions } from './options.js';

/** What is used of a client of ioredis 5 or 6: `Redis` or `Cluster`. */
export interface IoRedisClient {
	get(key: string): Promise<string | null>;
	set(key: string, value: string, unit: 'PX', milliseconds: number): Promise<unknown>;
	del(key: string): Promise<number>;
	pexpire(key: string, milliseconds: number): Promise<number>;
}

/** What is used of a client of node-redis 4, 5 or 6: of `createClient` or `createCluster`. */
export interface NodeRedisClient {
	get(key: string): Promise<unknown>;
	set(key: string, value: string, options: { PX: number }): Promise<unknown>;
	del(key: string): Promise<unknown>;
	pExpire(key: string, milliseconds: number): Promise<unknown>;
}

/** The options of a {@link RedisStore}. */
export interface RedisStoreOptions extends StoreOptions {
	/** A connected client of `ioredis` or of `redis`, single or cluster. */
	client: IoRedisClient | NodeRedisClient;
}

/** Keeps sessions in Redis or Valkey. Every command is about one key, so a cluster will do. */
export class RedisStore implements Store {
	readonly client: IoRedisClient | NodeRedisClient;
	readonly prefix: string;
	readonly serializer: Serializer;
	readonly ttl: number;

	constructor(options: RedisStoreOptions) {
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.client.get(this.prefix + id);
		return typeof text === 'string' && text !== '' ? parsed(this.serializer, text) : null;
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const key = this.prefix + id;
		const text = this.serializer.stringify(storeData);
		// By a method that only one of them has: `instanceof` fails for clusters and for a second
		// copy of the client package.
		await ('pExpire' in this.client
			? this.client.set(key, text, { PX: life })
			: this.client.set(key, text, 'PX', life));
	}

	async destroy(id: string): Promise<void> {
		await this.client.del(this.prefix + id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		const key = this.prefix + id;
		const life = millis(ttl, this.ttl);
		await ('pExpire' in this.client
			? this.client.pExpire(key, life)
			: this.client.pexpire(key, life));
	}
}

export default RedisStore;
