import { Cache, Recent } from './bounded.js';
import { Columns } from './columns.js';
import { constant, Constant } from './generated/vestiary.js';
import { MemoryStore } from './memory-store.js';
import { clientOf } from './stores/client.js';
import { Turns } from './turns.js';
import type { Store } from './types.js';

/**
 * State that all handles of one application share in a process. Options, handles and stores may be made
 * anew in every request, as on platforms whose bindings come with the request, so it is found by the
 * values of the options and not by the identity of an object.
 */
export interface Shared {
	/** Stands for the application: handles that understand one cookie have the same object. */
	readonly application: object;
	/** The state of the sessions in one store. */
	readonly sessions: SessionState;
}

/** State about the sessions in one store. */
export interface SessionState {
	/** Records that were written or touched so recently that they need not be touched again. */
	readonly touched: Recent;
	/** IDs that this process has taken out of use lately. */
	readonly retired: Recent;
	/** The writers of sessions in this process, by ID. */
	readonly writes: Turns;
	/** What the store keeps of a record, if it is not atomic. */
	readonly columns: Columns;
}

/** Options that tell sessions of two handles apart. */
export interface Owner {
	/** A number for the list of secrets, by {@link numberOfSecrets}. */
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
	const sessions = application.stores.get(key, () => ({
		touched: new Recent(constant(Constant.RecentIds)),
		retired: new Recent(constant(Constant.RecentIds)),
		writes: new Turns(),
		columns: new Columns()
	}));
	return { application, sessions };
}

/**
 * A number for a list of secrets, so that keys of other maps need not contain them. The number is never
 * used for another list.
 */
export function numberOfSecrets(secrets: readonly string[] | undefined): number {
	return secretLists.get(JSON.stringify(secrets ?? null), () => ++lists);
}

/**
 * The default store of a cookie name and namespace: one for the process, so that sessions outlive a handle
 * that is made anew, by a request or by an edit of `hooks.server.ts`.
 */
export function defaultStore(name: string, namespace: string | undefined): Store {
	const key = JSON.stringify([name, namespace]);
	const store = defaultStores.get(key) ?? new MemoryStore();
	defaultStores.set(key, store);
	return store;
}

/** State of one application: of all handles with the same secrets, cookie name and namespace. */
interface Application {
	/** The names under which the state of stores is kept that were seen. */
	readonly keys: WeakMap<Store, string>;
	readonly stores: Cache<string, SessionState>;
	/** Clients that were seen with stores of one class and prefix. */
	readonly clients: Cache<string, Set<number>>;
}

/** Most applications, or tenants with a secret of their own, whose state is kept. */
const APPLICATIONS = 1_000;
const applications = new Cache<string, Application>(APPLICATIONS);

const secretLists = new Cache<string, number>(APPLICATIONS);
let lists = 0;

/** Most stores of an application whose state is kept. */
const STORES = 100;

/** More clients than this for one kind of store means that a client is made in every request. */
const CLIENTS = 16;

const defaultStores = new Map<string, Store>();

/**
 * The name of the state that belongs to a store. Sharing the state of two stores would be wrong where both
 * have a session of the same ID, and IDs are random, so that takes copied records or an unusual `genid`:
 *
 * - A store that only passes on to a client is known by its class, its prefix and its client. If the client
 *   is made in every request, too, class and prefix have to do.
 * - A store of the application is known by its class and its own properties, one of which is an object:
 *   the connection that it was made for.
 * - Every other store, such as a `MemoryStore`, is known by its identity.
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

/** A store's class and own properties. Undefined if they do not tell it from other stores. */
function partsOf(store: Store): string | undefined {
	// Operations are made for each store, and say nothing that its other properties do not.
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
