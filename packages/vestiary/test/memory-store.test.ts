import { afterEach, expect, test, vi } from 'vitest';

import { MemoryStore, type SessionStoreData } from '../src/index.js';
import { operationsOf } from './visits.js';

/* The operations of a `MemoryStore` as an application calls them. */

const RECORD: SessionStoreData = {
	cookie: { path: '/' },
	data: { n: 1 }
};

afterEach(() => {
	vi.useRealTimers();
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
