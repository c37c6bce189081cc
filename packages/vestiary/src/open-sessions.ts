import { newContext } from './async-context.js';
import type { Store } from './types.js';

/** One request that a handle answers. It refers to nothing of the request, for asynchronous contexts outlive it. */
export interface OwnRequest {
	/** The users whose sessions this request has ended: when, and when they had been ended before that. */
	ended: Map<string, { at: number; before: number }> | undefined;
	/** Its session, which is opened if the application has not looked at it; until its response is returned. */
	visit: { open(): void } | undefined;
}

/** A session that a request has open. */
export interface OpenSession {
	readonly handle: string | undefined;
	/** Whether the request still has it. */
	readonly isOpen: boolean;
	/**
	 * Called when the session was revoked in this process.
	 * @param by The request that did it, if it is known
	 * @param wasOpen Whether the request had it when the store was asked: it may have found it gone since
	 */
	revoked(by: OwnRequest | undefined, wasOpen: boolean): void;
}

/** Keys of users whose open sessions are remembered, for each store: the oldest are dropped beyond this. */
const MOST_USERS = 10_000;

interface Ref {
	deref(): OpenSession | undefined;
}

/** Without `WeakRef`, as in Workers whose date is before May 2025, only requests that forget their sessions are remembered. */
const canForget = typeof WeakRef === 'function';

const stores = new WeakMap<Store, Map<string, Set<Ref>>>();

/**
 * Remembers that a request has a session of a user open, so that it ends at once when this process revokes it.
 * @param forgets Whether the request will forget it
 * @returns Forgets it; keeps `session` alive as long as the function itself is
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
 * @returns Ends those that are open whose handles were revoked, once the store has done so
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

/** Absent on platforms without `AsyncLocalStorage`: there no revocation is known to be of the session's own request. */
const contexts = newContext<OwnRequest>();

/** Runs the application for a request. */
export function within<T>(request: OwnRequest, run: () => T): T {
	return contexts ? contexts.run(request, run) : run();
}

/** The request for which the calling code runs, if it is known. */
export function ownRequest(): OwnRequest | undefined {
	return contexts?.getStore();
}
