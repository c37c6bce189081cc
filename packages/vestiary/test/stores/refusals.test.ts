import { Redis } from 'ioredis5';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import {
	Session,
	sessions,
	type SessionEvent,
	type SveltekitSessionConfig
} from '../../src/index.js';
import { RedisStore } from '../../src/stores/redis.js';
import { testEvent } from '../event.js';
import { startRedis, type Servers } from './servers.js';

/** A Redis server that answers, and refuses writes: a read-only replica, and one whose memory is full. */
let primary: Servers;
let replica: Servers;
let client: Redis;
let replicated: Redis;

beforeAll(async () => {
	primary = await startRedis('--maxmemory-policy', 'noeviction');
	const port = primary.ports[0] ?? 0;
	replica = await startRedis('--replicaof', '127.0.0.1', `${port}`);
	client = new Redis(port, '127.0.0.1');
	replicated = new Redis(replica.ports[0] ?? 0, '127.0.0.1');
});

afterAll(async () => {
	client.disconnect();
	replicated.disconnect();
	await replica.stop();
	await primary.stop();
});

interface App {
	store: RedisStore;
	events: SessionEvent[];
	options: SveltekitSessionConfig;
	open: (cookie?: string) => Promise<{ session: Session; cookie: () => string }>;
}

function app(on: Redis): App {
	const store = new RedisStore({ client: on });
	const events: SessionEvent[] = [];
	const options: SveltekitSessionConfig = {
		secret: '0123456789abcdef0123456789abcdef',
		store,
		onEvent: (event) => events.push(event)
	};
	return {
		store,
		events,
		options,
		open: async (cookie) => {
			const { event, cookies } = testEvent(cookie);
			const session = await Session.initialize(event, options);
			const last = (): string => encodeURIComponent(cookies.at(-1)?.value ?? '');
			return { session, cookie: () => (cookies.length > 0 ? `connect.sid=${last()}` : '') };
		}
	};
}

const typesOf = (events: SessionEvent[]): string[] => events.map(({ type }) => type);

test('a read-only replica refuses a logout, a save and a touch with one try each, and is named', async () => {
	const login = await app(client).open();
	await login.session.save();
	const { store, open } = app(replicated);
	await vi.waitUntil(async () => (await store.get(login.session.id)) !== null, 10_000);
	const calls = {
		destroy: vi.spyOn(store.atomic ?? {}, 'remove' as never),
		save: vi.spyOn(store.atomic ?? {}, 'replace' as never),
		touch: vi.spyOn(store.atomic ?? {}, 'touch' as never)
	};
	for (const [name, asked] of Object.entries(calls)) {
		const { session } = await open(login.cookie());
		if (name === 'save') await session.setData({ n: 1 });
		const failed = session[name as keyof typeof calls]();
		await expect(failed, name).rejects.toMatchObject({
			code: 'store_failed',
			refused: true,
			cause: { code: 'READONLY' }
		});
		expect(asked, name).toHaveBeenCalledTimes(1);
	}
	expect((await app(client).open(login.cookie())).session.isNew).toBe(false);
});

test('memory that is full refuses a save with one try, and a logout is one', async () => {
	const { open, events, store, options } = app(client);
	const login = await open();
	await login.session.login('ada');
	const [saving, leaving] = [await open(login.cookie()), await open(login.cookie())];
	const replace = vi.spyOn(store.atomic ?? {}, 'replace' as never);
	events.length = 0;
	await client.config('SET', 'maxmemory', '1');
	try {
		await saving.session.setData({ n: 1 });
		const full = { code: 'store_full', refused: true, cause: { code: 'OOM' } };
		await expect(saving.session.save()).rejects.toMatchObject(full);
		expect(replace).toHaveBeenCalledTimes(1);
		await leaving.session.destroy();
		expect(replace).toHaveBeenCalledTimes(2);
	} finally {
		await client.config('SET', 'maxmemory', '0');
	}
	expect(typesOf(events)).toEqual(['store_failed', 'destroyed']);
	expect(events[0]).toMatchObject({ error: { code: 'store_full', cause: { code: 'OOM' } } });
	expect((await open(login.cookie())).session.isNew).toBe(true);
	// The entry stays until the session would have expired, or is ended from the list.
	const list = sessions(options).of('ada');
	const [entry] = await list.list();
	await list.revoke(entry?.handle ?? '');
	expect(await list.list()).toEqual([]);
});

test('memory that is full lets a visitor with an old ID log out', async () => {
	const { open, events, options } = app(client);
	options.renewGrace = 0;
	const login = await open();
	await login.session.login('ada');
	const old = login.cookie();
	const renewed = await open(old);
	await renewed.session.renew();
	const late = await open(old);
	expect(late.session.isNew).toBe(true);
	events.length = 0;
	await client.config('SET', 'maxmemory', '1');
	try {
		await late.session.destroy();
	} finally {
		await client.config('SET', 'maxmemory', '0');
	}
	expect(typesOf(events)).toContain('store_failed');
	expect((await open(renewed.cookie())).session.isNew).toBe(true);
});
