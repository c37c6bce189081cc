import { OIDC_CLIENT_ID, SESSION_SECRET } from '$app/env/private';
import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle, type SessionHandle } from 'vestiary';

const FORMS = ['', 'application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'];

/** Refuses forms of other sites, as SvelteKit does, but not the provider's: its token is signed. */
const checkOrigin: SessionHandle = async ({ event, resolve }) => {
	const { request, route, url } = event;
	const [type = ''] = (request.headers.get('content-type') ?? '').toLowerCase().split(';');
	const isForm =
		FORMS.includes(type.trim()) && !['GET', 'HEAD', 'OPTIONS'].includes(request.method);
	const isOurs = request.headers.get('origin') === url.origin;
	if (isForm && !isOurs && route.id !== '/backchannel-logout')
		return new Response('Forms of other sites are forbidden', { status: 403 });
	return resolve(event);
};

const session = sveltekitSessionHandle({
	// Cookies do not know ports: another app on localhost must not have the same name.
	name: `${OIDC_CLIENT_ID}-oidc`,
	secret: SESSION_SECRET,
	// `sameSite` stays `lax`. The callback is a navigation that the provider's site begins: with
	// `strict` the browser would leave the cookie out, and the login that it belongs to be unknown.
	cookie: { maxAge: 60 * 60 },
	rolling: true
});

export const handle = sequence(checkOrigin, session);
