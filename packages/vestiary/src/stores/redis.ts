import '../server-only.js';

import type {
	AtomicOperations,
	AtomicOutcome,
	AtomicRead,
	Serializer,
	SessionStoreData,
	Store,
	StoreInfo
} from '../types.js';
import {
	COMPARE_AND_SET,
	COMPARE_AND_TOUCH,
	COMPARE_SET_AND_PUBLISH,
	hashOfScript,
	INFO,
	infoIn,
	outcomeOf,
	STAMP,
	STAMP_AND_PUBLISH,
	stampOf,
	TIME
} from './compare-and-set.js';
import { ConfigError } from '../errors.js';
import { readBoth } from './both.js';
import { checkNames } from '../names.js';
import { checkClient, checkCommon, checkNumber, checkObject } from './check.js';
import { isRemote } from './client.js';
import { hashed } from './hash.js';
import { full, millis, parsed, type StoreOptions } from './options.js';
import { canSubscribe, keyPrefixOf, subscribe } from './redis-feed.js';

/** The methods of ioredis 5 or 6 (`Redis` or `Cluster`) that the store uses. */
export interface IoRedisClient {
	get(key: string): Promise<string | null>;
	/* eslint-disable @typescript-eslint/unified-signatures -- ioredis has them apart, and only so they match */
	set(key: string, value: string, unit: 'PX', milliseconds: number): Promise<unknown>;
	set(
		key: string,
		value: string,
		unit: 'PX',
		milliseconds: number,
		condition: 'NX'
	): Promise<unknown>;
	/* eslint-enable @typescript-eslint/unified-signatures */
	del(key: string): Promise<number>;
	pexpire(key: string, milliseconds: number): Promise<number>;
	eval(script: string, keys: number, ...keysAndArguments: string[]): Promise<unknown>;
	evalsha(hash: string, keys: number, ...keysAndArguments: string[]): Promise<unknown>;
}

/** The methods of node-redis 4, 5 or 6 (`createClient` or `createCluster`) that the store uses. */
export interface NodeRedisClient {
	get(key: string): Promise<unknown>;
	set(key: string, value: string, options: { PX: number; NX?: true }): Promise<unknown>;
	del(key: string): Promise<unknown>;
	pExpire(key: string, milliseconds: number): Promise<unknown>;
	eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
	evalSha(hash: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** Further methods of ioredis. They are only required for `confirm`. */
interface IoRedisPipelines {
	pipeline(): IoRedisPipeline;
}

interface IoRedisPipeline {
	get(key: string): IoRedisPipeline;
	exists(key: string): IoRedisPipeline;
	wait(replicas: number, timeout: number): IoRedisPipeline;
	exec(): Promise<PipelineAnswer[] | null>;
}

type PipelineAnswer = [error: Error | null, result: unknown];

interface NodeRedisSingle {
	sendCommand(command: string[]): Promise<unknown>;
}

/** Members that `createCluster` has and `createClient` lacks. */
interface NodeRedisCluster {
	masters: unknown;
	sendCommand(key: string, isReadonly: boolean, command: string[]): Promise<unknown>;
}

/** Options of a {@link RedisStore}. */
export interface RedisStoreOptions extends StoreOptions {
	/** A connected client of `ioredis` or of `redis`, single or cluster. */
	client: IoRedisClient | NodeRedisClient;
	/**
	 * Makes a logout wait until this many replicas have it, or until the timeout in milliseconds; the event `destroyed`
	 * reports which (`confirmed`). The wait delays other commands on the connection. Replication is asynchronous: when
	 * a primary fails, writes that only it had are lost, and ended sessions may come back. With `confirm` that becomes
	 * rare, not impossible. Default: no wait.
	 */
	confirm?: { replicas: number; timeout: number } | undefined;
	/**
	 * Publishes each change of a record on the channel `<prefix>feed`, with a hash in place of its key, and listens there
	 * while sessions are watched (`session.until()`, `session.signal`). So a stream ends at once when its session is ended
	 * by another process. All processes need it. It takes one more connection per process, a duplicate of the client.
	 * Needs the default serializer. Default: false.
	 */
	feed?: boolean | undefined;
}

/**
 * Keeps sessions in Redis or Valkey. Every command concerns one key, so a cluster works.
 *
 * ```ts
 * import { Redis } from 'ioredis';
 * import { RedisStore } from 'vestiary/redis';
 *
 * const store = new RedisStore({ client: new Redis(url, { lazyConnect: true }) });
 * ```
 */
export class RedisStore implements Store {
	/** The client of the options. */
	readonly client: IoRedisClient | NodeRedisClient;
	/** The prefix of every key. */
	readonly prefix: string;
	/** Converts records to text and back. */
	readonly serializer: Serializer;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. */
	readonly ttl: number;
	/** The atomic operations; undefined with a `serializer` other than `JSON`. */
	readonly atomic: AtomicOperations | undefined;

	readonly #confirm: RedisStoreOptions['confirm'];
	/** The channel of the feed; undefined without one. */
	readonly #channel: string | undefined;

	constructor(options: RedisStoreOptions) {
		checkClient('RedisStore', options, ['get', 'set', 'del']);
		checkCommon('RedisStore', options, ['client', 'confirm', 'feed']);
		checkConfirm(options.confirm);
		this.#confirm = options.confirm;
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		this.#channel = channelOf(options, this);
		isRemote(this, { kind: this.constructor, prefix: this.prefix, client: this.client });
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.#text(id);
		return text === null ? null : parsed(this.serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const key = this.prefix + id;
		const text = this.serializer.stringify(storeData);
		// Recognised by a method that only node-redis has: `instanceof` fails for clusters, and for a second copy of
		// the client package.
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

	async check(): Promise<StoreInfo> {
		return infoIn(await this.#run('EVAL', INFO, this.prefix, []));
	}

	#operations(): AtomicOperations {
		const life = (ttl: number): number => millis(ttl, this.ttl);
		return {
			ttl: this.ttl,
			now: async (id) => Number(await this.#run('EVAL', TIME, this.prefix + id, [])),
			read: async (id) => this.#text(id),
			readTwo: async (one, other) => this.#readTwo(one, other),
			create: async (id, text, ttl) => {
				const key = this.prefix + id;
				if (life(ttl) === 0) return true;
				const answer = await ('pExpire' in this.client
					? this.client.set(key, text, { PX: life(ttl), NX: true })
					: this.client.set(key, text, 'PX', life(ttl), 'NX'));
				return answer !== null;
			},
			replace: async (id, writeId, text, ttl) =>
				this.#set(id, [writeId ?? '', life(ttl) === 0 ? '' : text, String(life(ttl))]),
			touchCompares: true,
			touch: async (id, ttl, writeId) => {
				if (writeId !== undefined) {
					const values = [writeId ?? '', String(life(ttl))];
					return this.#compared(COMPARE_AND_TOUCH, id, values);
				}
				const key = this.prefix + id;
				const answer = await ('pExpire' in this.client
					? this.client.pExpire(key, life(ttl))
					: this.client.pexpire(key, life(ttl)));
				return Number(answer) === 1;
			},
			stamp: async (id, text, ttl) =>
				stampOf(await this.#stamp(id, [text, String(life(ttl))])),
			remove: async (id, writeId) => this.#set(id, [writeId ?? '', '', '0']),
			...this.#feed(),
			...(this.#confirm && {
				confirm: async (id) => this.#replicated(this.prefix + id, this.#confirm)
			})
		};
	}

	/** The feed of changes, with the option `feed`. */
	#feed(): Pick<AtomicOperations, 'watch' | 'nameOf'> {
		const channel = this.#channel;
		if (channel === undefined) return {};
		const { client } = this;
		return {
			watch: async (listener) => subscribe(client, channel, listener),
			nameOf: async (id) => hashed('SHA-1', keyPrefixOf(client) + this.prefix + id)
		};
	}

	/** Replaces or removes the record that has the expected write ID. */
	async #set(id: string, values: string[]): Promise<AtomicOutcome> {
		const channel = this.#channel;
		return channel === undefined
			? this.#compared(COMPARE_AND_SET, id, values)
			: this.#compared(COMPARE_SET_AND_PUBLISH, id, [...values, channel]);
	}

	async #stamp(id: string, values: string[]): Promise<unknown> {
		const channel = this.#channel;
		return channel === undefined
			? this.#script(STAMP, id, values)
			: this.#script(STAMP_AND_PUBLISH, id, [...values, channel]);
	}

	async #text(id: string): Promise<string | null> {
		return textOf(await this.client.get(this.prefix + id));
	}

	/** Reads two records. `MGET` reports no error for a value of another type, and needs a single node. */
	async #readTwo(one: string, other: string): Promise<readonly [AtomicRead, AtomicRead]> {
		const { client, prefix } = this;
		// node-redis sends the commands of one tick in one packet; a cluster asks two nodes concurrently.
		if (!isPipelined(client)) return readBoth(async (id) => this.#text(id), one, other);
		const pipeline = client
			.pipeline()
			.get(prefix + one)
			.get(prefix + other);
		const [first, second] = (await pipeline.exec()) ?? [];
		return [answerOf(first), answerOf(second)];
	}

	/** Runs a script whose first argument is the expected write ID. */
	async #compared(script: string, id: string, values: string[]): Promise<AtomicOutcome> {
		return outcomeOf(await this.#script(script, id, values));
	}

	async #script(script: string, id: string, values: string[]): Promise<unknown> {
		const key = this.prefix + id;
		try {
			return await this.#run('EVALSHA', await hashOfScript(script), key, values);
		} catch (error) {
			if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
		}
		// The server has not seen the script yet, or has dropped it.
		return this.#run('EVAL', script, key, values);
	}

	/** `WAIT` counts the writes of its own connection, so in a cluster it is routed by the key. */
	async #replicated(key: string, wanted: RedisStoreOptions['confirm']): Promise<boolean> {
		const { client } = this;
		const { replicas = 0, timeout = 0 } = wanted ?? {};
		const wait = ['WAIT', String(replicas), String(timeout)];
		let known: unknown;
		if (isCluster(client)) known = await client.sendCommand(key, false, wait);
		else if ('sendCommand' in client && 'pExpire' in client)
			known = await (client as NodeRedisSingle).sendCommand(wait);
		else {
			// A pipeline goes to the node of its keys.
			const pipeline = (client as IoRedisClient & IoRedisPipelines).pipeline();
			const answers = await pipeline.exists(key).wait(replicas, timeout).exec();
			const [error, number] = answers?.[1] ?? [];
			if (error) throw error;
			known = number;
		}
		return Number(known) >= replicas;
	}

	async #run(
		command: 'EVAL' | 'EVALSHA',
		script: string,
		key: string,
		values: string[]
	): Promise<unknown> {
		const { client } = this;
		if (isCluster(client)) {
			// The `eval` of node-redis 4's cluster does not find the key among the arguments.
			return client.sendCommand(key, false, [command, script, '1', key, ...values]);
		}
		if ('pExpire' in client) {
			const options = { keys: [key], arguments: values };
			return command === 'EVAL'
				? client.eval(script, options)
				: client.evalSha(script, options);
		}
		return command === 'EVAL'
			? client.eval(script, 1, key, ...values)
			: client.evalsha(script, 1, key, ...values);
	}
}

/** The channel of the feed. Other stores with this prefix, also of the Rust crates, have the same. */
function channelOf(
	{ feed, client, serializer }: RedisStoreOptions,
	{ prefix }: RedisStore
): string | undefined {
	if (feed !== undefined && typeof (feed as unknown) !== 'boolean')
		throw new ConfigError('options', '`feed` of `RedisStore` must be true or false');
	if (feed !== true) return undefined;
	if (serializer !== undefined && serializer !== JSON)
		throw new ConfigError(
			'store_capability',
			'`feed` of `RedisStore` needs the default `serializer`'
		);
	if (!canSubscribe(client))
		throw new ConfigError(
			'options',
			'`feed` of `RedisStore` needs a client with `duplicate`, as `ioredis` and `redis` have'
		);
	return `${keyPrefixOf(client)}${prefix}feed`;
}

function checkConfirm(confirm: RedisStoreOptions['confirm']): void {
	if (confirm === undefined) return;
	checkObject('RedisStore', confirm, '`confirm: { replicas, timeout }`');
	checkNames(confirm, ['replicas', 'timeout'], {
		kind: 'an option of `RedisStore`',
		prefix: 'confirm.'
	});
	const { replicas, timeout } = confirm as Partial<typeof confirm>;
	checkNumber('confirm.replicas', replicas ?? NaN, {
		unit: 'replicas',
		least: 1,
		most: 1_000,
		whole: true
	});
	// `WAIT` with 0 has no timeout.
	checkNumber('confirm.timeout', timeout ?? NaN, {
		unit: 'milliseconds',
		least: 1,
		most: 2 ** 31 - 1,
		whole: true
	});
}

function isCluster(client: object): client is NodeRedisCluster {
	return 'masters' in client && 'sendCommand' in client;
}

/** Whether it is an ioredis client for one server. Its cluster sends a pipeline to one node. */
function isPipelined(client: object): client is IoRedisPipelines {
	return 'pipeline' in client && !('pExpire' in client) && !('nodes' in client);
}

function answerOf([error, value]: PipelineAnswer = [null, null]): AtomicRead {
	return error ?? textOf(value);
}

/** An empty text is no record. */
function textOf(value: unknown): string | null {
	return typeof value === 'string' && value !== '' ? value : null;
}

export default RedisStore;
