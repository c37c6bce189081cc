import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Redis } from '@upstash/redis';
import { Redis as CloudflareRedis } from '@upstash/redis/cloudflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { DataError } from '../src/index.js';
import DefaultStore, { RedisStore, UpstashRedisStore } from '../src/stores/upstash-redis.js';
import { testAtomicStore, testStore } from '../src/testing.js';
import { startRedis, startUpstash, type Servers } from './servers.js';

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
		new Redis({ ...at(), automaticDeserialization: false })
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
		// Those are taken for the record's fault.
		expect(failed).not.toBeInstanceOf(SyntaxError);
		expect(failed).not.toBeInstanceOf(DataError);
	} finally {
		await new Promise((resolve) => gateway.close(resolve));
	}
});
