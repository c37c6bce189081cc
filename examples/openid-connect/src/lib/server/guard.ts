import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';

/**
 * Sends a visitor who is not logged in to the provider. Each function that reads or changes private data calls it: a hook
 * that compares paths does not see every way to a function.
 */
export function requireLogin(): void {
	const { locals, url } = getRequestEvent();
	if (locals.session.data.user) return;
	redirect(303, `/login?next=${encodeURIComponent(url.pathname + url.search)}`);
}
