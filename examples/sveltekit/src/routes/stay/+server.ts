import type { RequestHandler } from '@sveltejs/kit';

/** A use of the session, which makes it last longer. */
export const POST: RequestHandler = ({ locals }) =>
	new Response(null, { status: locals.session.userId === undefined ? 401 : 204 });
