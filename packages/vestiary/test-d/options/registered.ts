// Nothing here runs: it is right if it compiles, and if every `@ts-expect-error` is needed.
import * as valibot from 'valibot';
import { sveltekitSessionHandle, type Session, type SveltekitSessionConfig } from 'vestiary';
import { useSession } from 'vestiary/client';

const toPublic = ({ visits }: { visits: number }) => ({ visits });

const options = {
	secret: '',
	schema: valibot.object({ visits: valibot.optional(valibot.number(), 0) })
} satisfies SveltekitSessionConfig;

declare module 'vestiary' {
	interface Register {
		options: typeof options;
		public: typeof toPublic;
	}
}

export const handle = sveltekitSessionHandle({ ...options, public: toPublic });

// The type of a function for the browser is that of its result.
export function inBrowser(session: Session): number | undefined {
	const visits: number | undefined = useSession().data?.visits;
	// @ts-expect-error -- a number
	const text: string | undefined = session.forClient()?.data?.visits;
	return text === undefined ? visits : 0;
}

// The registered options type the data by their schema.
export function visits(session: Session): number {
	session.data.visits += 1;
	// @ts-expect-error -- a number
	session.data.visits = 'many';
	// @ts-expect-error -- not in the schema
	session.data.colour = 'pink';
	return session.data.visits;
}
