import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';
import { loginPage, type SessionData } from 'vestiary';

/**
 * The logged-in user; redirects every other visitor to the login page. Call it in each function that reads or changes
 * private data: a hook that compares paths does not cover every way to a function.
 */
export function requireUser(): NonNullable<SessionData['user']> {
	const event = getRequestEvent();
	const { session } = event.locals;
	const { user } = session.data;
	if (!user) redirect(303, loginPage(event));
	// The Back button does not show the page after a logout.
	session.private();
	return user;
}
