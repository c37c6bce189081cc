/**
 * The values of `session.put()` and `session.take()`, by key. Merge their types into it. A key that it does not have may
 * have any value, which is `unknown` when it is taken.
 *
 * ```ts
 * declare module 'vestiary' {
 *   interface SessionSlots {
 *     challenge: string;
 *   }
 * }
 * ```
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- made to be merged
export interface SessionSlots {}

/**
 * The message of `session.flash()`. Merge its type into it. Without one, any value may be the message, which is `unknown`
 * when it is taken.
 *
 * ```ts
 * declare module 'vestiary' {
 *   interface SessionFlash {
 *     kind: 'success' | 'error';
 *     text: string;
 *   }
 * }
 * ```
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- made to be merged
export interface SessionFlash {}

/** The type of a message. */
export type Flash = [keyof SessionFlash] extends [never] ? unknown : SessionFlash;

/** The type of the value under a key. */
export type SlotValue<Key extends string> = Key extends keyof SessionSlots
	? SessionSlots[Key]
	: unknown;

/** A value that was taken; undefined if there was none. */
export type Taken<Value> = Value | undefined;

/** Options of `session.put()`. */
export interface SlotOptions {
	/** The lifetime of the value, in seconds. */
	for: number;
}
