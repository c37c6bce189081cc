import { beforeEach, describe, expect, test } from 'vitest';

import { Session, sveltekitSessionHandle } from '../src/index.js';
import { testEvent } from './event.js';
import { visits, watched, type Data } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
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

	test('regenerating an ID after its grace period does not end the session that it led to', async () => {
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

	test('is ended even if the store cannot tell whether replicas have confirmed it', async () => {
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
