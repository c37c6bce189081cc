import { inspect } from 'node:util';

import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	DataError,
	MemoryStore,
	ResponseSentError,
	Session,
	StoreError,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { countedVisits, SECRET, type Data } from './counted-visits.js';
import { CountingStore, testEvent } from './event.js';

let store: CountingStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	store = new CountingStore();
	options = { secret: SECRET, store };
});

const { saved, opened } = countedVisits(() => ({ store, options }));

describe('opening', () => {
	test('no cookie: no crypto, no randomness, no store call', async () => {
		const random = vi.spyOn(crypto, 'getRandomValues');
		const { session, cookies } = await opened('theme=dark; other.sid=abc');
		expect(session.data).toEqual({});
		expect(store.calls).toEqual([]);
		expect(cookies).toEqual([]);
		expect(random).not.toHaveBeenCalled();
		random.mockRestore();
	});

	test.each([
		['empty', ''],
		['malformed', 'not.a.session'],
		['forged', `${'A'.repeat(32)}.${'B'.repeat(43)}`],
		['unsigned', 'A'.repeat(32)],
		['not even percent-encoding', '%E0%A4%A'],
		['beyond ASCII', 'a\u00ffb'],
		['prototype', '__proto__'],
		['ten thousand characters', 'x'.repeat(10_000)]
	])('a cookie that is %s: no store call, a new session', async (_, value) => {
		const { session, cookies } = await opened(`connect.sid=${value}`);
		expect(session.data).toEqual({});
		expect(store.calls).toEqual([]);
		expect(cookies).toEqual([]);
	});

	test('an unknown but well-signed ID is never adopted', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		store.records.clear();
		const { session } = await opened(cookie);
		expect(store.calls).toEqual(['get']);
		expect(session.id).not.toBe(id);
		await session.setData({ user: 'eve' });
		await session.save();
		expect(store.records.has(id)).toBe(false);
	});

	test('a valid cookie: one read, the data', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		const { session, cookies } = await opened(`theme=dark; ${cookie}`);
		expect(session.id).toBe(id);
		expect(session.data).toEqual({ user: 'ada' });
		expect(store.calls).toEqual(['get']);
		expect(cookies).toEqual([]);
	});

	test('a tossed cookie of the same name does not hide the valid one', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		for (const header of [`connect.sid=evil; ${cookie}`, `${cookie}; connect.sid=evil`]) {
			expect((await opened(header)).session.id).toBe(id);
		}
		const dead = await saved({ user: 'old' });
		store.records.delete(dead.id);
		expect((await opened(`${dead.cookie}; ${cookie}`)).session.id).toBe(id);
	});

	test('a megabyte of garbage is answered', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		for (const piece of ['a', ';', '=', 'connect.sid=x; ', '\u00ff', '%', ' ']) {
			const garbage = piece.repeat(2 ** 20 / piece.length);
			const { session } = await opened(garbage);
			expect(session.data).toEqual({});
			if (piece !== 'connect.sid=x; ') {
				expect((await opened(`${garbage}; ${cookie}`)).session.id).toBe(id);
			}
		}
	});

	test.each([
		['no data', { cookie: { path: '/' } }],
		['data that is a list', { cookie: { path: '/' }, data: [] }],
		['a forbidden key', JSON.parse('{"cookie":{},"data":{"__proto__":{"admin":true}}}')],
		['a text', 'garbage'],
		['a number', 1]
	])('a record with %s is no session, not an error', async (_, record) => {
		const { id, cookie } = await saved({ user: 'ada' });
		store.records.set(id, record as never);
		const { session } = await opened(cookie);
		expect(session.data).toEqual({});
		expect(session.id).not.toBe(id);
	});

	test('a store that fails to parse its record: no session, one event', async () => {
		const { cookie } = await saved({ user: 'ada' });
		const events: unknown[] = [];
		options.onEvent = (event) => events.push(event);
		store.failure = new SyntaxError('Unexpected end of JSON input');
		const { session } = await opened(cookie);
		expect(session.isNew).toBe(true);
		expect(events).toEqual([{ type: 'unreadable', code: 'json' }]);
		// A write that fails in this way is a failure of the store.
		await expect(session.save()).rejects.toThrow(StoreError);
	});

	test('the object that the store returned is not modified', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		const { session } = await opened(cookie);
		(session.data as Data).user = 'eve';
		expect(store.records.get(id)?.data).toEqual({ user: 'ada' });
	});

	test('a rotated secret still verifies, and the new one signs', async () => {
		const { cookie } = await saved({ user: 'ada' });
		options = { secret: ['another secret of sufficient length', SECRET], store };
		const { session, cookies } = await opened(cookie);
		expect(session.data).toEqual({ user: 'ada' });
		await session.save();
		expect(decodeURIComponent(cookie)).not.toContain(cookies.at(-1)?.value);
	});
});

describe('save', () => {
	test('writes the store and sets the cookie', async () => {
		const { session, cookies } = await opened();
		await session.setData({ user: 'ada' });
		expect(store.calls).toEqual([]);
		await session.save();
		expect(store.calls).toEqual(['set']);
		expect(cookies).toHaveLength(1);
		expect(cookies[0]).toMatchObject({
			method: 'set',
			name: 'connect.sid',
			options: { path: '/' }
		});
		expect(cookies[0]?.value).toMatch(/^[\w-]{32}\.[A-Za-z0-9+/]{43}$/);
		expect(store.lastTtl).toBe(Infinity);
	});

	test('the record is the one the design promises', async () => {
		const { id } = await saved({ user: 'ada' });
		const text = JSON.stringify(store.records.get(id));
		expect(text).toMatch(
			/^{"v":"[\w-]{16}","cookie":{"path":"\/"},"data":{"user":"ada"},"meta":{"created":\d{13}}}$/
		);
	});

	test('later changes to the data do not reach the store', async () => {
		const { session } = await opened();
		const data: Data = { user: 'ada' };
		await session.setData(data);
		await session.save();
		data.user = 'eve';
		expect(store.records.get(session.id)?.data).toEqual({ user: 'ada' });
	});

	test('every save has its own write ID', async () => {
		const { session } = await opened();
		await session.save();
		const first = store.records.get(session.id)?.v;
		await session.save();
		expect(store.records.get(session.id)?.v).not.toBe(first);
	});

	test('maxAge: 0 ends the session instead of keeping it for ever', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		options = { ...options, cookie: { maxAge: 0 } };
		const { session, cookies } = await opened(cookie);
		await session.save();
		expect(store.records.has(id)).toBe(false);
		expect(cookies.at(-1)).toMatchObject({ method: 'delete' });
	});

	test.each([
		[{ maxAge: 60 }, 60_000],
		[{ maxAge: 60, expires: new Date(0) }, 60_000],
		[{ maxAge: 1.9 }, 1_000]
	])('%j gives a TTL of %d ms', async (cookie, ttl) => {
		options = { ...options, cookie };
		const { session, cookies } = await opened();
		await session.save();
		expect(store.lastTtl).toBe(ttl);
		expect(cookies[0]?.options.maxAge).toBe(Math.floor(cookie.maxAge));
	});

	test.each([
		['a list', [], 'data_not_object'],
		['null', null, 'data_not_object'],
		['undefined', undefined, 'data_not_object'],
		['zero', 0, 'data_not_object'],
		['a function', () => 1, 'data_not_object'],
		['a BigInt', { n: 1n }, 'json'],
		['a key that becomes a prototype', JSON.parse('{"__proto__":1}'), 'forbidden_key'],
		['too much', { text: 'x'.repeat(70_000) }, 'too_large'],
		['too deep', JSON.parse(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`), 'too_deep']
	])('%s is a DataError, and nothing is lost', async (_, data, code) => {
		const { id, cookie } = await saved({ user: 'ada' });
		const { session } = await opened(cookie);
		await session.setData(data as never);
		const error = await session.save().catch((error: unknown) => error);
		expect(error).toBeInstanceOf(DataError);
		expect(error).toMatchObject({ code });
		expect(store.calls).toEqual(['get']);
		expect(store.records.get(id)?.data).toEqual({ user: 'ada' });
	});

	test('after the response, without a handle: a typed error, and no orphan in the store', async () => {
		const { session, close } = await opened();
		close();
		await expect(session.save()).rejects.toBeInstanceOf(ResponseSentError);
		expect(store.records.size).toBe(0);
	});
});

describe('regenerate', () => {
	test('returns the new session, and makes it locals.session', async () => {
		const { cookie, id } = await saved({ user: 'guest' });
		const { event, session, cookies } = await opened(cookie);
		event.locals.session = session;
		const fresh = await session.regenerate();
		expect(event.locals.session).toBe(fresh);
		expect(fresh).not.toBe(session);
		expect(fresh.id).not.toBe(id);
		expect(fresh.data).toEqual({});
		expect(store.records.has(id)).toBe(false);
		await fresh.setData({ user: 'ada' });
		await fresh.save();
		expect([...store.records.keys()]).toEqual([fresh.id]);
		expect(cookies.at(-1)?.value?.startsWith(fresh.id)).toBe(true);
	});

	test('a reference to the old session acts for the new one, and never revives the old ID', async () => {
		const { cookie, id } = await saved({ user: 'guest' });
		const { session } = await opened(cookie);
		const fresh = await session.regenerate();
		await session.setData({ user: 'ada' });
		await session.save();
		expect(session.id).toBe(fresh.id);
		expect(fresh.data).toEqual({ user: 'ada' });
		expect(store.records.has(id)).toBe(false);
		const again = await session.regenerate();
		expect(session.id).toBe(again.id);
		expect(store.records.size).toBe(0);
	});
});

describe('destroy', () => {
	test('removes the record and clears the cookie with the attributes it was set with', async () => {
		const cookieOptions = {
			path: '/app',
			domain: 'app.example',
			sameSite: 'strict',
			maxAge: 60
		} as const;
		options = { ...options, cookie: cookieOptions };
		const { cookie, id } = await saved({ user: 'ada' });
		const { session, cookies } = await opened(cookie);
		await session.destroy();
		expect(store.records.has(id)).toBe(false);
		expect(cookies).toEqual([
			{ method: 'delete', name: 'connect.sid', options: cookieOptions }
		]);
	});

	test('the session is another, empty one afterwards', async () => {
		const { cookie, id } = await saved({ user: 'ada' });
		const { session } = await opened(cookie);
		await session.destroy();
		expect(session.data).toEqual({});
		await session.save();
		expect(session.id).not.toBe(id);
		expect(store.records.has(id)).toBe(false);
	});

	test('a visitor without a session gets no cookie from it', async () => {
		const { session, cookies } = await opened();
		await session.destroy();
		expect(cookies).toEqual([]);
		expect(store.calls).toEqual([]);
	});

	test('a failure of the store is reported, and the cookie is cleared all the same', async () => {
		const { cookie } = await saved({ user: 'ada' });
		const { session, cookies } = await opened(cookie);
		store.failure = new Error('down');
		await expect(session.destroy()).rejects.toBeInstanceOf(StoreError);
		expect(cookies.at(-1)).toMatchObject({ method: 'delete' });
	});
});

describe('isNew, update and touch', () => {
	test('isNew until it is stored, and again after the end', async () => {
		const { session } = await opened();
		expect(session.isNew).toBe(true);
		await session.save();
		expect(session.isNew).toBe(false);
		await session.destroy();
		expect(session.isNew).toBe(true);
		const { cookie } = await saved({ n: 1 });
		expect((await opened(cookie)).session.isNew).toBe(false);
	});

	test('no update is lost, however many requests update at once', async () => {
		const { id, cookie } = await saved({ n: 0 });
		const requests = await Promise.all(Array.from({ length: 20 }, () => opened(cookie)));
		const done = await Promise.all(
			requests.map(({ session }) =>
				session.update(async (data: Data) => {
					const n = data.n ?? 0;
					await Promise.resolve();
					return { n: n + 1 };
				})
			)
		);
		expect(done.every(Boolean)).toBe(true);
		expect(store.records.get(id)?.data).toEqual({ n: 20 });
	});

	test('an update may change in place, and works for a new session', async () => {
		const { session, cookies } = await opened();
		await session.update((data: Data) => {
			data.n = 1;
			return undefined;
		});
		expect(store.records.get(session.id)?.data).toEqual({ n: 1 });
		expect(cookies).toHaveLength(1);
	});

	test('an update of a session that was ended meanwhile brings nothing back', async () => {
		const { id, cookie } = await saved({ user: 'ada' });
		const slow = await opened(cookie);
		const logout = await opened(cookie);
		await logout.session.destroy();
		expect(await slow.session.update((data: Data) => ({ ...data, n: 1 }))).toBe(false);
		expect(store.records.has(id)).toBe(false);
		expect(slow.session.data).toEqual({});
		expect(slow.cookies).toEqual([]);
	});

	test('touch restarts the lifetimes of record and cookie, and writes no data', async () => {
		options = { ...options, cookie: { maxAge: 60 } };
		const { cookie } = await saved({ user: 'ada' });
		const { session, cookies } = await opened(cookie);
		await session.touch();
		expect(store.calls).toEqual(['get', 'touch']);
		expect(store.lastTtl).toBe(60_000);
		expect(cookies).toHaveLength(1);
		const visitor = await opened();
		await visitor.session.touch();
		expect(visitor.cookies).toEqual([]);
	});
});

describe('genid, skip and onEvent', () => {
	test('genid makes the IDs, and a bad one is refused', async () => {
		options = { ...options, genid: () => 'an-id-of-my-own-making' };
		const { id, cookie } = await saved({ user: 'ada' });
		expect(id).toBe('an-id-of-my-own-making');
		expect((await opened(cookie)).session.data).toEqual({ user: 'ada' });
		options = { ...options, genid: () => 'short' };
		await expect((await opened()).session.save()).rejects.toMatchObject({ code: 'session_id' });
	});

	test('skip leaves a request alone', async () => {
		const { cookie } = await saved({ user: 'ada' });
		const { event } = testEvent(cookie, 'https://app.example/health');
		const skip = ({ url }: { url: URL }): boolean => url.pathname === '/health';
		const response = new Response('ok');
		const handle = sveltekitSessionHandle({ ...options, skip });
		expect(await handle({ event, resolve: () => response })).toBe(response);
		expect(event.locals.session).toBeUndefined();
		expect(store.calls).toEqual([]);
	});

	test('onEvent tells what happened, and nothing secret', async () => {
		const seen: unknown[] = [];
		options = { ...options, onEvent: (event) => seen.push(event) };
		const { id, cookie } = await saved({ user: 'ada' });
		await opened(cookie);
		await opened();
		expect(seen).toEqual([{ type: 'created' }]);
		await opened('connect.sid=forged');
		store.records.set(id, { cookie: { path: '/' } } as never);
		await opened(cookie);
		store.records.clear();
		await opened(cookie);
		expect(seen).toEqual([
			{ type: 'created' },
			{ type: 'rejected' },
			{ type: 'unreadable', code: 'data_not_object' },
			{ type: 'unknown' }
		]);
		expect(JSON.stringify(seen)).not.toContain(id);
	});
});

describe('a store that is down', () => {
	test('with onStoreError anonymous: an empty session that overwrites nothing', async () => {
		const seen: string[] = [];
		options = { ...options, onStoreError: 'anonymous', onEvent: ({ type }) => seen.push(type) };
		const { id, cookie } = await saved({ user: 'ada' });
		store.failure = new Error('down');
		const { session, cookies } = await opened(cookie);
		expect(session.data).toEqual({});
		expect(seen).toEqual(['created', 'store_failed']);
		store.failure = undefined;
		await session.setData({ user: 'eve' });
		await expect(session.save()).rejects.toBeInstanceOf(StoreError);
		expect(store.records.get(id)?.data).toEqual({ user: 'ada' });
		expect(cookies).toEqual([]);
		await expect(session.destroy()).rejects.toBeInstanceOf(StoreError);
		expect(cookies.at(-1)).toMatchObject({ method: 'delete' });
	});

	test('that never answers: a StoreError, not a hang', async () => {
		vi.useFakeTimers();
		const { cookie } = await saved({ user: 'ada' });
		store.get = () => new Promise(() => undefined);
		const request = opened(cookie).catch((error: unknown) => error);
		await vi.advanceTimersByTimeAsync(5_000);
		expect(await request).toMatchObject({
			name: 'StoreError',
			code: 'store_timeout',
			message: expect.stringContaining(
				'check that its server runs, and its address'
			) as string
		});
		vi.useRealTimers();
	});
});

describe('fields', () => {
	test('are those of the seed', async () => {
		const encode = (value: string): string => value;
		options = { ...options, name: 'sid', cookie: { maxAge: 60, encode } };
		const { session } = await opened();
		expect(session.cookieName).toBe('sid');
		expect(session.cookie).toEqual({ path: '/', maxAge: 60, encode });
		expect(session.store).toBe(store);
		expect(session.id).toMatch(/^[\w-]{32}$/);
	});

	test('nothing shows when a session is printed', async () => {
		const { cookie, id } = await saved({ user: 'ada-the-secret' });
		const { session } = await opened(cookie);
		const shown = inspect(session, { depth: 9, showHidden: true }) + JSON.stringify(session);
		expect(shown).not.toContain(id);
		expect(shown).not.toContain('ada-the-secret');
		expect(shown).not.toContain(SECRET);
	});
});

test('a store that fails is a StoreError with the cause, and says nothing secret', async () => {
	const { id, cookie } = await saved({ user: 'ada' });
	store.failure = new Error('down');
	const error = await opened(cookie).catch((error: unknown) => error as StoreError);
	expect(error).toBeInstanceOf(StoreError);
	expect(error).toMatchObject({ code: 'store_failed', cause: store.failure });
	expect((error as StoreError).message).not.toContain(id);
});

test('without a store, sessions are kept in memory', async () => {
	const inMemory = { secret: SECRET };
	const first = testEvent();
	const session = await Session.initialize(first.event, inMemory);
	expect(session.store).toBeInstanceOf(MemoryStore);
	await session.setData({ user: 'ada' });
	await session.save();
	const cookie = `connect.sid=${encodeURIComponent(first.cookies[0]?.value ?? '')}`;
	const again = await Session.initialize(testEvent(cookie).event, inMemory);
	expect(again.data).toEqual({ user: 'ada' });
});
