import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	StoreError,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { loggedIn, operationsOf, remote, visit, visitor } from './visits.js';

/* How long ago the user has proven their identity. The rules are scenarios of both products. */

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	options = { secret: SECRET, store };
});

afterEach(() => {
	vi.useRealTimers();
});

describe.each([
	['on a table', (): Store => store],
	['on a store that is awaited', (): Store => remote(store)]
])('a confirmation, %s', (_, storeOf) => {
	beforeEach(() => {
		options = { ...options, store: storeOf() };
	});

	test('makes the session fresh for later requests, and stores no data', async () => {
		const cookie = await loggedIn(options);
		vi.advanceTimersByTime(60_000);
		const { cookies } = await visit(
			options,
			async (session) => {
				expect(session.isFresh(60)).toBe(false);
				session.data.n = 1;
				expect(await session.confirm()).toBe(true);
				expect([session.isFresh(0.001), session.data.n]).toEqual([true, 1]);
			},
			cookie
		);
		expect(cookies).toEqual([]);
		vi.advanceTimersByTime(59_999);
		await visit(
			options,
			(session) => {
				expect([session.isFresh(60), session.data]).toEqual([true, {}]);
				vi.advanceTimersByTime(1);
				expect([session.isFresh(60), session.isFresh(60.001)]).toEqual([false, true]);
			},
			cookie
		);
	});

	test('is true of a login that is not awaited, by a reference from before it', async () => {
		await visit(options, async (session) => {
			void session.login('ada');
			expect(await session.confirm()).toBe(true);
			expect(session.isFresh(1)).toBe(true);
		});
	});

	test('is false without a user', async () => {
		for (const cookie of [undefined, await visitor(options, { n: 1 })])
			await visit(
				options,
				async (session) => {
					expect(await session.confirm()).toBe(false);
					expect(session.isFresh(Infinity)).toBe(false);
				},
				cookie
			);
	});
});

test('a session is not fresh while the store is down, and a confirmation fails', async () => {
	const cookie = await loggedIn(options);
	const down: Store = remote(store);
	const fail = async (): Promise<never> => Promise.reject(new Error('down'));
	for (const [name, member] of Object.entries(operationsOf(down)))
		if (typeof member === 'function')
			vi.spyOn(operationsOf(down), name as 'create').mockImplementation(fail);
	vi.spyOn(down, 'get').mockImplementation(fail);
	await visit(
		{ ...options, store: down, onStoreError: 'anonymous' },
		async (session) => {
			expect(session.isFresh(600)).toBe(false);
			await expect(session.confirm()).rejects.toThrow(StoreError);
		},
		cookie
	);
});

test('a period that is no number of seconds is refused', async () => {
	await visit(options, (session) => {
		for (const bad of [0, -1, NaN, '600', undefined, new Date()])
			expect(() => session.isFresh(bad as number)).toThrow(ConfigError);
	});
});

test('a store that is not atomic is refused', async () => {
	const plain: Store = {
		get: async (id) => store.get(id),
		set: async (id, data, ttl) => store.set(id, data, ttl),
		destroy: async (id) => store.destroy(id),
		touch: async (id, ttl) => store.touch(id, ttl)
	};
	await visit({ ...options, store: plain }, async (session) => {
		await expect(session.confirm()).rejects.toThrow(ConfigError);
	});
});
