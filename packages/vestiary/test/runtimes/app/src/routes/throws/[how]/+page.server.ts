import { error, fail, redirect } from '@sveltejs/kit';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, params, request, url }) => {
	// After an action that failed, the page is loaded in the same request.
	if (request.method === 'POST') return;
	await locals.session.setData({ n: 1 });
	await locals.session.save();
	throws(params.how, url);
};

export const actions: Actions = {
	default: async ({ locals, params, url }) => {
		await locals.session.setData({ n: 1 });
		await locals.session.save();
		if (params.how === 'fail') return fail(422);
		throws(params.how, url);
	}
};

function throws(how: string, url: URL): void {
	if (how === 'redirect') redirect(303, new URL('/', url).pathname);
	if (how === 'error') error(418);
	if (how === 'crash') throw new Error('as the test wants it');
}
