import { defineEnvVars } from '@sveltejs/kit/env';

const optional = (value: string | undefined): string => value ?? '';

export const variables = defineEnvVars({
	SESSION_SECRET: {
		description: 'Signs the session cookie, here and in the Rust service',
		schema: optional
	},
	SESSION_STORE: {
		description: 'The store of both: sqlite:FILE or redis://HOST',
		schema: (value) => value ?? 'sqlite:sessions.db'
	}
});
