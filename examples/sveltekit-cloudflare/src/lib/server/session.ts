import type { RequestEvent } from '@sveltejs/kit';
import type { SveltekitSessionConfig } from 'vestiary';
import { DurableObjectStore } from 'vestiary/durable-objects';

let options: SveltekitSessionConfig | undefined;

/** The options of the sessions. Bindings come with the request, so the options are made by the first one. */
export const optionsOf = (event: RequestEvent): SveltekitSessionConfig => (options ??= make(event));

function make({ platform }: RequestEvent): SveltekitSessionConfig {
	if (!platform) throw new Error('no platform: is this not run by wrangler or vite dev?');
	const { SESSION_SECRET, SESSIONS } = platform.env;
	return {
		name: 'cloakroom',
		secret: SESSION_SECRET,
		// `vite dev` does not run worker.js, so it has none of its Durable Objects. Its sessions are in memory.
		store: import.meta.env.DEV ? undefined : new DurableObjectStore({ client: SESSIONS }),
		cookie: { maxAge: 60 * 60 },
		rolling: true,
		idleTimeout: 15 * 60,
		public: (_, { userId }) => ({ user: userId }),
		client: true
	};
}
