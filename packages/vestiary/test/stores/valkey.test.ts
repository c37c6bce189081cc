import * as ioredis5 from 'ioredis5';
import * as ioredis from 'ioredis6';
import * as nodeRedis from 'redis6';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { startCluster, startValkey, type Servers } from './servers.js';
import { touchesInOneCall } from './touching.js';
import { unreadableAndNoError } from './values.js';

type Client = RedisStoreOptions['client'];

let single: Servers;
let cluster: Servers;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
	single = await startValkey();
	cluster = await startCluster(0, startValkey);
});

afterAll(async () => {
	for (const close of closing) await close();
	await single.stop();
	await cluster.stop();
});

const one = (): ioredis.Redis => opened(new ioredis.Redis(single.ports[0] ?? 0, '127.0.0.1'));
const urls = (servers: Servers): string[] =>
	servers.ports.map((port) => `redis://127.0.0.1:${port}`);
const several = (): ioredis.Cluster => opened(new ioredis.Cluster(urls(cluster)));

function opened<T extends { disconnect: () => void }>(client: T): T {
	closing.push(() => {
		client.disconnect();
	});
	return client;
}

async function connected<T extends { connect: () => unknown; close: () => unknown }>(
	client: T
): Promise<T> {
	await client.connect();
	closing.push(() => client.close());
	return client;
}

/** The newest version of each client. The older ones are tested with Redis. */
const CLIENTS: Record<string, () => Client | Promise<Client>> = {
	'ioredis 6': one,
	'ioredis 6 Cluster': several,
	'node-redis 6': () => connected(nodeRedis.createClient({ url: urls(single)[0] ?? '' })),
	'node-redis 6 Cluster': () =>
		connected(nodeRedis.createCluster({ rootNodes: urls(cluster).map((url) => ({ url })) }))
};

for (const [name, connect] of Object.entries(CLIENTS)) {
	let client: Client | undefined;
	const factory = async (): Promise<RedisStore> => {
		client ??= await connect();
		return new RedisStore({ client, feed: true });
	};
	testStore(`RedisStore on Valkey with ${name}`, factory, { runner: { describe, test } });
	testAtomicStore(`RedisStore on Valkey with ${name}`, factory, { runner: { describe, test } });

	test(`a value that is not text is unreadable, and no error, with ${name}`, async () => {
		const raw = name.includes('Cluster')
			? new ioredis5.Cluster(urls(cluster))
			: new ioredis5.Redis(urls(single)[0] ?? '');
		await unreadableAndNoError(await factory(), opened(raw));
	});

	test(`a touch compares the write ID itself, in one call, with ${name}`, async () => {
		await touchesInOneCall(await factory());
	});
}

test('the server is Valkey', async () => {
	expect(await one().info('server')).toMatch(/^valkey_version:9\./m);
});
