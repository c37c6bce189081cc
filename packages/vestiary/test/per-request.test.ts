import { describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type SessionData,
	type SessionStoreData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { Cache, Recent } from '../src/bounded.js';
import { KvStore, type KvNamespace } from '../src/stores/cloudflare-kv.js';
import { memory } from '../src/wasm/instance.js';
import { testEvent } from './event.js';

const SECRET = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';

interface Data extends SessionData {
	n?: number;
}

/** A KV namespace in a map that counts writes. */
function namespace(): { kv: KvNamespace; puts: () => number } {
	const values = new Map<string, { value: string; metadata: unknown }>();
	let puts = 0;
	const kv: KvNamespace = {
		getWithMetadata: async (key) => values.get(key) ?? { value: null, metadata: null },
		put: async (key, value, { metadata }) => {
			puts++;
			values.set(key, { value, metadata });
		},
		delete: async (key) => {
			values.delete(key);
		}
	};
	return { kv, puts: () => puts };
}

/** One request to a handle that is made for it, and the cookie that the browser has afterwards. */
async function request(
	options: SveltekitSessionConfig,
	cookie: string | undefined,
	resolve: (session: Session & { data: Data }) => Promise<void> | void = () => undefined
): Promise<string | undefined> {
	const handle = sveltekitSessionHandle(options);
	const { event } = testEvent(cookie);
	const response = await handle({
		event,
		resolve: async () => {
			await resolve(event.locals.session as Session & { data: Data });
			return new Response('page');
		}
	});
	return response.headers.get('set-cookie')?.split(';', 1)[0] ?? cookie;
}

describe('linear memory does not grow', () => {
	const pages = (): number => memory.buffer.byteLength / 65_536;

	test('with handles that are made in every request', async () => {
		const run = async (): Promise<void> => {
			const { kv } = namespace();
			await request(
				{
					secret: [SECRET],
					store: new KvStore({ client: kv, prefix: 'many:' }),
					cookie: { maxAge: 3_600 },
					rolling: true
				},
				undefined,
				async (session) => {
					await session.setData({ n: 1 });
					await session.save();
				}
			);
		};
		for (let i = 0; i < 200; i++) await run();
		const before = pages();
		for (let i = 0; i < 12_000; i++) await run();
		expect(pages()).toBe(before);
	}, 300_000);

	test('with sessions that are made without a handle, and lists of sessions', async () => {
		const store = new MemoryStore();
		const run = async (): Promise<void> => {
			await Session.initialize(testEvent().event, { secret: SECRET, store });
			await sessions({ secret: SECRET, store }).of('ada').list();
		};
		await run();
		const before = pages();
		for (let i = 0; i < 2_000; i++) await run();
		expect(pages()).toBe(before);
	});

	test('with memory stores in which nothing is stored', async () => {
		const run = async (): Promise<unknown> =>
			Session.initialize(testEvent().event, { secret: SECRET, store: new MemoryStore() });
		await run();
		const before = pages();
		for (let i = 0; i < 2_000; i++) await run();
		expect(pages()).toBe(before);
	});

	test('with options of ever new values, beyond a bound', async () => {
		const store = new MemoryStore();
		const kept = { secret: SECRET, store, name: 'kept' };
		const handle = sveltekitSessionHandle(kept);
		let cookie: string | undefined;
		const ask = async (): Promise<boolean> => {
			const { event } = testEvent(cookie);
			const response = await handle({
				event,
				resolve: async () => {
					if (cookie === undefined) await event.locals.session.save();
					return new Response();
				}
			});
			cookie ??= response.headers.get('set-cookie')?.split(';', 1)[0];
			return event.locals.session.isNew;
		};
		await ask();
		const run = async (i: number): Promise<unknown> =>
			Session.initialize(testEvent().event, {
				secret: SECRET,
				store,
				cookie: { expires: new Date(Date.now() + 60_000 + i) }
			});
		// The allocator may need further pages until it has found a place for each core; that is no leak.
		for (let i = 0; i < 4_000; i++) await run(i);
		const before = pages();
		for (let i = 4_000; i < 8_000; i++) await run(i);
		expect(pages()).toBe(before);
		// The handle that was made first has lost its core meanwhile, and gets another one.
		expect(await ask()).toBe(false);
	});
});

describe('a rolling session is touched once in `touchAfter`', () => {
	const options = (store: Store): SveltekitSessionConfig => ({
		secret: SECRET,
		store,
		cookie: { maxAge: 3_600 },
		rolling: true
	});

	test('by handles and stores that are made in every request', async () => {
		const { kv, puts } = namespace();
		const store = (): Store => new KvStore({ client: kv });
		const cookie = await request(options(store()), undefined, async (session) =>
			session.save()
		);
		for (let i = 0; i < 5; i++) await request(options(store()), cookie);
		expect(puts()).toBe(1);
		vi.useFakeTimers({ now: Date.now() + 361_000, toFake: ['Date'] });
		for (let i = 0; i < 5; i++) await request(options(store()), cookie);
		vi.useRealTimers();
		expect(puts()).toBe(2);
	});

	test('counted from when the store was asked, however long it took', async () => {
		const { kv, puts } = namespace();
		const put: KvNamespace['put'] = async (...record) => {
			await kv.put(...record);
			vi.useFakeTimers({ now: Date.now() + 361_000, toFake: ['Date'] });
		};
		const store = new KvStore({ client: { ...kv, put } });
		const cookie = await request(options(store), undefined, async (session) => session.save());
		await request(options(store), cookie);
		vi.useRealTimers();
		expect(puts()).toBe(2);
	});

	test('even if the binding is another object in every request, once that is noticed', async () => {
		const { kv, puts } = namespace();
		const store = (): Store => new KvStore({ client: { ...kv }, prefix: 'bindings:' });
		const cookie = await request(options(store()), undefined, async (session) =>
			session.save()
		);
		for (let i = 0; i < 100; i++) await request(options(store()), cookie);
		expect(puts()).toBeLessThan(20);
	});

	test('by stores of the application that are made for one connection', async () => {
		const records = new Map<string, SessionStoreData>();
		let touches = 0;
		const database = {
			touch: () => {
				touches++;
			}
		};
		class ConnectionStore implements Store {
			readonly connection: typeof database;
			constructor(connection: typeof database) {
				this.connection = connection;
			}
			async get(id: string): Promise<SessionStoreData | null> {
				return records.get(id) ?? null;
			}
			async set(id: string, record: SessionStoreData): Promise<void> {
				records.set(id, record);
			}
			async destroy(id: string): Promise<void> {
				records.delete(id);
			}
			async touch(): Promise<void> {
				this.connection.touch();
			}
		}
		const store = (): Store => new ConnectionStore(database);
		const cookie = await request(options(store()), undefined, async (session) =>
			session.save()
		);
		for (let i = 0; i < 5; i++) await request(options(store()), cookie);
		expect(touches).toBe(0);
	});

	test.each([
		['another namespace', () => new KvStore({ client: namespace().kv })],
		['another memory store', () => new MemoryStore()]
	])('in each store: %s is another store', async (_, make: () => Store) => {
		const first = make();
		const second = make();
		const touch = vi.spyOn(second.atomic ?? second, 'touch');
		let id = '';
		const cookie = await request(options(first), undefined, async (session) => {
			await session.save();
			id = session.id;
		});
		// A copy, as a migration makes it.
		const record = await first.get(id);
		if (record) await second.set(id, record, 3_600_000);
		await request(options(second), cookie);
		expect(touch).toHaveBeenCalledTimes(1);
	});

	test('for each lifetime: a handle that gives a longer one is not held up', async () => {
		const { kv, puts } = namespace();
		const store = new KvStore({ client: kv });
		const cookie = await request(options(store), undefined, async (session) => session.save());
		await request({ ...options(store), cookie: { maxAge: 86_400 } }, cookie);
		expect(puts()).toBe(2);
	});
});

test('an ID that one handle has taken out of use is out of use for another one', async () => {
	const { kv } = namespace();
	const options = (): SveltekitSessionConfig => ({
		secret: SECRET,
		store: new KvStore({ client: kv }),
		cookie: { maxAge: 3_600 },
		rolling: true
	});
	const cookie = await request(options(), undefined, async (session) => session.save());
	const slow = testEvent(cookie);
	const response = await sveltekitSessionHandle(options())({
		event: slow.event,
		resolve: async () => {
			await request(options(), cookie, async (session) => {
				await session.regenerate();
			});
			return new Response();
		}
	});
	expect(response.headers.get('set-cookie')).toBeNull();
});

test('a sub-request has the session of its page, though its handle is another one', async () => {
	const store = new MemoryStore();
	const options = (): SveltekitSessionConfig => ({ secret: SECRET, store });
	const page = testEvent();
	let request: RequestInfo | URL | undefined;
	const fetch: typeof globalThis.fetch = async (input) => {
		request = input;
		return new Response();
	};
	Object.assign(page.event, { fetch });
	await sveltekitSessionHandle(options())({
		event: page.event,
		resolve: async () => {
			await page.event.fetch('/api');
			const sub = testEvent();
			Object.assign(sub.event, { isSubRequest: true, request });
			await sveltekitSessionHandle(options())({
				event: sub.event,
				resolve: async () => {
					expect(sub.event.locals.session).toBe(page.event.locals.session);
					return new Response();
				}
			});
			return new Response();
		}
	});
	expect.assertions(1);
});

test('updates of a store that is not atomic wait for each other, whatever handle they come by', async () => {
	const { kv } = namespace();
	const options = (): SveltekitSessionConfig => ({
		secret: SECRET,
		store: new KvStore({ client: kv })
	});
	const cookie = await request(options(), undefined, async (session) => {
		await session.setData({ n: 0 });
		await session.save();
	});
	await Promise.all(
		Array.from({ length: 6 }, async () =>
			request(options(), cookie, async (session) => {
				await session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }));
			})
		)
	);
	await request(options(), cookie, (session) => {
		expect(session.data).toEqual({ n: 6 });
	});
	expect.assertions(1);
});

describe('without a store', () => {
	test.each(['production', 'development', 'test'])(
		'handles of one cookie name share one, in %s',
		async (mode) => {
			vi.stubEnv('NODE_ENV', mode);
			vi.resetModules();
			const { Session: Fresh, sveltekitSessionHandle: handleOf } =
				await import('../src/index.js');
			const storeOf = (options: Partial<SveltekitSessionConfig>): unknown =>
				new Fresh(testEvent().event, { secret: SECRET, ...options }).store;
			expect(storeOf({})).toBe(storeOf({ rolling: true }));
			expect(storeOf({})).toBe(storeOf({ name: 'connect.sid' }));
			expect(storeOf({})).not.toBe(storeOf({ name: 'other' }));
			expect(storeOf({})).not.toBe(storeOf({ namespace: 'admin' }));
			// A login therefore outlives the handle.
			const login = testEvent();
			const response = await handleOf({ secret: SECRET })({
				event: login.event,
				resolve: async () => {
					await login.event.locals.session.login('ada');
					return new Response();
				}
			});
			const cookie = response.headers.get('set-cookie')?.split(';', 1)[0];
			const next = testEvent(cookie);
			await handleOf({ secret: SECRET })({
				event: next.event,
				resolve: async () => new Response()
			});
			expect(next.event.locals.session.userId).toBe('ada');
			vi.unstubAllEnvs();
		}
	);
});

test('a number that is refused is not taken for one that is missing, or was accepted', () => {
	const good = { secret: SECRET, cookie: {} };
	sveltekitSessionHandle(good);
	for (const maxAge of [NaN, Infinity]) {
		expect(() => sveltekitSessionHandle({ secret: SECRET, cookie: { maxAge } })).toThrow(
			ConfigError
		);
	}
});

test('a secret decides: the same options with another one open no session', async () => {
	const store = new MemoryStore();
	const cookie = await request({ secret: SECRET, store }, undefined, async (session) =>
		session.save()
	);
	const known = async (secret: string | string[]): Promise<boolean> => {
		let isNew = true;
		await request({ secret, store }, cookie, (session) => {
			isNew = session.isNew;
		});
		return !isNew;
	};
	expect(await known(SECRET)).toBe(true);
	expect(await known([SECRET])).toBe(true);
	expect(await known('another-secret-of-at-least-32-bytes')).toBe(false);
	expect(await known(['another-secret-of-at-least-32-bytes', SECRET])).toBe(true);
});

describe('bounded collections', () => {
	test('a cache keeps what was used last', () => {
		const cache = new Cache<string, number>(2);
		let made = 0;
		const get = (key: string): number => cache.get(key, () => ++made);
		expect([get('a'), get('b'), get('a'), get('c'), get('a'), get('b')]).toEqual([
			1, 2, 1, 3, 1, 4
		]);
	});

	test('names are forgotten after their time, and the oldest where there are too many', () => {
		const recent = new Recent(2);
		recent.add('a', 10, 0);
		expect([recent.has('a', 9), recent.has('a', 10)]).toEqual([true, false]);
		for (const name of ['b', 'c', 'd']) recent.add(name, 10, 20);
		expect(['b', 'c', 'd'].map((name) => recent.has(name, 25))).toEqual([false, true, true]);
		recent.add('e', 10, 40);
		expect(recent.size).toBe(1);
	});
});
