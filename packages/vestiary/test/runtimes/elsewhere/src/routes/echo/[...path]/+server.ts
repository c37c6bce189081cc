import type { RequestHandler } from './$types';

/** The request as a backend sees it. */
export const GET: RequestHandler = ({ locals, request }) => {
	const names = [...request.headers.keys()].filter((name) => name.startsWith('x-'));
	const cookie = request.headers.get('cookie') ?? '';
	return new Response(
		[`n=${locals.session.data.n ?? 0}`, `names=${names.join()}`, cookie].join('|')
	);
};
