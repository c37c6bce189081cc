import { ConfigError } from './errors.js';
import { optionTypes } from './generated/vestiary.js';
import { checkNames } from './names.js';
import { CACHE_TYPES, type CacheOptions } from './cache-options.js';
import { DEVICE_BOUND_TYPES } from './device-bound-options.js';
import { LIMIT_TYPES } from './session-limit.js';
import type { CookieSerializeOptions, SveltekitSessionConfig } from './types.js';

/** The types of values, by the names of the options. */
type Types = Readonly<Record<string, string>>;

/** The options that only concern JavaScript, with the types of their values. */
const OWN_TYPES = {
	as: 'string',
	cookie: 'object',
	sessionsPerUser: 'number or object',
	cache: 'object',
	deviceBound: 'boolean or object',
	store: 'object',
	schema: 'object or function',
	transformer: 'object or function',
	migrate: 'function',
	public: 'function',
	client: 'boolean or object',
	encrypt: 'boolean or string',
	require: 'list',
	genid: 'function',
	skip: 'function',
	passive: 'function',
	onEvent: 'function',
	telemetry: 'object',
	onStoreError: 'string',
	storeTimeout: 'number'
} as const satisfies Partial<Record<keyof SveltekitSessionConfig, string>>;

/** The core's own list: a line for each option, with the type of its value. */
const LINES = optionTypes().split('\n');

/** The options in the core's list whose lines match the pattern, by the name that it captures. */
function inCore(pattern: RegExp): Types {
	return Object.fromEntries(
		LINES.flatMap((line) => {
			const [, name, type] = pattern.exec(line) ?? [];
			return name === undefined || type === undefined ? [] : [[name, type]];
		})
	);
}

/** The options that the core reads, without those that {@link CoreOptions} adds. */
const CORE_TYPES = inCore(
	/^(?!secrets|sealSecrets|whenFull|maxStale|maxEntries|boundMaxAge|boundPath|migrates|atomic|resends|storeTtl|production)(\w+) a (.*)/
);

/** All options with the types of their values, except `secret`, which is checked separately. */
export const OPTION_TYPES: Types = { ...CORE_TYPES, ...OWN_TYPES };

/** The cookie attributes that the core reads, with the types of their values. */
export const ATTRIBUTE_TYPES: Types = inCore(/^cookie\.(\w+) a (.*)/);

/** The members of `cookie`, with the types of their values. */
export const COOKIE_TYPES: Types = { ...ATTRIBUTE_TYPES, encode: 'function' };

/** The part of the options that the core reads. */
export function forCore(options: SveltekitSessionConfig): Partial<SveltekitSessionConfig> {
	const names = Object.keys(CORE_TYPES) as (keyof SveltekitSessionConfig)[];
	return Object.fromEntries(names.map((name) => [name, options[name]]));
}

/** More sessions of a user than a list can hold. JSON has no Infinity. */
const MOST = 2 ** 32 - 1;

/**
 * Checks the names and types in the limit of a user's sessions, and converts it to the two members that the core reads.
 * @throws ConfigError for an unknown member or a wrong type
 */
export function checkedLimit(limit: SveltekitSessionConfig['sessionsPerUser']): {
	sessionsPerUser: number | undefined;
	whenFull: string | undefined;
} {
	const { most, whenFull } = typeof limit === 'object' ? limit : { most: limit };
	if (typeof limit === 'object') {
		const kind = { kind: 'a member of `sessionsPerUser`', prefix: 'sessionsPerUser.' };
		checkNames(limit, Object.keys(LIMIT_TYPES), kind);
		checkType('sessionsPerUser.most', most, LIMIT_TYPES.most);
		checkType('sessionsPerUser.whenFull', whenFull, LIMIT_TYPES.whenFull);
	}
	return { sessionsPerUser: most === Infinity ? MOST : most, whenFull };
}

/**
 * Checks the names and types in the options of the near cache, and converts them to the two members that the core reads.
 * @throws ConfigError for an unknown or missing member, or a wrong type
 */
export function checkedCache(cache: SveltekitSessionConfig['cache']): {
	maxStale: number | undefined;
	maxEntries: number | undefined;
} {
	const { maxStale, maxEntries }: Partial<CacheOptions> = cache ?? {};
	if (cache) {
		const kind = { kind: 'a member of `cache`', prefix: 'cache.' };
		checkNames(cache, Object.keys(CACHE_TYPES), kind);
		if (maxStale === undefined)
			throw new ConfigError(
				'options',
				'`cache.maxStale` is missing: say for how many milliseconds an entry may answer, such as 1000'
			);
		checkType('cache.maxStale', maxStale, CACHE_TYPES.maxStale);
		checkType('cache.maxEntries', maxEntries, CACHE_TYPES.maxEntries);
	}
	return { maxStale, maxEntries };
}

/**
 * Checks the names and types in the options of device-bound sessions, and converts them to the three members that the core
 * reads.
 * @throws ConfigError for an unknown member or a wrong type
 */
export function checkedDevice(given: SveltekitSessionConfig['deviceBound']): {
	deviceBound: boolean | undefined;
	boundMaxAge: number | undefined;
	boundPath: string | undefined;
} {
	if (typeof given !== 'object')
		return { deviceBound: given, boundMaxAge: undefined, boundPath: undefined };
	const kind = { kind: 'a member of `deviceBound`', prefix: 'deviceBound.' };
	checkNames(given, Object.keys(DEVICE_BOUND_TYPES), kind);
	const { maxAge, path } = given;
	checkType('deviceBound.maxAge', maxAge, DEVICE_BOUND_TYPES.maxAge);
	checkType('deviceBound.path', path, DEVICE_BOUND_TYPES.path);
	return { deviceBound: true, boundMaxAge: maxAge, boundPath: path };
}

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
 * Validates the names and types of cookie attributes, and drops undefined ones.
 * @throws ConfigError for an unknown attribute or a wrong type
 */
export function checkedCookie(cookie: CookieSerializeOptions = {}): CookieSerializeOptions {
	const checked: CookieSerializeOptions = {};
	checkNames(cookie, Object.keys(COOKIE_TYPES), { kind: 'a cookie option', prefix: 'cookie.' });
	for (const [name, value] of Object.entries(cookie) as [string, unknown][]) {
		checkType(`cookie.${name}`, value, COOKIE_TYPES[name] ?? '');
		if (value !== undefined) Object.assign(checked, { [name]: value });
	}
	return checked;
}
