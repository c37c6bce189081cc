import { describe, expect, test } from 'vitest';

import { Cache, Recent } from '../src/bounded.js';

describe('a cache', () => {
	test('keeps the values that were used last', () => {
		const cache = new Cache<string, string>(2);
		let made = 0;
		const value = (key: string): string => cache.get(key, () => `${key} ${++made}`);
		expect(['a', 'b', 'a'].map(value)).toEqual(['a 1', 'b 2', 'a 1']);
		// `b` was not used for the longest time.
		expect(['c', 'a', 'b'].map(value)).toEqual(['c 3', 'a 1', 'b 4']);
		expect(['c', 'b'].map(value)).toEqual(['c 5', 'b 4']);
	});

	test('keeps nothing of what could not be made', () => {
		const cache = new Cache<string, number>(2);
		const fail = (): number => {
			throw new Error('no');
		};
		expect(() => cache.get('a', fail)).toThrow('no');
		expect(cache.get('a', () => 1)).toBe(1);
	});
});

describe('recent names', () => {
	test('are remembered for their time, and not at its end', () => {
		const names = new Recent(10);
		names.add('a', 100, 1_000);
		expect([1_099, 1_100].map((now) => names.has('a', now))).toEqual([true, false]);
		expect(names.size).toBe(0);
	});

	test('the oldest name is evicted beyond the limit, and a name that is added again is the newest', () => {
		const names = new Recent(2);
		for (const name of ['a', 'b', 'a', 'c']) names.add(name, 100, 0);
		expect(['a', 'b', 'c'].map((name) => names.has(name, 1))).toEqual([true, false, true]);
		expect(names.size).toBe(2);
	});

	test('that have expired go, a few with each that comes', () => {
		const names = new Recent(1_000);
		for (let n = 0; n < 30; n++) names.add(`${n}`, 100, 0);
		names.add('later', 1_000, 100);
		const left = names.size;
		expect(left).toBeLessThan(31);
		expect(left).toBeGreaterThan(1);
		for (let n = 0; n < 5; n++) names.add('later', 1_000, 100);
		expect(names.size).toBe(1);
	});

	test('may be forgotten', () => {
		const names = new Recent(2);
		names.add('a', 100, 0);
		names.remove('a');
		expect([names.has('a', 1), names.size]).toEqual([false, 0]);
	});
});
