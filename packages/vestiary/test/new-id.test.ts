import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { Session, StoreError, sveltekitSessionHandle } from '../src/index.js';
import { testEvent } from './event.js';
import { visits, watched, type Data } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

afterEach(() => {
	vi.useRealTimers();
});

describe('a new ID', () => {
	test('that exists already is left alone, and another one taken', async () => {
		const victim = await visitor({ user: 'ada' });
		const taken = decodeURIComponent(victim).slice('connect.sid='.length).split('.')[0] ?? '';
		const ids = [taken, 'another-id-that-is-unused'];
		const { session } = await opened(undefined, {
			...options,
			genid: () => ids.shift() ?? ''
		});
		await session.setData({ user: 'eve' });
		await session.save();
		expect(session.id).toBe('another-id-that-is-unused');
		expect(await dataOf(victim)).toEqual({ user: 'ada' });
	});

	test('after regenerate: the old one is anonymous, and a late request with it sets no cookie', async () => {
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
		// In stores with the interface of svelte-kit-sessions, and for direct reads, the old session does not exist.
		expect(await store.get(decodeURIComponent(cookie).split(/[=.]/)[2] ?? '')).toBeNull();
		// A visitor who only has the old cookie can log in.
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
		// After the grace period it leads to no session.
		vi.advanceTimersByTime(1_000);
		events.length = 0;
		expect(await dataOf(cookie)).toBeUndefined();
		expect(events).toEqual(['reuse']);
		expect(await dataOf(next)).toEqual({ n: 2 });
	});

	test('concurrent renewals give one new ID, and their writes are kept', async () => {
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
