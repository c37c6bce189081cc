import { beforeEach, describe, expect, test } from 'vitest';

import { sveltekitSessionHandle } from '../src/index.js';
import { testEvent } from './event.js';
import { visits, watched, type Data } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

describe('parallel requests', () => {
	test('that change different keys both keep their change', async () => {
		const cookie = await visitor({ user: 'ada', theme: 'light' });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		one.session.data.n = 1;
		other.session.data.theme = 'dark';
		await one.session.save();
		await other.session.save();
		expect(await dataOf(cookie)).toEqual({ user: 'ada', n: 1, theme: 'dark' });
		// The slower one sees both changes, and gets the event.
		expect(other.session.data).toEqual({ user: 'ada', n: 1, theme: 'dark' });
		expect(events).toEqual(['conflict']);
	});

	test('that do not meet cost one write each', async () => {
		const cookie = await visitor({ n: 0 });
		for (const n of [1, 2]) {
			const { session } = await opened(cookie);
			await session.setData({ n });
			await session.save();
			await session.setData({ n: n * 10 });
			await session.save();
		}
		expect(store.calls).toEqual(['read', 'replace', 'replace', 'read', 'replace', 'replace']);
		expect(events).toEqual([]);
	});

	test('setData replaces the whole object: absent keys are removed', async () => {
		const cookie = await visitor({ user: 'ada', theme: 'light' });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		await one.session.setData({ user: 'ada' });
		other.session.data.n = 1;
		await other.session.save();
		await one.session.save();
		expect(await dataOf(cookie)).toEqual({ user: 'ada', n: 1 });
	});

	test('on the same key keep the later value', async () => {
		const cookie = await visitor({ cart: [] });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		one.session.data.cart = ['coat'];
		other.session.data.cart = ['hat'];
		await one.session.save();
		await other.session.save();
		expect(await dataOf(cookie)).toEqual({ cart: ['hat'] });
	});

	test('lose no update, however many there are, even if some are slow', async () => {
		const cookie = await visitor({ n: 0 });
		const all = await Promise.all(Array.from({ length: 60 }, async () => opened(cookie)));
		const done = await Promise.all(
			all.map(async ({ session }, i) =>
				session.update(async (data: Data) => {
					if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
					data.n = (data.n ?? 0) + 1;
					return undefined;
				})
			)
		);
		expect(done.every(Boolean)).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: 60 });
	});

	test('of several processes lose no update either', async () => {
		const cookie = await visitor({ n: 0 });
		// Other options objects do not wait for each other.
		await Promise.all(
			Array.from({ length: 6 }, async () => {
				const { session } = await opened(cookie, { ...options });
				await session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }));
			})
		);
		expect(await dataOf(cookie)).toEqual({ n: 6 });
		expect(events).toContain('conflict');
	});

	test.each([
		['may be its own, if the client sends again by itself', true],
		['is another one, if it does not', false]
	])('a write in the way of a slow one %s', async (_, resends) => {
		store.resends = resends;
		const cookie = await visitor({ n: 0 });
		const { session } = await opened(cookie);
		const increment = (data: Data): Data => ({ n: (data.n ?? 0) + 1 });
		store.before = async (operation) => {
			if (operation !== 'replace') return;
			store.before = undefined;
			// More than the record remembers.
			for (let i = 0; i < 20; i++) {
				await (await opened(cookie, { ...options })).session.update(increment);
			}
			await new Promise((resolve) => setTimeout(resolve, 30));
		};
		const updated = session.update(increment);
		if (resends) await expect(updated).rejects.toMatchObject({ code: 'store_failed' });
		else expect(await updated).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: resends ? 20 : 21 });
	});

	test('with autoSave merge as well', async () => {
		options = { ...options, autoSave: true };
		const cookie = await visitor({ user: 'ada' });
		const run = async (change: (data: Data) => unknown): Promise<Response> => {
			const { event } = testEvent(cookie);
			return sveltekitSessionHandle(options)({
				event,
				resolve: async () => {
					await change(event.locals.session.data);
					return new Response();
				}
			});
		};
		await run(async (data) => {
			data.n = 1;
			await run((inner) => (inner.theme = 'dark'));
		});
		expect(await dataOf(cookie)).toEqual({ user: 'ada', n: 1, theme: 'dark' });
	});
});

test('unsaved changes of autoSave are not lost in an update', async () => {
	const cookie = await visitor({ n: 1 });
	const saving = { ...options, autoSave: true };
	const { session } = await opened(cookie, saving);
	session.data.theme = 'dark';
	await session.update((data) => ({ ...data, m: 1 }));
	expect(session.data).toEqual({ n: 1, theme: 'dark', m: 1 });
	expect(await dataOf(cookie)).toEqual({ n: 1, theme: 'dark', m: 1 });
});
