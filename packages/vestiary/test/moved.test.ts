import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { MemoryStore, Session, type SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';
import { loggedIn, operationsOf, remote, visit, visitor } from './visits.js';

/* What a request takes over of what others have written meanwhile, and what it writes itself. */

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	options = { secret: SECRET, store, cookie: { maxAge: 3_600 } };
});

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

const elsewhere = (): SveltekitSessionConfig => ({ ...options, store: remote(store) });

describe('a session that another process renews meanwhile', () => {
	test('is saved by itself under its new ID, which the response sets', async () => {
		const cookie = await visitor(options, { n: 1 });
		let renewed: string[] = [];
		const { cookies, session } = await visit(
			{ ...options, autoSave: true },
			async (late) => {
				renewed = (await visit(elsewhere(), async (one) => one.renew(), cookie)).cookies;
				late.data.n = 2;
			},
			cookie
		);
		expect(cookies).toEqual(renewed);
		expect(decodeURIComponent(cookies[0] ?? '')).toContain(session.id);
		expect((await store.get(session.id))?.data).toEqual({ n: 2 });
	});

	test('while it is touched, goes on under its new ID, which the response sets', async () => {
		const rolling = { ...options, rolling: true, touchAfter: 0 };
		const cookie = await visitor(rolling, { n: 1 });
		const operations = operationsOf(store);
		const touch = operations.touch.bind(operations);
		let renewed: string[] = [];
		vi.spyOn(operations, 'touch').mockImplementationOnce(async (...args) => {
			renewed = (await visit(elsewhere(), async (one) => one.renew(), cookie)).cookies;
			return touch(...args);
		});
		const { cookies, session } = await visit(rolling, () => undefined, cookie);
		expect(renewed).toHaveLength(1);
		expect(cookies).toEqual(renewed);
		expect(decodeURIComponent(renewed[0] ?? '')).toContain(session.id);
	});
});

test('an update adopts the cookie attributes that another request has set', async () => {
	const cookie = await visitor(options, { n: 1 });
	const { setCookie } = await visit(
		options,
		async (session) => {
			const before = session.cookie;
			expect(before.maxAge).toBe(3_600);
			await visit(
				elsewhere(),
				async (other) => {
					other.cookie.maxAge = 60;
					await other.save();
				},
				cookie
			);
			await session.update((data) => ({ ...data, m: 1 }));
			expect(session.cookie.maxAge).toBe(60);
			// It is the application's object.
			expect(session.cookie).toBe(before);
			await session.save();
		},
		cookie
	);
	expect(setCookie).toEqual([expect.stringContaining('; Max-Age=60;')]);
});

test('`session.cookie` may be assigned as a whole: without a path, it is that of the whole site', async () => {
	const paths: (string | undefined)[] = [];
	await visit(options, (session) => {
		session.cookie = { maxAge: 60 };
		paths.push(session.cookie.path);
		session.cookie = { path: '/app' };
		paths.push(session.cookie.path);
	});
	expect(paths).toEqual(['/', '/app']);
});

test('a save without a conflict leaves the application its objects', async () => {
	const cookie = await visitor(options, { n: 1 });
	await visit(
		options,
		async (session) => {
			const { data } = session;
			data.cart = ['book'];
			await session.save();
			expect(session.data).toBe(data);
		},
		cookie
	);
});

test('a save writes the list of the user only if the session’s own cookie changes', async () => {
	const cookie = await loggedIn(options);
	const replace = vi.spyOn(operationsOf(store), 'replace');
	const written = (): number =>
		replace.mock.calls.filter(([id]) => id.startsWith('user:')).length;
	await visit(
		options,
		async (session) => {
			await session.setData({ n: 2 });
			await session.save();
			expect([replace.mock.calls.length, written()]).toEqual([1, 0]);
			session.cookie.maxAge = 60;
			await session.save();
			expect(written()).toBe(1);
			await session.save();
			expect(written()).toBe(1);
		},
		cookie
	);
});

test('a session that was saved a moment ago is not touched', async () => {
	const rolling = { ...options, rolling: true };
	const cookie = await visitor(rolling, { n: 1 });
	vi.setSystemTime(Date.now() + 10 * 60_000);
	await visit(rolling, async (session) => session.save(), cookie);
	const touch = vi.spyOn(operationsOf(store), 'touch');
	await visit(rolling, () => undefined, cookie);
	expect(touch).not.toHaveBeenCalled();
	vi.setSystemTime(Date.now() + 10 * 60_000);
	await visit(rolling, () => undefined, cookie);
	expect(touch).toHaveBeenCalledTimes(1);
});

test('touch() sets the cookie, even when it writes new deadlines', async () => {
	const idle = { ...options, idleTimeout: 1_000 };
	const cookie = await visitor(idle, { n: 1 });
	const { cookies } = await visit(
		idle,
		async (session) => {
			vi.setSystemTime(Date.now() + 500_000);
			await session.touch();
		},
		cookie
	);
	expect(cookies).toEqual([cookie]);
});

test('after the response, reading does not prolong the session', async () => {
	const idle = { ...options, idleTimeout: 1_000 };
	const cookie = await visitor(idle, { n: 1 });
	const [id = ''] = decodeURIComponent(cookie.slice('connect.sid='.length)).split('.');
	const before = (await store.get(id))?.v;
	expect(before).toBeDefined();
	vi.setSystemTime(Date.now() + 500_000);
	// As in a WebSocket upgrade.
	const event = { request: { headers: new Headers({ cookie }) } } as never;
	expect((await Session.initialize(event, idle)).data).toEqual({ n: 1 });
	expect((await store.get(id))?.v).toBe(before);
});

test('a session that is made without a handle sets its cookie in SvelteKit’s jar', async () => {
	const { event, cookies } = testEvent();
	await new Session(event, options).save();
	expect(cookies.map(({ method }) => method)).toEqual(['set']);
});

test('that the use of a session cannot be written in the list stops no save', async () => {
	const events: string[] = [];
	const config = { ...options, onEvent: ({ type }: { type: string }) => events.push(type) };
	const cookie = await loggedIn(config);
	const { session } = await visit(
		config,
		async (one) => {
			vi.setSystemTime(Date.now() + 6 * 60_000);
			const operations = operationsOf(store);
			const replace = operations.replace.bind(operations);
			vi.spyOn(operations, 'replace').mockImplementation(async (id, ...rest) => {
				if (id.startsWith('user:')) throw new Error('OOM command not allowed');
				return replace(id, ...rest);
			});
			events.length = 0;
			await one.setData({ n: 2 });
			await one.save();
			expect(events).toEqual(['store_failed']);
		},
		cookie
	);
	expect((await store.get(session.id))?.data).toEqual({ n: 2 });
});
