/**
 * The data of a session. Declare your own properties by merging:
 *
 * ```ts
 * declare module 'vestiary' {
 *   interface SessionData {
 *     userId: string;
 *   }
 * }
 * ```
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- made to be merged
export interface SessionData {}
