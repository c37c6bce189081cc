import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { Core } from '../src/generated/vestiary.js';
import {
	Session,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type ChangeListener,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { dataOf, loggedIn, remote, visit, visitor } from './visits.js';
import { SECRET, WatchedStore } from './watched-store.js';

/*
 * Sessions in the near cache that an earlier request with the same `Cookie` header has opened: the core does not open them
 * again until something changes.
 */

let store: WatchedStore;
let options: SveltekitSessionConfig;
/** Another process, which shares the records. */
let elsewhere: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date', 'performance'] });
	store = new WatchedStore();
	options = { secret: SECRET, name: 'sid', store, cache: { maxStale: 1_000 } };
	elsewhere = { ...options, cache: undefined, store: remote(store.memory) };
});

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

const pass = (milliseconds: number): unknown => vi.advanceTimersByTime(milliseconds);

const request = async (cookie: string, config = options): Promise<unknown> =>
	dataOf(config, cookie);

/** How often the core has opened a session in a function, and the store was read. */
async function counted(run: () => Promise<unknown>): Promise<{ opened: number; read: number }> {
	const open = vi.spyOn(Core.prototype, 'open');
	store.calls.length = 0;
	await run();
	const opened = open.mock.calls.length;
	open.mockRestore();
	return { opened, read: store.calls.filter((call) => call === 'read').length };
}

const NOTHING = { opened: 0, read: 0 };

/** Sends requests with this header until the core opens nothing for them. */
async function known(cookie: string, config = options): Promise<void> {
	// One reads the store, the next one gets the ticket.
	for (let n = 0; n < 2; n++) await request(cookie, config);
	expect(await counted(async () => request(cookie, config))).toEqual(NOTHING);
}

describe('a session that an earlier request has opened', () => {
	test('is opened by the core again when its entry is too old', async () => {
		for (const [cookie, data] of [
			[await loggedIn(options), {}],
			[await visitor(options, { n: 1 }), { n: 1 }]
		] as const) {
			await known(cookie);
			pass(999);
			const found = counted(async () => {
				expect(await request(cookie)).toEqual(data);
			});
			expect(await found).toEqual(NOTHING);
			pass(1);
			expect((await counted(async () => request(cookie))).read).toBeGreaterThan(0);
		}
	});

	test.each([
		['the wall clock has gone on alone', 1_000, 0],
		['the monotonic clock has gone on alone', 0, 1_000],
		['the wall clock was set back', -10, 0]
	])('is read from the store when %s', async (_, wall, monotonic) => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		const now = Date.now();
		pass(monotonic);
		vi.setSystemTime(now + wall);
		expect(await counted(async () => request(cookie))).toEqual({ opened: 1, read: 1 });
	});

	test('is known for each of several headers, and for no other', async () => {
		const [cookie, other] = [
			await visitor(options, { n: 1 }),
			await visitor(options, { n: 2 })
		];
		const headers = [cookie, `a=b; ${cookie}`, `${cookie}; a=b`];
		for (const header of headers) await known(header);
		await known(other);
		for (const header of headers) expect(await request(header)).toEqual({ n: 1 });
		expect(await request(other)).toEqual({ n: 2 });
		expect(await request(`${cookie}x`)).toBeUndefined();
		expect((await counted(async () => request(`${cookie}; a=c`))).opened).toBe(1);
	});

	test('is opened by the core for a handle with other options', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		for (const [config, expected] of [
			[{ ...options, secret: 'fedcba9876543210fedcba9876543210' }, undefined],
			[{ ...options, namespace: 'other' }, undefined],
			[{ ...options, name: 'other' }, undefined],
			[{ ...options, cache: { maxStale: 900 } }, { n: 1 }]
		] as const) {
			const found = counted(async () => {
				expect(await request(cookie, config)).toEqual(expected);
			});
			expect((await found).opened).toBe(1);
		}
	});

	test('is opened by the core for a request that is no use of it', async () => {
		const cookie = await visitor(options, { n: 1 });
		let isPassive = false;
		options = { ...options, passive: () => isPassive };
		await known(cookie);
		isPassive = true;
		expect((await counted(async () => request(cookie))).opened).toBe(1);
		await known(cookie);
	});

	test('is opened by the core for a request that cannot set its cookie', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		const { event } = testEvent(cookie);
		const { get } = event.cookies;
		// SvelteKit closes its jar in this way.
		Object.assign(event, { cookies: { get, set: () => undefined } });
		const found = counted(async () => {
			const { data } = await Session.initialize(event, options);
			expect(data).toEqual({ n: 1 });
		});
		expect((await found).opened).toBe(1);
	});

	test('is opened by the core for a handle within another one that has the cookie', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		const { event } = testEvent(cookie);
		const inner = sveltekitSessionHandle({ ...options, as: 'inner', namespace: 'inner' });
		const within = counted(async () =>
			sveltekitSessionHandle(options)({
				event,
				resolve: async () => inner({ event, resolve: () => new Response() })
			})
		);
		expect((await within).opened).toBe(1);
		expect(event.locals.session.data).toEqual({ n: 1 });
	});

	test('is opened by the core if its deadline comes before the end of its entry', async () => {
		options = { ...options, cache: { maxStale: 60_000 }, absoluteTimeout: 10 };
		const cookie = await visitor(options, { n: 1 });
		for (let n = 0; n < 3; n++) await request(cookie);
		const found = counted(async () => {
			expect(await request(cookie)).toEqual({ n: 1 });
		});
		expect(await found).toEqual({ opened: 1, read: 0 });
		pass(10_000);
		expect(await request(cookie)).toBeUndefined();
	});

	test('gets data of its own, whatever an earlier request has done to its', async () => {
		const cookie = await visitor(options, { n: 1, cart: ['hat'] });
		await known(cookie);
		await visit(
			options,
			({ data }) => {
				data.n = 2;
				data.cart?.push('coat');
			},
			cookie
		);
		const found = counted(async () => {
			expect(await request(cookie)).toEqual({ n: 1, cart: ['hat'] });
		});
		expect(await found).toEqual(NOTHING);
	});

	test('is kept for no more than 1,024 headers, and for none with much text', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		for (let n = 0; n < 1_024; n++) await request(`${cookie}; n=${n}`);
		expect((await counted(async () => request(`${cookie}; n=0`))).opened).toBe(0);
		expect((await counted(async () => request(cookie))).opened).toBe(1);
		const long = `${cookie}; long=${'x'.repeat(4_096)}`;
		for (let n = 0; n < 3; n++)
			expect((await counted(async () => request(long))).opened).toBe(1);
	});
});

describe('a write of this process counts at once', () => {
	test.each([
		['destroy()', async (cookie: string) => visit(options, (it) => it.destroy(), cookie)],
		['revokeAll()', async () => sessions(options).of('ada').revokeAll()],
		['a login', async (cookie: string) => visit(options, (it) => it.login('eve'), cookie)],
		['regenerate()', async (cookie: string) => visit(options, (it) => it.regenerate(), cookie)]
	] as const)('%s', async (_, end) => {
		const cookie = await loggedIn(options);
		await known(cookie);
		await end(cookie);
		expect(await request(cookie)).toBeUndefined();
	});

	test('new data', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		await visit(options, (session) => session.update((data) => ({ ...data, n: 2 })), cookie);
		expect(await request(cookie)).toEqual({ n: 2 });
		await known(cookie);
		await visit(
			options,
			async (session) => {
				await session.setData({ n: 3 });
				await session.save();
			},
			cookie
		);
		expect(await request(cookie)).toEqual({ n: 3 });
	});

	test('a write whose reply was lost', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		store.after = (operation) => {
			if (operation === 'remove') throw new Error('lost');
		};
		await expect(visit(options, (session) => session.destroy(), cookie)).rejects.toThrow();
		expect(await request(cookie)).toBeUndefined();
	});

	test('all that a session can do', async () => {
		const cookie = await loggedIn(options);
		await known(cookie);
		await visit(options, async (session) => session.put('key', 'value', { for: 60 }), cookie);
		await known(cookie);
		let taken: unknown;
		await visit(options, async (session) => (taken = await session.take('key')), cookie);
		expect(taken).toBe('value');
		await known(cookie);
		const { cookies } = await visit(options, async (session) => session.renew(), cookie);
		expect(cookies).toHaveLength(1);
		const [renewed = ''] = cookies;
		expect(renewed).not.toBe(cookie);
		await known(renewed);
		await visit(
			options,
			async (session) => {
				expect(session.userId).toBe('ada');
				expect(await session.isAlive()).toBe(true);
				await session.touch();
			},
			renewed
		);
		await visit(options, async (session) => session.destroy(), renewed);
		for (const one of [cookie, renewed]) expect(await request(one)).toBeUndefined();
	});
});

describe('a write of another process', () => {
	test('counts when the entry is too old, and no later', async () => {
		const cookie = await loggedIn(options);
		await known(cookie);
		await sessions(elsewhere).of('ada').revokeAll();
		pass(999);
		expect(await request(cookie)).toEqual({});
		pass(1);
		expect(await request(cookie)).toBeUndefined();
	});

	test.each(['save', 'update'] as const)('is not lost by a `%s()`', async (how) => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		await visit(elsewhere, (session) => session.update((data) => ({ ...data, m: 1 })), cookie);
		const opening = counted(async () =>
			visit(
				options,
				async (session) => {
					expect(session.data).toEqual({ n: 1 });
					session.data.n = 2;
					// It flushes the change first.
					await (how === 'update' ? session.update(() => undefined) : session.save());
				},
				cookie
			)
		);
		expect((await opening).opened).toBe(0);
		for (const config of [options, elsewhere])
			expect(await request(cookie, config)).toEqual({ n: 2, m: 1 });
	});

	test('is found by the write of a session that has ended', async () => {
		const cookie = await visitor(options, { n: 1 });
		await known(cookie);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		const events: string[] = [];
		const telemetry = { event: (type: string) => void events.push(type), store: vi.fn() };
		await visit(
			{ ...options, telemetry },
			async (session) => {
				session.data.n = 2;
				await session.save();
			},
			cookie
		);
		expect(events).toContain('gone');
		expect(await request(cookie)).toBeUndefined();
		expect(await request(cookie, elsewhere)).toBeUndefined();
	});
});

describe('a message of the feed', () => {
	let listeners: ChangeListener[];

	beforeEach(() => {
		listeners = [];
		Object.assign(store.atomic, {
			nameOf: async (key: string) => `the name of ${key}`,
			watch: async (listener: ChangeListener) => {
				listeners.push(listener);
				return () => listeners.splice(listeners.indexOf(listener), 1);
			}
		} satisfies Partial<AtomicOperations>);
		options = { ...options, cache: { maxStale: 60_000 } };
	});

	/** Connects the feed, which drops what was read before. */
	async function connected(cookie: string): Promise<void> {
		await request(cookie);
		await vi.waitFor(() => {
			expect(listeners.length).toBe(1);
		});
		await known(cookie);
	}

	const key = (cookie: string): string => cookie.slice('sid='.length).split('.')[0] ?? '';

	test('about the record counts at once, and one about another record does not', async () => {
		const cookie = await visitor(options, { n: 1 });
		await connected(cookie);
		listeners[0]?.changed('another name');
		await known(cookie);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		listeners[0]?.changed(`the name of ${key(cookie)}`);
		expect(await request(cookie)).toBeUndefined();
	});

	test("about its user's session list counts at once", async () => {
		const cookie = await loggedIn(options);
		await connected(cookie);
		const asked: string[] = [];
		store.atomic.nameOf = async (one) => {
			asked.push(one);
			return `the name of ${one}`;
		};
		await sessions(elsewhere).of('ada').revokeAll();
		// The record is still there.
		listeners[0]?.changed('another name');
		expect(await request(cookie)).toEqual({});
		pass(60_000);
		expect(await request(cookie)).toBeUndefined();
		const list = asked.find((one) => one !== key(cookie)) ?? '';
		expect(list).not.toBe('');
		const again = await loggedIn(options);
		await known(again);
		await sessions(elsewhere).of('ada').revokeAll();
		listeners[0]?.changed(`the name of ${list}`);
		expect(await request(again)).toBeUndefined();
	});

	test('may be lost while the connection is', async () => {
		const cookie = await visitor(options, { n: 1 });
		await connected(cookie);
		await visit(elsewhere, (session) => session.destroy(), cookie);
		expect(await request(cookie)).toEqual({ n: 1 });
		listeners.splice(0)[0]?.lost();
		await vi.waitFor(() => {
			expect(listeners.length).toBe(1);
		});
		expect(await request(cookie)).toBeUndefined();
	});
});
