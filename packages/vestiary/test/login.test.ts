import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { ConfigError, LoginOutdatedError, sessions, StoreError } from '../src/index.js';
import { CountingStore } from './event.js';
import { SECRET, WatchedStore, visits, watched, type Opened } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

afterEach(() => {
	vi.useRealTimers();
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
		// The session of another user cannot be revoked.
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
		// A new proof is accepted.
		await slow.session.login('ada', { provenAt: new Date() });
		expect((await opened(slow.cookie())).session.userId).toBe('ada');
		// Also in a request that revokes all sessions and logs in again within one millisecond.
		const reset = await opened();
		await sessions(options).of('ada').revokeAll();
		await reset.session.login('ada', { provenAt: new Date() });
		expect((await opened(reset.cookie())).session.userId).toBe('ada');
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
	});

	test('no login that is older than a concurrent revocation of all sessions survives', async () => {
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

	test('as another user leaves nothing in the list of the previous user', async () => {
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

	test('is valid although a replica does not have it yet', async () => {
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
		expect(() => sessions(plain).of('ada')).toThrow(ConfigError);
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
	// Also a visitor who already has a session, which must not be evicted by its own login.
	const late = await opened(admitted?.cookie());
	await late.session.login('grace', { data: { user: 'grace' } });
	expect(await dataOf(late.cookie())).toEqual({ user: 'grace' });
	expect(await dataOf(cookie())).toEqual({ user: 'ada' });
});
