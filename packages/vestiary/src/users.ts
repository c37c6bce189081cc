import type { Device } from './device.js';
import { checkUser } from './login-options.js';
import { ownRequest, revoking } from './open-sessions.js';
import {
	cookieHeaderOf,
	readSession,
	type CookieRequest,
	type ReadOnlySession
} from './read-only.js';
import { checkServed, runtimeOf, userKey, type Runtime } from './runtime.js';
import { ConfigError } from './errors.js';
import { healthOf, type Health } from './health.js';
import { SCOPE } from './inside.js';
import { Session } from './session.js';
import type { SveltekitSessionConfig } from './types.js';

/** One of a user's sessions, as a page of devices shows it. */
export interface UserSession {
	/** The public name of the session, for `revoke`. It reveals neither the session's ID nor its key in the store. */
	handle: string;
	/** When the user logged in. */
	created: Date;
	/** When the session was last used; up to five minutes old. */
	lastSeen: Date;
	/** The label given at the login. */
	label?: string;
	/** The device given at the login. */
	device?: Device;
	/** Whether the session is bound to its device: the option `deviceBound`. */
	bound: boolean;
	/** Whether it is the session of the request. */
	current: boolean;
}

/** The session list of one user. */
export interface UserSessions {
	/**
	 * The user's active sessions, the most recently used first.
	 * @param current The session of the request, whose entry gets `current: true`
	 */
	list(current?: Session): Promise<UserSession[]>;
	/** Revokes one session, by its handle. Without such a session it does nothing. */
	revoke(handle: string): Promise<void>;
	/** Revokes all sessions except this one, and rejects logins in progress. */
	revokeOthers(current: Session): Promise<void>;
	/**
	 * Revokes all sessions, in one write, and rejects logins in progress: after a change of password, for example.
	 * Requests of this process that have one of them open lose it at once. In the calling request, the cookie is
	 * removed, and a later `login()` is accepted.
	 */
	revokeAll(): Promise<void>;
}

/** The sessions of a handle, for code that answers no request: {@link sessions}. */
export interface Sessions {
	/**
	 * The session list of a user who was logged in with `session.login()`.
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	of(userId: string): UserSessions;
	/**
	 * Reads the session of a `Cookie` header, for a WebSocket upgrade, a job or a test. Nothing is renewed, refreshed or
	 * written, and no cookie is set.
	 * @returns Undefined if the header has no cookie of a valid session
	 * @throws {@link StoreError} if the store fails, whatever `onStoreError` says
	 */
	read(cookieHeader: string | null | undefined): Promise<ReadOnlySession | undefined>;
	/**
	 * Reads the session of a request, as {@link Sessions.read} does.
	 * @param request A `Request`, or one of `node:http`
	 */
	open(request: CookieRequest): Promise<ReadOnlySession | undefined>;
	/**
	 * Checks whether the store works, for `/healthz`: stores, reads and removes a small record of its own. A failure of
	 * the store is part of the result.
	 */
	health(): Promise<Health>;
}

/**
 * The sessions of a handle, for code that answers no request: a user's session list, and the session of a `Cookie`
 * header. Pass the options of the handle.
 *
 * ```ts
 * import { sessions } from 'vestiary';
 * import { options } from './session';
 *
 * const devices = await sessions(options).of('ada').list(event.locals.session);
 * ```
 *
 * Options without `store` are those of a handle that keeps its sessions in memory. If the handle of this cookie has a
 * store, every call fails with a {@link ConfigError}. If the process has no handle, it refuses to end sessions in
 * production.
 *
 * @throws {@link ConfigError} if an option is invalid
 */
export function sessions(options: SveltekitSessionConfig): Sessions {
	const runtime = runtimeOf(options);
	return {
		of: (userId) => {
			runtime.records.checkAtomic('`sessions().of()`');
			checkUser(userId);
			return sessionsOf(runtime, userId);
		},
		read: async (cookieHeader) => {
			checkServed(runtime, false);
			return readSession(runtime, cookieHeader);
		},
		open: async (request) => {
			checkServed(runtime, false);
			return readSession(runtime, cookieHeaderOf(request));
		},
		health: async () => {
			checkServed(runtime, false);
			return healthOf(runtime);
		}
	};
}

/**
 * Revokes the sessions in a list of a provider.
 * @param receipt Stands for the provider's token, if there is one
 * @returns Whether the token was used before
 */
export async function endedByProvider(
	runtime: Runtime,
	list: string,
	receipt: string
): Promise<boolean> {
	const { isReplayed, entries } = await runtime.records.loggedOut(list, receipt);
	const users = new Map<string, string[]>();
	for (const { handle, label } of entries) {
		if (label === undefined) continue;
		const handles = users.get(label) ?? [];
		users.set(label, [...handles, handle]);
	}
	for (const [user, handles] of users) await sessionsOf(runtime, user).revokeEach(handles);
	return isReplayed;
}

function sessionsOf(
	runtime: Runtime,
	userId: string
): UserSessions & { revokeEach(handles: readonly string[]): Promise<void> } {
	const { records, store, options } = runtime;
	const key = userKey(options, userId);

	async function revoke(handles: readonly string[]): Promise<void> {
		checkServed(runtime, true);
		const by = ownRequest();
		by?.visit?.open();
		const ended = revoking(store, key);
		await records.revoke(userId, handles);
		ended((one) => handles.includes(one), by);
	}

	async function end(keep: string | undefined): Promise<void> {
		checkServed(runtime, true);
		const by = ownRequest();
		// Opens the session of this request, so that its cookie is removed if the session is revoked.
		by?.visit?.open();
		const ended = revoking(store, key);
		const { at, before } = await records.endAll(userId, keep);
		if (by) {
			const own = by.ended?.get(key);
			// A revocation by this request itself does not count as one by another request.
			const earlier = own?.at === before ? own.before : before;
			by.ended ??= new Map();
			by.ended.set(key, { at: Math.max(at, before), before: earlier });
		}
		ended((handle) => handle !== keep, by);
	}

	return {
		list: async (current) => {
			checkServed(runtime, false);
			if ((current ?? undefined) !== undefined) checkSession('list', current);
			const handle = current?.[SCOPE].visit.user?.handle;
			const listed = await records.list(userId);
			return listed.map(({ handle: one, created, seen, label, device, bound }) => ({
				handle: one,
				created: new Date(created),
				lastSeen: new Date(seen),
				...(label !== undefined && { label }),
				...(device && { device }),
				bound: bound === true,
				current: one === handle
			}));
		},
		revoke: async (handle) => {
			if (typeof (handle as unknown) !== 'string')
				throw new ConfigError(
					'options',
					'`revoke()` takes the handle of a session as a string: `handle` of an entry in the list'
				);
			await revoke([handle]);
		},
		revokeOthers: async (current) => {
			checkSession('revokeOthers', current);
			await end(current[SCOPE].visit.user?.handle);
		},
		revokeAll: async () => end(undefined),
		revokeEach: revoke
	};
}

/** Rejects a value that is not a session, because the session to keep would end as well. */
function checkSession(method: string, current: unknown): void {
	if (current instanceof Session) return;
	throw new ConfigError(
		'options',
		`\`${method}()\` takes the session of the request, such as \`event.locals.session\`, created by the same copy of this package`
	);
}
