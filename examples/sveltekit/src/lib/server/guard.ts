import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';
import type { SessionData } from 'vestiary';

/**
 * The logged-in user; redirects every other visitor to the login page. Call it in each function that reads or changes
 * private data: a hook that compares paths does not cover every way to a function.
 */
export function requireUser(): NonNullable<SessionData['user']> {
	const { locals, url } = getRequestEvent();
	const { user } = locals.session.data;
	if (!user) redirect(303, `/login?next=${encodeURIComponent(url.pathname)}`);
	return user;
}
