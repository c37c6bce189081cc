import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';

/**
 * Redirects a visitor who is not logged in to the provider. Call it in each function that reads or changes private
 * data: a hook that compares paths does not cover every way to a function.
 */
export function requireLogin(): void {
	const { locals, url } = getRequestEvent();
	if (locals.session.data.user) return;
	redirect(303, `/login?next=${encodeURIComponent(url.pathname + url.search)}`);
}
