import { defineEnvVars } from '@sveltejs/kit/env';

export const variables = defineEnvVars({
	SESSION_SECRET: {
		description: 'Signs the session cookie; make one with `openssl rand -base64 32`',
		// Not needed while building. The app will not start without it: Vestiary says what to do.
		schema: (value) => value ?? ''
	}
});
