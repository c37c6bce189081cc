import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	DataError,
	MemoryStore,
	ResponseSentError,
	type Session,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore } from './event.js';
import { loggedIn, remote, visit, visitor } from './visits.js';

/* Values beside the data, which are taken once. The rules are scenarios of both products. */

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	options = { secret: SECRET, store };
});

afterEach(() => {
	vi.useRealTimers();
});

const MINUTE = { for: 60 };

function circular(): unknown {
	const value: { self?: unknown } = {};
	value.self = value;
	return value;
}

/** The value of a visitor who comes again. */
async function taken(cookie: string, config = options): Promise<unknown> {
	let value: unknown;
	await visit(
		config,
		async (session) => {
			value = await session.take('a');
		},
		cookie
	);
	return value;
}

describe.each([
	['on a table', (): Store => store],
	['on a store that is awaited', (): Store => remote(store)]
])('a value, %s', (_, storeOf) => {
	beforeEach(() => {
		options = { ...options, store: storeOf() };
	});

	test('is kept of an anonymous visitor, beside data that is not saved', async () => {
		const { cookies } = await visit(options, async (session) => {
			session.data.n = 1;
			expect(await session.put('a', { x: [null] }, MINUTE)).toBe(true);
			expect(session.data).toEqual({ n: 1 });
		});
		expect(cookies).toHaveLength(1);
		await visit(
			options,
			(session) => {
				expect(session.data).toEqual({});
			},
			cookies[0]
		);
		expect(await taken(cookies[0] ?? '')).toEqual({ x: [null] });
		expect(await taken(cookies[0] ?? '')).toBeUndefined();
	});

	test('leaves unsaved changes of the data to the next save', async () => {
		const cookie = await visitor(options, { n: 1 });
		await visit(
			options,
			async (session) => {
				session.data.m = 2;
				await session.put('a', 5, MINUTE);
				expect(await session.take('a')).toBe(5);
				await session.save();
			},
			cookie
		);
		await visit(
			options,
			(session) => {
				expect(session.data).toEqual({ n: 1, m: 2 });
			},
			cookie
		);
	});

	test('of parallel requests one gets it', async () => {
		const cookie = await loggedIn(options);
		await visit(options, async (session) => session.put('a', 5, MINUTE), cookie);
		const found = await Promise.all(
			Array.from({ length: 8 }, async (__, i) =>
				taken(cookie, i % 2 === 0 ? options : { ...options, store: remote(store) })
			)
		);
		expect(found.filter((value) => value !== undefined)).toEqual([5]);
	});

	test('ends by itself', async () => {
		const { cookies } = await visit(options, async (session) => session.put('a', 5, MINUTE));
		vi.setSystemTime(Date.now() + 60_000);
		expect(await taken(cookies[0] ?? '')).toBeUndefined();
	});
});

test('flash() is a slot of ten minutes, which takeFlash() takes', async () => {
	const { cookies } = await visit(options, async (session) => session.flash('Saved.'));
	vi.setSystemTime(Date.now() + 599_999);
	const found: unknown[] = [];
	const take = async (session: Session): Promise<void> => {
		found.push(await session.takeFlash(), await session.takeFlash());
	};
	await visit(options, take, cookies[0]);
	expect(found).toEqual(['Saved.', undefined]);
	await visit(options, async (session) => session.flash('Late.'), cookies[0]);
	vi.setSystemTime(Date.now() + 600_000);
	await visit(options, take, cookies[0]);
	expect(found.slice(2)).toEqual([undefined, undefined]);
});

test('a page without a value costs no store call', async () => {
	const cookie = await visitor(options, { n: 1 });
	const calls: string[] = [];
	const counted = remote(store);
	for (const [name, operation] of Object.entries(counted.atomic) as [string, unknown][])
		if (typeof operation === 'function')
			Reflect.set(counted.atomic, name, (...args: unknown[]): unknown => {
				calls.push(name);
				return Reflect.apply(operation as () => unknown, counted.atomic, args) as unknown;
			});
	const get = counted.get.bind(counted);
	counted.get = async (id) => {
		calls.push('get');
		return get(id);
	};
	await visit({ ...options, store: counted }, async (session) => session.takeFlash(), cookie);
	expect(calls).toHaveLength(1);
});

test.each([
	['a key that is not a string', 5, 1, MINUTE, 'options'],
	['a key that is not well-formed', '\ud800', 1, MINUTE, 'options'],
	['no lifetime', 'a', 1, undefined, 'options'],
	['a lifetime of nothing', 'a', 1, { for: 0 }, 'options'],
	['a lifetime that is no number', 'a', 1, { for: '60' }, 'options'],
	['a lifetime without an end', 'a', 1, { for: Infinity }, 'options'],
	['no value', 'a', undefined, MINUTE, 'json'],
	['a value without JSON text', 'a', 5n, MINUTE, 'json'],
	['a circular value', 'a', circular(), MINUTE, 'json'],
	['a function', 'a', () => 1, MINUTE, 'json'],
	['a date, which would become a text', 'a', { on: new Date(0) }, MINUTE, 'json'],
	['a map, which would become empty', 'a', new Map([[1, 2]]), MINUTE, 'json'],
	['a number that JSON lacks', 'a', [NaN], MINUTE, 'json'],
	[
		'a member that would be a prototype',
		'a',
		JSON.parse('{"__proto__":1}'),
		MINUTE,
		'forbidden_key'
	],
	['a key that would be a prototype', '__proto__', 1, MINUTE, 'forbidden_key'],
	['a value that is too large', 'a', 'x'.repeat(16_384), MINUTE, 'slots_full']
])('%s is refused, and nothing is stored', async (_, key, value, lifetime, code) => {
	const { cookies } = await visit(options, async (session) => {
		const put = session.put(key as string, value, lifetime as typeof MINUTE);
		await expect(put).rejects.toMatchObject({ code });
	});
	expect(cookies).toEqual([]);
});

test('the errors name neither key nor value', async () => {
	await visit(options, async (session) => {
		const put = session.put('a secret', 'secret '.repeat(9_999), MINUTE);
		const error: unknown = await put.catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(DataError);
		expect(String(error)).not.toContain('secret');
	});
});

test('a store that is not atomic cannot keep the promise', async () => {
	await visit({ ...options, store: new CountingStore() }, async (session) => {
		for (const call of [session.put('a', 1, MINUTE), session.take('a'), session.takeFlash()])
			await expect(call).rejects.toMatchObject({ code: 'store_capability' });
	});
});

test('an operation that is not awaited is finished before the response leaves', async () => {
	const { cookies } = await visit(options, (session) => {
		void session.put('a', 5, MINUTE);
	});
	expect(await taken(cookies[0] ?? '')).toBe(5);
});

test('a failure that is not awaited fails the request', async () => {
	const failing = visit(options, (session) => {
		void session.put('a', 'x'.repeat(16_384), MINUTE);
	});
	await expect(failing).rejects.toMatchObject({ code: 'slots_full' });
});

test('after the response only a session that is stored gets a value', async () => {
	const { session } = await visit(options, () => undefined);
	await expect(session.put('a', 5, MINUTE)).rejects.toThrow(ResponseSentError);
	const stored = await visit(options, async (late) => late.put('a', 5, MINUTE));
	expect(await stored.session.put('a', 6, MINUTE)).toBe(true);
	expect(await taken(stored.cookies[0] ?? '')).toBe(6);
});

test('the function of an update can neither put nor take', async () => {
	await visit(options, async (session) => {
		await session.save();
		const updated = session.update(async () => {
			await session.put('a', 5, MINUTE);
			return undefined;
		});
		await expect(updated).rejects.toMatchObject({ code: 'update_nested' });
	});
});
