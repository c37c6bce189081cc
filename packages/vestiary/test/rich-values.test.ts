import superjson from 'superjson';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';

import {
	ConfigError,
	DataError,
	MemoryStore,
	sveltekitSessionHandle,
	type SessionEvent,
	type SveltekitSessionConfig,
	type Transformer
} from '../src/index.js';
import { operationsOf, remote, visit, type Visited } from './visits.js';

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: SessionEvent[];

beforeEach(() => {
	store = new MemoryStore();
	events = [];
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store,
		transformer: superjson,
		onEvent: (event) => events.push(event)
	};
});

const VALUES = {
	date: new Date(1_700_000_000_000),
	map: new Map<unknown, unknown>([['a', new Set([1, 2])]]),
	set: new Set(['a', new Date(0)]),
	big: 12n ** 30n,
	url: new URL('https://app.example/a?b=c'),
	pattern: /a+/gi,
	bytes: new Uint8Array([1, 2, 3]),
	nan: NaN,
	list: [undefined, -Infinity, { at: new Date(5) }],
	plain: { nested: ['text', 1, null, { deep: true }] },
	text: 'a text'
};

/** The cookie of a visitor whose session has this data. */
async function visitor(data: object, more: Partial<SveltekitSessionConfig> = {}): Promise<string> {
	const { cookies } = await visit({ ...options, ...more }, async (session) => {
		await session.setData(data);
		await session.save();
	});
	events.length = 0;
	return cookies[0] ?? '';
}

async function dataOf(cookie: string, more: Partial<SveltekitSessionConfig> = {}): Promise<object> {
	const { session } = await visit({ ...options, ...more }, () => undefined, cookie);
	return session.data;
}

/** The data in the store. */
async function stored(cookie: string): Promise<Record<string, unknown>> {
	const id = decodeURIComponent(cookie.split('=')[1] ?? '').split('.')[0] ?? '';
	const text = (await operationsOf(store).read(id)) ?? '{}';
	return (JSON.parse(text) as { data: Record<string, unknown> }).data;
}

test('values that JSON lacks are read as they were stored', async () => {
	const cookie = await visitor(VALUES);
	expect(await dataOf(cookie)).toEqual(VALUES);
	const { map, big, bytes } = (await dataOf(cookie)) as typeof VALUES;
	expect(map).toBeInstanceOf(Map);
	expect(big).toBe(12n ** 30n);
	expect(bytes).toBeInstanceOf(Uint8Array);
});

test('only the members with such a value are converted; their JSON stays readable', async () => {
	const cookie = await visitor(VALUES);
	const { date, plain, text } = await stored(cookie);
	expect(date).toEqual({ json: '2023-11-14T22:13:20.000Z', meta: { values: ['Date'], v: 1 } });
	expect(plain).toEqual(VALUES.plain);
	expect(text).toBe('a text');
});

test('a member that looks like a converted one is read as it was stored', async () => {
	const data = { odd: { json: 1, meta: { values: ['Date'] } }, other: { meta: 1, json: null } };
	const cookie = await visitor(data);
	expect(await dataOf(cookie)).toEqual(data);
});

describe('concurrent changes', () => {
	const change = async (
		cookie: string,
		process: MemoryStore,
		app: (session: Visited) => unknown
	): Promise<void> => {
		await visit({ ...options, store: remote(process) }, app, cookie);
	};

	test('of different members are both kept', async () => {
		const cookie = await visitor({ a: new Date(1), b: new Set([1]), c: 1 });
		await change(cookie, store, async (session) => {
			Object.assign(session.data, { a: new Date(2) });
			await change(cookie, store, async (other) => {
				Object.assign(other.data, { b: new Map([[1, 2]]), c: 2n });
				await other.save();
			});
			await session.save();
		});
		expect(await dataOf(cookie)).toEqual({ a: new Date(2), b: new Map([[1, 2]]), c: 2n });
	});

	test('of one member never mix a value with the types of another one', async () => {
		const cookie = await visitor({ a: new Date(1) });
		await change(cookie, store, async (session) => {
			Object.assign(session.data, { a: new Date(2) });
			await change(cookie, store, async (other) => {
				Object.assign(other.data, { a: 'a text' });
				await other.save();
			});
			await session.save();
		});
		expect(await dataOf(cookie)).toEqual({ a: new Date(2) });
	});

	test('a change of the class alone is a change', async () => {
		const cookie = await visitor({ a: new Set([1]) });
		await change(cookie, store, async (session) => {
			Object.assign(session.data, { a: [1] });
			await session.save();
		});
		expect(await dataOf(cookie)).toEqual({ a: [1] });
	});

	test('an update is computed again from what is stored', async () => {
		const cookie = await visitor({ n: new Map([['n', 0]]) });
		interface Counted {
			n: Map<string, number>;
		}
		const add = async (session: Visited): Promise<void> => {
			await session.update((data) => {
				const { n } = data as unknown as Counted;
				n.set('n', (n.get('n') ?? 0) + 1);
				return data;
			});
		};
		await Promise.all(Array.from({ length: 8 }, async () => change(cookie, store, add)));
		expect(await dataOf(cookie)).toEqual({ n: new Map([['n', 8]]) });
	});
});

test('data that only was read is not written', async () => {
	const cookie = await visitor(VALUES);
	const replace = vi.spyOn(operationsOf(store), 'replace');
	await visit({ ...options, autoSave: true }, (session) => session.data, cookie);
	expect(replace).not.toHaveBeenCalled();
	await visit(
		{ ...options, autoSave: true },
		(session) => {
			(session.data as unknown as typeof VALUES).map.set('b', 1);
		},
		cookie
	);
	expect(replace).toHaveBeenCalledTimes(1);
	expect((await dataOf(cookie)) as typeof VALUES).toHaveProperty('map.size', 2);
});

test('`login()` keeps such values, and stores new ones', async () => {
	const cookie = await visitor({ cart: new Set(['coat']), draft: 1 });
	const { cookies } = await visit(
		options,
		async (session) => {
			await session.login('ada', {
				keep: ['cart'] as never,
				data: { since: new Date(7) }
			});
		},
		cookie
	);
	expect(await dataOf(cookies[0] ?? '')).toEqual({
		cart: new Set(['coat']),
		since: new Date(7)
	});
});

describe('with a schema', () => {
	const schema = z.object({
		seen: z.map(z.string(), z.date()).default(() => new Map<string, Date>()),
		total: z.bigint().optional()
	});

	test('the schema gets the values themselves', async () => {
		const cookie = await visitor(
			{ seen: new Map([['a', new Date(5)]]), total: 5n },
			{ schema }
		);
		expect(await dataOf(cookie, { schema })).toEqual({
			seen: new Map([['a', new Date(5)]]),
			total: 5n
		});
		const wrong = visitor({ seen: new Map([['a', 5]]) }, { schema });
		await expect(wrong).rejects.toMatchObject({ code: 'invalid_data' });
	});

	test('a member that does not fit is dropped', async () => {
		const cookie = await visitor({ seen: new Set([1]), total: 5n });
		expect(await dataOf(cookie, { schema })).toEqual({ seen: new Map(), total: 5n });
		expect(events).toMatchObject([{ type: 'invalid_data', keys: ['seen'] }]);
	});

	test('a migration gets the values themselves, and may return such', async () => {
		const cookie = await visitor({ seen: ['a'], at: new Date(5) });
		const migrate = (data: { seen?: string[]; at?: Date }): object => ({
			seen: new Map(data.seen?.map((key) => [key, data.at]))
		});
		const newer = { schema, version: 1, migrate };
		expect(await dataOf(cookie, newer)).toEqual({ seen: new Map([['a', new Date(5)]]) });
		await visit(
			{ ...options, ...newer },
			async (session) => {
				Object.assign(session.data, { total: 1n });
				await session.save();
			},
			cookie
		);
		expect(await dataOf(cookie, { schema, version: 1 })).toEqual({
			seen: new Map([['a', new Date(5)]]),
			total: 1n
		});
	});
});

describe('a library that loses a value', () => {
	class Cart {
		items = 1;
	}

	test.each([
		['an object of a class that it does not know', { cart: { now: new Cart() } }, 'cart.now'],
		['a function', { call: () => 1 }, 'call']
	])('%s is a DataError with its path, and nothing is written', async (_, data, path) => {
		const create = vi.spyOn(operationsOf(store), 'create');
		const saved = visitor(data);
		await expect(saved).rejects.toBeInstanceOf(DataError);
		await expect(saved).rejects.toMatchObject({ code: 'json', path });
		expect(create).not.toHaveBeenCalled();
	});

	test('an error of the library does not show the value', async () => {
		const transformer: Transformer = {
			serialize: (value) => {
				throw new Error(`cannot convert ${String(value)}`);
			},
			deserialize: () => undefined
		};
		const thrown: unknown = await visitor({ date: new Date(0) }, { transformer }).catch(
			(error: unknown) => error
		);
		expect(thrown).toMatchObject({ code: 'json', path: 'date' });
		expect((thrown as Error).cause).toBeUndefined();
	});

	test('what it cannot read is dropped with an event, and stays until the next save', async () => {
		const cookie = await visitor({ date: new Date(5), n: 1 });
		const transformer: Transformer = {
			serialize: (value) => superjson.serialize(value),
			deserialize: () => {
				throw new Error('of a newer version');
			}
		};
		expect(await dataOf(cookie, { transformer })).toEqual({ n: 1 });
		expect(events).toMatchObject([{ type: 'invalid_data', keys: ['date'] }]);
		expect(await dataOf(cookie)).toEqual({ date: new Date(5), n: 1 });
		await visit(
			{ ...options, transformer },
			async (session) => {
				session.data.n = 2;
				await session.save();
			},
			cookie
		);
		expect(await dataOf(cookie)).toEqual({ n: 2 });
	});
});

test('without the option, a converted member is its JSON and its types, and stays', async () => {
	const cookie = await visitor({ date: new Date(5), n: 1 });
	const plain = { ...options, transformer: undefined };
	await visit(
		plain,
		async (session) => {
			session.data.n = 2;
			await session.save();
		},
		cookie
	);
	expect(await dataOf(cookie, { transformer: undefined })).toMatchObject({
		date: { json: '1970-01-01T00:00:00.005Z' }
	});
	expect(await dataOf(cookie)).toEqual({ date: new Date(5), n: 2 });
});

test.each([{}, { serialize: () => ({ json: 1 }) }])('no transformer: %o', (transformer) => {
	const make = (): unknown =>
		sveltekitSessionHandle({ ...options, transformer: transformer as unknown as Transformer });
	expect(make).toThrow(ConfigError);
	expect(make).toThrow(/`serialize` and `deserialize`/);
});
