import { defineEnvVars } from '@sveltejs/kit/env';

// None is needed while building, so each may be missing there.
const schema = (value: string | undefined): string => value ?? '';

export const variables = defineEnvVars({
	SESSION_SECRET: {
		description: 'Signs the session cookie; make one with `openssl rand -base64 32`',
		schema
	},
	OIDC_ISSUER: {
		description: "The provider's address, as in the `iss` of its ID tokens",
		schema
	},
	OIDC_CLIENT_ID: { description: 'The client ID of this app at the provider', schema },
	OIDC_CLIENT_SECRET: { description: 'The client secret of this app at the provider', schema },
	APP_NAME: {
		description: 'The name of this app. Default: Cloakroom',
		schema: (value: string | undefined): string => value ?? 'Cloakroom'
	},
	OTHER_APP: {
		description: 'The address of the other app at the same provider. Default: none',
		schema
	}
});
