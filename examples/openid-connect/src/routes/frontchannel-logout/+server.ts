import { OIDC_ISSUER } from '$app/env/private';
import type { RequestHandler } from '@sveltejs/kit';
import { frontChannelLogout, type LogoutEndpoint } from 'vestiary';

let endpoint: LogoutEndpoint | undefined;

/** The provider shows this address in a frame of its logout page. */
export const GET: RequestHandler = (event) => {
	endpoint ??= frontChannelLogout({ issuer: OIDC_ISSUER });
	return endpoint(event);
};
