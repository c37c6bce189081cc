import { parseCookie } from 'cookie';
import { sign, unsign } from 'cookie-signature';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import '../src/index.js';
import { Core } from '../src/core.js';

/*
 * Compares with widely used packages: npm `cookie` for headers, npm `cookie-signature` for values. fast-check prints
 * seed and path of a failure.
 */

const RUNS = { numRuns: 2_000 };

function core(secrets: string[]): Core {
	return new Core({
		name: undefined,
		cookie: {},
		secrets,
		sealSecrets: undefined,
		migrates: false,
		resends: false,
		atomic: true,
		storeTtl: 86_400_000,
		production: false
	});
}

const secret = fc.string({ minLength: 1, maxLength: 80, unit: 'grapheme' });
const id = fc.string({
	minLength: 16,
	maxLength: 256,
	unit: fc.constantFrom(...Array.from('ABCxyz019-_.~!#$&*+/:<>@^`|'))
});

test('we sign as cookie-signature does, and each takes what the other has signed', () => {
	fc.assert(
		fc.property(id, secret, (id, secret) => {
			const ours = core([secret]);
			const theirs = sign(id, secret);
			expect(ours.sign(id)).toBe(theirs);
			expect(unsign(ours.sign(id), secret)).toBe(id);
			const header = `connect.sid=${encodeURIComponent(theirs)}`;
			expect(ours.readCookies(header)).toEqual([id]);
		}),
		RUNS
	);
});

test('a value that cookie-signature refuses, we refuse', () => {
	const ours = core(['the secret']);
	const valid = fc.tuple(id, fc.nat(), fc.string({ maxLength: 2 })).map(([id, at, text]) => {
		const value = sign(id, 'the secret');
		const place = at % value.length;
		return value.slice(0, place) + text + value.slice(place + 1);
	});
	fc.assert(
		fc.property(valid, (value) => {
			const octets = /^[!#-+\--:<-[\]-~]*$/.test(value);
			fc.pre(octets && !value.includes('%'));
			const found = ours.readCookies(`connect.sid=${value}`) ?? [];
			const theirs = unsign(value, 'the secret');
			expect(found).toEqual(theirs === false ? [] : [theirs]);
		}),
		RUNS
	);
});

test('the cookie that npm cookie finds in a header, we find', () => {
	const ours = core(['the secret']);
	const valid = id.map((id) => encodeURIComponent(sign(id, 'the secret')));
	const junk = fc.string({
		maxLength: 30,
		unit: fc.constantFrom(...Array.from('abc=%20."\t ,'))
	});
	const blanks = fc.constantFrom('', '', ' ', '\t', '  ');
	const name = fc.oneof(
		{ arbitrary: fc.constant('connect.sid'), weight: 3 },
		fc.constantFrom('Connect.sid', 'connect.si', 'connect%2Esid', 'xconnect.sid', '')
	);
	const pair = fc
		.tuple(blanks, name, blanks, fc.oneof(valid, junk), blanks)
		.map(([a, name, b, value, c]) => `${a}${name}${b}=${b}${value}${c}`);
	const header = fc.array(fc.oneof(pair, junk), { maxLength: 8 }).map((all) => all.join(';'));
	fc.assert(
		fc.property(header, (header) => {
			const found = ours.readCookies(header);
			const theirs = parseCookie(header, { decode: (text) => text })['connect.sid'];
			if (theirs === undefined) {
				expect(found).toBeUndefined();
				return;
			}
			let first: string | false = false;
			try {
				first = unsign(decodeURIComponent(theirs), 'the secret');
			} catch {
				// It is not percent-encoded text.
			}
			if (first !== false) expect(found?.[0]).toBe(first);
			// And no value without a valid signature.
			for (const id of found ?? [])
				expect(decodeURIComponent(header.replace(/%(?![0-9A-F]{2})/g, '%25'))).toContain(
					sign(id, 'the secret')
				);
		}),
		RUNS
	);
});
