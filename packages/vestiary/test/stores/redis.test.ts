import { readFileSync } from 'node:fs';

import * as ioredis5 from 'ioredis5';
import * as ioredis6 from 'ioredis6';
import * as redis4 from 'redis4';
import * as redis5 from 'redis5';
import * as redis6 from 'redis6';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { CountingProxy } from '../../../../benches/web/src/counting-proxy.js';
import {
	Session,
	sessions,
	StoreError,
	type SessionEvent,
	type SveltekitSessionConfig
} from '../../src/index.js';
import DefaultStore, { RedisStore, type RedisStoreOptions } from '../../src/stores/redis.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { readsTwoAtOnce } from './reading.js';
import { startCluster, startRedis, type Servers } from './servers.js';
import { touchesInOneCall } from './touching.js';
import { unreadableAndNoError } from './values.js';

type Client = RedisStoreOptions['client'];

let single: Servers;
let cluster: Servers;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
	single = await startRedis();
	cluster = await startCluster();
});

afterAll(async () => {
	for (const close of closing) await close();
	await single.stop();
	await cluster.stop();
});

const url = (port: number): string => `redis://127.0.0.1:${port}`;
const port = (): number => single.ports[0] ?? 0;
const nodes = (): { url: string }[] => cluster.ports.map((at) => ({ url: url(at) }));

/** Every client that the store promises to work with. */
const CLIENTS: Record<string, () => Client | Promise<Client>> = {
	'ioredis 5': () => opened(new ioredis5.Redis(port(), '127.0.0.1')),
	'ioredis 6': () => opened(new ioredis6.Redis(port(), '127.0.0.1')),
	'ioredis 5 Cluster': () => opened(new ioredis5.Cluster(cluster.ports.map(url))),
	'ioredis 6 Cluster': () => opened(new ioredis6.Cluster(cluster.ports.map(url))),
	'node-redis 4': () => connected(redis4.createClient({ url: url(port()) })),
	'node-redis 4 Cluster': () => connected(redis4.createCluster({ rootNodes: nodes() })),
	'node-redis 5': () => connected(redis5.createClient({ url: url(port()) })),
	'node-redis 5 Cluster': () => connected(redis5.createCluster({ rootNodes: nodes() })),
	'node-redis 6': () => connected(redis6.createClient({ url: url(port()) })),
	'node-redis 6 Cluster': () => connected(redis6.createCluster({ rootNodes: nodes() }))
};

/** A client of node-redis; what 5 and 6 call `close`, 4 calls `disconnect`. */
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

for (const [name, connect] of Object.entries(CLIENTS)) {
	let client: Client | undefined;
	const factory = async (): Promise<RedisStore> => {
		client ??= await connect();
		return new RedisStore({ client });
	};
	testStore(`RedisStore with ${name}`, factory, { runner: { describe, test } });
	testAtomicStore(`RedisStore with ${name}`, factory, { runner: { describe, test } });
	test(`a value that is not text is unreadable, and no error, with ${name}`, async () => {
		const redis = name.includes('Cluster')
			? new ioredis5.Cluster(cluster.ports.map(url))
			: new ioredis5.Redis(port(), '127.0.0.1');
		await unreadableAndNoError(await factory(), opened(redis));
	});
}

test.each([
	['ioredis 5', (at: number) => opened(new ioredis5.Redis(at, '127.0.0.1'))],
	['ioredis 6', (at: number) => opened(new ioredis6.Redis(at, '127.0.0.1'))],
	['node-redis 4', (at: number) => connected(redis4.createClient({ url: url(at) }))],
	['node-redis 5', (at: number) => connected(redis5.createClient({ url: url(at) }))],
	['node-redis 6', (at: number) => connected(redis6.createClient({ url: url(at) }))]
] as [string, (at: number) => Client | Promise<Client>][])(
	'a session and a list are read in one round trip with %s',
	async (_, connect) => {
		const proxy = await CountingProxy.launch(port());
		const client = await connect(proxy.port);
		const redis = opened(new ioredis5.Redis(port(), '127.0.0.1'));
		const store = new RedisStore({ client });
		await readsTwoAtOnce(
			store,
			() => proxy.roundTrips,
			(id) => redis.rpush(`sess:${id}`, 'an entry')
		);
		const options = { secret: 'a secret that is long enough', store };
		const { event, cookies } = testEvent();
		await (await Session.initialize(event, options)).login('ada');
		const cookie = `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
		const before = proxy.roundTrips;
		const session = await Session.initialize(testEvent(cookie).event, options);
		expect(session.userId).toBe('ada');
		expect(proxy.roundTrips - before).toBe(1);
	}
);

test.each(Object.entries(CLIENTS).filter(([name]) => name.endsWith('Cluster')))(
	'a session and a list on two nodes are asked for at once with %s',
	async (_, connect) => {
		const client = await connect();
		const { atomic } = new RedisStore({ client });
		const asked = vi.spyOn(client, 'get');
		for (let n = 0; n < 10; n++) {
			asked.mockClear();
			const answers = atomic?.readTwo?.(`one-${n}`, `other-${n}`);
			// Before any of them is answered.
			expect(asked).toHaveBeenCalledTimes(2);
			expect(await answers).toEqual([null, null]);
		}
	}
);

describe('RedisStore', () => {
	const record = { cookie: { path: '/' }, data: {} };

	async function setup(
		options: Partial<RedisStoreOptions> = {}
	): Promise<{ store: RedisStore; redis: ioredis5.Redis }> {
		const redis = opened(new ioredis5.Redis(port(), '127.0.0.1'));
		await redis.flushall();
		return { store: new RedisStore({ client: redis, ...options }), redis };
	}

	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall((await setup()).store);
	});

	test('is the default export, too', () => {
		expect(DefaultStore).toBe(RedisStore);
	});

	test('has the fields and defaults of the seed’s store, and an empty prefix is one', async () => {
		const { store, redis } = await setup();
		expect(store).toMatchObject({
			client: redis,
			prefix: 'sess:',
			serializer: JSON,
			ttl: 86_400_000
		});
		await store.set('id', record, Infinity);
		const bare = new RedisStore({ client: redis, prefix: '' });
		await bare.set('id', record, 60_000);
		expect((await redis.keys('*')).sort()).toEqual(['id', 'sess:id']);
	});

	test('gives Redis milliseconds, when storing and when touching', async () => {
		const { store, redis } = await setup({ ttl: 50_000 });
		const life = async (): Promise<number> => Math.round((await redis.pttl('sess:id')) / 1_000);
		await store.set('id', record, 20_000);
		expect(await life()).toBe(20);
		await store.touch('id', 30_000);
		expect(await life()).toBe(30);
		await store.touch('id', Infinity);
		expect(await life()).toBe(50);
		await store.set('id', record, Infinity);
		expect(await life()).toBe(50);
		await store.set('id', record, 0);
		expect(await redis.exists('sess:id')).toBe(0);
	});

	test('the commands that docs/how-to/stores.md names are enough for all that a session does', async () => {
		const { redis } = await setup();
		const page = readFileSync(
			new URL('../../../../docs/how-to/stores.md', import.meta.url),
			'utf8'
		);
		const [paragraph = ''] = /The user of the connection needs[^.]*/.exec(page) ?? [];
		const commands = [...paragraph.matchAll(/`([A-Z]+)`/g)].map(
			([, name = '']) => `+${name.toLowerCase()}`
		);
		expect(commands.length).toBeGreaterThan(5);
		const login = { username: 'app', password: 'of the test' };
		const rules = ['on', `>${login.password}`, '~sess:*', 'nocommands', ...commands];
		await redis.acl('SETUSER', login.username, ...rules);
		await redis.script('FLUSH');
		const client = opened(
			new ioredis5.Redis({
				port: port(),
				host: '127.0.0.1',
				...login,
				enableReadyCheck: false
			})
		);
		const options = {
			secret: 'a secret of the tests, of more than 32 bytes',
			store: new RedisStore({ client }),
			rolling: true,
			touchAfter: 0,
			idleTimeout: 600,
			cookie: { maxAge: 600 }
		};
		const visitor = async (cookie?: string): Promise<{ session: Session; cookie: string }> => {
			const { event, cookies } = testEvent(cookie);
			const session = await Session.initialize(event, options);
			await session.save();
			return {
				session,
				cookie: `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`
			};
		};
		const first = await visitor();
		const { session } = await visitor(first.cookie);
		await session.update(() => ({ n: 1 }));
		await session.touch();
		await session.renew();
		await session.login('ada');
		const ofUser = sessions(options).of('ada');
		expect(await ofUser.list()).toHaveLength(1);
		await ofUser.revokeAll();
		const other = await visitor();
		await other.session.destroy();
	});

	test('a record that cannot be read is no session, and an event, not an error', async () => {
		const { store, redis } = await setup();
		const events: SessionEvent[] = [];
		const options = {
			secret: 'a secret that is long enough',
			store,
			onEvent: (event: SessionEvent) => events.push(event)
		};
		const { event, cookies } = testEvent();
		const session = await Session.initialize(event, options);
		await session.save();
		const cookie = `connect.sid=${cookies[0]?.value ?? ''}`;
		const load = async (): Promise<Session> =>
			Session.initialize(testEvent(cookie).event, options);
		expect((await load()).id).toBe(session.id);
		for (const garbage of ['{"cookie":', 'null', 'PK\u0003\u0004', '[1]']) {
			await redis.set(`sess:${session.id}`, garbage);
			const other = await load();
			expect(other.isNew).toBe(true);
			expect(await redis.get(`sess:${session.id}`)).toBe(garbage);
		}
		expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['created', 'unreadable']));
	});

	test('of bytes that are not UTF-8 in a string the client makes U+FFFD, which any record may hold', async () => {
		const { store, redis } = await setup();
		const options = { secret: 'a secret that is long enough', store };
		const { event, cookies } = testEvent();
		const session = await Session.initialize(event, options);
		await session.setData({ name: 'J' });
		await session.save();
		const key = `sess:${session.id}`;
		const [head, tail] = ((await redis.get(key)) ?? '').split('"J"');
		const bytes = [
			Buffer.from(`${head ?? ''}"J`),
			Buffer.from([0xf6]),
			Buffer.from(`"${tail ?? ''}`)
		];
		await redis.set(key, Buffer.concat(bytes));
		const cookie = `connect.sid=${cookies[0]?.value ?? ''}`;
		const found = await Session.initialize(testEvent(cookie).event, options);
		expect(found.data).toEqual({ name: 'J\ufffd' });
	});

	test('uses the serializer', async () => {
		const serializer = {
			parse: (text: string) => Promise.resolve(JSON.parse(text.slice(1)) as typeof record),
			stringify: (data: unknown) => `!${JSON.stringify(data)}`
		};
		const { store, redis } = await setup({ serializer });
		await store.set('id', record, 60_000);
		expect(await redis.get('sess:id')).toBe('!{"cookie":{"path":"/"},"data":{}}');
		expect(await store.get('id')).toEqual(record);
	});
});

describe('a Redis that hangs, is gone, and comes back', () => {
	const options = (client: Client): SveltekitSessionConfig => ({
		secret: 'a secret that is long enough',
		store: new RedisStore({ client })
	});
	// Only without a reply: a reply may take as long as it needs.
	const hasty = { storeTimeout: 300 };

	test('is a typed error, not a hang, and the session is there afterwards', async () => {
		const server = await startRedis();
		const client = opened(new ioredis5.Redis(server.ports[0] ?? 0, '127.0.0.1'));
		client.on('error', () => undefined);
		const { event, cookies } = testEvent();
		const session = await Session.initialize(event, options(client));
		await session.save();
		const cookie = `connect.sid=${cookies[0]?.value ?? ''}`;
		const load = (more: Partial<SveltekitSessionConfig> = {}): Promise<Session> =>
			Session.initialize(testEvent(cookie).event, { ...options(client), ...more });

		server.signal?.('SIGSTOP');
		await expect(load(hasty)).rejects.toMatchObject({ code: 'store_timeout' });
		await expect(session.save()).rejects.toMatchObject({ code: 'store_timeout' });
		const anonymous = await load({ ...hasty, onStoreError: 'anonymous' });
		expect(anonymous.data).toEqual({});
		await expect(anonymous.save()).rejects.toBeInstanceOf(StoreError);
		server.signal?.('SIGCONT');
		expect((await load()).id).toBe(session.id);

		await server.stop();
		await expect(load(hasty)).rejects.toBeInstanceOf(StoreError);
		const impatient = opened(
			new ioredis5.Redis(server.ports[0] ?? 0, '127.0.0.1', { enableOfflineQueue: false })
		);
		impatient.on('error', () => undefined);
		const refused = Session.initialize(testEvent(cookie).event, options(impatient));
		await expect(refused).rejects.toMatchObject({ code: 'store_failed' });
	});
});
