import type { StandardSchema } from './standard-schema.js';
import type { SessionData } from './types.js';

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
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- made to be merged
export interface Register {}

/** The data of a session: the output of the registered schema, or else {@link SessionData}. */
export type RegisteredData = Register extends { schema: infer Schema extends StandardSchema }
	? SchemaOutput<Schema>
	: Register extends { options: { schema: infer Schema extends StandardSchema } }
		? SchemaOutput<Schema>
		: SessionData;

/** The data that a schema makes. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<
	Schema['~standard']['types']
>['output'];
