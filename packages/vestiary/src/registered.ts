import type { StandardSchema } from './standard-schema.js';
import type { SessionData } from './session-data.js';

/**
 * Names the schema of your handle, which then types `session.data`:
 *
 * ```ts
 * import type { schema } from '$lib/server/session';
 *
 * declare module 'vestiary' {
 *   interface Register {
 *     schema: typeof schema;
 *   }
 * }
 * ```
 *
 * Or name its options: `options: typeof options`.
 *
 * `public` is the type of the data for the browser, or of the function that makes it:
 * `public: { name: string }` or `public: typeof toPublic`.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- made to be merged
export interface Register {}

/** The data of a session: the output of the registered schema, or else {@link SessionData}. */
export type RegisteredData = Register extends { schema: infer Schema extends StandardSchema }
	? SchemaOutput<Schema>
	: Register extends { options: { schema: infer Schema extends StandardSchema } }
		? SchemaOutput<Schema>
		: SessionData;

/** The data of a session that its visitor's browser may know: as registered under `public`, or else unknown. */
export type PublicData = Register extends { public: infer Public }
	? Public extends (...args: never[]) => infer Made
		? Made
		: Public
	: unknown;

/** The data that a schema makes. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<
	Schema['~standard']['types']
>['output'];
