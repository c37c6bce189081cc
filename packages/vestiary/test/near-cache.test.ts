import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	sessions,
	type AtomicOperations,
	type ChangeListener,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { dataOf, loggedIn, remote, visit, visitor } from './visits.js';
import { SECRET, WatchedStore } from './watched-store.js';

let store: WatchedStore;
let options: SveltekitSessionConfig;
/** Another process, which shares the records. */
let elsewhere: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date', 'performance'] });
	store = new WatchedStore();
	options = { secret: SECRET, name: 'sid', store, cache: { maxStale: 1_000 } };
	elsewhere = { ...options, store: remote(store.memory) };
});

afterEach(() => {
	vi.useRealTimers();
});

const pass = (milliseconds: number): unknown => vi.advanceTimersByTime(milliseconds);

const request = async (cookie: string, config = options): Promise<unknown> =>
	dataOf(config, cookie);

/** The number of reads of the store in a function. */
async function reads(run: () => Promise<unknown>): Promise<number> {
	store.calls.length = 0;
	await run();
	return store.calls.filter((call) => call === 'read').length;
}

describe('a session that was read just now', () => {
	test('is opened without the store until the entry is too old', async () => {
		for (const [cookie, least] of [
			[await loggedIn(options), 2],
			[await visitor(options, { n: 1 }), 1]
		] as const) {
			const expected = least === 2 ? {} : { n: 1 };
			for (const [wait, count] of [
				[0, least],
				[0, 0],
				[999, 0],
				[1, least],
				[999, 0]
			] as const) {
				pass(wait);
				const found = reads(async () => {
					expect(await request(cookie)).toEqual(expected);
				});
				expect(await found).toBe(count);
			}
		}
	});

	test('is opened without a promise', async () => {
		const cookie = await loggedIn(options);
		await request(cookie);
		let isOpen = false;
		const opening = visit(options, () => (isOpen = true), cookie);
		expect(isOpen).toBe(true);
		await opening;
	});

	test('is read each time without the option', async () => {
		const without = { ...options, cache: undefined };
		const cookie = await loggedIn(without);
		for (let n = 0; n < 3; n++)
			expect(await reads(async () => request(cookie, without))).toBe(2);
	});

	test('is not taken from the cache when the clock was set back', async () => {
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		vi.setSystemTime(Date.now() - 10);
		expect(await reads(async () => request(cookie))).toBe(1);
	});

	test.each(['encrypt', 'hashIds'] as const)(
		'is kept as the store has it with `%s`',
		async (one) => {
			options = { ...options, [one]: true };
			const cookie = await visitor(options, { n: 1 });
			await request(cookie);
			const found = reads(async () => {
				expect(await request(cookie)).toEqual({ n: 1 });
			});
			expect(await found).toBe(0);
			// The cookie is another secret's, and so is the key.
			const secret = 'fedcba9876543210fedcba9876543210';
			expect(await request(cookie, { ...options, secret })).toBeUndefined();
		}
	);

	test('is migrated as one from the store', async () => {
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		const migrate = (): { n: number } => ({ n: 2 });
		const later = { ...options, version: 1, migrate };
		for (let n = 0; n < 2; n++) expect(await request(cookie, later)).toEqual({ n: 2 });
	});
});

describe('a write of this process', () => {
	test.each([
		['destroy()', async (cookie: string) => visit(options, (it) => it.destroy(), cookie)],
		['revokeAll()', async () => sessions(options).of('ada').revokeAll()],
		['a login', async (cookie: string) => visit(options, (it) => it.login('eve'), cookie)]
	] as const)('counts at once: %s', async (_, end) => {
		const cookie = await loggedIn(options);
		await request(cookie);
		await end(cookie);
		expect(await request(cookie)).toBeUndefined();
	});

	test('counts at once: new data', async () => {
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		await visit(options, (session) => session.update((data) => ({ ...data, n: 2 })), cookie);
		expect(await request(cookie)).toEqual({ n: 2 });
	});

	test('counts at once although its reply was lost', async () => {
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		store.after = (operation) => {
			if (operation === 'remove') throw new Error('lost');
		};
		await expect(visit(options, (session) => session.destroy(), cookie)).rejects.toThrow();
		expect(await request(cookie)).toBeUndefined();
	});

	test('outdates a read that began before it', async () => {
		const cookie = await visitor(options, { n: 1 });
		let go = (): void => undefined;
		const held = new Promise<void>((resolve) => (go = resolve));
		store.after = async (operation) => {
			if (operation === 'read') await held;
		};
		const late = request(cookie);
		await vi.waitFor(() => {
			expect(store.calls.at(-1)).toBe('read');
		});
		store.after = undefined;
		await visit(options, (session) => session.destroy(), cookie);
		go();
		expect(await late).toEqual({ n: 1 });
		expect(await request(cookie)).toBeUndefined();
	});
});

describe('a write of another process', () => {
	test('counts when the entry is too old, and no later', async () => {
		for (const end of [
			async (cookie: string) => visit(elsewhere, (session) => session.destroy(), cookie),
			async () => sessions(elsewhere).of('ada').revokeAll()
		]) {
			const cookie = await loggedIn(elsewhere);
			await request(cookie);
			pass(500);
			await end(cookie);
			expect(await request(cookie, elsewhere)).toBeUndefined();
			pass(499);
			expect(await request(cookie)).toEqual({});
			// The store is asked by code that asks whether the session is alive.
			let alive: boolean | undefined;
			await visit(options, async (session) => (alive = await session.isAlive()), cookie);
			expect(alive).toBe(false);
			expect(await sessions(options).read(`sid=${cookie.slice(4)}`)).toBeUndefined();
			pass(1);
			expect(await request(cookie)).toBeUndefined();
			pass(2_000);
		}
	});

	test('is not lost when the cached data is older', async () => {
		const cookie = await visitor(elsewhere, { n: 1 });
		await request(cookie);
		await visit(elsewhere, (session) => session.update((data) => ({ ...data, m: 1 })), cookie);
		await visit(
			options,
			async (session) => {
				expect(session.data).toEqual({ n: 1 });
				await session.setData({ ...session.data, n: 2 });
				await session.save();
				expect(session.data).toEqual({ n: 2, m: 1 });
			},
			cookie
		);
		pass(1_000);
		expect(await request(cookie, elsewhere)).toEqual({ n: 2, m: 1 });
	});

	test('in time, no entry is served although it was used all the time', async () => {
		const cookie = await visitor(elsewhere, { n: 1 });
		await request(cookie);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		for (let n = 0; n < 9; n++) {
			pass(100);
			expect(await request(cookie)).toEqual({ n: 1 });
		}
		pass(100);
		expect(await request(cookie)).toBeUndefined();
	});
});

describe('a session that has to be written', () => {
	test('is read from the store first', async () => {
		options = { ...options, idleTimeout: 100 };
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		expect(await reads(async () => request(cookie))).toBe(0);
		pass(10_001);
		expect(await reads(async () => request(cookie))).toBe(1);
	});

	test('is touched as without the cache', async () => {
		options = { ...options, rolling: true, touchAfter: 0, cookie: { maxAge: 60 } };
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		store.calls.length = 0;
		const { setCookie } = await visit(options, () => undefined, cookie);
		expect(setCookie.length).toBe(1);
		expect(store.calls).toContain('touch');
		// This store reads before it touches. The other one confirms the ID in the cookie.
		expect(store.calls.filter((call) => call === 'read').length).toBe(2);
	});

	test('has expired when its time is over', async () => {
		options = { ...options, absoluteTimeout: 1, cache: { maxStale: 60_000 } };
		const cookie = await visitor(options, { n: 1 });
		expect(await request(cookie)).toEqual({ n: 1 });
		pass(1_000);
		expect(await request(cookie)).toBeUndefined();
	});
});

describe('the feed of a store', () => {
	let listeners: ChangeListener[];
	let names: (key: string) => string;

	beforeEach(() => {
		listeners = [];
		names = (key) => `the name of ${key}`;
		Object.assign(store.atomic, {
			nameOf: async (key: string) => names(key),
			watch: async (listener: ChangeListener) => {
				listeners.push(listener);
				return () => listeners.splice(listeners.indexOf(listener), 1);
			}
		} satisfies Partial<AtomicOperations>);
		options = { ...options, cache: { maxStale: 60_000 } };
	});

	const key = (cookie: string): string => cookie.slice('sid='.length).split('.')[0] ?? '';

	async function cached(cookie: string): Promise<void> {
		await request(cookie);
		await vi.waitFor(() => {
			expect(listeners.length).toBe(1);
		});
		// The connection drops what was read before.
		await request(cookie);
		expect(await reads(async () => request(cookie))).toBe(0);
	}

	test('drops a record by its name, and no other', async () => {
		const cookie = await visitor(options, { n: 1 });
		await cached(cookie);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		listeners[0]?.changed('another name');
		listeners[0]?.changed(key(cookie).replace('.', ''));
		listeners[0]?.changed(`the name of ${key(cookie)}`);
		expect(await request(cookie)).toBeUndefined();
	});

	test('drops a read that is under way', async () => {
		const cookie = await visitor(options, { n: 1 });
		await cached(cookie);
		listeners[0]?.changed(`the name of ${key(cookie)}`);
		let go = (): void => undefined;
		const held = new Promise<void>((resolve) => (go = resolve));
		store.calls.length = 0;
		store.after = async (operation) => {
			if (operation === 'read') await held;
		};
		const late = request(cookie);
		await vi.waitFor(() => {
			expect(store.calls.at(-1)).toBe('read');
		});
		store.after = undefined;
		await visit(elsewhere, (session) => session.destroy(), cookie);
		listeners[0]?.changed(`the name of ${key(cookie)}`);
		go();
		expect(await late).toEqual({ n: 1 });
		expect(await request(cookie)).toBeUndefined();
	});

	test('drops everything when it is connected again', async () => {
		const cookie = await visitor(options, { n: 1 });
		await cached(cookie);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		expect(await request(cookie)).toEqual({ n: 1 });
		listeners.splice(0)[0]?.lost();
		await vi.waitFor(() => {
			expect(listeners.length).toBe(1);
		});
		expect(await request(cookie)).toBeUndefined();
	});

	test('that fails to name a record keeps it out of the cache', async () => {
		const cookie = await visitor(options, { n: 1 });
		names = () => {
			throw new Error('no name');
		};
		for (let n = 0; n < 3; n++) {
			const found = reads(async () => {
				expect(await request(cookie)).toEqual({ n: 1 });
			});
			expect(await found).toBe(1);
		}
	});

	test('is left when no entry can answer any more', async () => {
		vi.useFakeTimers();
		const cookie = await visitor(options, { n: 1 });
		await request(cookie);
		await vi.advanceTimersByTimeAsync(0);
		// The connection drops what was read before.
		await request(cookie);
		await vi.advanceTimersByTimeAsync(59_000);
		expect(await reads(async () => request(cookie))).toBe(0);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		for (const listener of listeners) listener.changed(`the name of ${key(cookie)}`);
		expect(await request(cookie)).toBeUndefined();
		await vi.advanceTimersByTimeAsync(70_000);
		expect(listeners.length).toBe(0);
		expect(vi.getTimerCount()).toBe(0);
		await request(cookie);
		await vi.advanceTimersByTimeAsync(0);
		expect(listeners.length).toBe(1);
	});
});

describe('the options', () => {
	const refused = async (cache: unknown, other: Store = store): Promise<unknown> =>
		visit({ ...options, store: other, cache } as SveltekitSessionConfig, () => undefined).then(
			() => undefined,
			(error: unknown) => error
		);

	test('need a bound in time', async () => {
		for (const cache of [{}, { maxEntries: 5 }, { maxStale: undefined }])
			expect(await refused(cache)).toMatchObject({
				code: 'options',
				message: expect.stringContaining('`cache.maxStale` is missing') as string
			});
		for (const maxStale of [0, 1.5, 60_001, NaN, Infinity])
			expect(await refused({ maxStale })).toMatchObject({
				code: 'options',
				message: '`cache.maxStale` must be a whole number of milliseconds from 1 to 60000'
			});
		for (const maxEntries of [0, 1.5, 1_000_001])
			expect(await refused({ maxStale: 1, maxEntries })).toMatchObject({
				code: 'options',
				message: '`cache.maxEntries` must be a whole number from 1 to 1000000'
			});
		expect(await refused({ maxStale: '1' })).toBeInstanceOf(ConfigError);
		expect(await refused({ maxStale: 1, ttl: 1 })).toBeInstanceOf(ConfigError);
		expect(await refused({ maxStale: 60_000, maxEntries: 1_000_000 })).toBeUndefined();
	});

	test('need an atomic store', async () => {
		const plain = { ...remote(new MemoryStore()), atomic: undefined };
		expect(await refused({ maxStale: 1 }, plain)).toMatchObject({
			code: 'store_capability'
		});
	});

	test('bound the number of entries', async () => {
		options = { ...options, cache: { maxStale: 1_000, maxEntries: 2 } };
		const cookies: string[] = [];
		for (let n = 0; n < 5; n++) cookies.push(await visitor(options, { n }));
		for (let round = 0; round < 2; round++)
			for (const [n, cookie] of cookies.entries())
				expect(await request(cookie)).toEqual({ n });
		expect(await reads(async () => request(cookies[4] ?? ''))).toBe(0);
	});

	test('change nothing with a memory store', async () => {
		const memory = { ...options, store: new MemoryStore() };
		const cookie = await loggedIn(memory);
		expect(await request(cookie, memory)).toEqual({});
		await sessions(memory).of('ada').revokeAll();
		expect(await request(cookie, memory)).toBeUndefined();
	});
});
