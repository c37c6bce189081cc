import '../server-only.js';

import type { AtomicOperations, Serializer, SessionStoreData, Store } from '../types.js';
import { readBoth } from './both.js';
import {
	COMPARE_AND_SET,
	COMPARE_AND_TOUCH,
	outcomeOf,
	STAMP,
	stampOf,
	TIME
} from './compare-and-set.js';
import { checkClient, checkCommon } from './check.js';
import { isRemote } from './client.js';
import { full, millis, parsed, type StoreOptions } from './options.js';

/** The methods of the client of `@upstash/redis`, `/cloudflare` or `/fastly` that the store uses. */
export interface UpstashClient {
	get(key: string): Promise<unknown>;
	set(
		key: string,
		value: string,
		options: { px: number } | { px: number; nx: true }
	): Promise<unknown>;
	del(key: string): Promise<number>;
	pexpire(key: string, milliseconds: number): Promise<number>;
	/** Missing in some test doubles. */
	getrange?(key: string, start: number, end: number): Promise<string>;
	eval(script: string, keys: string[], values: string[]): Promise<unknown>;
}

/** Returns a record after a character that begins no JSON. */
const PREFIXED_GET = "local text = redis.call('GET', KEYS[1]) return text and '=' .. text";

/** Options of a {@link RedisStore}. */
export interface UpstashRedisStoreOptions extends StoreOptions {
	/** A client of `@upstash/redis`. */
	client: UpstashClient;
}

/**
 * Keeps sessions in Upstash Redis, over HTTP, for runtimes without sockets.
 *
 * ```ts
 * import { Redis } from '@upstash/redis';
 * import { RedisStore } from 'vestiary/upstash-redis';
 *
 * const store = new RedisStore({ client: Redis.fromEnv() });
 * ```
 */
export class RedisStore implements Store {
	/** The client of the options. */
	readonly client: UpstashClient;
	/** The prefix of every key. */
	readonly prefix: string;
	/** Converts records to text and back. */
	readonly serializer: Serializer;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. */
	readonly ttl: number;
	/** The atomic operations; undefined with a `serializer` other than `JSON`. */
	readonly atomic: AtomicOperations | undefined;

	constructor(options: UpstashRedisStoreOptions) {
		checkClient('UpstashRedisStore', options, ['get', 'set', 'del', 'eval']);
		checkCommon('UpstashRedisStore', options, ['client']);
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		isRemote(this, { kind: this.constructor, prefix: this.prefix, client: this.client });
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.#text(id);
		return text === null ? null : parsed(this.serializer, text);
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

	/**
	 * The text of a record exactly as it is stored. By default the client parses it (`automaticDeserialization`), and
	 * serialising that again gives another text: numeric keys move to the front, and long numbers lose digits. An
	 * object without its first character is not JSON, so the client leaves it alone.
	 */
	async #text(id: string): Promise<string | null> {
		const key = this.prefix + id;
		if (this.serializer !== JSON) {
			// Text of other serializers may begin with anything, so the script puts a character before it.
			const prefixed = await this.client.eval(PREFIXED_GET, [key], []);
			return typeof prefixed === 'string' && prefixed.length > 1 ? prefixed.slice(1) : null;
		}
		if (this.client.getrange) {
			const rest = await this.client.getrange(key, 1, -1);
			return rest === '' || typeof rest !== 'string' ? null : `{${rest}`;
		}
		const value = await this.client.get(key);
		if (value === null || value === undefined || value === '') return null;
		if (typeof value === 'string') return value;
		const prefixed = await this.client.eval(PREFIXED_GET, [key], []);
		return typeof prefixed === 'string' && prefixed.startsWith('={')
			? prefixed.slice(1)
			: JSON.stringify(value);
	}

	#operations(): AtomicOperations {
		const { client, prefix } = this;
		const life = (ttl: number): number => millis(ttl, this.ttl);
		const compareAndSet = async (
			id: string,
			writeId: string | null,
			text: string,
			ttl: number
		): Promise<unknown> =>
			client.eval(COMPARE_AND_SET, [prefix + id], [writeId ?? '', text, String(life(ttl))]);
		return {
			ttl: this.ttl,
			now: async (id) => Number(await client.eval(TIME, [prefix + id], [])),
			read: async (id) => this.#text(id),
			// The client sends two commands of one tick in one request.
			readTwo: async (one, other) => readBoth(async (id) => this.#text(id), one, other),
			create: async (id, text, ttl) => {
				if (life(ttl) === 0) return true;
				const options = { px: life(ttl), nx: true } as const;
				return (await client.set(prefix + id, text, options)) !== null;
			},
			replace: async (id, writeId, text, ttl) =>
				outcomeOf(await compareAndSet(id, writeId, life(ttl) === 0 ? '' : text, ttl)),
			touchCompares: true,
			touch: async (id, ttl, writeId) => {
				if (writeId === undefined)
					return (await client.pexpire(prefix + id, life(ttl))) === 1;
				const values = [writeId ?? '', String(life(ttl))];
				return outcomeOf(await client.eval(COMPARE_AND_TOUCH, [prefix + id], values));
			},
			stamp: async (id, text, ttl) =>
				stampOf(await client.eval(STAMP, [prefix + id], [text, String(life(ttl))])),
			remove: async (id, writeId) => outcomeOf(await compareAndSet(id, writeId, '', 0))
		};
	}
}

export { RedisStore as UpstashRedisStore };
export default RedisStore;
