import { error, redirect } from '@sveltejs/kit';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ locals, params, url }) => {
	await locals.session.setData({ n: 1 });
	await locals.session.save();
	switch (params.how) {
		case 'redirect':
			redirect(303, '/');
			break;
		case 'error':
			error(418);
			break;
		case 'crash':
			throw new Error('as the test wants it');
		case 'immutable':
			return Response.redirect(new URL('/', url), 303);
		case 'etag':
			return new Response('of some version', { headers: { etag: '"1"' } });
	}
	return new Response('nothing thrown');
};
