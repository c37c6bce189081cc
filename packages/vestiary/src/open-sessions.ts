import { newContext } from './async-context.js';
import type { Store } from './types.js';

/** A request that a handle answers. It holds no other part of the request, because asynchronous contexts outlive it. */
export interface OwnRequest {
	/** The users whose sessions this request has revoked: when, and the time of the previous revocation. */
	ended: Map<string, { at: number; before: number }> | undefined;
	/** The session, which is opened if the application has not looked at it yet. Absent once the response is returned. */
	visit: { open(): void } | undefined;
}

/** A session that a request has open. */
export interface OpenSession {
	readonly handle: string | undefined;
	/** Whether the request still has the session. */
	readonly isOpen: boolean;
	/**
	 * Called when the session was revoked in this process.
	 * @param by The request that revoked it, if known
	 * @param wasOpen Whether the request had the session when the store was asked; it may have found it gone since
	 */
	revoked(by: OwnRequest | undefined, wasOpen: boolean): void;
}

/** The maximum number of users per store whose open sessions are tracked; the oldest are evicted. */
const MOST_USERS = 10_000;

interface Ref {
	deref(): OpenSession | undefined;
}

/** Workers with a date before May 2025 lack `WeakRef`. There, only requests that unregister are tracked. */
const canForget = typeof WeakRef === 'function';

const stores = new WeakMap<Store, Map<string, Set<Ref>>>();

/**
 * Tracks a user's session that a request has open, so that it ends at once when this process revokes it.
 * @param forgets Whether the request will unregister
 * @returns Unregisters the session, and keeps it alive as long as the function is referenced
 */
export function watch(
	store: Store,
	key: string,
	session: OpenSession,
	forgets: boolean
): (() => void) | undefined {
	if (!canForget && !forgets) return undefined;
	const users = stores.get(store) ?? new Map<string, Set<Ref>>();
	stores.set(store, users);
	const open = users.get(key) ?? new Set<Ref>();
	users.set(key, open);
	for (const other of open) if (other.deref() === undefined) open.delete(other);
	const [oldest] = users.keys();
	if (users.size > MOST_USERS && oldest !== undefined) users.delete(oldest);
	const watched = { session, ref: canForget ? new WeakRef(session) : { deref: () => session } };
	open.add(watched.ref);
	return () => {
		open.delete(watched.ref);
		if (open.size === 0 && users.get(key) === open) users.delete(key);
	};
}

/**
 * Begins to revoke sessions of a user.
 * @returns Ends the open sessions whose handles were revoked; to be called once the store has done so
 */
export function revoking(
	store: Store,
	key: string
): (isRevoked: (handle: string) => boolean, by: OwnRequest | undefined) => void {
	const all = (): OpenSession[] =>
		[...(stores.get(store)?.get(key) ?? [])].flatMap((watched) => watched.deref() ?? []);
	const before = new Set(all().filter(({ isOpen }) => isOpen));
	return (isRevoked, by) => {
		for (const session of all())
			if (session.handle !== undefined && isRevoked(session.handle))
				session.revoked(by, before.has(session));
	};
}

/** The context that attributes a revocation to its request. Undefined on platforms without `AsyncLocalStorage`. */
const contexts = newContext<OwnRequest>();

/** Runs the application for a request. */
export function within<T>(request: OwnRequest, run: () => T): T {
	return contexts ? contexts.run(request, run) : run();
}

/** The request for which the calling code runs, if known. */
export function ownRequest(): OwnRequest | undefined {
	return contexts?.getStore();
}
