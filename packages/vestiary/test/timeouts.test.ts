import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { sveltekitSessionHandle } from '../src/index.js';
import { CountingStore, testEvent } from './event.js';
import { SECRET, visits, watched, type Data } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

afterEach(() => {
	vi.useRealTimers();
});

describe('timeouts', () => {
	test('end an idle session, whatever the store says', async () => {
		vi.useFakeTimers();
		store.ttl = Infinity;
		options = { ...options, idleTimeout: 60 };
		const cookie = await visitor({ n: 1 });
		for (let i = 0; i < 10; i++) {
			vi.advanceTimersByTime(59_999);
			expect(await dataOf(cookie), String(i)).toEqual({ n: 1 });
		}
		// At most a tenth later.
		vi.advanceTimersByTime(66_000);
		events.length = 0;
		expect(await dataOf(cookie)).toBeUndefined();
		expect(events).toEqual(['expired']);
		expect(store.size).toBe(0);
	});

	test('a used session is written at most once in a tenth of its time', async () => {
		vi.useFakeTimers();
		options = { ...options, idleTimeout: 100 };
		const cookie = await visitor({ n: 1 });
		for (let i = 0; i < 100; i++) {
			vi.advanceTimersByTime(1_000);
			await opened(cookie);
		}
		const writes = store.calls.filter((call) => call === 'replace').length;
		expect(writes).toBeGreaterThan(5);
		expect(writes).toBeLessThanOrEqual(10);
	});

	test('a save beside the refresh does not conflict with it', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		options = { ...options, idleTimeout: 100 };
		const cookie = await visitor({ n: 1 });
		vi.setSystemTime(Date.now() + 50_000);
		const { event } = testEvent(cookie);
		await sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				(event.locals.session.data as Data).n = 2;
				await event.locals.session.save();
				return new Response();
			}
		});
		expect(events).toEqual([]);
		expect(await dataOf(cookie)).toEqual({ n: 2 });
	});

	test('a refresh, or a renewal, that met the write of another request takes nothing of it back', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		for (const aging of [{ idleTimeout: 100 }, { renewAfter: 50 }]) {
			const aged = { ...options, ...aging };
			const cookie = await visitor({ n: 1, user: 'ada' }, aged);
			vi.setSystemTime(Date.now() + 50_000);
			// Another one writes after this one has read, and before it refreshes.
			let reads = 0;
			const other = await opened(cookie, { ...options });
			store.after = async (operation) => {
				if (operation !== 'read' || reads++ > 0) return;
				other.session.data.n = 2;
				await other.session.save();
			};
			const { session, cookie: next } = await opened(cookie, aged);
			store.after = undefined;
			session.data.theme = 'dark';
			await session.save();
			expect(await dataOf(next()), JSON.stringify(aging)).toEqual({
				n: 2,
				user: 'ada',
				theme: 'dark'
			});
		}
	});

	test('nothing extends the absolute one: not saving, rolling, renewing or longer options', async () => {
		vi.useFakeTimers();
		store.ttl = Infinity;
		options = {
			...options,
			rolling: true,
			touchAfter: 0,
			cookie: { maxAge: 1_000 },
			absoluteTimeout: 100,
			renewAfter: 20
		};
		let cookie = await visitor({ n: 0 });
		for (let i = 0; i < 9; i++) {
			vi.advanceTimersByTime(11_000);
			const request = await opened(cookie, { ...options, absoluteTimeout: 100 + i * 1_000 });
			expect(request.session.isNew).toBe(false);
			request.session.data.n = i;
			await request.session.save();
			cookie = request.cookie();
		}
		vi.advanceTimersByTime(999);
		expect(await dataOf(cookie)).toEqual({ n: 8 });
		vi.advanceTimersByTime(1);
		expect(await dataOf(cookie)).toBeUndefined();
		const { absoluteTimeout, ...without } = options;
		expect(absoluteTimeout).toBe(100);
		const other = await visitor({ n: 1 });
		vi.advanceTimersByTime(100_000);
		expect(await dataOf(other, without)).toBeUndefined();
	});

	test('hold on a store that is not atomic, too, where they can', async () => {
		vi.useFakeTimers();
		const plain = new CountingStore();
		const weak = { secret: SECRET, store: plain, absoluteTimeout: 60 };
		const cookie = await visitor({ n: 1 }, weak);
		// Ten minutes longer, to say that it has expired.
		expect(plain.lastTtl).toBe(660_000);
		vi.advanceTimersByTime(59_999);
		expect(await dataOf(cookie, weak)).toEqual({ n: 1 });
		vi.advanceTimersByTime(1);
		expect(await dataOf(cookie, weak)).toBeUndefined();
		expect(plain.records.size).toBe(0);
		for (const bad of [
			{ idleTimeout: 60 },
			{ renewAfter: 60 },
			{ require: ['atomic' as const] }
		]) {
			expect(() => sveltekitSessionHandle({ ...weak, ...bad })).toThrow(
				expect.objectContaining({ code: 'store_capability' }) as Error
			);
		}
		expect(() => sveltekitSessionHandle({ ...options, require: ['atomic'] })).not.toThrow();
	});

	test('that are none are refused', () => {
		for (const name of ['idleTimeout', 'absoluteTimeout', 'renewAfter', 'renewGrace']) {
			for (const bad of [-1, NaN, Infinity, 1e12]) {
				expect(() => sveltekitSessionHandle({ ...options, [name]: bad })).toThrow(
					expect.objectContaining({ code: 'timeout_option' }) as Error
				);
			}
		}
	});
});
