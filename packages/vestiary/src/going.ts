import type { Running, Step } from './generated/vestiary.js';

/* An operation, as the core and its driver tell each other of it. */

/**
 * The cookie attributes of a session that differ from the options: text of a JSON object, `maxAge` in seconds,
 * `expires` in milliseconds since the epoch; one with null does not apply.
 */
export type OwnCookie = string;

/** A user, and the handle of one of its sessions. */
export interface User {
	readonly name: string;
	readonly handle: string;
}

/** The arguments of an operation: `Task` names those that each of them needs. */
export interface Given {
	/** Bits of `Given` in the core, and a visit's. */
	readonly flags: number;
	/** When a visit's session was read, in milliseconds since the epoch. */
	readonly at: number;
	readonly texts: readonly string[];
	readonly login?: {
		/** When the visitor proved who it is, in milliseconds since the epoch. */
		readonly proven: number;
		/** When the same request ended all sessions of the user, and when they had been ended before. */
		readonly own: { readonly at: number; readonly before: number } | undefined;
		readonly most: number;
	};
}

/** The end of an operation. */
export interface Ended {
	/** Those of its visit. */
	readonly flags: number;
	/** When its visit's session was read; when all sessions of a user were ended. In milliseconds since the epoch. */
	readonly at: number;
	/** When all sessions of a user had been ended before, 0 if never. */
	readonly before: number;
	/** How often its table had been written then; NaN without one. */
	readonly writes: number;
	/** Why it failed, or nothing; then its texts. */
	readonly texts: string[];
}

/** An operation that goes on, or has ended. */
export type Going = {
	/** Its reports since then, with a NUL after each: a word, and what belongs to it. */
	readonly told: string;
	/** A session is about to begin, whose cookie no other handle may take. */
	readonly reserved: boolean;
} & (
	| { readonly ended: Ended }
	| {
			readonly ended?: undefined;
			readonly running: Running;
			/** The effect that it needs next, and the purpose of it. */
			readonly step: Step;
			readonly purpose: number;
			/** It has several questions to the store. */
			readonly several: boolean;
	  }
);
