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

/** What is used of the client of `@upstash/redis`, `/cloudflare` or `/fastly`. */
export interface UpstashClient {
	get(key: string): Promise<unknown>;
	set(
		key: string,
		value: string,
		options: { px: number } | { px: number; nx: true }
	): Promise<unknown>;
	del(key: string): Promise<number>;
	pexpire(key: string, milliseconds: number): Promise<number>;
	/** Missing in some stand-ins for tests. */
	getrange?(key: string, start: number, end: number): Promise<string>;
	eval(script: string, keys: string[], values: string[]): Promise<unknown>;
}

/** Returns a record behind a character that begins no JSON. */
const MARKED_GET = "local text = redis.call('GET', KEYS[1]) return text and '=' .. text";

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
	readonly atomic: AtomicOperations | undefined;

	constructor(options: UpstashRedisStoreOptions) {
		checkClient('UpstashRedisStore', options, ['get', 'set', 'del', 'eval']);
		checkCommon('UpstashRedisStore', options, ['client']);
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		isRemote(this, { kind: this.constructor, prefix: this.prefix, client: this.client });
		// A serializer may put the mark where it is not found.
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
	 * The text of a record, as it is stored. The client would parse it, unless it was told not to
	 * (`automaticDeserialization`), and text made of that is another one: keys that are numbers come first, and
	 * long numbers lose digits. What is left of an object without its first character is no JSON, so the client
	 * leaves it alone.
	 */
	async #text(id: string): Promise<string | null> {
		const key = this.prefix + id;
		if (this.serializer !== JSON) {
			// Not all other text begins alike, so the server puts something before it.
			const marked = await this.client.eval(MARKED_GET, [key], []);
			return typeof marked === 'string' && marked.length > 1 ? marked.slice(1) : null;
		}
		if (this.client.getrange) {
			const rest = await this.client.getrange(key, 1, -1);
			return rest === '' || typeof rest !== 'string' ? null : `{${rest}`;
		}
		const value = await this.client.get(key);
		if (value === null || value === undefined || value === '') return null;
		if (typeof value === 'string') return value;
		const marked = await this.client.eval(MARKED_GET, [key], []);
		return typeof marked === 'string' && marked.startsWith('={')
			? marked.slice(1)
			: JSON.stringify(value);
	}

	#operations(): AtomicOperations {
		const { client, prefix } = this;
		const life = (ttl: number): number => millis(ttl, this.ttl);
		const compareAndSet = async (
			id: string,
			mark: string | null,
			text: string,
			ttl: number
		): Promise<unknown> =>
			client.eval(COMPARE_AND_SET, [prefix + id], [mark ?? '', text, String(life(ttl))]);
		return {
			ttl: this.ttl,
			now: async (id) => Number(await client.eval(TIME, [prefix + id], [])),
			read: async (id) => this.#text(id),
			// The client makes one request of two commands of one tick.
			readTwo: async (one, other) => readBoth(async (id) => this.#text(id), one, other),
			create: async (id, text, ttl) => {
				if (life(ttl) === 0) return true;
				const options = { px: life(ttl), nx: true } as const;
				return (await client.set(prefix + id, text, options)) !== null;
			},
			replace: async (id, mark, text, ttl) =>
				outcomeOf(await compareAndSet(id, mark, life(ttl) === 0 ? '' : text, ttl)),
			touchCompares: true,
			touch: async (id, ttl, mark) => {
				if (mark === undefined) return (await client.pexpire(prefix + id, life(ttl))) === 1;
				const values = [mark ?? '', String(life(ttl))];
				return outcomeOf(await client.eval(COMPARE_AND_TOUCH, [prefix + id], values));
			},
			stamp: async (id, text, ttl) =>
				stampOf(await client.eval(STAMP, [prefix + id], [text, String(life(ttl))])),
			remove: async (id, mark) => outcomeOf(await compareAndSet(id, mark, '', 0))
		};
	}
}

export { RedisStore as UpstashRedisStore };
export default RedisStore;
