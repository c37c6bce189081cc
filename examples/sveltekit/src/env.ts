import { defineEnvVars } from '@sveltejs/kit/env';

export const variables = defineEnvVars({
	SESSION_SECRET: {
		description: 'Signs the session cookie; make one with `openssl rand -base64 32`',
		// Not needed while building. Without it the app does not start: Vestiary says what to do.
		schema: (value) => value ?? ''
	}
});
