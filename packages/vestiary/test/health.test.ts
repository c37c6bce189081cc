import { expect, test } from 'vitest';

import { MemoryStore, sessions, StoreError, type Store } from '../src/index.js';
import { CountingStore } from './event.js';

const secret = 'a secret of the tests for the condition of a store';

/** A store of another process: the memory store's operations, some of them replaced. */
function remote(
	replaced: Partial<NonNullable<Store['atomic']>> = {}
): Store & { memory: MemoryStore } {
	const memory = new MemoryStore();
	if (!memory.atomic) throw new Error('a memory store is atomic');
	return {
		memory,
		get: async (id) => memory.get(id),
		set: async (id, data, ttl) => memory.set(id, data, ttl),
		destroy: async (id) => memory.destroy(id),
		touch: async (id, ttl) => memory.touch(id, ttl),
		atomic: { ...memory.atomic, ...replaced }
	};
}

test('a store that works is writable, and keeps nothing of the check', async () => {
	const store = remote();
	const health = await sessions({ secret, store }).health();
	expect(health).toEqual({ writable: true, latency: expect.any(Number) as number });
	expect(health.latency).toBeGreaterThan(0);
	expect(store.memory.size).toBe(0);
});

test('a store in memory is not asked, because a record more could evict a session', async () => {
	const store = new MemoryStore({ maxEntries: 1 });
	await store.set('id', { cookie: { path: '/' }, data: {} }, 60_000);
	expect(await sessions({ secret, store }).health()).toEqual({ writable: true, latency: 0 });
	expect(store.size).toBe(1);
});

test('a store that is not atomic is checked by its own methods', async () => {
	const store = new CountingStore();
	expect(await sessions({ secret, store }).health()).toMatchObject({ writable: true });
	expect(store.calls).toEqual(['get', 'set', 'get', 'destroy']);
	expect(store.records.size).toBe(0);
});

test('a store that does not reply has neither a latency nor a version, and the check does not fail', async () => {
	const store = new CountingStore();
	store.failure = new Error('the server is gone');
	const check = async (): Promise<never> => Promise.reject(new Error('it does not say'));
	const health = await sessions({ secret, store: Object.assign(store, { check }) }).health();
	expect(health).toEqual({
		writable: false,
		latency: undefined,
		error: expect.objectContaining({ code: 'store_failed' }) as StoreError
	});
	expect(store.calls).toEqual(['get']);
});

test('a store that is read-only is not writable', async () => {
	const refusal = Object.assign(new Error('READONLY a replica'), { refused: true });
	const store = remote({ create: async () => Promise.reject(refusal) });
	const health = await sessions({ secret, store }).health();
	expect(health).toMatchObject({ writable: false, error: { code: 'store_failed' } });
	expect(health.latency).toBeGreaterThan(0);
});

test('a store that forgets what it has stored is not writable', async () => {
	const store = remote({ create: async () => Promise.resolve(true) });
	expect(await sessions({ secret, store }).health()).toMatchObject({ writable: false });
});

test('the record of a lost reply is removed', async () => {
	const store = remote();
	const { create } = store.atomic as { create: (...all: unknown[]) => Promise<boolean> };
	const lossy = {
		...store,
		atomic: {
			...store.atomic,
			create: async (...all: unknown[]) => {
				await create(...all);
				throw new Error('the connection was lost');
			}
		} as Store['atomic']
	};
	const health = await sessions({ secret, store: lossy }).health();
	expect(health.writable).toBe(false);
	expect(store.memory.size).toBe(0);
});

test('the timeout of the store holds for the check, too', async () => {
	const store = remote({ read: async () => new Promise<never>(() => undefined) });
	const health = await sessions({ secret, store, storeTimeout: 1 }).health();
	expect(health).toMatchObject({ writable: false, error: { code: 'store_timeout' } });
});

test('what the store knows of its server is part of the result', async () => {
	const info = { version: 'Redis 7.2.4', evictionPolicy: 'noeviction' };
	const store = { ...remote(), check: async () => Promise.resolve(info) };
	expect(await sessions({ secret, store }).health()).toMatchObject({ ...info, writable: true });
});
