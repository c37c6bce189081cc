import type { OwnCookie } from './progress.js';
import type { MemoryTable, View } from './generated/vestiary.js';
import type { OwnRequest } from './open-sessions.js';

/* Symbols under which other modules of the package use a `Session`, hidden from applications. */

export const UNSAVED: unique symbol = Symbol('hasUnsavedCookie');
export const OPEN: unique symbol = Symbol('open');
export const LOOK: unique symbol = Symbol('look');
export const FINISH: unique symbol = Symbol('finish');
export const SEEN: unique symbol = Symbol('seen');
export const REVOKED: unique symbol = Symbol('revoked');
export const SLOT: unique symbol = Symbol('slot');
export const CALL: unique symbol = Symbol('call');
export const SCOPE: unique symbol = Symbol('scope');

/** A session as its request sees it. */
export interface Inside {
	/** Opens it on this table, when the application looks at it for the first time. */
	[LOOK](table: MemoryTable): void;
	/** Applies the outcome of an operation to the session's data and its own cookie attributes. */
	[SEEN](view: View, data: string, version: number, own: OwnCookie | undefined): void;
	/** Called when a session of this handle was revoked. `by` is the request that did it, if known. */
	[REVOKED](handle: string, by: OwnRequest | undefined): void;
}
