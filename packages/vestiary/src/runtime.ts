import { Constant, constant } from './generated/vestiary.js';
import { Cache, type Recent } from './bounded.js';
import { Core, type CoreOptions } from './core.js';
import type { OwnCookie } from './progress.js';
import { building, developing, testing } from './environment.js';
import { ConfigError } from './errors.js';
import { hint, hintsFor } from './hints.js';
import { checkNames } from './names.js';
import { MemoryStore } from './memory-store.js';
import {
	checkedCache,
	checkedCookie,
	checkedDevice,
	checkedLimit,
	checkType,
	COOKIE_TYPES,
	forCore,
	OPTION_TYPES
} from './option-types.js';
import { Records } from './records.js';
import { Shape } from './shape.js';
import { defaultStore, numberOfSecrets, sharedBy } from './shared.js';
import { checkNumber, checkStore, has } from './stores/check.js';
import { limitPatience } from './stores/patience.js';
import { testServer } from './test-server.js';
import { Turns } from './turns.js';
import type {
	CookieSerializeOptions,
	SessionCookieOptions,
	Store,
	SveltekitSessionConfig
} from './types.js';

/**
 * Validated options, with the core and the store that belong to them. A runtime is cheap, because an application may
 * create its options in every request. Expensive or long-lived parts are shared by all runtimes whose options have the
 * same values.
 */
export interface Runtime {
	readonly options: SveltekitSessionConfig;
	readonly core: Core;
	/** The property of `event.locals` that holds the session. */
	readonly slot: string;
	/** The path at which the handle answers `useSession()` (`vestiary/client`), if it does. */
	readonly clientPath: string | undefined;
	readonly store: Store;
	readonly records: Records;
	/** The form of session data, if the options describe one. */
	readonly shape: Shape | undefined;
	/** The cookie attributes of a session without its own: those of the options, with a path. */
	readonly cookie: Readonly<SessionCookieOptions>;
	/** Records that were written or touched so recently that no touch is due. */
	readonly touched: {
		/** Adds a record that got its full TTL. `at` is when the store was called, however long it took. */
		add(id: string, own: OwnCookie | undefined, at: number): void;
		has(id: string): boolean;
	};
	/** The writers of sessions in this process, by ID. */
	readonly writes: Turns;
	/** The maximum time for which a writer waits for the function of another update, in milliseconds. */
	readonly patience: number;
	/** Whether a session is opened at its first use. A session that the application does not look at is then never read. */
	readonly opensLate: boolean;
	/** Identifies the application: handles that accept the same cookies have the same object. */
	readonly application: object;
	/** Whether SvelteKit makes cookies `Secure` at the origin of the last request. */
	secureAt?: { origin: string; secure: boolean };
}

export { building, developing };

const runtimes = new WeakMap<SveltekitSessionConfig, Runtime>();

/** The runtime of these options, created on their first use. */
export function runtimeOf(options: SveltekitSessionConfig): Runtime {
	const known = runtimes.get(options);
	if (known) return known;
	checkType('options', options, 'object');
	checkNames(options, [...Object.keys(OPTION_TYPES), 'secret'], {
		kind: 'an option',
		cure: inCookie
	});
	for (const [name, type] of Object.entries(OPTION_TYPES))
		checkType(name, options[name as keyof SveltekitSessionConfig], type);
	for (const [name, values] of Object.entries(OPTION_VALUES))
		checkValue(name, options[name as keyof typeof OPTION_VALUES], values);
	checkNumber('storeTimeout', options.storeTimeout, {
		unit: 'milliseconds',
		least: 0,
		most: LONGEST_TIMER,
		unlimited: true
	});
	if (options.store) checkStore(options.store);
	if (options.telemetry && !has(options.telemetry, ['event', 'store']))
		throw new ConfigError(
			'options',
			"`telemetry` must have the functions `event` and `store`, as `opentelemetry()` of 'vestiary/opentelemetry' has"
		);
	if (options.name === '')
		throw new ConfigError(
			'cookie_name',
			'`name` must not be empty: it is the name of the cookie'
		);
	const encrypts = options.encrypt === true || options.encrypt === 'migrate';
	checkWellFormed('`namespace`', options.namespace);
	const { path = '/', ...attributes } = checkedCookie(options.cookie);
	const cookie = { path, ...attributes };
	const given = secretsOf(options.secret);
	const secrets = given?.map((one) => testServer?.secretOf(one) ?? one);
	const secretsNumber = numberOfSecrets(secrets);
	const core = coreOf(secretsNumber, {
		...forCore(options),
		...checkedLimit(options.sessionsPerUser),
		...checkedCache(options.cache),
		...checkedDevice(options.deviceBound),
		cookie,
		secrets,
		sealSecrets: encrypts ? given : undefined,
		migrates: options.encrypt === 'migrate',
		atomic: !options.store || !!options.store.atomic,
		resends: options.store !== undefined && options.store.atomic?.resends !== false,
		storeTtl: options.store?.atomic?.ttl ?? constant(Constant.StoreTtl),
		production: isProduction
	});
	checkEncoder(core, cookie.encode);
	const store = options.store ?? defaultStore(core.name, options.namespace);
	checkCapabilities(options, store);
	const { hashIds, namespace, telemetry } = options;
	const owner = { secrets: secretsNumber, name: core.name, namespace };
	const { application, sessions } = sharedBy(owner, store);
	if (options.store) withStore.add(application);
	const { outOfUse, touched, columns, live } = sessions;
	const shape = Shape.of(options);
	const timeout = store instanceof MemoryStore ? 0 : timeoutOf(options.storeTimeout);
	limitPatience(store, timeout === 0 ? Infinity : timeout);
	const slot = slotOf(options.as);
	const runtime: Runtime = {
		options,
		core,
		slot,
		clientPath: clientPathOf(options.client, slot),
		store,
		shape,
		records: new Records(core, store, {
			migrate: shape && ((data, version) => shape.migrated(data, version)),
			timeout,
			telemetry,
			encrypts,
			outOfUse,
			columns,
			live,
			// A memory store answers as fast.
			near:
				options.cache && !(store instanceof MemoryStore)
					? sessions.near(options.cache.maxEntries)
					: undefined,
			recheckAfter: (options.recheckAfter ?? constant(Constant.RecheckAfter)) * 1_000
		}),
		cookie: Object.freeze(cookie),
		touched: touchedBy(core, touched, `${cookie.maxAge}:${hashIds === true}:`),
		// An atomic store itself detects a concurrent write of another handle.
		writes: store.atomic ? new Turns() : sessions.writes,
		patience: timeoutOf(options.storeTimeout) || LONGEST_TIMER,
		opensLate: !developing && !isAlwaysUsed(options),
		application
	};
	runtimes.set(options, runtime);
	if (developing) hintsFor(options, (secret) => Core.canGuess(secret)).forEach(hint);
	return runtime;
}

/** The applications of which some options have a store. */
const withStore = new WeakSet<object>();

/** The stores whose sessions requests can have: those of handles, and of `Session.initialize`. */
const served = new WeakSet<Store>();

/** The runtime of these options, for the sessions of requests. */
export function servingRuntimeOf(options: SveltekitSessionConfig): Runtime {
	const runtime = runtimeOf(options);
	served.add(runtime.store);
	return runtime;
}

/**
 * Rejects options whose `store` was forgotten: they mean a store in memory, of which no request has a session.
 * @param ends Whether sessions are to be ended, which would be reported as done
 * @throws ConfigError
 */
export function checkServed({ options, store, application }: Runtime, ends: boolean): void {
	if (options.store || served.has(store)) return;
	// A process that has no handle may still get one, for example with a function of options.
	if (!withStore.has(application) && !(ends && isProduction)) return;
	throw new ConfigError(
		'options',
		'`sessions(options)` has no `store`, and no handle of this process keeps its sessions in memory: pass the options of the handle, with its `store`'
	);
}

const isProduction = !developing && !testing && !building;

/** Whether every request needs its session, even if the application does not look at it. */
function isAlwaysUsed(options: SveltekitSessionConfig): boolean {
	const { rolling, renewAfter, saveUninitialized, idleTimeout, onEvent } = options;
	return (
		rolling === true ||
		saveUninitialized === true ||
		renewAfter !== undefined ||
		idleTimeout !== undefined ||
		onEvent !== undefined
	);
}

/** The longest delay of a timer in JavaScript, in milliseconds. A longer one runs at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The timeout of a store call in milliseconds; 0 disables it. */
function timeoutOf(storeTimeout = PATIENCE): number {
	return storeTimeout === Infinity ? 0 : storeTimeout;
}

/** The default of `storeTimeout`, in milliseconds. */
const PATIENCE = constant(Constant.StoreTimeout);

const OPTION_VALUES = {
	onStoreError: ['throw', 'anonymous'],
	encrypt: [true, false, 'migrate']
} as const;

/** Options that need an atomic store. */
const NEED_ATOMIC = ['idleTimeout', 'renewAfter', 'cache', 'deviceBound'] as const;

/** The advice for a cookie attribute that is written beside `cookie` instead of in it. */
function inCookie(name: string): string | undefined {
	return Object.hasOwn(COOKIE_TYPES, name) ? `write \`cookie: { ${name} }\`` : undefined;
}

/** The key under which this process tracks the open sessions of a user in a store. */
export function userKey({ namespace }: SveltekitSessionConfig, name: string): string {
	return `${namespace ?? ''}:${name}`;
}

/**
 * Rejects text with a lone surrogate. Every lone surrogate becomes the same bytes, so two users could share one list.
 */
export function checkWellFormed(name: string, text: string | undefined): void {
	if (text === undefined || !/\p{Surrogate}/u.test(text)) return;
	throw new ConfigError('options', `${name} must be well-formed: it has a lone surrogate`);
}

function checkValue(
	name: string,
	value: string | boolean | undefined,
	values: readonly (string | boolean)[]
): void {
	if (value === undefined || values.includes(value)) return;
	const list = values.map((one) => (typeof one === 'string' ? `'${one}'` : one)).join(' or ');
	throw new ConfigError('options', `\`${name}\` must be ${list}`);
}

function slotOf(name = 'session'): string {
	if (name === '' || name === '__proto__')
		throw new ConfigError('options', '`as` must be the name of a property of `event.locals`');
	return name;
}

/** The path at which the handle answers `useSession()`. */
function clientPathOf(client: SveltekitSessionConfig['client'], slot: string): string | undefined {
	if (typeof client !== 'object') return client === true ? `/_${slot}` : undefined;
	checkNames(client, ['path'], { kind: 'a member of `client`', prefix: 'client.' });
	const { path } = client as { path: unknown };
	// As SvelteKit has it in `event.url.pathname`.
	if (typeof path === 'string' && pathIn(path) === path) return path;
	throw new ConfigError(
		'options',
		'`client.path` must be the path of a URL, such as `/_session`'
	);
}

/** The path of a URL that was written without its origin; undefined if it is invalid. */
function pathIn(url: string): string | undefined {
	try {
		return new URL(url, 'http://app/').pathname;
	} catch {
		return undefined;
	}
}

/**
 * Rejects a promise where a value is needed at once. A promise would always count as true.
 * @throws ConfigError
 */
export function refusePromise(name: string, answer: unknown): void {
	if (!(answer instanceof Promise)) return;
	// Its rejection must not count as unhandled.
	answer.catch(() => undefined);
	throw new ConfigError('options', `${name} must not be async: its answer is needed at once`);
}

/** Rejects a store that lacks what the options need, before it loses a session. */
function checkCapabilities(options: SveltekitSessionConfig, store: Store): void {
	const required: readonly unknown[] = options.require ?? [];
	if (!Array.isArray(required) || required.some((one) => one !== 'atomic'))
		throw new ConfigError('options', "`require` must be a list of 'atomic'");
	const wanted =
		required.length > 0
			? '`require`'
			: NEED_ATOMIC.find((name) => (options[name] ?? false) !== false);
	if (wanted === undefined || store.atomic) return;
	throw new ConfigError(
		'store_capability',
		`${wanted} needs an atomic store, and this one is not atomic (it has no \`atomic\`): use MemoryStore, SqliteStore, PostgresStore, MySqlStore, DurableObjectStore, D1Store, RedisStore or UpstashRedisStore, with the default serializer`
	);
}

/** Checks that an encoded cookie can be read back, as it is or percent-decoded. */
function checkEncoder(core: Core, encode: CookieSerializeOptions['encode']): void {
	if (!encode || building) return;
	const id = 'A'.repeat(32);
	const encoded = encode(core.sign(id));
	refusePromise('`cookie.encode`', encoded);
	const ids = core.readCookies(`${core.name}=${encoded}`);
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
		checkWellFormed('`secret`', one);
		return one ?? '';
	});
}

/** The maximum number of configurations whose cores are kept. */
const CORES = 100;

const cores = new Cache<string, Core>(CORES);

/** The core for these options. Options of the same values share one; the key has a number in place of the secrets. */
function coreOf(secretsNumber: number, options: CoreOptions): Core {
	const values = { ...options, secrets: secretsNumber, sealSecrets: !!options.sealSecrets };
	const core = cores.get(JSON.stringify(values), () => new Core(options));
	core.use();
	return core;
}

/** The touches of one handle. `kind` contains the lifetime, because another handle may give a longer one. */
function touchedBy(core: Core, touched: Recent, kind: string): Runtime['touched'] {
	return {
		add: (id, own, at) => {
			const after = core.touchAfter(own);
			if (after > 0) touched.add(kind + id, after, at);
		},
		has: (id) => touched.has(kind + id, Date.now())
	};
}
