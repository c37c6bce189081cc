import { beforeEach, describe, expect, test } from 'vitest';

import { StoreError, type AtomicOutcome, type Store } from '../src/index.js';
import { WatchedStore, visits, watched, type Data, type Operation } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

describe('answers that get lost', () => {
	/** The first operation of this kind is done, and its answer lost. */
	const lose = (lost: Operation): void => {
		let times = 0;
		store.after = (operation) => {
			if (operation === lost && times++ === 0) throw new Error('connection reset');
		};
	};

	test('of a save do no harm, and it is not made twice', async () => {
		const cookie = await visitor({ n: 0 });
		lose('replace');
		const { session } = await opened(cookie);
		expect(await session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }))).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: 1 });
	});

	test('of a logout do no harm', async () => {
		const cookie = await visitor({ n: 0 });
		lose('remove');
		await (await opened(cookie)).session.destroy();
		expect(store.size).toBe(0);
	});

	test('of a login do no harm', async () => {
		for (const lost of ['create', 'replace', 'touch'] as const) {
			const cookie = await visitor({ n: 0 });
			const { session, cookie: next } = await opened(cookie);
			lose(lost);
			await session.login('ada', { data: { user: 'ada' } });
			store.after = undefined;
			expect(await dataOf(next()), lost).toEqual({ user: 'ada' });
			expect(await dataOf(cookie)).toBeUndefined();
		}
	});

	test('a store that fails twice is a StoreError with its cause; one that is always busy, too', async () => {
		const cookie = await visitor({ n: 0 });
		const { session } = await opened(cookie);
		session.data.n = 1;
		const down = new Error('down');
		store.before = () => {
			throw down;
		};
		await expect(session.save()).rejects.toMatchObject({ code: 'store_failed', cause: down });
		store.before = undefined;
		// The change is not lost: it is saved when the store works again.
		await session.save();
		expect(await dataOf(cookie)).toEqual({ n: 1 });

		const conflict = async (): Promise<AtomicOutcome> => 'conflict';
		const busy: Store = Object.assign(Object.create(store) as WatchedStore, {
			atomic: { ...store.atomic, replace: conflict }
		});
		const other = await opened(cookie, { ...options, store: busy });
		await expect(other.session.save()).rejects.toMatchObject({ code: 'store_busy' });
		await expect(other.session.save()).rejects.toBeInstanceOf(StoreError);
	});
});
