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
	// For the pages, which learn by themselves when the session ends.
	public: (_, { userId }) => ({ user: userId }),
	client: true
};
