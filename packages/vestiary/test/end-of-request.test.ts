import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	Session,
	StoreError,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { countedVisits, SECRET, type Data } from './counted-visits.js';
import { CountingStore, testEvent } from './event.js';

let store: CountingStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	store = new CountingStore();
	options = { secret: SECRET, store };
});

const { saved, opened } = countedVisits(() => ({ store, options }));

describe('rolling and saveUninitialized', () => {
	test('rolling refreshes the cookie of an existing session on every request', async () => {
		options = { ...options, rolling: true, touchAfter: 0, cookie: { maxAge: 60 } };
		expect((await opened()).cookies).toEqual([]);
		const { cookie } = await saved({ user: 'ada' });
		const { cookies } = await opened(cookie);
		expect(store.calls).toEqual(['get', 'touch']);
		expect(store.lastTtl).toBe(60_000);
		expect(cookies).toHaveLength(1);
	});

	test('rolling touches the store at most once in touchAfter, and never lets it expire first', async () => {
		vi.useFakeTimers();
		options = { ...options, rolling: true, cookie: { maxAge: 100 } };
		const { cookie } = await saved({ user: 'ada' });
		let recordExpires = Date.now() + (store.lastTtl ?? 0);
		for (let request = 0; request < 100; request++) {
			vi.advanceTimersByTime(1_000);
			const { cookies } = await opened(cookie);
			expect(cookies).toHaveLength(1);
			if (store.calls.at(-1) === 'touch') recordExpires = Date.now() + (store.lastTtl ?? 0);
			expect(recordExpires).toBeGreaterThanOrEqual(Date.now() + 100_000);
		}
		expect(store.calls.filter((call) => call === 'get')).toHaveLength(100);
		expect(store.calls.filter((call) => call === 'touch').length).toBeLessThanOrEqual(10);
		vi.useRealTimers();
	});

	test('rolling makes the page wait for no second answer of the store, and a failure breaks nothing', async () => {
		const seen: string[] = [];
		options = { ...options, rolling: true, touchAfter: 0, cookie: { maxAge: 60 } };
		options.onEvent = ({ type }) => seen.push(type);
		const { cookie } = await saved({ user: 'ada' });
		let answer = (): void => undefined;
		store.touch = () =>
			new Promise((_, reject) => {
				answer = () => {
					reject(new Error('down'));
				};
			});
		const { event } = testEvent(cookie);
		const response = await sveltekitSessionHandle(options)({
			event,
			resolve: () => {
				// The page is made before the store has answered.
				expect(event.locals.session.data).toEqual({ user: 'ada' });
				answer();
				return new Response();
			}
		});
		expect(response.headers.getSetCookie()).toHaveLength(1);
		expect(seen).toEqual(['created', 'store_failed']);
	});

	test('rolling without maxAge is ignored', async () => {
		options = { ...options, rolling: true };
		const { cookie } = await saved({ user: 'ada' });
		const { cookies } = await opened(cookie);
		expect(store.calls).toEqual(['get']);
		expect(cookies).toEqual([]);
	});

	test('saveUninitialized stores a new session at once, and a change without save()', async () => {
		options = { ...options, saveUninitialized: true };
		const { session, cookies } = await opened();
		expect(store.calls).toEqual(['set']);
		expect(cookies).toHaveLength(1);
		await session.setData({ user: 'ada' });
		expect(store.records.get(session.id)?.data).toEqual({ user: 'ada' });
	});

	test('in a handle, however many changes are one write', async () => {
		options = { ...options, saveUninitialized: true };
		const { cookie, id } = await saved({ n: 0 });
		const { event } = testEvent(cookie);
		await sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				for (let n = 1; n <= 5; n++) await event.locals.session.setData({ n });
				return new Response();
			}
		});
		expect(store.calls).toEqual(['get', 'set']);
		expect(store.records.get(id)?.data).toEqual({ n: 5 });
	});
});

describe('autoSave', () => {
	async function run(app: (session: Session) => unknown, cookie?: string): Promise<Response> {
		const { event } = testEvent(cookie);
		return sveltekitSessionHandle({ ...options, autoSave: true })({
			event,
			resolve: async () => {
				await app(event.locals.session);
				return new Response();
			}
		});
	}

	test('stores what was set, once, when the request ends', async () => {
		const { headers } = await run(async (session) => {
			await session.setData({ n: 1 });
			await session.setData({ n: 2 });
			expect(store.calls).toEqual([]);
		});
		expect(store.calls).toEqual(['set']);
		expect(headers.getSetCookie()).toHaveLength(1);
	});

	test('sees what was changed in place, and writes nothing if nothing was', async () => {
		const { id, cookie } = await saved({ n: 1 });
		await run((session) => session.data, cookie);
		expect(store.calls).toEqual(['get']);
		await run((session) => ((session.data as Data).n = 7), cookie);
		expect(store.records.get(id)?.data).toEqual({ n: 7 });
		await run(() => undefined);
		expect(store.records.size).toBe(1);
	});

	test('keeps what was changed while a save was under way', async () => {
		const { id, cookie } = await saved({ n: 1 });
		await run(async (session) => {
			await session.setData({ n: 2 });
			const saving = session.save();
			await session.setData({ n: 3 });
			await saving;
		}, cookie);
		expect(store.records.get(id)?.data).toEqual({ n: 3 });
	});

	test('asks a store that fails once, not again', async () => {
		store.failure = new Error('down');
		const request = run((session) => session.setData({ n: 1 }));
		await expect(request).rejects.toBeInstanceOf(StoreError);
		expect(store.calls).toEqual(['set']);
	});

	test('does not write again what was saved', async () => {
		const { cookie } = await saved({ n: 1 });
		await run(async (session) => {
			await session.setData({ n: 2 });
			await session.save();
		}, cookie);
		// The last one asks whether the cookie may leave.
		expect(store.calls).toEqual(['get', 'set', 'get']);
	});
});
