import { redirect, type Handle } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';
import { KvStore } from 'vestiary/cloudflare-kv';

const PRIVATE = ['/todos', '/session', '/api'];

// Bindings come with the request, so the options are made by the first one.
const session = sveltekitSessionHandle(({ platform }) => {
	if (!platform) throw new Error('no platform: is this not run by wrangler or vite dev?');
	return {
		name: 'cloakroom',
		secret: platform.env.SESSION_SECRET,
		store: new KvStore({ client: platform.env.SESSIONS }),
		// Not `rolling`: to prolong a life in KV is to write again what was read, and that may be old.
		cookie: { maxAge: 60 * 60 }
	};
});

const requireLogin: Handle = ({ event, resolve }) => {
	const { pathname } = event.url;
	const isPrivate = PRIVATE.some((path) => pathname === path || pathname.startsWith(`${path}/`));
	if (isPrivate && !event.locals.session.data.user) {
		redirect(303, `/login?next=${encodeURIComponent(pathname)}`);
	}
	return resolve(event);
};

export const handle = sequence(session, requireLogin);
