import type { Store } from '../types.js';

/** A store that keeps nothing itself: all it has is with its client. */
export interface Remote {
	/** The class of the store. */
	kind: object;
	prefix: string;
	client: object;
}

const remotes = new WeakMap<Store, Remote>();

/** Says that a store keeps nothing itself, so that two of them with one client are the same store. */
export function isRemote(store: Store, remote: Remote): void {
	remotes.set(store, remote);
}

/** The client of a store that keeps nothing itself. */
export function clientOf(store: Store): Remote | undefined {
	return remotes.get(store);
}
