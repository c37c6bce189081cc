import * as valibot from 'valibot';
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

import {
	ConfigError,
	DataError,
	MemoryStore,
	sveltekitSessionHandle,
	type SessionEvent,
	type StandardSchema,
	type SveltekitSessionConfig
} from '../src/index.js';
import { operationsOf, remote, visit } from './visits.js';

type Members = Record<string, unknown>;

/** The data of the schemas below. */
interface Data {
	theme?: string;
	cart: { item: string; count: number }[];
	since?: Date;
}

const ZOD = z.object({
	theme: z.enum(['light', 'dark']).optional(),
	cart: z.array(z.object({ item: z.string(), count: z.number().int() })).default([]),
	since: z.coerce.date().optional()
});

const VALIBOT = valibot.object({
	theme: valibot.optional(valibot.picklist(['light', 'dark'])),
	cart: valibot.optional(
		valibot.array(valibot.object({ item: valibot.string(), count: valibot.number() })),
		[]
	)
});

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: SessionEvent[];

beforeEach(() => {
	store = new MemoryStore();
	events = [];
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store,
		onEvent: (event) => events.push(event)
	};
});

const dataOf = (session: { data: object }): Data => session.data as Data;
const invalid = (): (readonly string[])[] =>
	events.flatMap((event) => (event.type === 'invalid_data' ? [event.keys] : []));

/** The cookie of a visitor whose session has this data, which no schema has checked. */
async function visitor(data: object, more: Partial<SveltekitSessionConfig> = {}): Promise<string> {
	const unchecked = { ...options, schema: undefined, ...more };
	const { cookies } = await visit(unchecked, async (session) => {
		await session.setData(data);
		await session.save();
	});
	events.length = 0;
	return cookies[0] ?? '';
}

/** The stored data, and its version. */
async function stored(cookie: string): Promise<{ data: unknown; version: unknown }> {
	const id = decodeURIComponent(cookie.split('=')[1] ?? '').split('.')[0] ?? '';
	const { data, meta } = JSON.parse((await operationsOf(store).read(id)) ?? '{}') as {
		data: unknown;
		meta: { version?: unknown };
	};
	return { data, version: meta.version };
}

describe.each([
	['zod', ZOD],
	['valibot', VALIBOT]
] as [string, StandardSchema][])('a schema of %s', (_, schema) => {
	beforeEach(() => {
		options = { ...options, schema };
	});

	test('makes the data of a new session, and stores none of it by itself', async () => {
		const { session, cookies } = await visit({ ...options, autoSave: true }, (session) => {
			expect(session.data).toEqual({ cart: [] });
		});
		expect(session.isNew).toBe(true);
		expect(cookies).toEqual([]);
	});

	test('keeps data that fits', async () => {
		const cookie = await visitor({ theme: 'dark', cart: [{ item: 'a coat', count: 1 }] });
		await visit(
			options,
			async (session) => {
				expect(session.data).toEqual({
					theme: 'dark',
					cart: [{ item: 'a coat', count: 1 }]
				});
				dataOf(session).cart.push({ item: 'a hat', count: 2 });
				await session.save();
			},
			cookie
		);
		expect(await stored(cookie)).toMatchObject({
			data: { theme: 'dark', cart: [{ item: 'a coat' }, { item: 'a hat' }] }
		});
		expect(invalid()).toEqual([]);
	});

	test('refuses data that does not fit, names the path and no value, and nothing is written', async () => {
		const cookie = await visitor({ theme: 'dark' });
		const before = await stored(cookie);
		await visit(
			options,
			async (session) => {
				const bad = { cart: [{ item: 'a coat', count: 'canary' }] };
				const error: unknown = await session
					.setData(bad)
					.then(async () => session.save())
					.catch((thrown: unknown) => thrown);
				expect(error).toBeInstanceOf(DataError);
				expect(error).toMatchObject({ code: 'invalid_data', path: 'cart[0].count' });
				expect(String(error)).toContain('`cart[0].count`');
				expect(String(error)).not.toContain('canary');
				expect((error as Error).cause).toBeUndefined();
				await expect(session.update(() => bad)).rejects.toMatchObject({
					path: 'cart[0].count'
				});
				await expect(session.login('ada', { data: bad })).rejects.toMatchObject({
					code: 'invalid_data'
				});
				await session.setData({ theme: 'light' });
			},
			cookie
		);
		expect(await stored(cookie)).toEqual(before);
	});

	test('drops members of stored data that do not fit, and the next save removes them', async () => {
		const data = { theme: 'pink', cart: [{ item: 'a coat', count: 1 }], other: 1 };
		const cookie = await visitor(data);
		await visit(
			options,
			async (session) => {
				expect(session.data).toEqual({ cart: data.cart });
				expect(invalid()).toEqual([['theme']]);
			},
			cookie
		);
		expect(await stored(cookie)).toMatchObject({ data });
		await visit(options, async (session) => session.save(), cookie);
		expect(await stored(cookie)).toMatchObject({ data: { cart: data.cart, other: 1 } });
		events.length = 0;
		await visit(options, (session) => dataOf(session).cart, cookie);
		expect(invalid()).toEqual([]);
	});

	test('an update gets data that fits, and removes the rest', async () => {
		const cookie = await visitor({ theme: 5, cart: 'none' });
		await visit(
			options,
			async (session) => {
				await session.update((data) => {
					expect(data).toEqual({ cart: [] });
					(data as Data).theme = 'dark';
					return data;
				});
				expect(session.data).toEqual({ theme: 'dark', cart: [] });
			},
			cookie
		);
		expect((await stored(cookie)).data).toEqual({ theme: 'dark', cart: [] });
	});

	test('a login carries over what was named, and no member that the schema does not know', async () => {
		const cookie = await visitor({
			theme: 'dark',
			cart: [{ item: 'a coat', count: 1 }],
			other: 1
		});
		const { cookies } = await visit(
			options,
			async (session) => session.login('ada', { keep: ['cart' as never] }),
			cookie
		);
		expect((await stored(cookies[0] ?? '')).data).toEqual({
			cart: [{ item: 'a coat', count: 1 }]
		});
	});
});

describe('a schema', () => {
	test('may make values that are not JSON, if it makes them again', async () => {
		options = { ...options, schema: ZOD };
		const since = new Date(5_000);
		const cookie = await visitor({ since }, { schema: ZOD });
		const { session } = await visit(options, (session) => session.data, cookie);
		expect(session.data).toEqual({ since, cart: [] });
		const loose = { ...options, schema: z.object({ since: z.any().optional() }) };
		await visit(loose, async (session) => {
			await session.setData({ since });
			await expect(session.save()).rejects.toMatchObject({ code: 'json', path: 'since' });
			await session.setData({});
		});
	});

	test('may be a function, as those of arktype are', async () => {
		const schema = Object.assign(() => undefined, ZOD);
		options = { ...options, schema: Object.assign(schema, { '~standard': ZOD['~standard'] }) };
		await visit(options, (session) => {
			expect(session.data).toEqual({ cart: [] });
		});
	});

	test('that cannot be used is refused when the handle is created', () => {
		const create = (schema: unknown): void => {
			sveltekitSessionHandle({ ...options, schema: schema as StandardSchema });
		};
		expect(() => {
			create(z.object({ cart: z.object({ items: z.array(z.string()) }) }));
		}).toThrow(
			'`schema` must accept an empty object, because a new visitor has no data: make `cart` optional'
		);
		for (const bad of [
			{},
			() => true,
			z.array(z.string()).catch([]),
			z.object({}).refine(async () => Promise.resolve(true)),
			'a text'
		])
			expect(() => {
				create(bad);
			}).toThrow(ConfigError);
	});

	test('that throws refuses the data as a whole, and its error does not show a value', async () => {
		const cookie = await visitor({ secret: 'canary' });
		const validate = (value: unknown): { value: object } => {
			if ('secret' in (value as object)) throw new Error(JSON.stringify(value));
			return { value: value as object };
		};
		const schema: StandardSchema = { '~standard': { version: 1, vendor: 'test', validate } };
		await visit(
			{ ...options, schema },
			async (session) => {
				expect(session.data).toEqual({});
				const refused: unknown = await session
					.setData({ secret: 'a new canary' })
					.then(async () => session.save())
					.catch((error: unknown) => error);
				expect(refused).toMatchObject({ code: 'invalid_data' });
				expect(String(refused)).not.toContain('canary');
			},
			cookie
		);
		expect(invalid()).toEqual([['secret']]);
		expect((await stored(cookie)).data).toEqual({ secret: 'canary' });
	});

	test('that refuses the data as a whole leaves an empty session, and its visitor logged in', async () => {
		const schema = z.object({ low: z.number().optional(), high: z.number().optional() });
		const ordered = schema.refine(({ low = 0, high = 9 }) => low <= high);
		const { cookies } = await visit(options, async (session) =>
			session.login('ada', { data: { low: 5, high: 1 } })
		);
		options = { ...options, schema: ordered };
		const { session } = await visit(options, (session) => session.data, cookies[0]);
		expect([session.data, session.userId]).toEqual([{}, 'ada']);
		expect(invalid()).toEqual([['low', 'high']]);
	});
});

describe('a version', () => {
	/** Version 2 has `name` in place of `first` and `last`. */
	const version2 = (): SveltekitSessionConfig => ({
		...options,
		version: 2,
		schema: z.object({ name: z.string().optional(), n: z.number().optional() }),
		migrate: ({ first, last, ...rest }, version) => {
			expect(version).toBe(1);
			return { ...rest, name: `${String(first)} ${String(last)}` };
		}
	});
	const OLD = { first: 'Ada', last: 'Byron', n: 1, other: 1 };

	test('is stored with new data, and a session without one has the version 0', async () => {
		expect(await stored(await visitor({ n: 1 }, { version: 3 }))).toEqual({
			data: { n: 1 },
			version: 3
		});
		const versions: number[] = [];
		const migrate = (_: unknown, version: number): void => void versions.push(version);
		const cookie = await visitor({ n: 1 });
		await visit({ ...options, version: 3, migrate }, async (session) => session.save(), cookie);
		expect((await stored(cookie)).version).toBe(3);
		expect(new Set(versions)).toEqual(new Set([0]));
	});

	test('of older data leads to a migration when it is read, and is stored with the next save', async () => {
		const cookie = await visitor(OLD, { version: 1 });
		const before = await stored(cookie);
		await visit(
			{ ...version2(), autoSave: true },
			async (session) => {
				expect(session.data).toEqual({ name: 'Ada Byron', n: 1 });
				await session.touch();
			},
			cookie
		);
		expect(await stored(cookie)).toEqual(before);
		const saved = { data: { name: 'Ada Byron', n: 2, other: 1 }, version: 2 };
		await visit(
			version2(),
			async (session) => {
				(session.data as { n: number }).n = 2;
				await session.save();
				expect(session.data).toEqual({ name: 'Ada Byron', n: 2 });
			},
			cookie
		);
		expect(await stored(cookie)).toEqual(saved);
	});

	test('of older data: an update gets it migrated', async () => {
		const cookie = await visitor(OLD, { version: 1 });
		await visit(
			version2(),
			async (session) => {
				await session.update((data) => ({ ...data, n: 2 }));
				expect(session.data).toEqual({ name: 'Ada Byron', n: 2 });
			},
			cookie
		);
		expect(await stored(cookie)).toEqual({
			data: { name: 'Ada Byron', n: 2, other: 1 },
			version: 2
		});
	});

	test('of older data: two requests that migrate it at the same time lose no change', async () => {
		const cookie = await visitor(OLD, { version: 1 });
		const elsewhere = { ...version2(), store: remote(store) };
		await visit(
			version2(),
			async (session) => {
				(session.data as { n: number }).n = 2;
				await visit(
					elsewhere,
					async (other) => {
						(other.data as { name: string }).name = 'Countess of Lovelace';
						await other.save();
					},
					cookie
				);
				await session.save();
				expect(session.data).toEqual({ name: 'Countess of Lovelace', n: 2 });
			},
			cookie
		);
		expect((await stored(cookie)).data).toEqual({
			name: 'Countess of Lovelace',
			n: 2,
			other: 1
		});
	});

	test('of newer data stays, with the members that this application does not know', async () => {
		const cookie = await visitor({ n: 1, theme: { new: true } }, { version: 3 });
		await visit(
			version2(),
			async (session) => {
				expect(session.data).toEqual({ n: 1 });
				await session.update((data) => ({ ...data, n: 2 }));
			},
			cookie
		);
		expect(await stored(cookie)).toEqual({ data: { n: 2, theme: { new: true } }, version: 3 });
		expect(invalid()).toEqual([]);
	});

	test('of newer data that does not fit: it can be read, and not changed', async () => {
		const newer = { data: { n: 1, name: { first: 'Ada' } }, version: 3 };
		const cookie = await visitor(newer.data, { version: 3 });
		await visit(
			{ ...version2(), autoSave: true },
			async (session) => {
				expect(session.data).toEqual({ n: 1 });
				await session.save();
				const refused = { code: 'newer_version' };
				await expect(session.update((data) => ({ ...data, n: 2 }))).rejects.toMatchObject(
					refused
				);
				(session.data as { n: number }).n = 2;
				await expect(session.save()).rejects.toMatchObject(refused);
				(session.data as { n: number }).n = 1;
			},
			cookie
		);
		expect(await stored(cookie)).toEqual(newer);
		expect(invalid()[0]).toEqual(['name']);
		// A login begins another session.
		const { cookies } = await visit(
			version2(),
			async (session) => session.login('ada'),
			cookie
		);
		expect(await stored(cookies[0] ?? '')).toEqual({ data: {}, version: 2 });
	});

	test('of data that `migrate` fails for: what fits is kept', async () => {
		const cookie = await visitor({ n: 1, name: 5 }, { version: 1 });
		const failing: SveltekitSessionConfig = {
			...version2(),
			migrate: () => {
				throw new Error('canary');
			}
		};
		const { session } = await visit(
			failing,
			async (session) => {
				expect(session.data).toEqual({ n: 1 });
				await session.save();
			},
			cookie
		);
		expect(session.isNew).toBe(false);
		expect(invalid()).toEqual([['name']]);
		expect(await stored(cookie)).toEqual({ data: { n: 1 }, version: 2 });
	});

	test.each([
		['`true`, as an arrow function with `delete` does', (data: Members) => delete data.old],
		['a text, as one with an assignment does', (data: Members) => (data.name = 'Ada')],
		['null', (data: Members) => ((data.name = 'Ada'), null)]
	])('a migration that returns %s has changed the data in place', async (_, migrate) => {
		const cookie = await visitor({ n: 1, name: 'Ada', old: 2 });
		await visit(
			{ ...options, version: 1, migrate },
			async (session) => {
				expect(session.data).toMatchObject({ n: 1, name: 'Ada' });
				await session.save();
			},
			cookie
		);
		expect(invalid()).toEqual([]);
		expect((await stored(cookie)).data).toMatchObject({ n: 1, name: 'Ada' });
	});

	test.each([
		['a list', () => [1]],
		['a Map', () => new Map([['n', 1]])]
	])('a migration that returns %s has failed', async (_, migrate) => {
		const cookie = await visitor({ n: 1 });
		await visit(
			{ ...options, version: 1, migrate },
			async (session) => {
				expect(session.data).toEqual({ n: 1 });
				await session.save();
			},
			cookie
		);
		expect(invalid()).toEqual([[]]);
		expect((await stored(cookie)).data).toEqual({ n: 1 });
	});

	test('options that cannot be right are refused', () => {
		const create = (more: Partial<SveltekitSessionConfig>): void => {
			sveltekitSessionHandle({ ...options, ...more });
		};
		for (const version of [0, -1, 1.5, NaN, 2 ** 32])
			expect(() => {
				create({ version });
			}).toThrow('`version` must be a whole number from 1');
		expect(() => {
			create({ migrate: () => undefined });
		}).toThrow('`migrate` needs `version`');
	});

	test('a migration that is async is refused', async () => {
		const cookie = await visitor({ n: 1 });
		const migrate = async (): Promise<object> => Promise.resolve({});
		await visit(
			{ ...options, version: 1, migrate },
			(session) => {
				expect(() => session.data).toThrow('`migrate` must not be async');
			},
			cookie
		);
	});
});

describe('a value that JSON changes', () => {
	test.each([
		[{ cart: { since: new Date() } }, 'cart.since', 'a Date'],
		[{ list: [1, { tags: new Set([1]) }] }, 'list[1].tags', 'a Set'],
		[{ map: new Map() }, 'map', 'a Map'],
		[{ n: NaN }, 'n', 'NaN'],
		[{ n: [1, undefined] }, 'n[1]', 'undefined in a list'],
		// eslint-disable-next-line no-sparse-arrays -- JSON fills the hole
		[{ n: [1, , 2] }, 'n[1]', 'undefined in a list'],
		[{ big: 5n }, 'big', 'a BigInt'],
		[{ url: new URL('https://canary.example') }, 'url', 'an object of the class URL'],
		[{ run: () => 'canary' }, 'run', 'a function']
	])('is refused with its path, and nothing is written: %o', async (data, path, kind) => {
		const cookie = await visitor({ n: 1 });
		await visit(
			options,
			async (session) => {
				await session.setData(data);
				const error: unknown = await session.save().catch((thrown: unknown) => thrown);
				expect(error).toMatchObject({ name: 'DataError', code: 'json', path });
				expect(String(error)).toContain(`\`${path}\` is ${kind}`);
				expect(String(error)).not.toContain('canary');
				await expect(session.update(() => data)).rejects.toMatchObject({ path });
				await expect(session.login('ada', { data })).rejects.toMatchObject({ path });
				await session.setData({ n: 1 });
			},
			cookie
		);
		expect((await stored(cookie)).data).toEqual({ n: 1 });
	});

	test('what JSON preserves is stored', async () => {
		const data = {
			text: '',
			none: null,
			n: 0.1,
			list: [{ deep: [[]] }],
			gone: undefined,
			bare: Object.assign(Object.create(null) as object, { n: 1 }),
			own: { toJSON: () => 'itself' }
		};
		const cookie = await visitor(data);
		expect((await stored(cookie)).data).toEqual({
			text: '',
			none: null,
			n: 0.1,
			list: [{ deep: [[]] }],
			bare: { n: 1 },
			own: 'itself'
		});
	});
});
