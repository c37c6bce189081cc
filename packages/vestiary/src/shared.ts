import { Cache, Recent } from './bounded.js';
import { Columns } from './columns.js';
import { isolated } from './environment.js';
import { constant, Constant } from './generated/vestiary.js';
import { LiveSessions } from './live-sessions.js';
import { MemoryStore } from './memory-store.js';
import { NearCache } from './near-cache.js';
import { clientOf } from './stores/client.js';
import { Turns } from './turns.js';
import type { Store } from './types.js';

/**
 * State that all handles of one application share in a process. It is found by the values of the options, not by the
 * identity of an object: on platforms whose bindings come with the request, an application may create options, handles
 * and stores in every request.
 */
export interface Shared {
	/** Identifies the application: handles that accept the same cookies have the same object. */
	readonly application: object;
	/** The state of the sessions in one store. */
	readonly sessions: SessionState;
}

/** The state of the sessions in one store. */
export interface SessionState {
	/** Records that were written or touched so recently that no touch is due. */
	readonly touched: Recent;
	/** IDs that this process has recently taken out of use. */
	readonly outOfUse: Recent;
	/** The writers of sessions in this process, by ID. */
	readonly writes: Turns;
	/** Conversion of records for a store that is not atomic. */
	readonly columns: Columns;
	/** Sessions that outlive their requests. */
	readonly live: LiveSessions;
	/** The near cache, created for the first handle that wants one of this many entries. */
	near(most: number | undefined): NearCache;
}

/** The options that separate the sessions of two handles. */
export interface Owner {
	/** The number of the list of secrets ({@link numberOfSecrets}). */
	secrets: number;
	/** The cookie's name. */
	name: string;
	namespace: string | undefined;
}

/** The state that handles with these options and this store share. */
export function sharedBy(owner: Owner, store: Store): Shared {
	const application = applications.get(JSON.stringify(owner), () => ({
		keys: new WeakMap(),
		stores: new Cache(STORES),
		clients: new Cache(STORES)
	}));
	const key = application.keys.get(store) ?? keyOf(application, store);
	application.keys.set(store, key);
	const sessions = application.stores.get(key, newState);
	// Of the handles that share it, only a later one may have a store with a feed.
	sessions.live.follow(store.atomic);
	return { application, sessions };
}

function newState(): SessionState {
	const live = new LiveSessions();
	let near: NearCache | undefined;
	return {
		touched: new Recent(constant(Constant.RecentIds)),
		outOfUse: new Recent(constant(Constant.RecentIds)),
		writes: new Turns(),
		columns: new Columns(),
		live,
		// A connection of a Worker belongs to the request that opened it.
		near: (most) => (near ??= new NearCache(most, () => (isolated ? undefined : live.feed)))
	};
}

/**
 * A number for a list of secrets, so that keys of other maps need not contain secrets. No two lists get the same
 * number.
 */
export function numberOfSecrets(secrets: readonly string[] | undefined): number {
	return secretLists.get(JSON.stringify(secrets ?? null), () => ++lists);
}

/**
 * The default store of a cookie name and namespace. There is one per process, so that sessions survive when a handle is
 * created again, by a request or by an edit of `hooks.server.ts`.
 */
export function defaultStore(name: string, namespace: string | undefined): Store {
	const key = JSON.stringify([name, namespace]);
	const store = defaultStores.get(key) ?? new MemoryStore();
	defaultStores.set(key, store);
	return store;
}

/** The state of one application: of all handles with the same secrets, cookie name and namespace. */
interface Application {
	/** The keys of the state of each known store. */
	readonly keys: WeakMap<Store, string>;
	readonly stores: Cache<string, SessionState>;
	/** The clients that were seen with stores of one class and prefix. */
	readonly clients: Cache<string, Set<number>>;
}

/** The maximum number of applications, or tenants with a secret of their own, whose state is kept. */
const APPLICATIONS = 1_000;
const applications = new Cache<string, Application>(APPLICATIONS);

const secretLists = new Cache<string, number>(APPLICATIONS);
let lists = 0;

/** The maximum number of stores per application whose state is kept. */
const STORES = 100;

/** With more clients than this for one kind of store, the application creates a client in every request. */
const CLIENTS = 16;

const defaultStores = new Map<string, Store>();

/**
 * The key of a store's state. Two stores must not share state if both have a session of the same ID. IDs are random, so
 * that only happens with copied records or an unusual `genid`.
 *
 * - A remote store is identified by its class, its prefix and its client. If the application also creates the client in
 *   every request, class and prefix suffice.
 * - A store of the application is identified by its class and its own properties, if one of them is an object, such as a
 *   connection.
 * - Every other store, such as a `MemoryStore`, is identified by its identity.
 */
function keyOf(application: Application, store: Store): string {
	const remote = clientOf(store);
	if (remote) {
		const kind = JSON.stringify([numberOf(remote.kind), remote.prefix]);
		const clients = application.clients.get(kind, () => new Set());
		const client = numberOf(remote.client);
		if (clients.size < CLIENTS) clients.add(client);
		return clients.has(client) ? `${kind} ${client}` : kind;
	}
	const parts = store instanceof MemoryStore ? undefined : partsOf(store);
	return parts ?? `${numberOf(store)}`;
}

/** A store's class and own properties; undefined if they do not identify it. */
function partsOf(store: Store): string | undefined {
	// `atomic` is created for each store, and depends only on its other properties.
	const parts = Object.entries(store).filter(([name]) => name !== 'atomic') as [
		string,
		unknown
	][];
	if (!parts.some(([, part]) => isObject(part) && part !== JSON)) return undefined;
	const named = parts.map(([name, part]) => [
		name,
		isObject(part) ? { number: numberOf(part) } : String(part)
	]);
	return JSON.stringify([numberOf(store.constructor), named]);
}

function isObject(value: unknown): value is object {
	return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

const numbers = new WeakMap<object, number>();
let objects = 0;

/** A number for an object, by its identity. */
function numberOf(object: object): number {
	const number = numbers.get(object) ?? ++objects;
	numbers.set(object, number);
	return number;
}
