import { checkUser } from './login-options.js';
import { ownRequest, revoking } from './open-sessions.js';
import { runtimeOf, userKey, type Runtime } from './runtime.js';
import { ConfigError } from './errors.js';
import { HANDLE } from './inside.js';
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

/**
 * The session lists of users who were logged in with `session.login()`. Pass the options of the handle.
 *
 * ```ts
 * import { sessions } from 'vestiary';
 * import { options } from './session';
 *
 * const devices = await sessions(options).of('ada').list(event.locals.session);
 * ```
 *
 * @throws {@link ConfigError} if the store is not atomic
 */
export function sessions(options: SveltekitSessionConfig): { of(userId: string): UserSessions } {
	const runtime = runtimeOf(options);
	if (!runtime.records.atomic) {
		throw new ConfigError(
			'store_capability',
			'`sessions()` needs an atomic store, and this one is not atomic (it has no `atomic`)'
		);
	}
	return {
		of: (userId) => {
			checkUser(userId);
			return sessionsOf(runtime, userId);
		}
	};
}

function sessionsOf({ records, store, options }: Runtime, userId: string): UserSessions {
	const key = userKey(options, userId);

	async function end(keep: string | undefined): Promise<void> {
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
			if ((current ?? undefined) !== undefined) checkSession('list', current);
			const handle = current?.[HANDLE];
			return (await records.list(userId)).map(({ handle: one, created, seen, label }) => ({
				handle: one,
				created: new Date(created),
				lastSeen: new Date(seen),
				...(label !== undefined && { label }),
				current: one === handle
			}));
		},
		revoke: async (handle) => {
			if (typeof (handle as unknown) !== 'string')
				throw new ConfigError(
					'options',
					'`revoke()` takes the handle of a session as a string: `handle` of an entry in the list'
				);
			const by = ownRequest();
			by?.visit?.open();
			const ended = revoking(store, key);
			await records.revoke({ name: userId, handle });
			ended((one) => one === handle, by);
		},
		revokeOthers: async (current) => {
			checkSession('revokeOthers', current);
			await end(current[HANDLE]);
		},
		revokeAll: async () => end(undefined)
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
