import type { RequestEvent } from '@sveltejs/kit';

import { isWayBack, loginPage as pageOf } from './generated/vestiary.js';

/**
 * Returns the address of the login page, with the way back to the page that a request asked for: `/login?next=/orders`.
 *
 * ```ts
 * import { getRequestEvent } from '$app/server';
 * import { redirect } from '@sveltejs/kit';
 * import { loginPage } from 'vestiary';
 *
 * export function requireUser(): string {
 *   const event = getRequestEvent();
 *   const { userId } = event.locals.session;
 *   if (userId === undefined) redirect(303, loginPage(event));
 *   return userId;
 * }
 * ```
 *
 * @param event The request event. In a `query`, where SvelteKit 3 has no page to say, the address has no way back
 * @param at The login page: a path of the app, perhaps with a query. Default: `/login`
 * @param parameter The parameter with the way back. Default: `next`
 */
export function loginPage(
	event: Pick<RequestEvent, 'url'>,
	at = '/login',
	parameter = 'next'
): string {
	const url = urlOf(event);
	if (!url) return at;
	// SvelteKit has the names of form actions there: `?/save`.
	const query = [...url.searchParams].filter(([name]) => !name.startsWith('/'));
	const search = query.length > 0 ? `?${new URLSearchParams(query).toString()}` : '';
	return pageOf(at, parameter, `${url.pathname}${search}`);
}

/**
 * Returns the page to which a login sends its visitor back, if it is a page of this app; otherwise the fallback. Anyone can
 * write a link to a login page, so what its query or its form says must be checked.
 *
 * ```ts
 * import { redirect } from '@sveltejs/kit';
 * import { wayBack } from 'vestiary';
 *
 * export const actions = {
 *   default: async ({ locals, request }) => {
 *     const form = await request.formData();
 *     await locals.session.login('7'); // after the password was checked
 *     redirect(303, wayBack(form.get('next')));
 *   }
 * };
 * ```
 *
 * @param page A path with or without a query, as {@link loginPage} writes it
 * @param fallback Default: `/`
 */
export function wayBack(page: unknown, fallback = '/'): string {
	return typeof page === 'string' && isWayBack(page) ? page : fallback;
}

function urlOf(event: Pick<RequestEvent, 'url'>): URL | undefined {
	try {
		return event.url;
	} catch {
		// SvelteKit 3 throws inside a query.
		return undefined;
	}
}
