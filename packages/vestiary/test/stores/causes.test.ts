import { inspect } from 'node:util';

import { Redis as UpstashRedis } from '@upstash/redis';
import * as ioredis5 from 'ioredis5';
import * as ioredis6 from 'ioredis6';
import * as redis4 from 'redis4';
import * as redis5 from 'redis5';
import * as redis6 from 'redis6';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Session, StoreError, type SessionEvent, type Store } from '../../src/index.js';
import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis.js';
import { UpstashRedisStore } from '../../src/stores/upstash-redis.js';
import { testEvent } from '../event.js';
import { startRedis, startUpstash, type Servers } from './servers.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const TOKEN = 'the token of the test';
const DATA = 'correct horse battery staple';

let redis: Servers;
let bridge: Servers;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
	redis = await startRedis();
	bridge = await startUpstash(redis.ports[0] ?? 0, TOKEN);
});

afterAll(async () => {
	for (const close of closing) await close();
	await bridge.stop();
	await redis.stop();
});

const port = (): number => redis.ports[0] ?? 0;

const ioredis = (client: ioredis5.Redis | ioredis6.Redis): Store => {
	client.on('error', () => undefined);
	closing.push(() => {
		client.disconnect();
	});
	return new RedisStore({ client });
};

const nodeRedis = async (client: {
	connect: () => Promise<unknown>;
	disconnect?: () => unknown;
	destroy?: () => unknown;
	on: (event: 'error', listener: () => void) => unknown;
}): Promise<Store> => {
	client.on('error', () => undefined);
	await client.connect();
	closing.push(() => (client.destroy ? client.destroy() : client.disconnect?.()));
	return new RedisStore({ client: client as unknown as RedisStoreOptions['client'] });
};

const url = (): string => `redis://127.0.0.1:${port()}`;

const STORES: Record<string, () => Store | Promise<Store>> = {
	'ioredis 5': () => ioredis(new ioredis5.Redis(port(), '127.0.0.1')),
	'ioredis 6': () => ioredis(new ioredis6.Redis(port(), '127.0.0.1')),
	'node-redis 4': async () => nodeRedis(redis4.createClient({ url: url() })),
	'node-redis 5': async () => nodeRedis(redis5.createClient({ url: url() })),
	'node-redis 6': async () => nodeRedis(redis6.createClient({ url: url() })),
	'@upstash/redis': () => {
		const at = `http://127.0.0.1:${bridge.ports[0] ?? 0}`;
		return new UpstashRedisStore({
			client: new UpstashRedis({ url: at, token: TOKEN, retry: false })
		});
	}
};

/** Everything that a log could show of a value. */
function shown(value: unknown): string {
	const { stack = '' } = value as Error;
	const whole = inspect(value, { depth: Infinity, showHidden: true });
	return [whole, JSON.stringify(value), String(value), stack].join('\n');
}

describe.each(Object.entries(STORES))('an error of %s', (_, make) => {
	/** A session in the store, and how the server is asked for things. */
	async function begun(): Promise<{
		session: Session;
		server: ioredis5.Redis;
		cookie: string;
		store: Store;
	}> {
		const store = await make();
		const login = testEvent();
		const session = await Session.initialize(login.event, { secret: SECRET, store });
		await session.save();
		const server = new ioredis5.Redis(port(), '127.0.0.1');
		closing.push(() => {
			server.disconnect();
		});
		const cookie = `connect.sid=${encodeURIComponent(login.cookies[0]?.value ?? '')}`;
		return { session, server, cookie, store };
	}

	test('when it writes shows the code of the answer, no ID and no data', async () => {
		const { session, server } = await begun();
		await server.config('SET', 'maxmemory', '1');
		await session.setData({ note: DATA });
		const error: unknown = await session.save().catch((thrown: unknown) => thrown);
		await server.config('SET', 'maxmemory', '0');
		expect(error).toBeInstanceOf(StoreError);
		expect((error as StoreError).cause).toMatchObject({ code: 'OOM' });
		expect(shown(error)).not.toContain(session.id);
		expect(shown(error)).not.toContain(DATA);
	});

	test('when it reads shows the code of the answer and no ID, in an event as well', async () => {
		const { session, server, cookie, store } = await begun();
		await server.acl('SETUSER', 'default', 'nocommands', '+acl');
		const events: SessionEvent[] = [];
		const options = {
			secret: SECRET,
			store,
			onStoreError: 'anonymous',
			onEvent: (event: SessionEvent) => events.push(event)
		} as const;
		await Session.initialize(testEvent(cookie).event, options);
		await server.acl('SETUSER', 'default', 'allcommands');
		expect(events).toMatchObject([
			{ type: 'store_failed', error: { cause: { code: 'NOPERM' } } }
		]);
		expect(shown(events)).not.toContain(session.id);
		expect(shown((events[0] as { error?: Error }).error)).not.toContain(session.id);
	});
});
