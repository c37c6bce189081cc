import type { Store } from '../types.js';

const limits = new WeakMap<Store, number>();

/** The default time for which a store retries by itself, in milliseconds. */
const DEFAULT = 5_000;

/** Sets a handle's timeout for a store, in milliseconds. The shortest timeout counts. */
export function limitPatience(store: Store, timeout: number): void {
	limits.set(store, Math.min(timeout, limits.get(store) ?? Infinity));
}

/** How long a store may retry by itself: slightly less than the handle's timeout, so that its answer still counts. */
export function patienceOf(store: Store): number {
	const limit = limits.get(store) ?? DEFAULT;
	return limit - Math.min(limit / 10, 25);
}
