import { SESSION_SECRET } from '$app/env/private';
import { redirect } from '@sveltejs/kit';
import { sequence, type Handle } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';

const PRIVATE = ['/todos', '/session', '/api'];

const session = sveltekitSessionHandle({
	name: 'cloakroom',
	secret: SESSION_SECRET,
	cookie: { maxAge: 60 * 60 },
	rolling: true
});

const requireLogin: Handle = ({ event, resolve }) => {
	const { pathname } = event.url;
	const isPrivate = PRIVATE.some((path) => pathname === path || pathname.startsWith(`${path}/`));
	if (isPrivate && !event.locals.session.data.user) {
		redirect(303, `/login?next=${encodeURIComponent(pathname)}`);
	}
	return resolve(event);
};

const countVisits: Handle = async ({ event, resolve }) => {
	const { session } = event.locals;
	if (session.data.user && event.request.method === 'GET' && !event.isSubRequest) {
		// Starts from what the store has now: two pages at once are two visits.
		await session.update((data) => ({ ...data, visits: (data.visits ?? 0) + 1 }));
	}
	return resolve(event);
};

export const handle = sequence(session, requireLogin, countVisits);
