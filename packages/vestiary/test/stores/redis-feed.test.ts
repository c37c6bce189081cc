import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import * as ioredis5 from 'ioredis5';
import * as ioredis6 from 'ioredis6';
import * as redis4 from 'redis4';
import * as redis5 from 'redis5';
import * as redis6 from 'redis6';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
	ConfigError,
	SessionEndedError,
	sessions,
	type AtomicOperations,
	type Store,
	type SveltekitSessionConfig
} from '../../src/index.js';
import { hashOfScript, STAMP, COMPARE_AND_SET } from '../../src/stores/compare-and-set.js';
import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis.js';
import { loggedIn, operationsOf, visit } from '../visits.js';
import { startCluster, startRedis, type Servers } from './servers.js';
import { SilentProxy } from './silent-proxy.js';

type Client = RedisStoreOptions['client'];

let single: Servers;
let cluster: Servers;
/** A client of the server, to look at it. */
let admin: ioredis6.Redis;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
	single = await startRedis();
	cluster = await startCluster();
	admin = ioredis();
});

afterAll(async () => {
	for (const close of closing) await close();
	await single.stop();
	await cluster.stop();
});

const port = (): number => single.ports[0] ?? 0;
const url = (at: number): string => `redis://127.0.0.1:${at}`;
const nodes = (): { url: string }[] => cluster.ports.map((at) => ({ url: url(at) }));

function ioredis(
	options: { keyPrefix?: string; username?: string; password?: string } = {}
): ioredis6.Redis {
	return opened(new ioredis6.Redis(port(), '127.0.0.1', options));
}

/** Every client that the store promises to work with. */
const CLIENTS: Record<string, () => Client | Promise<Client>> = {
	'ioredis 5': () => opened(new ioredis5.Redis(port(), '127.0.0.1')),
	'ioredis 6': () => ioredis(),
	'ioredis 5 Cluster': () => opened(new ioredis5.Cluster(cluster.ports.map(url))),
	'ioredis 6 Cluster': () => opened(new ioredis6.Cluster(cluster.ports.map(url))),
	'node-redis 4': () => connected(redis4.createClient({ url: url(port()) })),
	'node-redis 4 Cluster': () => connected(redis4.createCluster({ rootNodes: nodes() })),
	'node-redis 5': () => connected(redis5.createClient({ url: url(port()) })),
	'node-redis 5 Cluster': () => connected(redis5.createCluster({ rootNodes: nodes() })),
	'node-redis 6': () => connected(redis6.createClient({ url: url(port()) })),
	'node-redis 6 Cluster': () => connected(redis6.createCluster({ rootNodes: nodes() }))
};

async function connected<
	T extends { connect: () => Promise<unknown> } & (
		{ close: () => unknown } | { disconnect: () => unknown }
	)
>(client: T): Promise<T> {
	await client.connect();
	closing.push(() => ('close' in client ? client.close() : client.disconnect()));
	return client;
}

function opened<T extends { disconnect: () => void }>(client: T): T {
	closing.push(() => {
		client.disconnect();
	});
	return client;
}

const record = (letter: string): string => `{"v":"${letter.repeat(16)}","data":{}}`;
const nameOf = (key: string): string => createHash('sha1').update(key).digest('hex');

type Fed = AtomicOperations & Required<Pick<AtomicOperations, 'watch' | 'stamp' | 'nameOf'>>;

function fedBy(client: Client, options: Partial<RedisStoreOptions> = {}): Fed {
	const { atomic } = new RedisStore({ client, feed: true, ...options });
	if (!atomic?.watch) throw new Error('the store has no feed');
	return atomic as Fed;
}

/** The names and the losses that a listener gets. */
interface Heard {
	names: string[];
	lost: number;
	stop: () => void;
	/** Waits until a name has come. The test fails by its time limit if it does not. */
	until: (name: string) => Promise<void>;
}

async function listening(atomic: Fed): Promise<Heard> {
	const heard: Heard = {
		names: [],
		lost: 0,
		stop: () => undefined,
		until: async (name) => {
			while (!heard.names.includes(name)) await sleep(5);
		}
	};
	heard.stop = await atomic.watch({
		changed: (name) => heard.names.push(name),
		lost: () => heard.lost++
	});
	return heard;
}

/** The number of connections of a server that are subscribed. */
async function subscribers(): Promise<number> {
	const list = String(await admin.client('LIST', 'TYPE', 'PUBSUB'));
	return list.split('\n').filter(Boolean).length;
}

describe.each(Object.entries(CLIENTS))('the feed of %s', (name, connect) => {
	test('has each write that may end a session, and no other', async () => {
		const client = await connect();
		const prefix = `${name}:`;
		const fed = fedBy(client, { prefix });
		const heard = await listening(fed);
		await fed.create('a', record('A'), 60_000, false);
		await fed.replace('a', 'B'.repeat(16), record('C'), 60_000);
		await fed.touch('a', 60_000, 'A'.repeat(16));
		await fed.read('a');
		await fed.replace('gone', null, record('C'), 60_000);
		await fed.replace('a', 'A'.repeat(16), record('B'), 60_000);
		await heard.until(nameOf(`${prefix}a`));
		expect(heard.names).toEqual([nameOf(`${prefix}a`)]);
		await fed.remove('a', 'B'.repeat(16));
		await fed.stamp('list', `${record('A').slice(0, -1)},"at":`, 60_000);
		// Messages of several nodes come in any order.
		while (heard.names.length < 3) await sleep(5);
		expect(heard.names.sort()).toEqual(
			['a', 'a', 'list'].map((key) => nameOf(prefix + key)).sort()
		);
		expect(await fed.nameOf('list')).toBe(nameOf(`${prefix}list`));
		heard.stop();
		heard.stop();
	});

	test('says when its connection is lost, and can be opened again', async () => {
		const fed = fedBy(await connect(), { prefix: `${name} again:` });
		const first = await listening(fed);
		for (const at of name.includes('Cluster') ? cluster.ports : single.ports) {
			const server = opened(new ioredis6.Redis(at, '127.0.0.1'));
			await server.client('KILL', 'TYPE', 'PUBSUB');
		}
		while (first.lost === 0) await sleep(5);
		const second = await listening(fed);
		await fed.create('a', record('A'), 60_000, false);
		await fed.remove('a', 'A'.repeat(16));
		await second.until(await fed.nameOf('a'));
		expect(first.names).toEqual([]);
		second.stop();
	});
});

describe('a feed', () => {
	test('is not there without the option, and then nothing is published', async () => {
		const heard = await listening(fedBy(ioredis(), { prefix: 'off:' }));
		const { atomic } = new RedisStore({ client: ioredis(), prefix: 'off:' });
		expect(atomic).not.toHaveProperty('watch');
		await atomic?.create('a', record('A'), 60_000, false);
		await atomic?.remove('a', 'A'.repeat(16));
		await atomic?.stamp?.('a', `${record('A').slice(0, -1)},"at":`, 60_000);
		// Messages of one server come in their order.
		await admin.publish('off:feed', 'last');
		await heard.until('last');
		expect(heard.names).toEqual(['last']);
		heard.stop();
		// The scripts are those of earlier versions.
		expect(await Promise.all([COMPARE_AND_SET, STAMP].map(hashOfScript))).toEqual([
			'07b18dd50bb8e310ff4d6e38ce86640100e36aa3',
			'ee4732853cfb799f1114114640cecee7fe25d451'
		]);
	});

	test('names keys with the prefix of the client, too', async () => {
		const fed = fedBy(ioredis({ keyPrefix: 'app:' }));
		const heard = await listening(fedBy(ioredis(), { prefix: 'app:sess:' }));
		await fed.create('a', record('A'), 60_000, false);
		await fed.remove('a', 'A'.repeat(16));
		await heard.until(await fed.nameOf('a'));
		expect(heard.names).toEqual([nameOf('app:sess:a')]);
		heard.stop();
	});

	test('that the user may not publish to does not make a write fail', async () => {
		await admin.acl('SETUSER', 'quiet', 'on', '>quiet', '~*', '+@all', 'resetchannels');
		const client = ioredis({ username: 'quiet', password: 'quiet' });
		const fed = fedBy(client, { prefix: 'quiet:' });
		const heard = await listening(fedBy(ioredis(), { prefix: 'quiet:' }));
		await fed.create('a', record('A'), 60_000, false);
		expect(await fed.replace('a', 'A'.repeat(16), record('B'), 60_000)).toBe('done');
		expect(await fed.remove('a', 'B'.repeat(16))).toBe('done');
		expect(await fed.stamp('a', `${record('A').slice(0, -1)},"at":`, 60_000)).not.toBeNull();
		await expect(listening(fed)).rejects.toThrow();
		await admin.publish('quiet:feed', 'last');
		await heard.until('last');
		expect(heard.names).toEqual(['last']);
		heard.stop();
	});

	test('of a server that cannot be reached is refused', async () => {
		const gone = opened(
			new ioredis6.Redis(1, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null })
		);
		await expect(listening(fedBy(gone))).rejects.toThrow();
		const client = redis6.createClient({ url: url(1) });
		await expect(listening(fedBy(client))).rejects.toThrow();
	});

	test('notices that its connection was cut off without a word', async () => {
		const proxy = await SilentProxy.launch(port());
		closing.unshift(() => proxy.stop());
		const clients: Record<string, Client> = {
			'ioredis 5': opened(new ioredis5.Redis(proxy.port, '127.0.0.1')),
			'ioredis 6': opened(new ioredis6.Redis(proxy.port, '127.0.0.1')),
			'node-redis 4': redis4.createClient({ url: url(proxy.port) }),
			'node-redis 5': redis5.createClient({ url: url(proxy.port) }),
			'node-redis 6': redis6.createClient({ url: url(proxy.port) })
		};
		const cutOff = Object.entries(clients).map(async ([name, client]) => {
			const prefix = `${name} silent:`;
			const fed = fedBy(client, { prefix });
			return { prefix, fed, heard: await listening(fed) };
		});
		const feeds = await Promise.all(cutOff);
		// Longer than the pause between two questions, so each client has got a reply to one.
		await sleep(6_000);
		expect(feeds.map(({ heard }) => heard.lost)).toEqual([0, 0, 0, 0, 0]);
		proxy.silence();
		for (const { prefix, fed, heard } of feeds) {
			while (heard.lost === 0) await sleep(20);
			const again = await listening(fed);
			await admin.publish(`${prefix}feed`, 'last');
			await again.until('last');
			again.stop();
		}
	});

	test('needs a client that it can duplicate, and the default serializer', () => {
		const client = { get: () => null, set: () => null, del: () => 1 } as unknown as Client;
		expect(() => new RedisStore({ client, feed: true })).toThrow(ConfigError);
		expect(() => new RedisStore({ client, feed: 'yes' as never })).toThrow('true or false');
		const serializer = { ...JSON, parse: JSON.parse, stringify: JSON.stringify };
		expect(() => new RedisStore({ client: admin, feed: true, serializer })).toThrow(
			'serializer'
		);
	});
});

describe('a stream', () => {
	/** The options of a process. Without the feed, its streams would end after five minutes. */
	function process(prefix: string): SveltekitSessionConfig & { store: Store } {
		return {
			secret: 'a secret of the tests for the feed of Redis',
			store: new RedisStore({ client: ioredis(), prefix, feed: true }),
			recheckAfter: 300
		};
	}

	async function* endless(): AsyncGenerator<number> {
		for (let n = 1; ; n++) {
			yield n;
			await sleep(5);
		}
	}

	test('ends at once when another process ends its session, and its connection, too', async () => {
		const [here, elsewhere] = [process('two:'), process('two:')];
		const [ada, bea] = [await loggedIn(here), await loggedIn(here, 'bea')];
		expect(await subscribers()).toBe(0);
		const open = async (cookie: string): Promise<AsyncIterableIterator<number>> => {
			const { session } = await visit(here, () => undefined, cookie);
			return session.until(endless());
		};
		const [ended, logged] = [await open(ada), await open(ada)];
		const other = await open(bea);
		for (const values of [ended, logged, other])
			expect(await values.next()).toEqual({ done: false, value: 1 });
		while ((await subscribers()) === 0) await sleep(5);
		expect(await subscribers()).toBe(1);
		await sessions(elsewhere).of('ada').revokeAll();
		for (const values of [ended, logged])
			for await (const value of values) expect(value).toBeGreaterThan(1);
		expect((await other.next()).done).toBe(false);
		await other.return?.();
		// The script of an application can exit.
		while ((await subscribers()) > 0) await sleep(20);
	});

	test('ends after a logout that its process learned nothing of, when it is connected again', async () => {
		const [here, elsewhere] = [process('cut:'), process('cut:')];
		const pending = counted(operationsOf(here.store));
		const cookie = await loggedIn(here);
		const { session } = await visit(here, () => undefined, cookie);
		const { signal } = session;
		while ((await subscribers()) === 0) await sleep(5);
		// The questions since it was watched and connected are answered: only another connection leads to the next one.
		for (let idle = 0; idle < 5; idle = pending() > 0 ? 0 : idle + 1) await sleep(1);
		// No connection can be opened for this long.
		await admin.acl('SETUSER', 'default', 'resetchannels');
		await admin.client('KILL', 'TYPE', 'PUBSUB');
		await visit(elsewhere, async (one) => one.destroy(), cookie);
		await sleep(300);
		expect(signal.aborted).toBe(false);
		await admin.acl('SETUSER', 'default', 'allchannels');
		while (!signal.aborted) await sleep(20);
		expect(signal.reason).toBeInstanceOf(SessionEndedError);
	});
});

/** Counts the calls of the operations that have not ended. */
function counted(operations: AtomicOperations): () => number {
	let pending = 0;
	for (const [name, run] of Object.entries(operations) as [string, unknown][]) {
		if (typeof run !== 'function') continue;
		Reflect.set(operations, name, async (...given: unknown[]): Promise<unknown> => {
			pending++;
			try {
				return await (Reflect.apply(run, operations, given) as unknown);
			} finally {
				pending--;
			}
		});
	}
	return () => pending;
}
