import { afterEach, expect, test, vi } from 'vitest';

import { MemoryTable, Step } from '../src/generated/vestiary.js';
import { MemoryStore, sveltekitSessionHandle, type SessionStoreData } from '../src/index.js';
import type { AtomicOperations } from '../src/types.js';
import { testEvent } from './event.js';
import { operationsOf } from './visits.js';

/* The operations of a `MemoryStore` as an application calls them. */

const SECRET = '0123456789abcdef0123456789abcdef';

const RECORD: SessionStoreData = {
	cookie: { path: '/' },
	data: { n: 1 }
};

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

test('a touch prolongs a record under the prefix of its store, and makes none', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const store = new MemoryStore({ prefix: 'shop:' });
	await store.touch('id', 1_000);
	expect(store.size).toBe(0);
	await store.set('id', RECORD, 1_000);
	await store.touch('id', 5_000);
	vi.setSystemTime(Date.now() + 2_000);
	expect(await store.get('id')).toEqual(RECORD);
	vi.setSystemTime(Date.now() + 4_000);
	expect(await store.get('id')).toBeNull();
});

test('nothing is found, touched or removed where nothing was ever stored', async () => {
	const store = new MemoryStore();
	const operations = operationsOf(store);
	expect(await store.get('id')).toBeNull();
	await store.destroy('id');
	expect(await operations.read('id')).toBeNull();
	expect(await operations.replace('id', null, '{}', 1_000)).toBe('gone');
	expect(await operations.touch('id', 1_000)).toBe(false);
	expect(await operations.touch('id', 1_000, null)).toBe('gone');
	expect(await operations.remove('id', null)).toBe('gone');
	expect(store.size).toBe(0);
});

test('bounds may be infinite', async () => {
	const store = new MemoryStore({ maxEntries: Infinity, maxBytes: Infinity });
	for (let n = 0; n < 10; n++) await store.set(`${n}`, RECORD, 1_000);
	expect(store.size).toBe(10);
});

/** The writes of the store's functions for a request that saves, logs in and updates. */
async function writes(prepare: (operations: AtomicOperations) => void): Promise<Step[]> {
	const store = new MemoryStore();
	await store.set('another', RECORD, 1_000);
	prepare(operationsOf(store));
	const write = vi.spyOn(MemoryTable.prototype, 'write');
	const { event } = testEvent();
	await sveltekitSessionHandle({ secret: SECRET, store })({
		event,
		resolve: async () => {
			const { session } = event.locals;
			await session.setData({ n: 1 });
			await session.save();
			await session.login('ada', { data: { n: 1 } });
			await session.update((data) => Object.assign(data, { n: 2 }));
			return new Response('ok');
		}
	});
	expect(event.locals.session.data).toEqual({ n: 2 });
	expect((await store.get(event.locals.session.id))?.data).toEqual({ n: 2 });
	// The one that was there, the session, its tombstone, and the user's list.
	expect(store.size).toBe(4);
	return write.mock.calls.map(([step]) => step);
}

test('its records are written without its functions, but by those that were put in their place', async () => {
	expect(await writes(() => undefined)).toEqual([]);
	const patched = await writes((operations) => vi.spyOn(operations, 'remove'));
	// The session; the login's record, the list and the tombstone; the update.
	expect(patched).toEqual([Step.Create, Step.Create, Step.Create, Step.Replace, Step.Replace]);
});

test('it refuses a session that does not fit, and its error says so', async () => {
	const store = new MemoryStore({ maxEntries: 1 });
	await store.set('another', RECORD, 60_000);
	const { event } = testEvent();
	const failed = sveltekitSessionHandle({ secret: SECRET, store })({
		event,
		resolve: async () => {
			await event.locals.session.save();
			return new Response('ok');
		}
	});
	await expect(failed).rejects.toThrow(
		expect.objectContaining({ name: 'StoreError', code: 'store_full' }) as Error
	);
	expect(store.size).toBe(1);
});
