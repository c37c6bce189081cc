import type { PublicData } from './registered.js';

/** The times of a session for its visitor's browser. All are in milliseconds since the epoch, by the server's clock. */
export interface ClientTimes {
	/** When this was written. */
	readonly at: number;
	/** When the session ends unless it is used; null if never. */
	readonly expires: number | null;
	/** The idle deadline; null if there is none. */
	readonly idleUntil: number | null;
}

/** A session for its visitor's browser: no secret, no ID, and only the data that `public` selects. */
export interface ClientSession<T = PublicData> extends ClientTimes {
	/**
	 * Tells this session from the next one: its `logId`, which stays the same over renewals. Undefined if the visitor has
	 * no stored session.
	 */
	readonly key: string | undefined;
	/** Whether a user is logged in, by `session.login()`. */
	readonly signedIn: boolean;
	/** The data that `public` selects. Undefined without it, and without a stored session. */
	readonly data: T | undefined;
	/** The path at which the handle answers `useSession()`, with the option `client`. */
	readonly path: string | undefined;
}

/** The answer of the handle to a question about the session. */
export interface ClientAnswer extends Pick<ClientSession, 'key' | 'signedIn'>, ClientTimes {
	/** Whether a login has replaced the session of the cookie. The browser may be about to receive the new one. */
	readonly replaced?: true;
}

/** The header of requests of `useSession()`. A page of another site cannot send it. */
export const CLIENT_HEADER = 'x-vestiary';

/** How the handle answers the pages that use `vestiary/client`. */
export interface ClientOptions {
	/** The path of a URL, with SvelteKit's `paths.base` in it. */
	readonly path: string;
}

/** The part of a session that `public` gets beside its data. */
export interface ClientSource {
	/** The ID of the logged-in user; undefined for an anonymous visitor. */
	readonly userId: string | undefined;
	/** Whether the user has proven their identity within this number of seconds. */
	isFresh(seconds: number): boolean;
}
