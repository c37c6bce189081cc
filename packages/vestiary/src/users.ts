import { checkUser } from './login-options.js';
import { ownRequest, revoking } from './open-sessions.js';
import { runtimeOf, userKey, type Runtime } from './runtime.js';
import { ConfigError } from './errors.js';
import { HANDLE } from './inside.js';
import { Session } from './session.js';
import type { SveltekitSessionConfig } from './types.js';

/** One of a user's sessions, as it may be shown to the user. */
export interface UserSession {
	/** What to call it when it is to be ended: neither its ID nor a key in the store. */
	handle: string;
	/** When the user logged in. */
	created: Date;
	/** When it was last used; up to five minutes old. */
	lastSeen: Date;
	/** What it was called at the login. */
	label?: string;
	/** Whether it is the one that asks. */
	current: boolean;
}

/** The sessions of one user. */
export interface UserSessions {
	/**
	 * All of them, the one that was used last first.
	 * @param current The session of the request, to mark it in the list
	 */
	list(current?: Session): Promise<UserSession[]>;
	/** Ends one of them. */
	revoke(handle: string): Promise<void>;
	/** Ends all but this one, and keeps logins out that are under way. */
	revokeOthers(current: Session): Promise<void>;
	/**
	 * Ends all of them, and keeps logins out that are under way: after a password was changed, say.
	 * However many there are, it is one write. Where requests of this process have them open, they end there at once;
	 * in the request that calls it, the cookie is removed, and a later `login()` is let in.
	 */
	revokeAll(): Promise<void>;
}

/**
 * The sessions of users who were logged in with `session.login()`, by the same options as the handle.
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
			'the sessions of a user can only be kept by a store that compares before it writes, and this one does not (`store.atomic`)'
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
		// Its own cookie goes, if it is one of those that end.
		by?.visit?.open();
		const ended = revoking(store, key);
		const { at, before } = await records.endAll(userId, keep);
		if (by) {
			const own = by.ended?.get(key);
			// What this request has ended earlier is not what another one has ended.
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
					'the handle of a session that is to be revoked must be a string: that of one in the list'
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

/** Without the session that is to stay, all would end. */
function checkSession(method: string, current: unknown): void {
	if (current instanceof Session) return;
	throw new ConfigError(
		'options',
		`\`${method}()\` takes the session of the request, such as \`event.locals.session\`, of the same copy of this package`
	);
}
