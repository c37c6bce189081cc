// Nothing here runs: it is right if it compiles, and if every `@ts-expect-error` is needed.
import * as valibot from 'valibot';
import { sveltekitSessionHandle, type Session, type SveltekitSessionConfig } from 'vestiary';

const options = {
	secret: '',
	schema: valibot.object({ visits: valibot.optional(valibot.number(), 0) })
} satisfies SveltekitSessionConfig;

declare module 'vestiary' {
	interface Register {
		options: typeof options;
	}
}

export const handle = sveltekitSessionHandle(options);

// The registered options type the data by their schema.
export function visits(session: Session): number {
	session.data.visits += 1;
	// @ts-expect-error -- a number
	session.data.visits = 'many';
	// @ts-expect-error -- not in the schema
	session.data.colour = 'pink';
	return session.data.visits;
}
