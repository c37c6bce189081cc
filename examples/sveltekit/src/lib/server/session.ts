import { SESSION_SECRET } from '$app/env/private';
import type { RequestEvent } from '@sveltejs/kit';
import type { SveltekitSessionConfig } from 'vestiary';

/** The options of the sessions. On other platforms, they come from the request. */
export const optionsOf = (_: RequestEvent): SveltekitSessionConfig => options;

const options: SveltekitSessionConfig = {
	name: 'cloakroom',
	secret: SESSION_SECRET,
	cookie: { maxAge: 60 * 60 },
	rolling: true,
	idleTimeout: 15 * 60,
	// The page asks by itself whether the session has ended, and how much time is left. That is no use of the session.
	passive: ({ url }) => ['/alive', '/session-end'].includes(url.pathname)
};
