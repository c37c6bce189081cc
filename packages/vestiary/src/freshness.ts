import { ConfigError } from './errors.js';
import { Task } from './generated/vestiary.js';
import { SCOPE, SLOT } from './inside.js';
import { Tokened } from './tokens.js';

/** The proofs of a session, of its user's identity and of the device: a base class of `Session`. */
export abstract class Freshness extends Tokened {
	/**
	 * Whether the session is bound to the visitor's device, so that a copy of its cookies is soon worthless. False without
	 * the option `deviceBound`, in a browser that cannot bind sessions, and until the browser has done so after a login.
	 */
	get bound(): boolean {
		return this[SCOPE].visit.isBound;
	}

	/**
	 * Whether the user has logged in or confirmed their identity ({@link Freshness.confirm}) within this number of
	 * seconds. False for an anonymous visitor. Ask before an action that needs more than a session, such as a change of
	 * the password.
	 *
	 * ```ts
	 * if (!session.isFresh(600)) redirect(303, loginPage(event, '/confirm'));
	 * ```
	 *
	 * Only a login and `confirm()` make a session fresh. The age is that in the session as this request has read it, by
	 * the clock of this server.
	 * @throws {@link ConfigError} if it is not a number of seconds greater than 0
	 */
	isFresh(seconds: number): boolean {
		if (typeof (seconds as unknown) !== 'number' || !(seconds > 0))
			throw new ConfigError(
				'options',
				'`session.isFresh()` needs a number of seconds, greater than 0'
			);
		return this[SCOPE].visit.isFresh(seconds * 1_000);
	}

	/**
	 * Records that the user has just proven their identity again, for {@link Freshness.isFresh}: call it after the
	 * password, or another proof, was checked. It is stored at once. Changes of `data` are not stored. A renewal keeps it,
	 * the next login drops it.
	 * @returns False if no user is logged in, or the session was ended meanwhile: nothing is stored then
	 * @throws {@link StoreError} if the store fails
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	confirm(): Promise<boolean> {
		return this[SLOT](
			Task.ConfirmUser,
			'session.confirm()',
			() => ({}),
			({ isStored }) => isStored && this.userId !== undefined
		);
	}

	/** The ID of the logged-in user. */
	abstract get userId(): string | undefined;
}
