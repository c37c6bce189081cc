import * as z from 'zod';
import { beforeEach, describe, expect, test } from 'vitest';

import {
	MemoryStore,
	type AtomicOperations,
	Session,
	sveltekitSessionHandle,
	type SessionData,
	type SessionStoreData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const DATA =
	'{"discord":1234567890123456789,"price":1.50,"big":1e400,"theme":"light","7":[1.0],"\\u00e9":1}';

type Data = SessionData & { theme?: string; price?: number; discord?: number };

let store: MemoryStore;
let options: SveltekitSessionConfig;
let cookie: string;
let id: string;

/** A memory store is atomic. */
function atomic(): AtomicOperations {
	const { atomic: operations } = store;
	if (!operations) throw new Error('a memory store is atomic');
	return operations;
}

async function request(
	sent: string | undefined,
	act: (session: Session & { data: Data }) => unknown,
	config = options
): Promise<string | undefined> {
	const { event } = testEvent(sent);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await act(event.locals.session as Session & { data: Data });
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0]?.split(';', 1)[0];
}

const idIn = (pair: string | undefined): string =>
	decodeURIComponent(pair?.split('=')[1] ?? '').split('.')[0] ?? '';

beforeEach(async () => {
	store = new MemoryStore();
	options = { secret: SECRET, store };
	cookie = (await request(undefined, (session) => session.save())) ?? '';
	id = idIn(cookie);
	const text = (await atomic().read(id)) ?? '';
	const writeId = text.slice(6, 22);
	await atomic().replace(id, writeId, text.replace('"data":{}', `"data":${DATA}`), Infinity);
});

async function dataIn(of: string): Promise<string | undefined> {
	return /"data":(.*),"meta"/.exec((await atomic().read(of)) ?? '')?.[1];
}

const DARK = DATA.replace('light', 'dark');

describe('values that a request does not change stay as they are spelled', () => {
	test.each<[string, (session: Session & { data: Data }) => unknown, string, object?]>([
		[
			'update',
			(session) => session.update((data) => void ((data as Data).theme = 'dark')),
			DARK
		],
		[
			'update that returns other data',
			(session) => session.update((data) => ({ ...data, theme: 'dark' })),
			DARK
		],
		['update without a change', (session) => session.update(() => undefined), DATA],
		['save', (session) => ((session.data.theme = 'dark'), session.save()), DARK],
		['save without a change', (session) => session.save(), DATA],
		['autoSave', (session) => void (session.data.theme = 'dark'), DARK, { autoSave: true }],
		[
			'a key less',
			(session) => (delete session.data.price, session.save()),
			DATA.replace('"price":1.50,', '')
		],
		[
			'a key more',
			(session) => (Object.assign(session.data, { n: 1 }), session.save()),
			DATA.replace(/}$/, ',"n":1}')
		]
	])('%s', async (_, act, expected, more) => {
		await request(cookie, act, { ...options, ...more });
		expect(await dataIn(id)).toBe(expected);
	});

	test('renew, and idle deadlines', async () => {
		const renewed = await request(cookie, (session) => session.renew());
		expect(await dataIn(idIn(renewed))).toBe(DATA);
		await request(renewed, () => undefined, { ...options, idleTimeout: 60 });
		expect(await dataIn(idIn(renewed))).toBe(DATA);
	});

	test('login, of what it keeps', async () => {
		const keep = ['discord', 'price', 'big', 'none'] as never[];
		const next = await request(cookie, async (session) => {
			session.data.price = 2;
			await session.login('ada', { keep, data: { theme: 'new', big: 1 } });
		});
		expect(await dataIn(idIn(next))).toBe(
			'{"discord":1234567890123456789,"price":2,"big":1,"theme":"new"}'
		);
	});

	test('in the express-session format, too', async () => {
		const express = { ...options, format: 'express-session' as const };
		await request(
			cookie,
			(session) => ((session.data.theme = 'dark'), session.save()),
			express
		);
		const text = await atomic().read(id);
		expect(text?.endsWith(DARK.slice(1))).toBe(true);
	});
});

describe('records of stores that are not atomic', () => {
	test('have a Date in cookie.expires, and both forms are read', async () => {
		const plain = new CountingStore();
		const config = { secret: SECRET, store: plain, cookie: { expires: new Date(4e12) } };
		const sent = await request(undefined, (session) => session.save(), config);
		const [record] = plain.records.values();
		expect(record?.cookie.expires).toEqual(new Date(4e12));
		await request(sent, (session) => session.save(), config);
		const [key = ''] = plain.records.keys();
		plain.records.set(key, JSON.parse(JSON.stringify(record)) as SessionStoreData);
		await request(
			sent,
			(session) => {
				expect(session.isNew).toBe(false);
			},
			config
		);
	});

	test('keep what has to last where a store keeps it that has columns for cookie and data', async () => {
		const plain = new CountingStore();
		const set = plain.set.bind(plain);
		plain.set = async (key, { cookie, data }, ttl) => set(key, { cookie, data }, ttl);
		const events: string[] = [];
		const config: SveltekitSessionConfig = {
			secret: SECRET,
			store: plain,
			absoluteTimeout: 2,
			onEvent: ({ type }) => events.push(type)
		};
		const sent = await request(undefined, (session) => session.save(), config);
		const [record] = plain.records.values();
		const began = (record?.cookie as unknown as { meta: { absolute: number } }).meta.absolute;
		await request(sent, (session) => session.save(), config);
		const [again] = plain.records.values();
		expect((again?.cookie as unknown as { meta: object }).meta).toHaveProperty(
			'absolute',
			began
		);
		const [key = ''] = plain.records.keys();
		if (!again) throw new Error('it was saved');
		const { cookie, data } = again;
		Object.assign((cookie as unknown as { meta: object }).meta, { absolute: Date.now() - 1 });
		plain.records.set(key, { cookie, data });
		await request(
			sent,
			(session) => {
				expect(session.isNew).toBe(true);
			},
			config
		);
		expect(events).toEqual(['created', 'expired']);
	});

	test.each<[string, object]>([
		['both', { cookie: { path: '/' } }],
		['the whole cookie', {}]
	])('whose store drops %s are reported, once', async (_, kept) => {
		const plain = new CountingStore();
		const set = plain.set.bind(plain);
		plain.set = async (key, { data }, ttl) => set(key, { ...kept, data } as never, ttl);
		const errors: unknown[] = [];
		const config: SveltekitSessionConfig = {
			secret: SECRET,
			store: plain,
			absoluteTimeout: 60,
			onEvent: (event) => event.type === 'store_failed' && errors.push(event.error)
		};
		// The first visitor never comes back, and the options are made anew in every request.
		await request(undefined, (session) => session.save(), { ...config });
		const sent = await request(undefined, (session) => session.save(), { ...config });
		for (let i = 0; i < 3; i++) await request(sent, (session) => session.save(), { ...config });
		expect(errors).toEqual([expect.objectContaining({ code: 'store_lossy' })]);
	});
});

describe('a value that JSON drops is refused, although the text stays the same', () => {
	const cases: [string, object, string][] = [
		['a function', { f: () => 1 }, 'f'],
		['a symbol', { s: Symbol('s') }, 's'],
		['NaN in place of null', { none: NaN }, 'none'],
		['a function below', { theme: { at: null, f: () => 1 } }, 'theme.f'],
		['undefined in a list in place of null', { list: [undefined] }, 'list[0]'],
		['a Date in place of its text', { at: new Date(0) }, 'at']
	];
	const before = (): object => ({
		none: null,
		theme: { at: null },
		list: [null],
		at: '1970-01-01T00:00:00.000Z'
	});

	test.each(cases)('%s', async (_, odd, path) => {
		const visitor = await request(undefined, async (session) => {
			await session.setData(before());
			await session.save();
			// Also compared with what this request has just written.
			Object.assign(session.data, odd);
			await expect(session.save()).rejects.toMatchObject({ code: 'json', path });
			await session.setData(before());
		});
		await request(visitor, async (session) => {
			Object.assign(session.data, odd);
			await expect(session.save()).rejects.toMatchObject({ code: 'json', path });
			const change = (data: object): object => Object.assign(data, odd);
			await session.setData(before());
			await expect(session.update(change)).rejects.toMatchObject({ code: 'json', path });
		});
		const auto = request(visitor, (session) => void Object.assign(session.data, odd), {
			...options,
			autoSave: true
		});
		await expect(auto).rejects.toMatchObject({ code: 'json', path });
		expect(JSON.parse((await dataIn(idIn(visitor))) ?? '')).toEqual(before());
	});

	test('with a schema', async () => {
		const schema = z.looseObject({ n: z.number().optional() });
		const config = { ...options, schema };
		const visitor = await request(undefined, async (session) => session.save(), config);
		await request(
			visitor,
			async (session) => {
				Object.assign(session.data, { f: () => 1 });
				await expect(session.save()).rejects.toMatchObject({ code: 'json', path: 'f' });
			},
			config
		);
	});
});
