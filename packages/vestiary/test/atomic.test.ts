import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	LoginOutdatedError,
	MemoryStore,
	Session,
	sessions,
	StoreError,
	sveltekitSessionHandle,
	type AtomicOperations,
	type AtomicOutcome,
	type MemoryStoreOptions,
	type SessionData,
	type SessionStoreData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { SqliteStore } from '../src/stores/sqlite.js';
import { CountingStore, testEvent, type CookieCall } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

interface Data extends SessionData {
	user?: string;
	n?: number;
	cart?: string[];
	theme?: string;
}

type Operation = Exclude<keyof AtomicOperations, 'resends'>;

/** A memory store that can be looked into, and disturbed. */
class WatchedStore implements Store {
	readonly calls: Operation[] = [];
	/** Runs before an operation; what it throws, the store throws, and nothing is done. */
	before: ((operation: Operation) => unknown) | undefined;
	/** Runs after an operation: its answer is lost if this throws. */
	after: ((operation: Operation) => unknown) | undefined;
	/** How long records may live, whatever they are given. */
	ttl: number | undefined;
	/** Whether its client may send a write again by itself. */
	resends = false;
	readonly memory: MemoryStore;
	readonly atomic: AtomicOperations;

	constructor(options?: MemoryStoreOptions) {
		this.memory = new MemoryStore(options);
		const inner = this.memory.atomic;
		if (!inner) throw new Error('a memory store is atomic');
		const watched = async <T>(operation: Operation, run: () => Promise<T>): Promise<T> => {
			this.calls.push(operation);
			await this.before?.(operation);
			const answer = await run();
			await this.after?.(operation);
			return answer;
		};
		const life = (ttl: number): number => this.ttl ?? ttl;
		this.atomic = {
			read: async (id) => watched('read', async () => inner.read(id)),
			create: async (id, text, ttl, owned) =>
				watched('create', async () => inner.create(id, text, life(ttl), owned)),
			replace: async (id, mark, text, ttl) =>
				watched('replace', async () => inner.replace(id, mark, text, life(ttl))),
			touch: async (id, ttl) => watched('touch', async () => inner.touch(id, life(ttl))),
			remove: async (id, mark) => watched('remove', async () => inner.remove(id, mark))
		};
		Object.defineProperty(this.atomic, 'resends', {
			enumerable: true,
			get: () => this.resends
		});
	}

	get size(): number {
		return this.memory.size;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		return this.memory.get(id);
	}

	async set(): Promise<void> {
		throw new Error('an atomic store is not asked to set');
	}

	async destroy(): Promise<void> {
		throw new Error('an atomic store is not asked to destroy');
	}

	async touch(): Promise<void> {
		throw new Error('an atomic store is asked to touch atomically');
	}
}

let store: WatchedStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	store = new WatchedStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
});

interface Opened {
	session: Session & { data: Data };
	cookies: CookieCall[];
	/** The `Cookie` header that the browser sends after this request. */
	cookie: () => string;
	locals: { session: Session & { data: Data } };
}

async function opened(cookie?: string, withOptions = options): Promise<Opened> {
	const { event, cookies } = testEvent(cookie);
	const session = await Session.initialize(event, withOptions);
	event.locals.session = session;
	return {
		session,
		cookies,
		locals: event.locals,
		cookie: () => {
			const last = cookies.at(-1);
			if (!last) return cookie ?? '';
			return last.method === 'set'
				? `${last.name}=${encodeURIComponent(last.value ?? '')}`
				: '';
		}
	};
}

/** A visitor whose session holds this. */
async function visitor(data: Data, withOptions = options): Promise<string> {
	const { session, cookie } = await opened(undefined, withOptions);
	await session.setData(data);
	await session.save();
	store.calls.length = 0;
	events.length = 0;
	return cookie();
}

async function dataOf(cookie: string, withOptions = options): Promise<Data | undefined> {
	const { session } = await opened(cookie, withOptions);
	return session.isNew ? undefined : session.data;
}

describe('parallel requests', () => {
	test('that change different keys both keep their change', async () => {
		const cookie = await visitor({ user: 'ada', theme: 'light' });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		one.session.data.n = 1;
		other.session.data.theme = 'dark';
		await one.session.save();
		await other.session.save();
		expect(await dataOf(cookie)).toEqual({ user: 'ada', n: 1, theme: 'dark' });
		// The slower one sees both, and is told.
		expect(other.session.data).toEqual({ user: 'ada', n: 1, theme: 'dark' });
		expect(events).toEqual(['conflict']);
	});

	test('that do not meet cost one write each', async () => {
		const cookie = await visitor({ n: 0 });
		for (const n of [1, 2]) {
			const { session } = await opened(cookie);
			await session.setData({ n });
			await session.save();
			await session.setData({ n: n * 10 });
			await session.save();
		}
		expect(store.calls).toEqual(['read', 'replace', 'replace', 'read', 'replace', 'replace']);
		expect(events).toEqual([]);
	});

	test('of setData the whole object counts: keys that it leaves out are removed', async () => {
		const cookie = await visitor({ user: 'ada', theme: 'light' });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		await one.session.setData({ user: 'ada' });
		other.session.data.n = 1;
		await other.session.save();
		await one.session.save();
		expect(await dataOf(cookie)).toEqual({ user: 'ada', n: 1 });
	});

	test('of one key the later value stays', async () => {
		const cookie = await visitor({ cart: [] });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		one.session.data.cart = ['coat'];
		other.session.data.cart = ['hat'];
		await one.session.save();
		await other.session.save();
		expect(await dataOf(cookie)).toEqual({ cart: ['hat'] });
	});

	test('lose no update, however many there are, and whoever is slow', async () => {
		const cookie = await visitor({ n: 0 });
		const all = await Promise.all(Array.from({ length: 60 }, async () => opened(cookie)));
		const done = await Promise.all(
			all.map(async ({ session }, i) =>
				session.update(async (data: Data) => {
					if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
					data.n = (data.n ?? 0) + 1;
					return undefined;
				})
			)
		);
		expect(done.every(Boolean)).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: 60 });
	});

	test('of several processes lose no update either', async () => {
		const cookie = await visitor({ n: 0 });
		// Other options objects do not wait for each other.
		await Promise.all(
			Array.from({ length: 6 }, async () => {
				const { session } = await opened(cookie, { ...options });
				await session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }));
			})
		);
		expect(await dataOf(cookie)).toEqual({ n: 6 });
		expect(events).toContain('conflict');
	});

	test.each([
		['may be its own, if the client sends again by itself', true],
		['is another one, if it does not', false]
	])('a write in the way of a slow one %s', async (_, resends) => {
		store.resends = resends;
		const cookie = await visitor({ n: 0 });
		const { session } = await opened(cookie);
		const increment = (data: Data): Data => ({ n: (data.n ?? 0) + 1 });
		store.before = async (operation) => {
			if (operation !== 'replace') return;
			store.before = undefined;
			// More than the record remembers.
			for (let i = 0; i < 20; i++) {
				await (await opened(cookie, { ...options })).session.update(increment);
			}
			await new Promise((resolve) => setTimeout(resolve, 30));
		};
		const updated = session.update(increment);
		if (resends) await expect(updated).rejects.toMatchObject({ code: 'store_failed' });
		else expect(await updated).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: resends ? 20 : 21 });
	});

	test('with autoSave merge as well', async () => {
		options = { ...options, autoSave: true };
		const cookie = await visitor({ user: 'ada' });
		const run = async (change: (data: Data) => unknown): Promise<Response> => {
			const { event } = testEvent(cookie);
			return sveltekitSessionHandle(options)({
				event,
				resolve: async () => {
					await change(event.locals.session.data);
					return new Response();
				}
			});
		};
		await run(async (data) => {
			data.n = 1;
			await run((inner) => (inner.theme = 'dark'));
		});
		expect(await dataOf(cookie)).toEqual({ user: 'ada', n: 1, theme: 'dark' });
	});
});

test('what autoSave would save is not lost to an update', async () => {
	const cookie = await visitor({ n: 1 });
	const saving = { ...options, autoSave: true };
	const { session } = await opened(cookie, saving);
	session.data.theme = 'dark';
	await session.update((data) => ({ ...data, m: 1 }));
	expect(session.data).toEqual({ n: 1, theme: 'dark', m: 1 });
	expect(await dataOf(cookie)).toEqual({ n: 1, theme: 'dark', m: 1 });
});

describe('a session that was ended', () => {
	test('does not come back by a request that was under way, and no cookie is set', async () => {
		const cookie = await visitor({ user: 'ada' });
		const late = await opened(cookie);
		await (await opened(cookie)).session.destroy();
		events.length = 0;
		for (const n of [1, 2]) {
			await late.session.setData({ user: 'ada', n });
			await late.session.save();
		}
		expect(late.cookies).toEqual([]);
		expect(late.session.isNew).toBe(true);
		expect(store.size).toBe(0);
		expect(events).toEqual(['gone', 'gone']);
	});

	test('nor by update, touch, a rolling cookie or autoSave', async () => {
		options = { ...options, rolling: true, autoSave: true, cookie: { maxAge: 60 } };
		const cookie = await visitor({ n: 0 });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		const { event } = testEvent(cookie);
		const response = await sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await (await opened(cookie)).session.destroy();
				(event.locals.session.data as Data).n = 5;
				return new Response();
			}
		});
		expect(await one.session.update((data: Data) => ({ n: data.n ?? 0 }))).toBe(false);
		await other.session.touch();
		expect(store.size).toBe(0);
		// The cookie had rolled before the logout; it stays here.
		expect(response.headers.getSetCookie()).toEqual([]);
		expect(await dataOf(cookie)).toBeUndefined();
	});

	test('by its old ID after a renewal ends the same session; after a login the new session stays', async () => {
		options = { ...options, renewGrace: 0 };
		const renewed = await visitor({ user: 'ada' });
		const fast = await opened(renewed);
		await fast.session.renew();
		const third = await opened(renewed);
		expect(third.session.isNew).toBe(true);
		await third.session.destroy();
		expect(await dataOf(fast.cookie())).toBeUndefined();

		const cookie = await visitor({ user: 'ada' });
		const late = await opened(cookie);
		const login = await opened(cookie);
		const session = await login.session.regenerate();
		await session.setData({ user: 'ada', n: 1 });
		await session.save();
		for (const old of [late, await opened(cookie)]) {
			await old.session.destroy();
			expect(old.cookies.at(-1)?.method).not.toBe('set');
			expect(await dataOf(login.cookie())).toEqual({ user: 'ada', n: 1 });
		}
	});

	test('whatever is done with an ID that a login has replaced, the session of the login stays', async () => {
		const planted = await visitor({ user: 'guest' });
		const underWay = await opened(planted);
		const victim = await opened(planted);
		await victim.session.login('ada', { data: { user: 'ada' } });
		const attacks: ((session: Session) => Promise<unknown>)[] = [
			async (session) => session.destroy(),
			async (session) => session.regenerate(),
			async (session) => (await session.regenerate()).save(),
			async (session) => session.login('eve'),
			async (session) => session.login('ada'),
			async (session) => session.touch(),
			async (session) => session.renew(),
			async (session) => session.save()
		];
		for (const attack of attacks) {
			await attack((await opened(planted)).session);
			expect(await dataOf(victim.cookie()), String(attack)).toEqual({ user: 'ada' });
		}
		await underWay.session.regenerate();
		expect(await dataOf(victim.cookie())).toEqual({ user: 'ada' });
	});

	test('an ID whose grace period is over regenerates without ending the session that it led to', async () => {
		options = { ...options, renewGrace: 0 };
		const cookie = await visitor({ user: 'ada' });
		const current = await opened(cookie);
		await current.session.renew();
		const late = await opened(cookie);
		await late.session.regenerate();
		await (await opened(cookie)).session.login('eve');
		expect(await dataOf(current.cookie())).toEqual({ user: 'ada' });
	});

	test('is ended although a hook throws', async () => {
		const cookie = await visitor({ user: 'ada' });
		options.onEvent = () => {
			throw new Error('a broken hook');
		};
		const { session, cookies } = await opened(cookie);
		await session.destroy();
		expect(cookies.at(-1)?.method).toBe('delete');
		expect(store.size).toBe(0);
	});

	test('is ended although nobody can say whether replicas know it', async () => {
		const seen: unknown[] = [];
		options.onEvent = (event) => seen.push(event);
		for (const confirm of [
			async () => true,
			async () => false,
			async () => {
				throw new Error('no replica');
			}
		]) {
			const cookie = await visitor({ user: 'ada' });
			Object.assign(store.atomic, { confirm });
			await (await opened(cookie)).session.destroy();
			expect(await dataOf(cookie)).toBeUndefined();
		}
		const told = seen.filter((event) => (event as { type: string }).type === 'destroyed');
		expect(told).toEqual([
			{ type: 'destroyed', confirmed: true },
			{ type: 'destroyed', confirmed: false },
			{ type: 'destroyed', confirmed: false }
		]);
	});

	test('is not known to be ended if the store fails: an error, and the cookie goes all the same', async () => {
		const cookie = await visitor({ user: 'ada' });
		const { session, cookies } = await opened(cookie);
		store.before = () => {
			throw new Error('down');
		};
		await expect(session.destroy()).rejects.toMatchObject({ code: 'store_failed' });
		expect(cookies.at(-1)?.method).toBe('delete');
	});
});

describe('answers that get lost', () => {
	/** The first operation of this kind is done, and its answer lost. */
	const lose = (lost: Operation): void => {
		let times = 0;
		store.after = (operation) => {
			if (operation === lost && times++ === 0) throw new Error('connection reset');
		};
	};

	test('of a save do no harm, and it is not made twice', async () => {
		const cookie = await visitor({ n: 0 });
		lose('replace');
		const { session } = await opened(cookie);
		expect(await session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }))).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: 1 });
	});

	test('of a logout do no harm', async () => {
		const cookie = await visitor({ n: 0 });
		lose('remove');
		await (await opened(cookie)).session.destroy();
		expect(store.size).toBe(0);
	});

	test('of a login do no harm', async () => {
		for (const lost of ['create', 'replace', 'touch'] as const) {
			const cookie = await visitor({ n: 0 });
			const { session, cookie: next } = await opened(cookie);
			lose(lost);
			await session.login('ada', { data: { user: 'ada' } });
			store.after = undefined;
			expect(await dataOf(next()), lost).toEqual({ user: 'ada' });
			expect(await dataOf(cookie)).toBeUndefined();
		}
	});

	test('a store that fails twice is a StoreError with its cause; one that is always busy, too', async () => {
		const cookie = await visitor({ n: 0 });
		const { session } = await opened(cookie);
		session.data.n = 1;
		const down = new Error('down');
		store.before = () => {
			throw down;
		};
		await expect(session.save()).rejects.toMatchObject({ code: 'store_failed', cause: down });
		store.before = undefined;
		// Not lost: it is saved when the store is back.
		await session.save();
		expect(await dataOf(cookie)).toEqual({ n: 1 });

		const conflict = async (): Promise<AtomicOutcome> => 'conflict';
		const busy: Store = Object.assign(Object.create(store) as WatchedStore, {
			atomic: { ...store.atomic, replace: conflict }
		});
		const other = await opened(cookie, { ...options, store: busy });
		await expect(other.session.save()).rejects.toMatchObject({ code: 'store_busy' });
		await expect(other.session.save()).rejects.toBeInstanceOf(StoreError);
	});
});

describe('a new ID', () => {
	test('that exists already is left alone, and another one taken', async () => {
		const victim = await visitor({ user: 'ada' });
		const taken = decodeURIComponent(victim).slice('connect.sid='.length).split('.')[0] ?? '';
		const ids = [taken, 'another-id-that-nobody-has'];
		const { session } = await opened(undefined, {
			...options,
			genid: () => ids.shift() ?? ''
		});
		await session.setData({ user: 'eve' });
		await session.save();
		expect(session.id).toBe('another-id-that-nobody-has');
		expect(await dataOf(victim)).toEqual({ user: 'ada' });
	});

	test('after regenerate: the old one is nobody, and a late request on it sets no cookie', async () => {
		const cookie = await visitor({ user: 'guest' });
		const login = await opened(cookie);
		const session = await login.session.regenerate();
		expect(session.isNew).toBe(true);
		expect(session.data).toEqual({});
		expect(login.locals.session).toBe(session);
		await session.setData({ user: 'ada' });
		await session.save();
		events.length = 0;
		const late = await opened(cookie);
		expect(late.session.data).toEqual({});
		await late.session.setData({ user: 'eve' });
		await late.session.save();
		expect(late.cookies).toEqual([]);
		expect(events).toEqual(['reuse', 'gone']);
		expect(await dataOf(login.cookie())).toEqual({ user: 'ada' });
		// To the seed's stores, and to whoever asks the store directly, the old one does not exist.
		expect(await store.get(decodeURIComponent(cookie).split(/[=.]/)[2] ?? '')).toBeNull();
		// A visitor who has nothing but the old cookie can log in.
		await late.session.login('eve');
		expect(late.cookies).toHaveLength(1);
	});

	test('a response that is slower than a login does not overwrite the new cookie', async () => {
		const slow = async (
			during: (cookie: string) => Promise<unknown>,
			also: (session: Session) => unknown = () => undefined
		): Promise<string[]> => {
			const cookie = await visitor({ user: 'guest' });
			const { event } = testEvent(cookie);
			const response = await sveltekitSessionHandle(options)({
				event,
				resolve: async () => {
					await also(event.locals.session);
					await during(cookie);
					return new Response();
				}
			});
			return response.headers.getSetCookie();
		};
		const login = async (cookie: string): Promise<unknown> =>
			(await opened(cookie)).session.login('ada');
		const regenerate = async (cookie: string): Promise<unknown> =>
			(await opened(cookie)).session.regenerate();
		const renew = async (cookie: string): Promise<unknown> =>
			(await opened(cookie)).session.renew();
		const look = async (cookie: string): Promise<unknown> => opened(cookie);
		options = { ...options, rolling: true, cookie: { maxAge: 60 } };
		for (const during of [login, regenerate, renew]) expect(await slow(during)).toEqual([]);
		expect(await slow(look)).toHaveLength(1);
		options = { ...options, rolling: false };
		const save = async (session: Session): Promise<void> => session.save();
		for (const during of [login, regenerate, renew])
			expect(await slow(during, save)).toEqual([]);
		expect(await slow(look, save)).toHaveLength(1);
	});

	test('a logout with an old cookie that the store does not confirm is an error, and the cookie goes', async () => {
		options = { ...options, renewGrace: 0 };
		const cookie = await visitor({ user: 'guest' });
		await (await opened(cookie)).session.renew();
		const late = await opened(cookie);
		store.before = () => {
			throw new Error('down');
		};
		await expect(late.session.destroy()).rejects.toBeInstanceOf(StoreError);
		expect(late.cookies.at(-1)?.method).toBe('delete');
	});

	test('of a regenerated session that is never saved leaves nothing for long', async () => {
		vi.useFakeTimers();
		const cookie = await visitor({ user: 'guest' });
		await (await opened(cookie)).session.regenerate();
		vi.advanceTimersByTime(600_000);
		expect(store.size).toBe(0);
	});

	test('after renewAfter: data and user go along, and for a while the old ID leads to it', async () => {
		vi.useFakeTimers();
		options = { ...options, renewAfter: 3_600, renewGrace: 20 };
		const first = await opened();
		await first.session.login('ada', { data: { n: 1 } });
		const cookie = first.cookie();
		vi.advanceTimersByTime(3_599_000);
		expect((await opened(cookie)).cookies).toEqual([]);
		vi.advanceTimersByTime(1_000);
		const renewal = await opened(cookie);
		expect(renewal.session.data).toEqual({ n: 1 });
		expect(renewal.session.userId).toBe('ada');
		expect(renewal.cookies).toHaveLength(1);
		expect(events).toContain('rotated');
		const next = renewal.cookie();
		expect(next).not.toBe(cookie);
		// The response was lost: the same successor again, not another one.
		vi.advanceTimersByTime(19_000);
		const again = await opened(cookie);
		expect(again.cookie()).toBe(next);
		again.session.data.n = 2;
		await again.session.save();
		expect(await dataOf(next)).toEqual({ n: 2 });
		// After the grace it is nobody's.
		vi.advanceTimersByTime(1_000);
		events.length = 0;
		expect(await dataOf(cookie)).toBeUndefined();
		expect(events).toEqual(['reuse']);
		expect(await dataOf(next)).toEqual({ n: 2 });
	});

	test('of many renewals at once there is one, and what they write is kept', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const cookie = await visitor({ n: 0 }, { ...options, renewAfter: 60 });
		vi.setSystemTime(Date.now() + 60_000);
		const all = await Promise.all(
			Array.from({ length: 6 }, async () =>
				// Six processes.
				opened(cookie, { ...options, renewAfter: 60 })
			)
		);
		const cookies = new Set(all.map((one) => one.cookie()));
		expect(cookies.size).toBe(1);
		await Promise.all(
			all.map(async ({ session }) =>
				session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }))
			)
		);
		expect(await dataOf([...cookies][0] ?? '')).toEqual({ n: 6 });
		expect(store.size).toBe(2);
	});

	test('with the records of express-session: logged in, logged out, and never renewed', async () => {
		options = { ...options, format: 'express-session', cookie: { maxAge: 60 } };
		const cookie = await visitor({ n: 1, '': 5 } as Data);
		const slow = await opened(cookie);
		const fast = await opened(cookie);
		slow.session.data.theme = 'dark';
		await slow.session.save();
		expect(await dataOf(cookie)).toEqual({ n: 1, '': 5, theme: 'dark' });
		await expect(fast.session.renew()).rejects.toMatchObject({ code: 'express_renewal' });
		expect(() => sveltekitSessionHandle({ ...options, renewAfter: 60 })).toThrow('renewAfter');
		const login = await opened(cookie);
		await login.session.login('ada', { keep: ['n'] as never[] });
		expect(await dataOf(login.cookie())).toEqual({ n: 1 });
		// Express would take a tombstone for a session.
		expect(
			await store.atomic.read(
				decodeURIComponent(cookie.split('=')[1] ?? '')
					.slice(2)
					.split('.')[0] ?? ''
			)
		).toBeNull();
		expect(await dataOf(cookie)).toBeUndefined();
		slow.session.data.n = 7;
		await slow.session.save();
		expect(
			await store.atomic.read(
				decodeURIComponent(cookie.split('=')[1] ?? '')
					.slice(2)
					.split('.')[0] ?? ''
			)
		).toBeNull();
		await login.session.destroy();
		expect(await dataOf(login.cookie())).toBeUndefined();
	});

	test('renewed while a request is under way: its change goes where the session went', async () => {
		const cookie = await visitor({ n: 0 });
		const slow = await opened(cookie);
		const fast = await opened(cookie);
		await fast.session.renew();
		slow.session.data.n = 7;
		await slow.session.save();
		expect(await dataOf(fast.cookie())).toEqual({ n: 7 });
		expect(slow.cookie()).toBe(fast.cookie());
	});

	test('whose renewal fails could be read all the same, and is renewed by the next request', async () => {
		const cookie = await visitor({ n: 1 });
		vi.useFakeTimers({ toFake: ['Date'] });
		vi.setSystemTime(Date.now() + 100_000);
		const aging = { ...options, renewAfter: 60 };
		const create = store.atomic.create.bind(store.atomic);
		store.atomic.create = async () => Promise.reject(new Error('down'));
		const failing = await opened(cookie, aging);
		expect(failing.session.data).toEqual({ n: 1 });
		expect(failing.cookies).toEqual([]);
		expect(events).toContain('store_failed');
		store.atomic.create = create;
		expect((await opened(cookie, aging)).cookies).toHaveLength(1);
	});

	test('renewed twice while a request is under way that renews it, too, or logs in', async () => {
		const twice = async (cookie: string): Promise<string> => {
			const one = await opened(cookie);
			await one.session.renew();
			const other = await opened(one.cookie());
			await other.session.renew();
			return other.cookie();
		};
		const first = await visitor({ n: 0 });
		const renewing = await opened(first);
		const last = await twice(first);
		await renewing.session.renew();
		expect(renewing.cookie()).toBe(last);
		expect(await renewing.session.update((data) => ({ ...data, m: 1 }))).toBe(true);
		expect(await dataOf(last)).toEqual({ n: 0, m: 1 });

		const second = await visitor({ n: 0 });
		const login = await opened(second);
		const between = await twice(second);
		await login.session.login('ada');
		expect(await dataOf(between)).toBeUndefined();
		expect((await opened(login.cookie())).session.userId).toBe('ada');
	});
});

describe('login', () => {
	test('rotates, keeps nothing unless asked, and binds the session to its user', async () => {
		const cookie = await visitor({ cart: ['coat'], theme: 'dark', n: 9 });
		const { session, cookie: next, locals } = await opened(cookie);
		const id = session.id;
		const after = await session.login('ada', {
			data: { user: 'ada' },
			keep: ['cart'] as never[],
			label: 'Firefox, "old"'
		});
		expect(after.id).not.toBe(id);
		expect(locals.session).toBe(after);
		expect(after).toMatchObject({ userId: 'ada', isNew: false });
		expect(await dataOf(next())).toEqual({ user: 'ada', cart: ['coat'] });
		expect((await opened(next())).session.userId).toBe('ada');
		expect(await dataOf(cookie)).toBeUndefined();
		const [one, ...others] = await sessions(options).of('ada').list(after);
		expect(others).toEqual([]);
		expect(one).toMatchObject({ label: 'Firefox, "old"', current: true });
		expect(JSON.stringify(one)).not.toContain(after.id);
	});

	test('lists and ends sessions: one, the others, all', async () => {
		const login = async (label: string): Promise<Opened> => {
			const made = await opened();
			await made.session.login('ada', { label, data: { user: 'ada' } });
			return made;
		};
		const [phone, laptop, desk] = [
			await login('phone'),
			await login('laptop'),
			await login('desk')
		];
		const stranger = await opened();
		await stranger.session.login('eve', { data: { user: 'eve' } });
		const of = sessions(options).of('ada');
		expect((await of.list()).map(({ label }) => label)).toEqual(['desk', 'laptop', 'phone']);
		const handle = (await of.list()).find(({ label }) => label === 'laptop')?.handle ?? '';
		// Of another user's session there is nothing to end.
		await sessions(options).of('eve').revoke(handle);
		expect(await dataOf(laptop.cookie())).toEqual({ user: 'ada' });
		await of.revoke(handle);
		events.length = 0;
		expect(await dataOf(laptop.cookie())).toBeUndefined();
		expect(events).toEqual(['revoked']);
		await of.revokeOthers((await opened(phone.cookie())).session);
		expect(await dataOf(desk.cookie())).toBeUndefined();
		expect(await dataOf(phone.cookie())).toEqual({ user: 'ada' });
		store.calls.length = 0;
		await of.revokeAll();
		expect(store.calls).toEqual(['read', 'replace']);
		expect(await dataOf(phone.cookie())).toBeUndefined();
		expect(await dataOf(stranger.cookie())).toEqual({ user: 'eve' });
		expect(await of.list()).toEqual([]);
	});

	test('that was under way when all were ended does not survive it', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const slow = await opened();
		vi.setSystemTime(Date.now() + 10);
		await sessions(options).of('ada').revokeAll();
		vi.setSystemTime(Date.now() + 10);
		const size = store.size;
		await expect(slow.session.login('ada')).rejects.toBeInstanceOf(LoginOutdatedError);
		expect(slow.cookies).toEqual([]);
		expect(store.size).toBe(size);
		// Who proves again who it is, comes in.
		await slow.session.login('ada', { provenAt: new Date() });
		expect((await opened(slow.cookie())).session.userId).toBe('ada');
		// Also in one request that ends all and logs in again, in one millisecond.
		const reset = await opened();
		await sessions(options).of('ada').revokeAll();
		await reset.session.login('ada', { provenAt: new Date() });
		expect((await opened(reset.cookie())).session.userId).toBe('ada');
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
	});

	test('of a sweep and logins at once, none that is older than the sweep survives', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const early = await Promise.all(Array.from({ length: 20 }, async () => opened()));
		vi.setSystemTime(Date.now() + 5);
		const of = sessions({ ...options }).of('ada');
		const results = await Promise.allSettled([
			...early.slice(0, 10).map(async ({ session }) => session.login('ada')),
			of.revokeAll(),
			...early.slice(10).map(async ({ session }) => session.login('ada'))
		]);
		expect(results[10]?.status).toBe('fulfilled');
		for (const { cookie } of early) {
			const header = cookie();
			expect(header === '' ? undefined : await dataOf(header)).toBeUndefined();
		}
		expect(await of.list()).toEqual([]);
	});

	test('as somebody else leaves nothing in the list of the one before', async () => {
		const first = await opened();
		await first.session.login('ada');
		const second = await opened(first.cookie());
		await second.session.login('eve', { keep: ['constructor', 'nothing'] as never[] });
		expect(second.locals.session.data).toEqual({});
		expect(await sessions(options).of('ada').list()).toEqual([]);
		expect(await sessions(options).of('eve').list()).toHaveLength(1);
	});

	test('beyond sessionsPerUser ends the one that was not used for the longest time', async () => {
		options = { ...options, sessionsPerUser: 2 };
		const made: Opened[] = [];
		for (const label of ['a', 'b', 'c']) {
			const one = await opened();
			await one.session.login('ada', { label });
			made.push(one);
		}
		const alive = await Promise.all(made.map(async ({ cookie }) => dataOf(cookie())));
		expect(alive.map((data) => data !== undefined)).toEqual([false, true, true]);
	});

	test('and logout leave the list as it was', async () => {
		const { session, cookie } = await opened();
		await session.login('ada');
		await (await opened(cookie())).session.destroy();
		expect(await sessions(options).of('ada').list()).toEqual([]);
		const again = await opened();
		await again.session.login('ada');
		await (await opened(again.cookie())).session.regenerate();
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test('tells when a session was used last, and a session that is used stays in the list', async () => {
		vi.useFakeTimers();
		options = { ...options, idleTimeout: 1_000 };
		const { session, cookie } = await opened();
		await session.login('ada');
		const began = Date.now();
		for (let i = 0; i < 50; i++) {
			vi.advanceTimersByTime(200_000);
			const used = await opened(cookie());
			expect(used.session.userId, String(i)).toBe('ada');
		}
		const [one] = await sessions(options).of('ada').list();
		expect(one?.created.getTime()).toBe(began);
		expect(Date.now() - (one?.lastSeen.getTime() ?? 0)).toBeLessThanOrEqual(300_000);
		vi.advanceTimersByTime(2_400_000);
		expect(await sessions(options).of('ada').list()).toEqual([]);
		expect(store.size).toBe(0);
	});

	test('is good although a replica has not heard of it yet', async () => {
		const { session, cookie } = await opened();
		await session.login('ada', { data: { user: 'ada' } });
		const read = store.atomic.read.bind(store.atomic);
		let stale = 1;
		store.atomic.read = async (id) => (id.startsWith('user:') && stale-- > 0 ? null : read(id));
		expect(await dataOf(cookie())).toEqual({ user: 'ada' });
		expect(events).not.toContain('revoked');
		expect(await dataOf(cookie())).toEqual({ user: 'ada' });
	});

	test('that cannot be stored leaves no trace in the list', async () => {
		const { session } = await opened();
		let creates = 0;
		store.before = (operation) => {
			if (operation === 'create' && ++creates > 1) throw new Error('down');
		};
		await expect(session.login('ada')).rejects.toBeInstanceOf(StoreError);
		store.before = undefined;
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test('needs a user and an atomic store', async () => {
		const { session } = await opened();
		await expect(session.login('')).rejects.toBeInstanceOf(ConfigError);
		await expect(session.login(7 as never)).rejects.toBeInstanceOf(ConfigError);
		const plain = { secret: SECRET, store: new CountingStore() };
		const weak = await opened(undefined, plain);
		await expect(weak.session.login('ada')).rejects.toMatchObject({ code: 'store_capability' });
		await expect(weak.session.renew()).rejects.toMatchObject({ code: 'store_capability' });
		expect(() => sessions(plain)).toThrow(ConfigError);
	});
});

describe('timeouts', () => {
	test('end a session that nobody used, whatever the store says', async () => {
		vi.useFakeTimers();
		store.ttl = Infinity;
		options = { ...options, idleTimeout: 60 };
		const cookie = await visitor({ n: 1 });
		for (let i = 0; i < 10; i++) {
			vi.advanceTimersByTime(59_999);
			expect(await dataOf(cookie), String(i)).toEqual({ n: 1 });
		}
		// At most a tenth later.
		vi.advanceTimersByTime(66_000);
		events.length = 0;
		expect(await dataOf(cookie)).toBeUndefined();
		expect(events).toEqual(['expired']);
		expect(store.size).toBe(0);
	});

	test('a used session is written at most once in a tenth of its time', async () => {
		vi.useFakeTimers();
		options = { ...options, idleTimeout: 100 };
		const cookie = await visitor({ n: 1 });
		for (let i = 0; i < 100; i++) {
			vi.advanceTimersByTime(1_000);
			await opened(cookie);
		}
		const writes = store.calls.filter((call) => call === 'replace').length;
		expect(writes).toBeGreaterThan(5);
		expect(writes).toBeLessThanOrEqual(10);
	});

	test('a save beside the refresh does not conflict with it', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		options = { ...options, idleTimeout: 100 };
		const cookie = await visitor({ n: 1 });
		vi.setSystemTime(Date.now() + 50_000);
		const { event } = testEvent(cookie);
		await sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				(event.locals.session.data as Data).n = 2;
				await event.locals.session.save();
				return new Response();
			}
		});
		expect(events).toEqual([]);
		expect(await dataOf(cookie)).toEqual({ n: 2 });
	});

	test('a refresh, or a renewal, that met the write of another request takes nothing of it back', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		for (const aging of [{ idleTimeout: 100 }, { renewAfter: 50 }]) {
			const aged = { ...options, ...aging };
			const cookie = await visitor({ n: 1, user: 'ada' }, aged);
			vi.setSystemTime(Date.now() + 50_000);
			// Another one writes after this one has read, and before it refreshes.
			let reads = 0;
			const other = await opened(cookie, { ...options });
			store.after = async (operation) => {
				if (operation !== 'read' || reads++ > 0) return;
				other.session.data.n = 2;
				await other.session.save();
			};
			const { session, cookie: next } = await opened(cookie, aged);
			store.after = undefined;
			session.data.theme = 'dark';
			await session.save();
			expect(await dataOf(next()), JSON.stringify(aging)).toEqual({
				n: 2,
				user: 'ada',
				theme: 'dark'
			});
		}
	});

	test('nothing extends the absolute one: not saving, rolling, renewing or longer options', async () => {
		vi.useFakeTimers();
		store.ttl = Infinity;
		options = {
			...options,
			rolling: true,
			touchAfter: 0,
			cookie: { maxAge: 1_000 },
			absoluteTimeout: 100,
			renewAfter: 20
		};
		let cookie = await visitor({ n: 0 });
		for (let i = 0; i < 9; i++) {
			vi.advanceTimersByTime(11_000);
			const request = await opened(cookie, { ...options, absoluteTimeout: 100 + i * 1_000 });
			expect(request.session.isNew).toBe(false);
			request.session.data.n = i;
			await request.session.save();
			cookie = request.cookie();
		}
		vi.advanceTimersByTime(999);
		expect(await dataOf(cookie)).toEqual({ n: 8 });
		vi.advanceTimersByTime(1);
		expect(await dataOf(cookie)).toBeUndefined();
		const { absoluteTimeout, ...without } = options;
		expect(absoluteTimeout).toBe(100);
		const other = await visitor({ n: 1 });
		vi.advanceTimersByTime(100_000);
		expect(await dataOf(other, without)).toBeUndefined();
	});

	test('hold on a store that is not atomic, too, where they can', async () => {
		vi.useFakeTimers();
		const plain = new CountingStore();
		const weak = { secret: SECRET, store: plain, absoluteTimeout: 60 };
		const cookie = await visitor({ n: 1 }, weak);
		// Ten minutes longer, to say that it has expired.
		expect(plain.lastTtl).toBe(660_000);
		vi.advanceTimersByTime(59_999);
		expect(await dataOf(cookie, weak)).toEqual({ n: 1 });
		vi.advanceTimersByTime(1);
		expect(await dataOf(cookie, weak)).toBeUndefined();
		expect(plain.records.size).toBe(0);
		for (const bad of [
			{ idleTimeout: 60 },
			{ renewAfter: 60 },
			{ require: ['atomic' as const] }
		]) {
			expect(() => sveltekitSessionHandle({ ...weak, ...bad })).toThrow(
				expect.objectContaining({ code: 'store_capability' }) as Error
			);
		}
		expect(() => sveltekitSessionHandle({ ...options, require: ['atomic'] })).not.toThrow();
	});

	test('that are none are refused', () => {
		for (const name of ['idleTimeout', 'absoluteTimeout', 'renewAfter', 'renewGrace']) {
			for (const bad of [-1, NaN, Infinity, 1e12]) {
				expect(() => sveltekitSessionHandle({ ...options, [name]: bad })).toThrow(
					expect.objectContaining({ code: 'timeout_option' }) as Error
				);
			}
		}
	});
});

describe('what a store gets to know', () => {
	let database: DatabaseSync;

	/** Everything in the store. */
	const dump = (): string =>
		JSON.stringify(database.prepare('SELECT key, record FROM sessions').all());

	/** All that can happen to a session; returns the raw IDs that it had. */
	const live = async (withOptions: SveltekitSessionConfig): Promise<string[]> => {
		const first = await opened(undefined, withOptions);
		await first.session.setData({ user: 'canary' });
		await first.session.save();
		const ids = [first.session.id];
		const second = await opened(first.cookie(), withOptions);
		await second.session.renew();
		ids.push(second.session.id);
		const third = await opened(second.cookie(), withOptions);
		await third.session.login('canary-user', { data: { user: 'canary' } });
		ids.push(third.locals.session.id);
		const fourth = await opened(third.cookie(), withOptions);
		fourth.session.data.n = 1;
		await fourth.session.save();
		expect(new Set(ids).size).toBe(3);
		expect((await opened(third.cookie(), withOptions)).session.data).toEqual({
			user: 'canary',
			n: 1
		});
		return ids;
	};

	beforeEach(() => {
		database = new DatabaseSync(':memory:');
		options = { ...options, store: new SqliteStore({ database }) };
	});

	test('with hashIds: no ID, not even of a session that was renewed', async () => {
		const ids = await live({ ...options, hashIds: true });
		const text = dump();
		for (const id of ids) {
			for (const form of [id, btoa(id), Buffer.from(id, 'base64url').toString('hex')])
				expect(text).not.toContain(form.replace(/=+$/, ''));
		}
		expect(text).toContain('canary');
	});

	test('without hashIds: the ID as a key, and nowhere else', async () => {
		await live(options);
		const records = database.prepare('SELECT key, record FROM sessions').all() as {
			key: string;
			record: string;
		}[];
		const ids = records.map(({ key }) => key.replace(/^sess:/, ''));
		for (const id of ids) for (const { record } of records) expect(record).not.toContain(id);
	});

	test('with encrypt: nothing of the data, and nothing that opens elsewhere', async () => {
		const sealed = { ...options, encrypt: true, hashIds: true };
		await live(sealed);
		expect(dump()).not.toContain('canary');
		const one = await visitor({ user: 'ada' }, sealed);
		const other = await visitor({ user: 'eve' }, sealed);
		// Another secret, another namespace, another session: no session, and an event.
		const sealedAt = (id: string): string => {
			const key = createHash('sha256').update(`vestiary.id.v1${id}`).digest('base64url');
			return `sess:${key}`;
		};
		const idOf = (cookie: string): string =>
			decodeURIComponent(cookie).slice('connect.sid='.length).split('.')[0] ?? '';
		const { changes } = database
			.prepare(
				'UPDATE sessions SET record = (SELECT record FROM sessions WHERE key = ?) WHERE key = ?'
			)
			.run(sealedAt(idOf(one)), sealedAt(idOf(other)));
		expect(changes).toBe(1);
		const found = await Promise.all([dataOf(one, sealed), dataOf(other, sealed)]);
		expect(found.filter(Boolean)).toHaveLength(1);
		expect(events).toContain('unreadable');
	});

	test('with encrypt: secrets rotate, and records are encrypted anew when they are written', async () => {
		const [before, after] = [SECRET, 'another secret of thirty-two bytes'];
		const old = { ...options, secret: before, encrypt: true };
		const both = { ...options, secret: [after, before], encrypt: true };
		const cookie = await visitor({ n: 1 }, old);
		const { session, cookie: next } = await opened(cookie, both);
		expect(session.data).toEqual({ n: 1 });
		session.data.n = 2;
		await session.save();
		expect(await dataOf(next(), { ...options, secret: after, encrypt: true })).toEqual({
			n: 2
		});
	});

	test('encrypt takes plain records for none, but while it migrates', async () => {
		const cookie = await visitor({ n: 1 });
		expect(await dataOf(cookie, { ...options, encrypt: true })).toBeUndefined();
		const migrating = { ...options, encrypt: 'migrate' as const };
		const { session } = await opened(cookie, migrating);
		expect(session.data).toEqual({ n: 1 });
		session.data.n = 2;
		await session.save();
		expect(await dataOf(cookie, { ...options, encrypt: true })).toEqual({ n: 2 });
		// And encrypted ones are none to whoever does not encrypt.
		expect(await dataOf(cookie)).toBeUndefined();
	});

	test('encrypt, hashIds and namespaces work with stores that only get, set, destroy and touch', async () => {
		const plain = new CountingStore();
		const weak = { secret: SECRET, store: plain, encrypt: true, hashIds: true, namespace: 'a' };
		const cookie = await visitor({ user: 'canary' }, weak);
		const { session } = await opened(cookie, weak);
		session.data.n = 1;
		await session.save();
		expect(await dataOf(cookie, weak)).toEqual({ user: 'canary', n: 1 });
		const text = JSON.stringify([...plain.records]);
		expect(text).not.toContain('canary');
		expect(text).not.toContain(session.id);
		await session.destroy();
		expect(plain.records.size).toBe(0);
	});

	test('encrypt wants secrets of 32 bytes, and not the format of Express', () => {
		expect(() => sveltekitSessionHandle({ secret: 'x'.repeat(31), encrypt: true })).toThrow(
			expect.objectContaining({ code: 'secret_short' }) as Error
		);
		expect(() =>
			sveltekitSessionHandle({ ...options, encrypt: true, format: 'express-session' })
		).toThrow(ConfigError);
	});

	test('namespaces do not see each other: neither cookie nor record', async () => {
		const [a, b] = ['a', 'b'].map((namespace) => ({ ...options, namespace })) as [
			SveltekitSessionConfig,
			SveltekitSessionConfig
		];
		const cookie = await visitor({ user: 'admin' }, a);
		expect(await dataOf(cookie, a)).toEqual({ user: 'admin' });
		expect(await dataOf(cookie, b)).toBeUndefined();
		expect(await dataOf(cookie)).toBeUndefined();
		expect(events).toEqual(['rejected', 'rejected']);
		expect(await dataOf(await visitor({ n: 1 }), a)).toBeUndefined();
		// Nor the lists of users of the same name.
		const login = await opened(undefined, a);
		await login.session.login('ada');
		expect(await sessions(b).of('ada').list()).toEqual([]);
		await sessions(b).of('ada').revokeAll();
		expect((await opened(login.cookie(), a)).session.userId).toBe('ada');
	});
});

test('a flood of anonymous visitors keeps no user from logging in, or being logged in', async () => {
	store = new WatchedStore({ maxEntries: 20 });
	options = { ...options, store };
	const { session, cookie } = await opened();
	await session.login('ada', { data: { user: 'ada' } });
	let refused = 0;
	let admitted: Opened | undefined;
	for (let i = 0; i < 100; i++) {
		const visitor = await opened();
		await visitor.session.save().then(
			() => (admitted = visitor),
			() => refused++
		);
	}
	expect(refused).toBeGreaterThan(0);
	expect(await dataOf(cookie())).toEqual({ user: 'ada' });
	// Also one who has a session already, which must not make room for itself.
	const late = await opened(admitted?.cookie());
	await late.session.login('grace', { data: { user: 'grace' } });
	expect(await dataOf(late.cookie())).toEqual({ user: 'grace' });
	expect(await dataOf(cookie())).toEqual({ user: 'ada' });
});

test('events tell the life of a session', async () => {
	const { session, cookie } = await opened();
	await session.save();
	await (await opened(cookie())).session.renew();
	const login = await opened();
	await login.session.login('ada');
	await login.locals.session.destroy();
	expect(events).toEqual(['created', 'rotated', 'created', 'destroyed']);
});
