import type { Cluster, Redis } from 'ioredis5';
import { expect } from 'vitest';

import {
	DataError,
	Session,
	sessions,
	type SessionEvent,
	type Store,
	type SveltekitSessionConfig
} from '../../src/index.js';
import { testEvent } from '../event.js';

/** Values that are not the text of a record, under a key of the store. */
const VALUES: Record<string, (redis: Redis | Cluster, key: string) => Promise<unknown>> = {
	'a list': (redis, key) => redis.rpush(key, 'an entry'),
	'a hash': (redis, key) => redis.hset(key, 'field', 'value'),
	'a set': (redis, key) => redis.sadd(key, 'member'),
	'bytes that are not UTF-8': (redis, key) => redis.set(key, Buffer.from([0x7b, 0xff, 0xfe]))
};

/**
 * Checks that a visitor whose key holds such a value has no session and no error, that another session can begin, and
 * that the value is never overwritten: neither as the record of a session nor as a user's session list.
 */
export async function unreadableAndNoError(store: Store, redis: Redis | Cluster): Promise<void> {
	const events: string[] = [];
	const options: SveltekitSessionConfig = {
		secret: 'a secret of the tests, of more than 32 bytes',
		store,
		onEvent: ({ type }: SessionEvent) => events.push(type)
	};
	const visitor = async (user?: string): Promise<{ session: Session; cookie: string }> => {
		const { event, cookies } = testEvent();
		const session = await Session.initialize(event, options);
		if (user === undefined) await session.save();
		else await session.login(user);
		const value = encodeURIComponent(cookies.at(-1)?.value ?? '');
		return { session, cookie: `connect.sid=${value}` };
	};
	const open = (cookie: string): Promise<Session> =>
		Session.initialize(testEvent(cookie).event, options);

	for (const [name, put] of Object.entries(VALUES)) {
		const { session, cookie } = await visitor();
		const key = `sess:${session.id}`;
		await redis.del(key);
		await put(redis, key);
		const before = await redis.dumpBuffer(key);
		// A request that had the session open before.
		await expect(session.save(), name).rejects.toThrow();
		events.length = 0;
		const another = await open(cookie);
		expect(events, name).toEqual(['unreadable']);
		expect(another.isNew, name).toBe(true);
		await another.save();
		expect(another.id, name).not.toBe(session.id);
		await another.destroy();
		await (await open(cookie)).destroy();
		expect(await redis.dumpBuffer(key), name).toEqual(before);
		await redis.del(key);

		const user = `user-${crypto.randomUUID()}`;
		const listed = await visitor(user);
		const list = await listOf(redis, listed.session.id, user, options);
		await redis.del(list);
		await put(redis, list);
		const shut = await redis.dumpBuffer(list);
		events.length = 0;
		expect((await open(listed.cookie)).isNew, name).toBe(true);
		expect(events, name).toEqual(['unreadable']);
		const ofUser = sessions(options).of(user);
		await expect(ofUser.list(), name).rejects.toBeInstanceOf(DataError);
		await expect(ofUser.revokeAll(), name).rejects.toBeInstanceOf(DataError);
		await expect(visitor(user), name).rejects.toBeInstanceOf(DataError);
		expect(await redis.dumpBuffer(list), name).toEqual(shut);
		await redis.del(list);
		await redis.del(`sess:${listed.session.id}`);
	}
}

/** The key of a user's session list: the record that contains the session's handle. */
async function listOf(
	redis: Redis | Cluster,
	id: string,
	user: string,
	options: SveltekitSessionConfig
): Promise<string> {
	const [entry] = await sessions(options).of(user).list();
	const nodes = 'nodes' in redis ? redis.nodes('master') : [redis];
	for (const node of nodes) {
		for (const key of await node.keys('sess:user:*')) {
			const text = await node.get(key).catch(() => null);
			if (text?.includes(entry?.handle ?? id)) return key;
		}
	}
	throw new Error('the user has no list');
}
