import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	sessions,
	type AtomicOperations,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore } from './event.js';
import { loggedIn, operationsOf, remote, visit, visitor } from './visits.js';

/* What a store is asked, and what is made of its replies, or of none. */

const SECRET = '0123456789abcdef0123456789abcdef';

let memory: MemoryStore;
let store: Store & { atomic: AtomicOperations };
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	memory = new MemoryStore();
	store = remote(memory);
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.restoreAllMocks();
});

const elsewhere = (): SveltekitSessionConfig => ({ ...options, store: remote(memory) });

test('a store that loses each write is asked three times, however well it reads', async () => {
	const cookie = await visitor(options, { n: 1 });
	const replace = vi
		.spyOn(store.atomic, 'replace')
		.mockRejectedValue(new Error('connection lost'));
	await visit(
		options,
		async (session) => {
			session.data.n = 2;
			await expect(session.save()).rejects.toMatchObject({ code: 'store_failed' });
		},
		cookie
	);
	expect(replace).toHaveBeenCalledTimes(3);
});

test('one that loses reads only is asked until two in a row are lost', async () => {
	const cookie = await visitor(options, { n: 1 });
	await visit(
		options,
		async (session) => {
			session.data.n = 2;
			const read = vi.spyOn(store.atomic, 'read').mockRejectedValue(new Error('lost'));
			vi.spyOn(store.atomic, 'replace').mockResolvedValueOnce('conflict');
			await expect(session.save()).rejects.toMatchObject({ code: 'store_failed' });
			expect(read).toHaveBeenCalledTimes(2);
			vi.restoreAllMocks();
		},
		cookie
	);
});

describe('an invalid reply', () => {
	test.each([
		['read', 7, 'a string or null'],
		['create', 'yes', 'true or false'],
		['replace', 'yes', "'done', 'conflict' or 'gone'"]
	] as const)('to `%s` is named', async (name, wrong, expected) => {
		const cookie = await visitor(options, { n: 1 });
		vi.spyOn(store.atomic, name).mockResolvedValue(wrong as never);
		const failed = visit(
			options,
			async (session) => session.save(),
			name === 'create' ? undefined : cookie
		);
		await expect(failed).rejects.toMatchObject({ code: 'store_failed' });
		const error: unknown = await failed.catch((caught: unknown) => caught);
		const text = `${String(error)} ${String((error as Error).cause)}`;
		expect(text).toContain(`\`${name}\` of the session store must return ${expected}`);
	});

	test('of a clock leaves the order of logins to that of this process', async () => {
		for (const now of [NaN, undefined, Infinity]) {
			store.atomic.now = async () => now ?? (undefined as never);
			const cookie = await loggedIn(options);
			expect((await visit(options, () => undefined, cookie)).session.userId).toBe('ada');
			await sessions(options).of('ada').revokeAll();
			expect((await visit(options, () => undefined, cookie)).session.userId).toBeUndefined();
		}
	});
});

test('a refusal is reported with its code, if it has one', async () => {
	const cookie = await visitor(options, { n: 1 });
	for (const [error, message] of [
		[
			new Error('READONLY it is'),
			'refused to write the session: it said READONLY; it is read-only: connect to the primary, or make the database writable'
		],
		[Object.assign(new Error('no'), { refused: true }), 'refused to write the session'],
		[new Error('OOM it is'), 'the session store is full: it said OOM']
	] as const) {
		vi.spyOn(store.atomic, 'replace').mockRejectedValue(error);
		const failed = visit(options, async (session) => session.save(), cookie);
		await expect(failed).rejects.toThrow(new RegExp(`${message}$`));
	}
});

/** The error of a client with a code, and perhaps with the error below it. */
const failing = (code: string, cause?: Error): Error =>
	Object.assign(new Error('fetch failed', { cause }), { code });

test.each([
	['a closed port', failing('ECONNREFUSED'), 'no server listens at its address'],
	['several closed ports', new AggregateError([failing('ECONNREFUSED')]), 'no server listens'],
	['an unknown host', failing('ENOTFOUND'), 'its host is not known'],
	['a silent host', failing('CONNECT_TIMEOUT'), 'its host does not answer'],
	['an empty address', new TypeError('no', { cause: failing('ERR_INVALID_URL') }), 'is no URL'],
	['a code of its own', failing('ODD', failing('ECONNREFUSED')), 'no server listens'],
	[
		'a client that is not connected',
		new (class ClientClosedError extends Error {})(),
		'call `connect'
	],
	['nothing that is known', failing('ODD'), 'could not write the session$']
])('an error with %s says what to do', async (_, error, cure) => {
	const cookie = await visitor(options, { n: 1 });
	vi.spyOn(store.atomic, 'replace').mockRejectedValue(error);
	const failed = visit(options, async (session) => session.save(), cookie);
	await expect(failed).rejects.toThrow(new RegExp(cure));
});

test.each([
	['28P01', 'the user or the password is wrong'],
	['3D000', 'its database does not exist'],
	['42501', 'its user lacks rights'],
	['25006', 'it is read-only'],
	['42704', 'its address probably has a parameter that the server does not know']
])('a refusal of Postgres with %s says what to do', async (code, cure) => {
	const cookie = await visitor(options, { n: 1 });
	const error = Object.assign(new Error('no'), { severity: 'FATAL', code });
	vi.spyOn(store.atomic, 'replace').mockRejectedValue(error);
	const failed = visit(options, async (session) => session.save(), cookie);
	await expect(failed).rejects.toThrow(`it said ${code}; ${cure}`);
});

test.each([
	['ER_ACCESS_DENIED_ERROR', 'the user or the password is wrong'],
	['ER_BAD_DB_ERROR', 'its database does not exist'],
	['ER_TABLEACCESS_DENIED_ERROR', 'its user lacks rights'],
	['ER_OPTION_PREVENTS_STATEMENT', 'it is read-only']
])('a refusal of MySQL with %s says what to do', async (code, cure) => {
	const cookie = await visitor(options, { n: 1 });
	const error = Object.assign(new Error('no'), { errno: 1045, sqlState: '28000', code });
	vi.spyOn(store.atomic, 'replace').mockRejectedValue(error);
	const failed = visit(options, async (session) => session.save(), cookie);
	await expect(failed).rejects.toThrow(`it said ${code}; ${cure}`);
});

test('a logout is confirmed for the ID that the session has now', async () => {
	const cookie = await visitor(options, { n: 1 });
	const confirmed: string[] = [];
	store.atomic.confirm = async (key) => confirmed.push(key) > 0;
	let now = '';
	await visit(
		options,
		async (late) => {
			const renewed = await visit(elsewhere(), async (session) => session.renew(), cookie);
			now = renewed.session.id;
			await late.destroy();
		},
		cookie
	);
	expect(confirmed).toEqual([now]);
});

test('a store that cannot compare as it touches is asked first: no tombstone is prolonged', async () => {
	Object.assign(store.atomic, { touchCompares: false });
	const cookie = await visitor(options, { n: 1 });
	const touch = vi.spyOn(store.atomic, 'touch');
	await visit(options, async (session) => session.touch(), cookie);
	expect(touch).toHaveBeenCalledTimes(1);
	expect(touch.mock.calls[0]).toHaveLength(2);
	expect(events).not.toContain('gone');
	await visit(
		options,
		async (late) => {
			await visit(elsewhere(), async (session) => session.login('ada'), cookie);
			await late.touch();
		},
		cookie
	);
	expect(touch).toHaveBeenCalledTimes(1);
	expect(events).toContain('gone');
	const other = await visitor(options, { n: 1 });
	events.length = 0;
	await visit(
		options,
		async (late) => {
			await memory.destroy(late.id);
			await late.touch();
		},
		other
	);
	expect(touch).toHaveBeenCalledTimes(1);
	expect(events).toContain('gone');
	const third = await visitor(options, { n: 1 });
	events.length = 0;
	// It is removed between the question and the touch.
	touch.mockResolvedValueOnce(false);
	await visit(options, async (late) => late.touch(), third);
	expect(events).toContain('gone');
});

test('a record that becomes unreadable while a page is made sets no cookie, and fails no page', async () => {
	const rolling = { ...options, rolling: true, cookie: { maxAge: 600 } };
	const cookie = await visitor(rolling, { n: 1 });
	const { cookies } = await visit(
		rolling,
		async (session) => {
			await memory.destroy(session.id);
			await operationsOf(memory).create(session.id, 'no record', 60_000, false);
		},
		cookie
	);
	expect(cookies).toEqual([]);
});

test('a store that is not atomic has no conflicts, and leaves the application its objects', async () => {
	const plain = { ...options, store: new CountingStore() };
	const cookie = await visitor(plain, { n: 1 });
	events.length = 0;
	await visit(
		plain,
		async (session) => {
			const { data } = session;
			data.n = 2;
			await session.save();
			expect(session.data).toBe(data);
		},
		cookie
	);
	expect(events).toEqual([]);
});

describe('the list of a user', () => {
	test('that does not exist is empty, with and without encryption', async () => {
		for (const encrypt of [false, true])
			expect(
				await sessions({ ...options, encrypt })
					.of('ada')
					.list()
			).toEqual([]);
	});

	test('has nothing under an invalid handle', async () => {
		const cookie = await loggedIn(options);
		await sessions(options).of('ada').revoke('no handle');
		expect((await visit(options, () => undefined, cookie)).session.userId).toBe('ada');
	});

	test('says that all were ended although the store is full of anonymous sessions', async () => {
		const full = { ...options, store: new MemoryStore({ maxEntries: 2 }) };
		await visitor(full, { n: 1 });
		await visitor(full, { n: 1 });
		await sessions(full).of('ada').revokeAll();
		expect(full.store.size).toBe(2);
	});
});
