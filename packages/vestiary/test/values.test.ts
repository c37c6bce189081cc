import { expect, test } from 'vitest';

import { DataError } from '../src/index.js';
import { jsonOf } from '../src/json.js';
import { changedByJson } from '../src/values.js';

const cycle: Record<string, unknown> = { name: 'secret value' };
cycle.list = [{ self: cycle }];

function revoked(): object {
	const { proxy, revoke } = Proxy.revocable({}, {});
	revoke();
	return proxy;
}

test.each([
	[
		{ cart: { items: [1, 2, 3, { price: 10n }] } },
		'`cart.items[3].price` is a BigInt: store a string or a number instead'
	],
	[{ a: cycle }, '`a.list[0].self` is a circular reference: store each object once'],
	[{ 'two words': { n: 1n } }, '`["two words"].n` is a BigInt'],
	[
		{
			bad: {
				toJSON: () => {
					throw new Error('secret value');
				}
			}
		},
		'`bad` is an object: a `toJSON` method in it throws'
	],
	[{ a: { toJSON: () => ({ b: 1n }) } }, '`a.b` is a BigInt'],
	[
		{
			list: [
				{
					get n(): number {
						throw new Error('secret value');
					}
				}
			]
		},
		'`list[0].n` is something that throws when it is read'
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

test('an object that cannot even be asked for its type cannot be stored', () => {
	const odd = revoked();
	const because = 'is something that throws when it is read';
	expect(() => jsonOf({ gone: odd })).toThrow(`\`gone\` ${because}`);
	expect(() => jsonOf(odd)).toThrow(`it ${because}`);
});

test('data that is too deep to be looked at is too deep, and no overflow of the stack', () => {
	let deep: object = {};
	for (let level = 0; level < 100_000; level++) deep = { deep };
	expect(() => jsonOf(deep)).toThrow(expect.objectContaining({ code: 'too_deep' }));
	expect(changedByJson(deep)).toBeUndefined();
});

test('a class without a constructor, or a name, is a class', () => {
	const Named = function (): void {
		// Its name throws.
	};
	Object.defineProperty(Named, 'name', {
		get: () => {
			throw new Error('secret value');
		}
	});
	const named = Object.create({ constructor: Named }) as object;
	expect(changedByJson({ a: Object.create({ constructor: undefined }) as object })?.kind).toBe(
		'an object of a class'
	);
	expect(changedByJson({ a: named })?.kind).not.toContain('secret');
});

test.each([
	[{ a: Symbol('secret') }, 'a symbol'],
	[{ a: () => 1 }, 'a function'],
	[{ a: NaN }, 'NaN'],
	[{ a: { b: [1, undefined] } }, 'undefined in a list'],
	[{ a: undefined, b: null, c: [1, 'two', { three: true }] }, undefined],
	[{ a: new Date(0) }, 'a Date'],
	[
		{
			a: new (class Cart {
				items = [];
			})()
		},
		'an object of the class Cart'
	],
	[
		{
			a: new (class {
				items = [];
			})()
		},
		'an object of a class'
	],
	[{ a: Object.create(null) as object }, undefined],
	// The result of `toJSON` is not checked: it may be meant for JSON.
	[{ a: { toJSON: () => Symbol('made') } }, undefined]
])('a value that JSON changes or drops is named by its kind: %o', (data, kind) => {
	expect(changedByJson(data)?.kind).toBe(kind);
});
