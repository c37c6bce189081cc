import type { Running, Step } from './generated/vestiary.js';

/* The data that the core and its driver exchange about an operation. */

/**
 * The cookie attributes of a session that differ from the options, as the text of a JSON object: `maxAge` in seconds,
 * `expires` in milliseconds since the epoch, null for an attribute that the session omits.
 */
export type OwnCookie = string;

/** A user, and the handle of one of the user's sessions. */
export interface User {
	readonly name: string;
	readonly handle: string;
}

/** The arguments of an operation. `Task` documents the ones that each operation needs. */
export interface Given {
	/** Bits of the core's `Given`, and the flags of the visit. */
	readonly flags: number;
	/** When the visit's session was read, in milliseconds since the epoch. */
	readonly at: number;
	readonly texts: readonly string[];
	readonly login?: NewLogin | undefined;
	/** The lifetime of a slot, or a lease, in milliseconds. */
	readonly lifetime?: number | undefined;
	/** How early tokens are refreshed, in milliseconds. */
	readonly early?: number | undefined;
	/** How long a request has waited for a lease, in milliseconds. */
	readonly waited?: number | undefined;
}

/** The numbers of a login. */
export interface NewLogin {
	/** When the visitor proved their identity, in milliseconds since the epoch. */
	readonly proven: number;
	/** When this request revoked all sessions of the user, and the time of the previous revocation. */
	readonly own: { readonly at: number; readonly before: number } | undefined;
	/** The lifetime of the access token that the provider has given, in milliseconds; NaN if it is unknown. */
	readonly lifetime: number;
}

/** The result of an operation. */
export interface Ended {
	/** The flags of its visit. */
	readonly flags: number;
	/** When its visit's session was read, or when all sessions of a user were revoked. In milliseconds since the epoch. */
	readonly at: number;
	/** The time of the previous revocation of all the user's sessions; 0 if there was none. */
	readonly before: number;
	/** The version of its visit's data; 0 without one. */
	readonly version: number;
	/** The number of writes to the operation's table at its end; NaN without a table. */
	readonly writes: number;
	/** The error, empty if there is none; then the texts of the operation. */
	readonly texts: readonly string[];
	/** Says how long the result of an opening may be used again, if it may. */
	readonly ticket?: Ticket | undefined;
}

/** The core's ticket for the result of an opening: `NearCache.holds`. */
export interface Ticket {
	readonly left: number;
	readonly stamp: number;
	/** Of the session's record, and of its user's session list. */
	readonly slots: readonly [own: number, name: number, list: number, listName: number];
	/** When the opening began: `Date.now()`. */
	readonly since: number;
	/** When it began: `performance.now()`. */
	readonly began: number;
}

/** The state of an operation after a step: running or ended. */
export type Progress = {
	/** Its reports since the last step, each a word and its argument, followed by a NUL. */
	readonly reports: string;
	/** Whether a session is about to begin, whose cookie no other handle may take. */
	readonly reserved: boolean;
} & (
	| { readonly ended: Ended }
	| {
			readonly ended?: undefined;
			readonly running: Running;
			/** The effect that the operation needs next. */
			readonly step: Step;
			/** The purpose of the store call, as in `PURPOSES`. */
			readonly purpose: number;
			/** Whether the operation needs several store calls at once. */
			readonly several: boolean;
	  }
);
