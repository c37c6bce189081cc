import type { RequestEvent } from '@sveltejs/kit';
import type { SveltekitSessionConfig } from 'vestiary';
import { DurableObjectStore } from 'vestiary/durable-objects';

/** `vite dev` runs the app in Node.js, without the objects of its Worker: there, sessions are in memory. */
const inWorker = navigator.userAgent === 'Cloudflare-Workers';

let options: SveltekitSessionConfig | undefined;

/** The options of the sessions. Bindings come with the request, so the options are made by the first one. */
export const optionsOf = (event: RequestEvent): SveltekitSessionConfig => (options ??= make(event));

function make({ platform }: RequestEvent): SveltekitSessionConfig {
	if (!platform) throw new Error('no platform: is this not run by wrangler or vite dev?');
	const { SESSION_SECRET, SESSIONS } = platform.env;
	return {
		name: 'cloakroom',
		secret: SESSION_SECRET,
		store: inWorker ? new DurableObjectStore({ client: SESSIONS }) : undefined,
		cookie: { maxAge: 60 * 60 },
		rolling: true,
		idleTimeout: 15 * 60,
		public: (_, { userId }) => ({ user: userId }),
		client: true
	};
}
