/* Names under which other modules of the package ask a `Session`, and an application cannot. */

export const STORED_ID: unique symbol = Symbol('storedId');
export const HAS_UNSAVED_COOKIE: unique symbol = Symbol('hasUnsavedCookie');
export const HANDLE: unique symbol = Symbol('handle');
export const OPEN: unique symbol = Symbol('open');
export const FINISH: unique symbol = Symbol('finish');

/** A session, as its request sees it. */
export interface Inside {
	/** Its ID, if it is stored. */
	readonly [STORED_ID]: string | undefined;
}
