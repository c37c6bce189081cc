import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Redis } from '@upstash/redis';
import { Redis as CloudflareRedis } from '@upstash/redis/cloudflare';
import * as ioredis5 from 'ioredis5';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { DataError, Session } from '../../src/index.js';
import DefaultStore, { RedisStore, UpstashRedisStore } from '../../src/stores/upstash-redis.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { readsTwoAtOnce } from './reading.js';
import { startRedis, startUpstash, type Servers } from './servers.js';
import { touchesInOneCall } from './touching.js';
import { unreadableAndNoError } from './values.js';

const TOKEN = 'the token of the test';

let redis: Servers;
let bridge: Servers;

beforeAll(async () => {
	redis = await startRedis();
	bridge = await startUpstash(redis.ports[0] ?? 0, TOKEN);
});

afterAll(async () => {
	await bridge.stop();
	await redis.stop();
});

const at = (): { url: string; token: string } => ({
	url: `http://127.0.0.1:${bridge.ports[0] ?? 0}`,
	token: TOKEN
});

const CLIENTS = {
	'@upstash/redis': () => new Redis(at()),
	'@upstash/redis/cloudflare': () => new CloudflareRedis(at()),
	'@upstash/redis without base64': () => new Redis({ ...at(), responseEncoding: false }),
	'@upstash/redis that parses nothing': () =>
		new Redis({ ...at(), automaticDeserialization: false }),
	// As a test double may be.
	'a client that has no getrange': () => {
		const client = new Redis(at());
		Object.defineProperty(client, 'getrange', { value: undefined });
		return client;
	}
};

for (const [name, connect] of Object.entries(CLIENTS)) {
	testStore(`upstash RedisStore with ${name}`, () => new RedisStore({ client: connect() }), {
		runner: { describe, test }
	});
	testAtomicStore(
		`upstash RedisStore with ${name}`,
		() => new RedisStore({ client: connect() }),
		{
			runner: { describe, test }
		}
	);
}

test('a session and a list are read in one request', async () => {
	const requests = vi.spyOn(globalThis, 'fetch');
	const raw = new ioredis5.Redis(redis.ports[0] ?? 0, '127.0.0.1');
	await readsTwoAtOnce(
		new RedisStore({ client: new Redis(at()) }),
		() => requests.mock.calls.length,
		(id) => raw.rpush(`sess:${id}`, 'an entry')
	);
	raw.disconnect();
	requests.mockRestore();
});

describe.each(Object.entries(CLIENTS))('with %s', (_, connect) => {
	const texts = {
		'keys that are numbers': '{"10":1,"v":"AAAAAAAAAAAAAAAA","2":{"b":1,"1":2}}',
		'express-session’s shape with keys that are numbers':
			'{"cookie":{"v":"AAAAAAAAAAAAAAAA","originalMaxAge":1},"10":1,"2":2}',
		'long numbers and their spelling':
			'{"discord":1234567890123456789,"price":1.50,"big":1e400}',
		'escapes, and spaces': '{"a" : "\\u00e9\\/", "b":"é😀"}'
	};

	test.each(Object.entries(texts))('a record is read as it was stored: %s', async (_, text) => {
		const { atomic } = new RedisStore({ client: connect() });
		const id = `text-${Math.random()}`;
		await atomic?.create(id, text, 60_000, false);
		expect(await atomic?.read(id)).toBe(text);
	});

	test.each(['svelte-kit-sessions', 'express-session'] as const)(
		'a session in the format %s whose keys are numbers is saved, and logged out',
		async (format) => {
			const store = new RedisStore({ client: connect() });
			const options = {
				secret: 'a secret of more than 32 bytes, for the test',
				store,
				format
			};
			const first = testEvent();
			const session = await Session.initialize(first.event, options);
			await session.setData({ 10: 'ten', 2: 'two', name: 'ada' });
			await session.save();
			const cookie = `connect.sid=${encodeURIComponent(first.cookies[0]?.value ?? '')}`;
			const again = await Session.initialize(testEvent(cookie).event, options);
			expect(await again.update((data) => ({ ...data, 1: 'one' }))).toBe(true);
			const third = await Session.initialize(testEvent(cookie).event, options);
			expect(third.data).toEqual({ 1: 'one', 2: 'two', 10: 'ten', name: 'ada' });
			await third.destroy();
			expect((await Session.initialize(testEvent(cookie).event, options)).isNew).toBe(true);
		}
	);

	test('a value that is not text is unreadable, and no error', async () => {
		const raw = new ioredis5.Redis(redis.ports[0] ?? 0, '127.0.0.1');
		await unreadableAndNoError(new RedisStore({ client: connect() }), raw);
		raw.disconnect();
	});

	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall(new RedisStore({ client: connect() }));
	});

	test('a serializer gets the text that it has made, though it is JSON', async () => {
		const serializer = {
			stringify: (data: unknown) =>
				JSON.stringify([JSON.stringify(data), 1234567890123456789n.toString()]),
			parse: (text: string) => {
				const [json] = JSON.parse(text) as [string];
				return JSON.parse(json) as never;
			}
		};
		const store = new RedisStore({ client: connect(), serializer, prefix: 'other:' });
		const record = { cookie: { path: '/' }, data: {} };
		await store.set('id', record, 60_000);
		expect(await store.get('id')).toEqual(record);
		expect(await store.get('none')).toBeNull();
	});
});

test('is the default export, and has a name of its own', () => {
	expect(DefaultStore).toBe(RedisStore);
	expect(UpstashRedisStore).toBe(RedisStore);
});

test('a refused token is an error, and nothing is lost', async () => {
	const store = new RedisStore({ client: new Redis({ ...at(), token: 'wrong', retry: false }) });
	await expect(store.get('id')).rejects.toThrow();
});

test('an answer that is no JSON is a failure of the store, not a record that cannot be read', async () => {
	const gateway = createServer((_, response) => {
		response.end('<html>502 Bad Gateway</html>');
	});
	await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
	const { port } = gateway.address() as AddressInfo;
	const client = new Redis({ url: `http://127.0.0.1:${port}`, token: TOKEN, retry: false });
	try {
		const failed = await new RedisStore({ client }).get('id').catch((error: unknown) => error);
		expect(failed).toBeInstanceOf(Error);
		// A syntax error would be blamed on the record.
		expect(failed).not.toBeInstanceOf(SyntaxError);
		expect(failed).not.toBeInstanceOf(DataError);
	} finally {
		await new Promise((resolve) => gateway.close(resolve));
	}
});
