import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

import { Redis as UpstashClient } from '@upstash/redis';
import * as ioredis from 'ioredis6';
import * as nodeRedis from 'redis6';
import { afterEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	fromExpressStore,
	MemoryStore,
	Session,
	sveltekitSessionHandle
} from '../src/index.js';
import { KvStore } from '../src/stores/cloudflare-kv.js';
import { MySqlStore } from '../src/stores/mysql.js';
import { PostgresStore } from '../src/stores/postgres.js';
import { RedisStore } from '../src/stores/redis.js';
import { SqliteStore } from '../src/stores/sqlite.js';
import { UpstashRedisStore } from '../src/stores/upstash-redis.js';
import { testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

afterEach(() => {
	vi.unstubAllEnvs();
	vi.resetModules();
});

const ioClient = new ioredis.Redis({ lazyConnect: true });
const ioCluster = new ioredis.Cluster(['redis://localhost'], { lazyConnect: true });
const nodeClient = nodeRedis.createClient();
const nodeCluster = nodeRedis.createCluster({ rootNodes: [] });
const upstash = new UpstashClient({ url: 'https://example.com', token: 'token' });
const namespace = { getWithMetadata: vi.fn(), put: vi.fn(), delete: vi.fn() };
const database = new DatabaseSync(':memory:');
const mysql = { query: vi.fn(), escapeId: vi.fn() };

function refusal(make: () => unknown): string {
	try {
		make();
	} catch (error) {
		expect(error).toBeInstanceOf(ConfigError);
		expect(error).toMatchObject({ code: 'options' });
		return (error as Error).message;
	}
	throw new Error('accepted');
}

const made = (Store: unknown, ...args: unknown[]): unknown =>
	new (Store as new (...args: unknown[]) => unknown)(...args);

describe('a store that is made wrong is refused, with what to write', () => {
	test.each([
		['RedisStore', RedisStore, ioClient, 'new RedisStore({ client })'],
		['RedisStore', RedisStore, ioCluster, 'new RedisStore({ client })'],
		['RedisStore', RedisStore, nodeClient, 'new RedisStore({ client })'],
		['RedisStore', RedisStore, nodeCluster, 'new RedisStore({ client })'],
		['UpstashRedisStore', UpstashRedisStore, upstash, 'new UpstashRedisStore({ client })'],
		['KvStore', KvStore, namespace, 'new KvStore({ client })'],
		['SqliteStore', SqliteStore, database, 'new SqliteStore({ database })'],
		['SqliteStore', SqliteStore, 'sessions.db', 'new SqliteStore({ database })'],
		['MySqlStore', MySqlStore, mysql, 'new MySqlStore({ client })']
	])('%s that gets the client itself', (_, Store, client, cure) => {
		expect(refusal(() => made(Store, client))).toContain(cure);
	});

	test.each([
		['RedisStore', RedisStore],
		['UpstashRedisStore', UpstashRedisStore],
		['KvStore', KvStore],
		['MySqlStore', MySqlStore],
		['SqliteStore', SqliteStore]
	])('%s without what it needs', (name, Store) => {
		for (const options of [
			undefined,
			null,
			{},
			{ client: undefined },
			{ client: 'redis://localhost' },
			{ client: {} },
			{ database: 5 },
			7
		])
			expect(refusal(() => made(Store, options))).toContain(`new ${name}(`);
	});

	test.each([
		['RedisStore', RedisStore, { client: upstash }, 'vestiary/upstash-redis'],
		['UpstashRedisStore', UpstashRedisStore, { client: ioClient }, 'vestiary/redis'],
		['UpstashRedisStore', UpstashRedisStore, { client: nodeClient }, 'vestiary/redis'],
		['PostgresStore', PostgresStore, { client: mysql }, 'vestiary/mysql']
	])('%s with the client of another one', (_, Store, options, cure) => {
		expect(refusal(() => made(Store, options))).toContain(cure);
	});

	test('a memory store of a number', () => {
		expect(refusal(() => made(MemoryStore, 5))).toContain('must be an object');
	});

	test.each([
		['nothing', {}, 'functions `get`, `set`, `destroy`, `touch`'],
		['a part', { get: vi.fn(), set: vi.fn() }, 'functions `get`'],
		['ioredis', ioClient, "new RedisStore({ client })` of 'vestiary/redis'"],
		['node-redis, which has all four functions', nodeClient, "of 'vestiary/redis'"],
		['@upstash/redis', upstash, "of 'vestiary/upstash-redis'"],
		['a namespace', namespace, 'new KvStore({ client })'],
		['a database', database, 'new SqliteStore({ database })'],
		['a storage', { getItem: vi.fn(), getItemRaw: vi.fn() }, 'new UnstorageStore({ client })'],
		['D1', { prepare: vi.fn(), withSession: vi.fn() }, 'new D1Store({ client })'],
		[
			'a namespace of objects',
			{ idFromName: vi.fn(), get: vi.fn() },
			'new DurableObjectStore({ client })'
		],
		['a Pool of pg', { connect: vi.fn(), query: vi.fn() }, 'new PostgresStore({ client })'],
		['postgres.js', { unsafe: vi.fn() }, 'new PostgresStore({ client })'],
		['a pool of mysql2', { query: vi.fn(), escapeId: vi.fn() }, 'new MySqlStore({ client })'],
		[
			'a store of express-session',
			Object.assign(Object.create({ createSession: vi.fn(), regenerate: vi.fn() }), {
				get: vi.fn(),
				set: vi.fn(),
				destroy: vi.fn(),
				touch: vi.fn()
			}),
			'fromExpressStore(store)'
		]
	])('options with %s for a store', (_, store, cure) => {
		const options = { secret: SECRET, store: store as never };
		expect(refusal(() => sveltekitSessionHandle(options))).toContain(cure);
		expect(refusal(() => new Session(testEvent().event, options))).toContain(cure);
	});

	test.each([undefined, {}, ioClient, nodeClient, () => undefined])(
		'a store of express-session that is none',
		(store) => {
			expect(refusal(() => fromExpressStore(store as never))).toContain('`fromExpressStore`');
		}
	);

	test('telemetry that measures nothing', () => {
		const options = { secret: SECRET, telemetry: {} as never };
		expect(refusal(() => sveltekitSessionHandle(options))).toContain('opentelemetry()');
	});

	test('a prefix or a serializer of another type', () => {
		expect(refusal(() => made(MemoryStore, { prefix: 5 }))).toContain('`prefix`');
		expect(refusal(() => made(KvStore, { client: namespace, serializer: {} }))).toContain(
			'`serializer`'
		);
	});

	test.each([
		[MemoryStore, { maxEntires: 5 }, 'maxEntires', 'did you mean `maxEntries`?'],
		[RedisStore, { client: ioClient, tll: 5 }, 'tll', 'did you mean `ttl`?'],
		[UpstashRedisStore, { client: upstash, prefx: '' }, 'prefx', 'did you mean `prefix`?'],
		[KvStore, { client: namespace, time: 5 }, 'time', 'use `client`'],
		[SqliteStore, { database: ':memory:', name: 'x' }, 'name', 'use `database`, `table`'],
		[MySqlStore, { client: mysql, schemas: 'x' }, 'schemas', 'did you mean `schema`?'],
		[
			RedisStore,
			{ client: ioClient, confirm: { replicas: 1, timeout: 50, of: 2 } },
			'confirm.of',
			'use `confirm.replicas`'
		]
	])('an option that does not exist (%o, %o)', (kind, options, name, cure) => {
		const message = refusal(() => made(kind, options));
		expect(message).toContain(`\`${name}\` is not an option of \``);
		expect(message).toContain(cure);
	});

	test.each([null, 5, 'two'])('a confirmation that is %o', (confirm) => {
		expect(refusal(() => made(RedisStore, { client: ioClient, confirm }))).toContain(
			'`confirm: { replicas, timeout }`'
		);
	});

	test.each([NaN, null, true, Symbol('x'), 'a-b', '1st'])(
		'a table that is called %o',
		(table) => {
			expect(refusal(() => made(SqliteStore, { database: ':memory:', table }))).toContain(
				'`table`'
			);
		}
	);

	test('half of the atomic operations', () => {
		const store = new MemoryStore();
		for (const atomic of [5, {}, { read: vi.fn() }]) {
			const options = { secret: SECRET, store: Object.assign(store, { atomic }) as never };
			expect(refusal(() => sveltekitSessionHandle(options))).toContain(
				'`store.atomic` must have the functions `read`, `create`'
			);
		}
	});

	test('clients of every kind are accepted', () => {
		for (const client of [ioClient, ioCluster, nodeClient, nodeCluster])
			expect(() => made(RedisStore, { client })).not.toThrow();
		expect(() => made(UpstashRedisStore, { client: upstash })).not.toThrow();
		expect(() => made(SqliteStore, { database })).not.toThrow();
	});

	test('but while an app is built, its client may be missing', async () => {
		vi.stubEnv('SVELTEKIT_FORK', 'true');
		const { RedisStore: Fresh } = await import('../src/stores/redis.js');
		const { SqliteStore: FreshSqlite } = await import('../src/stores/sqlite.js');
		expect(() => made(Fresh, { client: undefined })).not.toThrow();
		expect(() => made(Fresh, { client: 'redis://localhost' })).toThrow();
		expect(() => made(FreshSqlite, { database: undefined })).not.toThrow();
	});
});

const handle = (options: object) => (): unknown =>
	sveltekitSessionHandle({ secret: SECRET, ...options });
const cookie = (options: object) => handle({ cookie: options, rolling: true });

/** By option: how to set it, and which numbers are valid. */
const NUMBERS: Record<string, { make: (value: number) => () => unknown; good: number[] }> = {
	'SveltekitSessionConfig.touchAfter': {
		make: (touchAfter) => handle({ touchAfter, rolling: true, cookie: { maxAge: 60 } }),
		good: [0, 0.5, 60]
	},
	'SveltekitSessionConfig.idleTimeout': {
		make: (idleTimeout) => handle({ idleTimeout }),
		good: [1, 60]
	},
	'SveltekitSessionConfig.absoluteTimeout': {
		make: (absoluteTimeout) => handle({ absoluteTimeout }),
		good: [1, 60]
	},
	'SveltekitSessionConfig.renewAfter': {
		make: (renewAfter) => handle({ renewAfter }),
		good: [1, 60]
	},
	'SveltekitSessionConfig.renewGrace': {
		make: (renewGrace) => handle({ renewGrace }),
		good: [0, 60]
	},
	'SveltekitSessionConfig.recheckAfter': {
		make: (recheckAfter) => handle({ recheckAfter }),
		good: [1, 300]
	},
	'CacheOptions.maxStale': {
		make: (maxStale) => handle({ cache: { maxStale } }),
		good: [1, 60_000]
	},
	'CacheOptions.maxEntries': {
		make: (maxEntries) => handle({ cache: { maxStale: 1, maxEntries } }),
		good: [1, 1_000_000]
	},
	'SveltekitSessionConfig.storeTimeout': {
		make: (storeTimeout) => handle({ storeTimeout }),
		good: [0, 1, 2 ** 31 - 1, Infinity]
	},
	'CookieSerializeOptions.maxAge': {
		make: (maxAge) => cookie({ maxAge }),
		// In the past, it ends the session at once.
		good: [-1, 0, 60]
	},
	'MemoryStoreOptions.ttl': { make: (ttl) => () => new MemoryStore({ ttl }), good: [1] },
	'MemoryStoreOptions.maxEntries': {
		make: (maxEntries) => () => new MemoryStore({ maxEntries }),
		good: [1, Infinity]
	},
	'MemoryStoreOptions.maxBytes': {
		make: (maxBytes) => () => new MemoryStore({ maxBytes }),
		good: [1, Infinity]
	},
	'StoreOptions.ttl': {
		make: (ttl) => () => {
			const stores = [
				() => new KvStore({ client: namespace, ttl }),
				() => new RedisStore({ client: ioClient, ttl }),
				() => new UpstashRedisStore({ client: upstash, ttl }),
				() => new SqliteStore({ database, ttl }),
				() => new MySqlStore({ client: mysql, ttl })
			];
			const refused = stores.filter((make) => {
				try {
					make();
					return false;
				} catch (error) {
					expect(error).toBeInstanceOf(ConfigError);
					return true;
				}
			});
			expect([0, stores.length]).toContain(refused.length);
			stores[0]?.();
		},
		good: [1, 60_000]
	},
	'RedisStoreOptions.confirm.replicas': {
		make: (replicas) => () =>
			new RedisStore({ client: ioClient, confirm: { replicas, timeout: 50 } }),
		good: [1, 2]
	},
	'RedisStoreOptions.confirm.timeout': {
		make: (timeout) => () =>
			new RedisStore({ client: ioClient, confirm: { replicas: 1, timeout } }),
		good: [1, 50]
	}
};

describe('numbers that are none, out of range or without end are refused, or mean what they say', () => {
	test.each(Object.entries(NUMBERS))('%s', (name, { make, good }) => {
		const option = name.split('.').at(-1) ?? '';
		for (const value of [NaN, -1, -Infinity, Infinity, 2 ** 70]) {
			if (good.includes(value)) continue;
			expect(make(value), `${value}`).toThrow(ConfigError);
			expect(make(value), `${value}`).toThrow(option);
		}
		for (const value of good) expect(make(value), `${value}`).not.toThrow();
		expect(make('60' as never)).toThrow(ConfigError);
	});

	test('dates that are none', async () => {
		const none = new Date(NaN);
		expect(cookie({ expires: none })).toThrow(ConfigError);
		const options = { secret: SECRET, store: new MemoryStore() };
		const session = await Session.initialize(testEvent().event, options);
		for (const provenAt of [none, '2026-01-01', 0]) {
			const login = session.login('ada', { provenAt: provenAt as Date });
			await expect(login).rejects.toThrow('`provenAt`');
		}
		expect(session.isNew).toBe(true);
	});

	test('none of them is forgotten', () => {
		const declared = [
			'types.ts',
			'cache-options.ts',
			'slot-types.ts',
			'memory-store.ts',
			'stores/options.ts',
			'stores/redis.ts',
			'stores/upstash-redis.ts',
			'stores/cloudflare-kv.ts',
			'stores/postgres.ts',
			'stores/sqlite.ts',
			'stores/d1.ts',
			'stores/durable-objects.ts',
			'stores/unstorage.ts'
		].flatMap((file) => {
			const source = readFileSync(new URL(`../src/${file}`, import.meta.url), 'utf8');
			return [...source.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)]
				.filter(([, name = '']) => /Config$|Options$/.test(name))
				.flatMap(([, name = '', body = '']) =>
					[
						...body.matchAll(/^\t(\w+)\??: ([^;]*\bnumber\b[^;]*(?:;[^}]*\})?)/gm)
					].flatMap(([, option = '', type = '']) =>
						type.startsWith('{')
							? [...type.matchAll(/(\w+): number/g)].map(
									([, inner = '']) => `${name}.${option}.${inner}`
								)
							: [`${name}.${option}`]
					)
				);
		});
		// They have tests of their own, with the lists of a user's sessions, the size and the versions of data, and slots.
		const others = [
			'SlotOptions.for',
			'SveltekitSessionConfig.sessionsPerUser',
			'SveltekitSessionConfig.maxBytes',
			'SveltekitSessionConfig.version',
			'SveltekitSessionConfig.migrate'
		];
		expect(declared.sort()).toEqual([...Object.keys(NUMBERS), ...others].sort());
	});

	test('a store of endless size holds more than one of the default size refuses', async () => {
		const store = new MemoryStore({ maxEntries: Infinity, maxBytes: Infinity });
		const record = { cookie: { path: '/' }, data: { text: 'x'.repeat(1_000) } };
		for (let n = 0; n < 100; n++) await store.set(`${n}`, record, Infinity);
		expect(store.size).toBe(100);
	});

	test('an endless timeout of the store waits, and does not end at once', async () => {
		let answer: (record: null) => void = () => undefined;
		const store = {
			get: () =>
				new Promise<null>((resolve) => {
					answer = resolve;
				}),
			set: async () => undefined,
			destroy: async () => undefined,
			touch: async () => undefined
		};
		const first = testEvent();
		const session = new Session(first.event, { secret: SECRET, store });
		await session.save();
		const cookie = `connect.sid=${encodeURIComponent(first.cookies[0]?.value ?? '')}`;
		const options = { secret: SECRET, store, storeTimeout: Infinity };
		vi.useFakeTimers();
		const opening = Session.initialize(testEvent(cookie).event, options);
		await vi.advanceTimersByTimeAsync(2 ** 40);
		expect(vi.getTimerCount()).toBe(0);
		vi.useRealTimers();
		answer(null);
		expect((await opening).isNew).toBe(true);
	});
});
