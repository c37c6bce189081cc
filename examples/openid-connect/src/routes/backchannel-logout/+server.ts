import { OIDC_CLIENT_ID, OIDC_ISSUER } from '$app/env/private';
import type { RequestHandler } from '@sveltejs/kit';
import { backChannelLogout, type LogoutEndpoint } from 'vestiary';

let endpoint: LogoutEndpoint | undefined;

/** The provider sends a signed token when a user logs out there, or in another app. */
export const POST: RequestHandler = (event) => {
	// At the first request, because the variables are not there while the app is built.
	endpoint ??= backChannelLogout({
		issuer: OIDC_ISSUER,
		clientId: OIDC_CLIENT_ID,
		onRefused: ({ code }) => {
			console.error('OpenID Connect, logout by the provider:', code);
		}
	});
	return endpoint(event);
};
