import type { Store } from '../types.js';

const limits = new WeakMap<Store, number>();

/** How long a store waits by itself while no handle says so, in milliseconds. */
const DEFAULT = 5_000;

/** Says how long a handle waits for an answer of a store, in milliseconds. The shortest time counts. */
export function limitPatience(store: Store, timeout: number): void {
	limits.set(store, Math.min(timeout, limits.get(store) ?? Infinity));
}

/** How long a store may wait by itself: a little less than the handle, so that its answer still counts. */
export function patienceOf(store: Store): number {
	const limit = limits.get(store) ?? DEFAULT;
	return limit - Math.min(limit / 10, 25);
}
