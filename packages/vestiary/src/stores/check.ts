import { ConfigError } from '../errors.js';
import { building } from '../environment.js';
import { checkNames } from '../names.js';
import type { Serializer } from '../types.js';
import { LONGEST } from './options.js';

/** Rejects options without a client, before the first request fails. */
export function checkClient(store: string, options: unknown, methods: readonly string[]): void {
	const usage = `\`new ${store}({ client })\``;
	checkObject(store, options, usage);
	const { client } = options as { client?: unknown };
	if (has(client, methods)) {
		checkKind(store, client);
		return;
	}
	if (has(options, methods))
		throw wrong(`\`new ${store}(client)\` must be ${usage}: the client is one of the options`);
	if (client === undefined || client === null) {
		// A build has no visitors, and may have no connection.
		if (building) return;
		throw wrong(
			`${usage}: \`client\` is missing: pass a connected client, or check the name of the binding`
		);
	}
	throw wrong(`${usage}: \`client\` must be a client, with ${listed(methods)}`);
}

/** Rejects a value that is not an object of options. */
export function checkObject(store: string, options: unknown, usage: string): void {
	if (typeof options === 'object' && options !== null) return;
	if (typeof options === 'function') return;
	const given = options === null ? 'null' : typeof options;
	throw wrong(`${usage}: the options of ${store} must be an object, not ${given}`);
}

/**
 * Rejects invalid common options of stores.
 * @param others The names of the store's other options
 */
export function checkCommon(
	store: string,
	options: {
		prefix?: string | undefined;
		serializer?: Serializer | undefined;
		ttl?: number | undefined;
	},
	others: readonly string[]
): void {
	checkNames(options, [...others, 'prefix', 'serializer', 'ttl'], {
		kind: `an option of \`${store}\``
	});
	const { prefix, serializer, ttl } = options as Record<string, unknown>;
	if (prefix !== undefined && typeof prefix !== 'string')
		throw wrong(`\`prefix\` must be a string, not ${typeof prefix}`);
	if (serializer !== undefined && !has(serializer, ['parse', 'stringify']))
		throw wrong('`serializer` must be an object with the functions `parse` and `stringify`');
	checkNumber('ttl', ttl, { unit: 'milliseconds' });
}

/** The range of a number. Default: greater than 0. */
export interface NumberRule {
	unit: string;
	/** Whether `Infinity` is accepted, for no limit. */
	unlimited?: boolean;
	/** Whether it must be a whole number. */
	whole?: boolean;
	/** The minimum. Default: the smallest number above 0. */
	least?: number;
	most?: number;
}

/** Rejects a value that is not a number in this range. */
export function checkNumber(name: string, value: unknown, rule: NumberRule): void {
	if (value === undefined) return;
	const {
		unit,
		unlimited = false,
		whole = false,
		least = Number.MIN_VALUE,
		most = LONGEST
	} = rule;
	if (typeof value === 'number') {
		if (unlimited && value === Infinity) return;
		if (value >= least && value <= most && (!whole || Number.isInteger(value))) return;
	}
	const from = least === Number.MIN_VALUE ? 'more than 0' : `at least ${least}`;
	const infinite = unlimited ? ', or `Infinity` for no limit' : ', and finite';
	const number = whole ? 'a whole number' : 'a number';
	throw wrong(`\`${name}\` must be ${number} of ${unit}, ${from}, at most ${most}${infinite}`);
}

/** Rejects a value that is not a session store, and advises what to do with it. */
export function checkStore(store: object): void {
	const cure = CLIENTS.find(([method]) => has(store, [method]))?.[1];
	if (cure !== undefined) throw wrong(`\`store\` is a client and not a store: ${cure}`);
	if (has(store, ['createSession', 'regenerate', 'get']))
		throw wrong(
			'`store` is a store of express-session: wrap it, as in `store: fromExpressStore(store)`'
		);
	if (!has(store, STORE) && has(store, ['query', 'escapeId']))
		throw wrong(
			"`store` is a client and not a store: `new MySqlStore({ client })` of 'vestiary/mysql' makes one of a client of MySQL"
		);
	if (!has(store, STORE) && (has(store, ['query']) || has(store, ['unsafe'])))
		throw wrong(
			"`store` is a client and not a store: `new PostgresStore({ client })` of 'vestiary/postgres' makes one of a client of Postgres"
		);
	if (!has(store, STORE))
		throw wrong(`\`store\` must be a store, with the functions ${listed(STORE)}`);
	const { atomic } = store as { atomic?: unknown };
	if (atomic !== undefined && atomic !== null && !has(atomic, ATOMIC))
		throw wrong(`\`store.atomic\` must have the functions ${listed(ATOMIC)}`);
	const odd = OPTIONAL.find((name) => {
		const value = (atomic as Record<string, unknown> | undefined | null)?.[name];
		return value !== undefined && typeof value !== 'function';
	});
	if (odd !== undefined)
		throw wrong(`\`store.atomic.${odd}\` must be a function, or be left out`);
}

/** Rejects a value that is not a store of express-session. */
export function checkExpressStore(store: unknown): void {
	const methods = ['get', 'set', 'destroy'];
	const isClient = CLIENTS.some(([method]) => has(store, [method]));
	if (has(store, methods) && !isClient) return;
	throw wrong(
		`\`fromExpressStore\` needs a store of express-session, with the functions ${listed(methods)}, such as \`new RedisStore({ client })\` of connect-redis`
	);
}

/** Whether a value has all of these methods. */
export function has(value: unknown, methods: readonly string[]): boolean {
	if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
	return methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
}

const STORE = ['get', 'set', 'destroy', 'touch'];

const ATOMIC = ['read', 'create', 'replace', 'touch', 'remove'];

const OPTIONAL = ['readTwo', 'confirm', 'now', 'stamp', 'watch', 'nameOf'];

/** Methods that only one kind of client has, with advice. */
const CLIENTS: readonly (readonly [method: string, cure: string])[] = [
	['createScript', "`new RedisStore({ client })` of 'vestiary/upstash-redis'"],
	['pexpire', "`new RedisStore({ client })` of 'vestiary/redis'"],
	['pExpire', "`new RedisStore({ client })` of 'vestiary/redis'"],
	['getWithMetadata', "`new KvStore({ client })` of 'vestiary/cloudflare-kv'"],
	['getItemRaw', "`new UnstorageStore({ client })` of 'vestiary/unstorage'"],
	['idFromName', "`new DurableObjectStore({ client })` of 'vestiary/durable-objects'"],
	['withSession', "`new D1Store({ client })` of 'vestiary/d1'"],
	['prepare', "`new SqliteStore({ database })` of 'vestiary/sqlite'"]
];

/** Tells the clients of Redis and Upstash apart: they have methods of the same names, with different arguments. */
function checkKind(store: string, client: unknown): void {
	const isUpstash = has(client, ['createScript']);
	if (store === 'RedisStore' && isUpstash)
		throw wrong(
			"`client` is a client of @upstash/redis: import the store from 'vestiary/upstash-redis'"
		);
	if (
		store === 'UpstashRedisStore' &&
		(has(client, ['pExpire']) || has(client, ['defineCommand']))
	)
		throw wrong(
			"`client` is not a client of @upstash/redis: import the store from 'vestiary/redis'"
		);
}

function listed(methods: readonly string[]): string {
	return methods.map((name) => `\`${name}\``).join(', ');
}

function wrong(message: string): ConfigError {
	return new ConfigError('options', message);
}
