import type { RequestEvent } from '@sveltejs/kit';

/** Logs in whom the address names. */
export async function POST({ locals, url }: RequestEvent): Promise<Response> {
	await locals.session.login(url.searchParams.get('user') ?? '');
	return new Response();
}
