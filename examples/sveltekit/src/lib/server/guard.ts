import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';
import type { SessionData } from 'vestiary';

/**
 * The user who is logged in; sends every other visitor to the login page. Each function that reads or changes private
 * data calls it: a hook that compares paths does not see every way to a function.
 */
export function requireUser(): NonNullable<SessionData['user']> {
	const { locals, url } = getRequestEvent();
	const { user } = locals.session.data;
	if (!user) redirect(303, `/login?next=${encodeURIComponent(url.pathname)}`);
	return user;
}
