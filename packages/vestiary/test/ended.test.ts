import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sessions,
	UpdateNestedError,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { loggedIn, operationsOf, remote, visit, visitor } from './visits.js';

/* Sessions that end while a request has them open, by that request or by another one. */

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

const elsewhere = (): SveltekitSessionConfig => ({ ...options, store: remote(store) });
const REMOVED = expect.stringContaining('connect.sid=; Max-Age=0;') as string;

describe('after a logout nothing of the session is stored again', () => {
	test.each([{ autoSave: true }, { saveUninitialized: true }])('with %j', async (more) => {
		const config = { ...options, ...more };
		const cookie = await visitor(config, { n: 1 });
		const { setCookie } = await visit(
			config,
			async (session) => {
				await session.setData({ n: 2 });
				await session.destroy();
				expect([session.data, session.isNew]).toEqual([{}, true]);
			},
			cookie
		);
		expect(setCookie).toEqual([REMOVED]);
		expect(store.size).toBe(0);
	});

	test('and the cookie attributes of the options apply again', async () => {
		options.cookie = { maxAge: 60 };
		const cookie = await visitor(options, { n: 1 });
		const { setCookie } = await visit(
			options,
			async (session) => {
				session.cookie.maxAge = 6_000;
				await session.save();
				await session.destroy();
				expect(session.cookie.maxAge).toBe(60);
				await session.save();
			},
			cookie
		);
		expect(setCookie).toEqual([expect.stringContaining('; Max-Age=60;')]);
	});
});

describe('a logout', () => {
	test('of a session that was never stored is no event, and empties it', async () => {
		const { session } = await visit(options, async (one) => {
			await one.setData({ n: 1 });
			await one.destroy();
		});
		expect(session.data).toEqual({});
		expect(events).toEqual([]);
	});

	test('removes a cookie that leads to no session, too', async () => {
		const forged = `connect.sid=${'x'.repeat(32)}.${'y'.repeat(43)}`;
		const { setCookie } = await visit(options, async (session) => session.destroy(), forged);
		expect(setCookie).toEqual([REMOVED]);
	});

	test('by an ID that a login has replaced removes the cookie; then a new session may begin', async () => {
		const cookie = await visitor(options, { n: 1 });
		await visit(options, async (session) => session.login('ada'), cookie);
		const out = await visit(options, async (session) => session.destroy(), cookie);
		expect(out.setCookie).toEqual([REMOVED]);
		const { session, cookies } = await visit(
			options,
			async (old) => {
				await old.destroy();
				await old.setData({ n: 2 });
				await old.save();
			},
			cookie
		);
		expect(session.isNew).toBe(false);
		expect((await visit(options, () => undefined, cookies[0])).session.data).toEqual({ n: 2 });
	});

	test('of a session that was revoked in this request has nothing left to do', async () => {
		const cookie = await loggedIn(options);
		const { setCookie } = await visit(
			options,
			async (session) => {
				await sessions(options).of('ada').revokeAll();
				await session.destroy();
			},
			cookie
		);
		expect(setCookie).toEqual([REMOVED]);
	});
});

describe('the function of an update is not called', () => {
	test('if the session was revoked in this request', async () => {
		const change = vi.fn();
		const cookie = await loggedIn(options);
		await visit(
			options,
			async (session) => {
				await sessions(options).of('ada').revokeAll();
				expect(await session.update(change)).toBe(false);
			},
			cookie
		);
		expect(change).not.toHaveBeenCalled();
	});

	test('if another request has ended the session, and something was to be saved before', async () => {
		const change = vi.fn();
		const cookie = await visitor(options, { n: 1 });
		await visit(
			options,
			async (session) => {
				await session.setData({ n: 2 });
				await visit(elsewhere(), async (other) => other.destroy(), cookie);
				expect(await session.update(change)).toBe(false);
			},
			cookie
		);
		expect(change).not.toHaveBeenCalled();
		expect(store.size).toBe(0);
	});
});

test('an update of a new session says that it was written', async () => {
	const { session } = await visit(options, async (one) => {
		expect(await one.update(() => ({ n: 1 }))).toBe(true);
	});
	expect(session.isNew).toBe(false);
});

test('setData() in the function of an update is refused, however long that runs', async () => {
	const cookie = await visitor(options, { n: 1 });
	const update = visit(
		options,
		async (session) =>
			session.update(async (data) => {
				await new Promise((resolve) => setTimeout(resolve, 40));
				await session.setData({ n: 3 });
				return data;
			}),
		cookie
	);
	await expect(update).rejects.toBeInstanceOf(UpdateNestedError);
});

test('a record that is gone is gone from the list of its user, too', async () => {
	const cookie = await loggedIn(options);
	await visit(
		options,
		async (session) => {
			await store.destroy(session.id);
			await session.setData({ n: 2 });
			await session.save();
		},
		cookie
	);
	expect(events).toContain('gone');
	expect(await sessions(options).of('ada').list()).toEqual([]);
});

test('a save that cannot be confirmed ends the session for this request', async () => {
	const cookie = await visitor(options, { n: 1 });
	const { session } = await visit(
		options,
		async (late) => {
			await visit(elsewhere(), async (one) => one.renew(), cookie);
			vi.setSystemTime(Date.now() + 20 * 60_000);
			late.data.n = 2;
			await expect(late.save()).rejects.toMatchObject({ code: 'store_unconfirmed' });
			expect([late.isNew, late.data]).toEqual([true, {}]);
		},
		cookie
	);
	expect(session.isNew).toBe(true);
});

test('a store that is down fails the page of a new visitor, unlike one that is full', async () => {
	vi.spyOn(operationsOf(store), 'create').mockRejectedValue(new Error('down'));
	const visiting = visit({ ...options, saveUninitialized: true }, () => undefined);
	await expect(visiting).rejects.toMatchObject({ code: 'store_failed' });
});

test('a failed save is repeated when the request ends', async () => {
	const { cookies } = await visit({ ...options, saveUninitialized: true }, async (session) => {
		// Its first record is there.
		await session.setData({ n: 1 });
	});
	const { session } = await visit(
		{ ...options, saveUninitialized: true },
		async (one) => {
			await one.setData({ n: 2 });
			vi.spyOn(operationsOf(store), 'replace')
				.mockRejectedValueOnce(new Error('down'))
				.mockRejectedValueOnce(new Error('down'));
			vi.spyOn(operationsOf(store), 'read').mockRejectedValueOnce(new Error('down'));
			await expect(one.save()).rejects.toMatchObject({ code: 'store_failed' });
		},
		cookies[0]
	);
	expect((await store.get(session.id))?.data).toEqual({ n: 2 });
});

test('a page that is prerendered stores nothing, whatever it changes', async () => {
	const { event } = testEvent();
	Object.defineProperty(event.url, 'search', { get: () => expect.fail('prerendering') });
	const session = await Session.initialize(event, options);
	expect(session.isNew).toBe(true);
	const { sveltekitSessionHandle } = await import('../src/index.js');
	await sveltekitSessionHandle({ ...options, autoSave: true })({
		event,
		resolve: async () => {
			await event.locals.session.setData({ n: 1 });
			return new Response();
		}
	});
	expect(store.size).toBe(0);
});
