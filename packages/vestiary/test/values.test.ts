import { expect, test } from 'vitest';

import { DataError } from '../src/index.js';
import { jsonOf } from '../src/records.js';

const cycle: Record<string, unknown> = { name: 'secret value' };
cycle.list = [{ self: cycle }];

test.each([
	[{ cart: { items: [1, 2, 3, { price: 10n }] } }, '`cart.items[3].price` is a BigInt'],
	[{ a: cycle }, '`a.list[0].self` is a reference to an object that it is in'],
	[{ 'two words': { n: 1n } }, '`["two words"].n` is a BigInt'],
	[
		{
			bad: {
				toJSON: () => {
					throw new Error('secret value');
				}
			}
		},
		'a `toJSON` method in it throws'
	]
])('data that cannot be stored: the error names the key, and no value', (data, text) => {
	let error: unknown;
	try {
		jsonOf(data);
	} catch (thrown) {
		error = thrown;
	}
	expect(error).toBeInstanceOf(DataError);
	expect(String(error)).toContain(text);
	expect(error).toHaveProperty('code', 'json');
	expect(JSON.stringify([String(error), String((error as Error).cause)])).not.toContain('secret');
	expect(String(error)).not.toContain('10');
});
