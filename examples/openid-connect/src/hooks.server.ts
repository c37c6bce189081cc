import { SESSION_SECRET } from '$app/env/private';
import { redirect } from '@sveltejs/kit';
import { sequence, type Handle } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';

const PRIVATE = ['/profile'];

const session = sveltekitSessionHandle({
	// Cookies do not know ports: another app on localhost must not have the same name.
	name: 'cloakroom-oidc',
	secret: SESSION_SECRET,
	// `sameSite` stays `lax`. The callback is a navigation that the provider's site begins: with
	// `strict` the browser would leave the cookie out, and the login that it belongs to be unknown.
	cookie: { maxAge: 60 * 60 },
	rolling: true
});

const requireLogin: Handle = ({ event, resolve }) => {
	const { pathname, search } = event.url;
	const isPrivate = PRIVATE.some((path) => pathname === path || pathname.startsWith(`${path}/`));
	if (isPrivate && !event.locals.session.data.user) {
		redirect(303, `/login?next=${encodeURIComponent(pathname + search)}`);
	}
	return resolve(event);
};

export const handle = sequence(session, requireLogin);
