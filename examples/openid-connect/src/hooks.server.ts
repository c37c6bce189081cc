import { SESSION_SECRET } from '$app/env/private';
import { sveltekitSessionHandle } from 'vestiary';

export const handle = sveltekitSessionHandle({
	// Cookies do not know ports: another app on localhost must not have the same name.
	name: 'cloakroom-oidc',
	secret: SESSION_SECRET,
	// `sameSite` stays `lax`. The callback is a navigation that the provider's site begins: with
	// `strict` the browser would leave the cookie out, and the login that it belongs to be unknown.
	cookie: { maxAge: 60 * 60 },
	rolling: true
});
