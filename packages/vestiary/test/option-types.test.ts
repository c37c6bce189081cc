import { globSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { ConfigError } from '../src/errors.js';
import { Session } from '../src/index.js';
import { COOKIE_TYPES, OPTION_TYPES } from '../src/option-types.js';
import { testEvent } from './event.js';
import { membersOf } from './source-types.js';

const SECRET = 'hunter2-hunter2-hunter2-hunter2-';

function refusalOf(options: object): ConfigError {
	try {
		new Session(testEvent().event, { secret: SECRET, ...options });
	} catch (error) {
		expect(error).toBeInstanceOf(ConfigError);
		return error as ConfigError;
	}
	throw new Error('accepted');
}

const VALUES: [type: string, value: unknown][] = [
	['boolean', true],
	['bigint', 5n],
	['Date', new Date(0)],
	['function', () => SECRET],
	['list', [SECRET]],
	['null', null],
	['number', 5],
	['object', { secret: SECRET }],
	['string', SECRET],
	['symbol', Symbol(SECRET)]
];

const cases = [
	...Object.entries(OPTION_TYPES).map(([name, type]) => [name, type, ''] as const),
	...Object.entries(COOKIE_TYPES).map(([name, type]) => [name, type, 'cookie.'] as const)
];

test.each(cases)('%s of another type than %s is refused', (name, type, prefix) => {
	for (const [actual, value] of VALUES) {
		if (type.split(' or ').includes(actual)) continue;
		const error = refusalOf(prefix === '' ? { [name]: value } : { cookie: { [name]: value } });
		const article = type.startsWith('object') ? 'an' : 'a';
		expect(error.code).toBe('options');
		expect(error.message).toBe(
			`\`${prefix}${name}\` must be ${article} ${type}, not ${actual}`
		);
	}
});

const CENTURY =
	'must be a number of seconds, at least 1 (`renewGrace` and `touchAfter`: 0) and at most a century (`renewGrace`: 600, `recheckAfter`: 300)';

test('a grace period that is longer than the tombstone of an old ID stays is refused', () => {
	expect(refusalOf({ renewGrace: 601 })).toMatchObject({
		code: 'timeout_option',
		message: `\`renewGrace\` ${CENTURY}`
	});
	expect(() => new Session(testEvent().event, { secret: SECRET, renewGrace: 600 })).not.toThrow();
});

test('a check of streams that comes too seldom to follow a session to its next ID is refused', () => {
	for (const recheckAfter of [0, 0.999, 300.001])
		expect(refusalOf({ recheckAfter })).toMatchObject({
			code: 'timeout_option',
			message: `\`recheckAfter\` ${CENTURY}`
		});
	for (const recheckAfter of [1, 300])
		expect(
			() => new Session(testEvent().event, { secret: SECRET, recheckAfter })
		).not.toThrow();
});

test.each([
	...[
		'touchAfter',
		'idleTimeout',
		'absoluteTimeout',
		'renewAfter',
		'renewGrace',
		'recheckAfter'
	].map((name) => [{ name }, 'timeout_option', `\`${name}\` ${CENTURY}`] as const),
	[{ name: 'maxBytes' }, 'max_bytes_option', '`maxBytes` must be a whole number of bytes'],
	[
		{ name: 'maxAge', inCookie: true },
		'cookie_option',
		'`cookie.maxAge` is not valid: a finite number of seconds'
	]
] as [{ name: string; inCookie?: true }, string, string][])(
	'%j that is not finite is refused',
	({ name, inCookie }, code, message) => {
		for (const value of [NaN, Infinity, -Infinity]) {
			const error = refusalOf(inCookie ? { cookie: { [name]: value } } : { [name]: value });
			expect(error.code).toBe(code);
			expect(error.message).toContain(message);
		}
	}
);

test.each([new Date(NaN), new Date(-1), new Date('+010000-01-01T00:00:00Z')])(
	'`expires` that no cookie can have is refused',
	(expires) => {
		expect(refusalOf({ cookie: { expires } })).toMatchObject({
			code: 'cookie_option',
			message: '`cookie.expires` is not valid: a Date between 1970 and the year 9999'
		});
	}
);

test('a choice that does not exist is refused by the core with the choices', () => {
	expect(refusalOf({ store: undefined, format: 'xml' })).toMatchObject({
		code: 'options',
		message: "`format` must be 'svelte-kit-sessions' or 'express-session'"
	});
});

test('the short names of the formats are still accepted', () => {
	const session = (format: 'seed' | 'express') =>
		new Session(testEvent().event, { secret: SECRET, format });
	expect(() => [session('seed'), session('express')]).not.toThrow();
	for (const format of ['express', 'express-session'])
		expect(refusalOf({ format, renewAfter: 60 }).code).toBe('express_renewal');
	expect(() => refusalOf({ format: 'seed', renewAfter: 60 })).toThrow('accepted');
});

test('members that the package adds for the core are not options', () => {
	for (const name of ['secrets', 'sealSecrets', 'migrates', 'resends', 'storeTtl', 'production'])
		expect(refusalOf({ [name]: [SECRET] }).message).toContain(`\`${name}\` is not an option`);
});

test('the types and the lists have the same options', () => {
	const declared = membersOf('SveltekitSessionConfig').filter((name) => name !== 'secret');
	expect(Object.keys(OPTION_TYPES).sort()).toEqual(declared.sort());
	expect(Object.keys(COOKIE_TYPES).sort()).toEqual(membersOf('CookieSerializeOptions').sort());
});

const ROOT = new URL('../../../', import.meta.url);

/** The files of code that name an option, in the spelling of either language; comments, tests and messages aside. */
function filesNaming(option: string): string[] {
	const snake = option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
	const name = new RegExp(`\\b(?:${option}|${snake})\\b`);
	const folders =
		'{crates/{vestiary,vestiary-store,vestiary-wasm},packages/vestiary}/src/**/*.{rs,ts}';
	return globSync(folders, { cwd: ROOT }).filter((file) => {
		// Hints about values that are probably wrong, those of the dev panel too, the cookie jar for unit tests, and the
		// cookies of other libraries, are no part of an option.
		if (
			/generated|panel\/|fake-cookies\.ts|former-libraries\.ts|hints\.ts|\btests(?:\.rs|\/)/.test(
				file
			)
		)
			return false;
		const code = readFileSync(new URL(file, ROOT), 'utf8')
			.replace(/#\[cfg\(test\)\]\nmod [^]*/, '')
			.replace(/\/\*[^]*?\*\/|\/\/.*/g, '')
			.replace(/(["'`])[^"'\n]* [^"'\n]*\1/g, '');
		return name.test(code);
	});
}

test.each([['absoluteTimeout'], ['renewGrace'], ['partitioned'], ['priority']])(
	'%s is named in at most four files, as CONTRIBUTING.md has it',
	(option) => {
		const files = filesNaming(option);
		expect(files).toContain('packages/vestiary/src/types.ts');
		expect(files.length, files.join(', ')).toBeLessThanOrEqual(4);
	}
);
