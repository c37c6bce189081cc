import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	ResponseSentError,
	Session,
	sessions,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';
import { loggedIn, operationsOf, remote, visit, visitor } from './visits.js';

/* What a new ID leaves behind, and what it takes along. */

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

describe('regenerate()', () => {
	test('without a save removes the cookie: the old ID is worth nothing', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { setCookie } = await visit(options, async (session) => session.regenerate(), cookie);
		expect(setCookie).toEqual([REMOVED]);
	});

	test.each(['atomic', 'not atomic'])(
		'takes no data along where a session begins by itself, with a store that is %s',
		async (kind) => {
			const config = {
				...options,
				saveUninitialized: true,
				store: kind === 'atomic' ? store : new CountingStore()
			};
			const cookie = await visitor(config, { n: 1 });
			const { cookies } = await visit(
				config,
				async (session) => {
					session.data.m = 2;
					session.cookie.maxAge = 60;
					await session.save();
					await session.regenerate();
					expect(session.data).toEqual({});
					expect(session.cookie.maxAge).toBeUndefined();
				},
				cookie
			);
			const { session } = await visit(config, () => undefined, cookies[0]);
			expect([session.isNew, session.data]).toEqual([false, {}]);
		}
	);

	test('that the store does not confirm is an error, and the cookie goes', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { setCookie } = await visit(
			options,
			async (session) => {
				vi.spyOn(operationsOf(store), 'create').mockRejectedValue(new Error('down'));
				vi.spyOn(operationsOf(store), 'replace').mockRejectedValue(new Error('down'));
				vi.spyOn(operationsOf(store), 'read').mockRejectedValue(new Error('down'));
				await expect(session.regenerate()).rejects.toMatchObject({ code: 'store_failed' });
			},
			cookie
		);
		expect(setCookie).toEqual([REMOVED]);
	});

	test('and save() store one record beside that of the old ID, and it is created then', async () => {
		const cookie = await visitor(options, { n: 1 });
		events.length = 0;
		await visit(options, async (session) => (await session.regenerate()).save(), cookie);
		expect(store.size).toBe(2);
		expect(events).toEqual(['rotated', 'created']);
	});

	test('twice leaves one record of three, once the others have expired', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { cookies } = await visit(
			options,
			async (old) => (await (await old.regenerate()).regenerate()).save(),
			cookie
		);
		expect(cookies).toHaveLength(1);
		vi.setSystemTime(Date.now() + 11 * 60_000);
		expect(store.size).toBe(1);
		expect((await visit(options, () => undefined, cookies[0])).session.isNew).toBe(false);
	});

	test('stores the new session at once with saveUninitialized', async () => {
		options.saveUninitialized = true;
		const cookie = await visitor(options, { n: 1 });
		await visit(
			options,
			async (session) => {
				expect((await session.regenerate()).isNew).toBe(false);
			},
			cookie
		);
	});

	test('and login() keep what the new session has got', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { cookies } = await visit(
			options,
			async (old) => {
				const session = await old.regenerate();
				await session.setData({ cart: ['book'], n: 2 });
				await session.login('ada', { keep: ['cart'] as never });
			},
			cookie
		);
		const { session } = await visit(options, () => undefined, cookies[0]);
		expect(session.data).toEqual({ cart: ['book'] });
	});
});

describe('login()', () => {
	test('of a new visitor takes another ID than one that was asked for before', async () => {
		let before = '';
		const { session } = await visit(options, async (anonymous) => {
			before = anonymous.id;
			await anonymous.login('ada');
		});
		expect(session.id).not.toBe(before);
	});

	test('holds the very data that it was given', async () => {
		const cart = ['book'];
		const { session } = await visit(options, async (anonymous) =>
			anonymous.login('ada', { data: { cart } })
		);
		expect(session.data.cart).toBe(cart);
	});

	test('in a request ends there at once when another request revokes it', async () => {
		const { session } = await visit(options, async (anonymous) => {
			const session = await anonymous.login('ada');
			await visit(options, async () => sessions(options).of('ada').revokeAll());
			expect(session.userId).toBeUndefined();
		});
		expect(session.userId).toBeUndefined();
	});

	test('that no browser can learn of leaves neither record nor user', async () => {
		const { event, close } = testEvent();
		const session = await Session.initialize(event, options);
		close();
		await expect(session.login('ada')).rejects.toBeInstanceOf(ResponseSentError);
		expect([session.userId, session.isNew, session.data]).toEqual([undefined, true, {}]);
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test('of a visitor whose session could not be read fails with the reason', async () => {
		const there = remote(store);
		const anonymous = { ...options, store: there, onStoreError: 'anonymous' as const };
		const cookie = await visitor(options, { n: 1 });
		const operations = there.atomic;
		const read = operations.read.bind(operations);
		operations.read = async () => Promise.reject(new Error('down'));
		await visit(
			anonymous,
			async (session) => {
				operations.read = read;
				await expect(session.login('ada')).rejects.toMatchObject({ code: 'store_failed' });
			},
			cookie
		);
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});
});

describe('renew()', () => {
	test('of a new session does nothing, also when the response has left', async () => {
		const { session } = await visit(options, () => undefined);
		await session.renew();
		expect(store.size).toBe(0);
	});

	test('that meets another renewal joins it, and is no event', async () => {
		const cookie = await visitor(options, { n: 1 });
		let other = '';
		const { cookies, session } = await visit(
			options,
			async (late) => {
				[other = ''] = (
					await visit(elsewhere(), async (one) => one.renew(), cookie)
				).cookies;
				events.length = 0;
				await late.renew();
				expect(events).toEqual([]);
			},
			cookie
		);
		expect(cookies).toEqual([other]);
		expect(session.data).toEqual({ n: 1 });
	});

	test('of a session that was renewed and ended elsewhere finds it gone', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { cookies, session } = await visit(
			options,
			async (late) => {
				const { cookies: renewed } = await visit(
					elsewhere(),
					async (one) => one.renew(),
					cookie
				);
				await visit(elsewhere(), async (one) => one.destroy(), renewed[0]);
				events.length = 0;
				await late.renew();
			},
			cookie
		);
		expect(events).toEqual(['gone']);
		expect(session.isNew).toBe(true);
		expect(cookies).toEqual([]);
	});
});

test('a logout ends a session that was renewed long ago: its user has it no more', async () => {
	const cookie = await loggedIn(options);
	let renewed = '';
	await visit(
		options,
		async (late) => {
			[renewed = ''] = (await visit(elsewhere(), async (one) => one.renew(), cookie)).cookies;
			vi.setSystemTime(Date.now() + 20 * 60_000);
			await late.destroy();
		},
		cookie
	);
	const { session } = await visit(elsewhere(), () => undefined, renewed);
	expect(session.userId).toBeUndefined();
	expect(await sessions(options).of('ada').list()).toEqual([]);
});

test('`genid` must return a string', async () => {
	const saving = visit({ ...options, genid: () => 5 as never }, async (session) =>
		session.save()
	);
	await expect(saving).rejects.toBeInstanceOf(ConfigError);
	await expect(saving).rejects.toThrow('`genid` must return a string');
});
