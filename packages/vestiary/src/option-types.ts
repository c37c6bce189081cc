import { ConfigError } from './errors.js';
import { checkNames } from './names.js';
import type { CookieSerializeOptions } from './types.js';

/** The attributes of a cookie, and the types of their values. */
export const COOKIE_TYPES = {
	domain: 'string',
	encode: 'function',
	expires: 'Date',
	httpOnly: 'boolean',
	maxAge: 'number',
	partitioned: 'boolean',
	path: 'string',
	priority: 'string',
	sameSite: 'boolean or string',
	secure: 'boolean'
} as const;

/**
 * Checks the type of an option, for callers without a compiler.
 * @throws ConfigError
 */
export function checkType(name: string, value: unknown, expected: string): void {
	if (value === undefined && name !== 'options') return;
	let actual: string = typeof value;
	if (value === null) actual = 'null';
	else if (value instanceof Date) actual = 'Date';
	else if (Array.isArray(value)) actual = 'list';
	if (!expected.split(' or ').includes(actual)) {
		throw new ConfigError(
			'options',
			`\`${name}\` must be ${article(expected)} ${expected}, not ${actual}`
		);
	}
}

function article(noun: string): string {
	return /^[aeiou]/i.test(noun) ? 'an' : 'a';
}

/**
 * The attributes of a cookie that are not undefined, checked.
 * @throws ConfigError for what is no attribute, or of another type
 */
export function checkedCookie(cookie: CookieSerializeOptions = {}): CookieSerializeOptions {
	const checked: CookieSerializeOptions = {};
	checkNames(cookie, Object.keys(COOKIE_TYPES), { kind: 'a cookie option', prefix: 'cookie.' });
	for (const [name, value] of Object.entries(cookie) as [string, unknown][]) {
		checkType(`cookie.${name}`, value, COOKIE_TYPES[name as keyof typeof COOKIE_TYPES]);
		if (typeof value === 'number' && !Number.isFinite(value))
			throw new ConfigError(
				'cookie_option',
				`\`cookie.${name}\` is not valid: a finite number of seconds`
			);
		if (value instanceof Date && Number.isNaN(value.getTime()))
			throw new ConfigError(
				'cookie_option',
				`\`cookie.${name}\` is not valid: a Date between 1970 and the year 9999`
			);
		if (value !== undefined) Object.assign(checked, { [name]: value });
	}
	return checked;
}
