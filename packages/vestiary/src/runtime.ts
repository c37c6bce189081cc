import { Core } from './core.js';
import { ConfigError } from './errors.js';
import { MemoryTable } from './generated/vestiary.js';
import { hint, hintsFor } from './hints.js';
import { MemoryStore } from './memory-store.js';
import type { Scope } from './scope.js';
import type {
	CookieSerializeOptions,
	SessionCookieOptions,
	Store,
	SveltekitSessionConfig
} from './types.js';

/** What options become: checked once, then used by every request. */
export interface Runtime {
	readonly options: SveltekitSessionConfig;
	readonly core: Core;
	readonly store: Store;
	/** `session.cookie`: the options as given, with a path. */
	readonly cookie: Readonly<SessionCookieOptions>;
	/** Milliseconds to wait for the store; 0 waits as long as it takes. */
	readonly timeout: number;
	/** IDs whose records were written or touched so recently that it need not be done again. */
	readonly touched: MemoryTable;
	/** The last `update` of a session in this process, by ID. */
	readonly updates: Map<string, Promise<unknown>>;
	/** Requests under way, by the mark that their sub-requests carry. */
	readonly requests: Map<string, Scope>;
}

/**
 * SvelteKit analyses and prerenders an app in workers that it marks so. There no visitor exists:
 * sessions stay untouched, and the secret may be missing.
 */
export const building: boolean = environment('SVELTEKIT_FORK') === 'true';

/** `vite dev` says so; whoever says nothing is taken for production. */
export const developing: boolean = environment('NODE_ENV') === 'development';

const testing = environment('NODE_ENV') === 'test';

const runtimes = new WeakMap<SveltekitSessionConfig, Runtime>();

/** The runtime of these options, made when they are first seen. */
export function runtimeOf(options: SveltekitSessionConfig): Runtime {
	const known = runtimes.get(options);
	if (known) return known;
	check('options', options, 'object');
	for (const [name, type] of Object.entries(OPTION_TYPES))
		check(name, options[name as keyof SveltekitSessionConfig], type);
	for (const [name, values] of Object.entries(OPTION_VALUES))
		checkValue(name, options[name as keyof typeof OPTION_VALUES], values);
	const { path = '/', ...attributes } = checkedCookie(options.cookie);
	const cookie = { path, ...attributes };
	const core = new Core({
		name: options.name,
		cookie,
		rolling: options.rolling,
		saveUninitialized: options.saveUninitialized,
		autoSave: options.autoSave,
		touchAfter: options.touchAfter,
		format: options.format,
		secrets: secretsOf(options.secret),
		production: !developing && !testing && !building
	});
	checkEncoder(core, cookie.encode);
	const store = options.store ?? defaultStore(core.name);
	const runtime: Runtime = {
		options,
		core,
		store,
		cookie: Object.freeze(cookie),
		timeout: store instanceof MemoryStore ? 0 : (options.storeTimeout ?? 5_000),
		touched: new MemoryTable(10_000),
		updates: new Map(),
		requests: new Map()
	};
	runtimes.set(options, runtime);
	if (developing) hintsFor(options).forEach(hint);
	return runtime;
}

const OPTION_TYPES = {
	name: 'string',
	cookie: 'object',
	rolling: 'boolean',
	store: 'object',
	saveUninitialized: 'boolean',
	autoSave: 'boolean',
	touchAfter: 'number',
	format: 'string',
	genid: 'function',
	skip: 'function',
	onEvent: 'function',
	onStoreError: 'string',
	storeTimeout: 'number'
} as const;

const OPTION_VALUES = {
	format: ['seed', 'express'],
	onStoreError: ['throw', 'anonymous']
} as const;

const COOKIE_TYPES = {
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

function environment(name: 'NODE_ENV' | 'SVELTEKIT_FORK'): string | undefined {
	return typeof process === 'undefined' ? undefined : process.env[name];
}

/** JavaScript callers get told what the compiler tells the others. */
function check(name: string, value: unknown, expected: string): void {
	if (value === undefined && name !== 'options') return;
	const actual = value === null ? 'null' : value instanceof Date ? 'Date' : typeof value;
	if (!expected.split(' or ').includes(actual)) {
		throw new ConfigError('options', `\`${name}\` must be a ${expected}, not ${actual}`);
	}
}

function checkValue(name: string, value: string | undefined, values: readonly string[]): void {
	if (value === undefined || values.includes(value)) return;
	throw new ConfigError('options', `\`${name}\` must be '${values.join("' or '")}'`);
}

function checkedCookie(cookie: CookieSerializeOptions = {}): CookieSerializeOptions {
	const checked: CookieSerializeOptions = {};
	for (const [name, value] of Object.entries(cookie) as [string, unknown][]) {
		if (!Object.hasOwn(COOKIE_TYPES, name)) {
			throw new ConfigError(
				'options',
				`\`cookie.${name}\` is not a cookie option: there are ${Object.keys(COOKIE_TYPES).join(', ')}`
			);
		}
		check(`cookie.${name}`, value, COOKIE_TYPES[name as keyof typeof COOKIE_TYPES]);
		if (value !== undefined) Object.assign(checked, { [name]: value });
	}
	return checked;
}

/** What an encoder makes has to be read back: as it is, or percent-decoded. */
function checkEncoder(core: Core, encode: CookieSerializeOptions['encode']): void {
	if (!encode || building) return;
	const id = 'A'.repeat(32);
	const ids = core.readCookies(`${core.name}=${encode(core.sign(id))}`);
	if (ids?.[0] === id) return;
	throw new ConfigError(
		'cookie_option',
		'`cookie.encode` makes a value that cannot be read back: it may percent-encode characters, and must leave the others alone'
	);
}

function secretsOf(secret: unknown): string[] | undefined {
	const secrets: unknown[] = Array.isArray(secret) ? secret : [secret];
	if (building && !secrets.some(Boolean)) return undefined;
	return secrets.map((one) => {
		if (one !== undefined && typeof one !== 'string') {
			throw new ConfigError('options', '`secret` must be a string or a list of strings');
		}
		return one ?? '';
	});
}

const defaultStores = new Map<string, Store>();

/**
 * In development the memory store of a cookie name outlives the handle, or every edit of
 * `hooks.server.ts` would log the developer out.
 */
function defaultStore(cookieName: string): Store {
	if (!developing) return new MemoryStore();
	const store = defaultStores.get(cookieName) ?? new MemoryStore();
	defaultStores.set(cookieName, store);
	return store;
}
