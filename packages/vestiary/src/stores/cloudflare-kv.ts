import '../server-only.js';

import type { Serializer, SessionStoreData, Store } from '../types.js';
import { checkClient, checkCommon } from './check.js';
import { isRemote } from './client.js';
import { full, millis, parsed, type StoreOptions } from './options.js';

/** The methods of a Workers KV namespace (`event.platform.env.…`) that the store uses. */
export interface KvNamespace {
	getWithMetadata(
		key: string,
		options: { type: 'text' }
	): Promise<{ value: string | null; metadata: unknown }>;
	put(
		key: string,
		value: string,
		options: { expirationTtl: number; metadata: { expires: number } }
	): Promise<void>;
	delete(key: string): Promise<void>;
}

/** Options of a {@link KvStore}. */
export interface KvStoreOptions extends StoreOptions {
	/** The binding of the namespace. */
	client: KvNamespace;
}

/** The minimum TTL of KV, in seconds. */
const SHORTEST = 60;

/** The minimum time between two writes of one key, in milliseconds, with a margin for KV's clock. */
const BETWEEN_WRITES = 1_100;

/**
 * Keeps sessions in Cloudflare Workers KV.
 *
 * KV is eventually consistent: for a minute or more, another location may read an old session, or one that was ended.
 * If two requests write at the same time, the last write wins. KV accepts one write per second and key, so a second
 * write waits. If logouts must take effect at once, use another store.
 *
 * ```ts
 * export const handle = sveltekitSessionHandle(({ platform }) => ({
 *   secret: platform.env.SESSION_SECRET,
 *   store: new KvStore({ client: platform.env.SESSIONS })
 * }));
 * ```
 */
export class KvStore implements Store {
	/** The client of the options. */
	readonly client: KvNamespace;
	/** The prefix of every key. */
	readonly prefix: string;
	/** Converts records to text and back. */
	readonly serializer: Serializer;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. */
	readonly ttl: number;

	constructor(options: KvStoreOptions) {
		checkClient('KvStore', options, ['getWithMetadata', 'put', 'delete']);
		checkCommon('KvStore', options, ['client']);
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		isRemote(this, { kind: this.constructor, prefix: this.prefix, client: this.client });
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.#text(this.prefix + id);
		return text === null ? null : parsed(this.serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		await this.#put(this.prefix + id, this.serializer.stringify(storeData), ttl);
	}

	async destroy(id: string): Promise<void> {
		await this.client.delete(this.prefix + id);
	}

	/** KV can only restart a TTL by writing the value again, so a concurrent save may be lost. */
	async touch(id: string, ttl: number): Promise<void> {
		const key = this.prefix + id;
		const text = await this.#text(key);
		if (text !== null) await this.#put(key, text, ttl);
	}

	async #text(key: string): Promise<string | null> {
		const { value, metadata } = await this.client.getWithMetadata(key, { type: 'text' });
		const { expires } = (metadata ?? {}) as { expires?: unknown };
		// Records of svelte-kit-sessions have no metadata; KV itself expires them.
		const over = typeof expires === 'number' && expires <= Date.now();
		return over || value === '' ? null : value;
	}

	/** A TTL of less than a minute is enforced by metadata, and KV removes the record later. */
	async #put(key: string, text: string, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.client.delete(key);
		const put = (): Promise<void> =>
			this.client.put(key, text, {
				expirationTtl: Math.max(SHORTEST, Math.ceil(life / 1_000)),
				metadata: { expires: Date.now() + life }
			});
		try {
			await put();
		} catch (error) {
			if (!isTooSoon(error)) throw error;
			await new Promise((resolve) => setTimeout(resolve, BETWEEN_WRITES));
			await put();
		}
	}
}

/** Recognises `KV PUT failed: 429 Too Many Requests`. */
function isTooSoon(error: unknown): boolean {
	return error instanceof Error && error.message.includes('429');
}

export default KvStore;
