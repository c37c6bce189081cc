/** A schema of any library that implements Standard Schema 1, such as zod, valibot or arktype. */
export interface StandardSchema<Input = unknown, Output = Input> {
	readonly '~standard': {
		readonly version: 1;
		readonly vendor: string;
		/** Checks a value. Must not be asynchronous. */
		readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
		readonly types?: { readonly input: Input; readonly output: Output } | undefined;
	};
}

/** The result of a check: a value, or the issues because of which there is none. */
export type SchemaResult<Output> =
	| { readonly value: Output; readonly issues?: undefined }
	| {
			readonly issues: readonly {
				readonly message: string;
				readonly path?:
					readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
			}[];
	  };
