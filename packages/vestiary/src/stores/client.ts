import type { Store } from '../types.js';

/** A remote store, which keeps nothing itself. */
export interface Remote {
	/** The class of the store. */
	kind: object;
	prefix: string;
	client: object;
}

const remotes = new WeakMap<Store, Remote>();

/** Registers a remote store. Two remote stores with one client are the same store. */
export function isRemote(store: Store, remote: Remote): void {
	remotes.set(store, remote);
}

/** The registration of a remote store. */
export function clientOf(store: Store): Remote | undefined {
	return remotes.get(store);
}
