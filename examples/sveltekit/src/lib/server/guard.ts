import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';
import { loginPage, sessions, type UserSessions } from 'vestiary';

import { optionsOf } from './session';

/**
 * The logged-in user; redirects every other visitor to the login page. Call it in each function that reads or changes
 * private data: a hook that compares paths does not cover every way to a function.
 */
export function requireUser(): string {
	const event = getRequestEvent();
	const { session } = event.locals;
	if (session.userId === undefined) redirect(303, loginPage(event));
	// The Back button does not show the page after a logout.
	session.private();
	return session.userId;
}

/** The same for a user who has just said who they are; others are asked again. */
export function requireFresh(): string {
	const event = getRequestEvent();
	const user = requireUser();
	if (!event.locals.session.isFresh(FRESH)) redirect(303, loginPage(event, '/confirm'));
	return user;
}

/** Five minutes, in seconds. */
const FRESH = 300;

/** The sessions of the logged-in user. */
export function mySessions(): UserSessions {
	const user = requireUser();
	return sessions(optionsOf(getRequestEvent())).of(user);
}
