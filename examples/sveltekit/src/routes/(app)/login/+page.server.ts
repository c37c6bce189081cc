import { fail, redirect } from '@sveltejs/kit';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => {
	if (locals.session.data.user) redirect(303, '/todos');
};

export const actions: Actions = {
	login: async ({ locals, request, url }) => {
		const name = String((await request.formData()).get('name') ?? '').trim();
		if (name.length < 2 || name.length > 40) {
			return fail(400, { name, error: 'Please enter a name of 2 to 40 letters.' });
		}
		// A new ID at login, which makes the old one worthless.
		const session = await locals.session.regenerate();
		await session.setData({ user: { name, since: Date.now() }, todos: [] });
		await session.save();
		redirect(303, localPath(url.searchParams.get('next')));
	},

	logout: async ({ locals }) => {
		await locals.session.destroy();
		redirect(303, '/');
	}
};

const HERE = 'http://here.invalid';

/** Only a path of this site, as a browser reads it: `//x`, `/\x` and `/.//x` are addresses, too. */
function localPath(next: string | null): string {
	const url = next?.startsWith('/') ? URL.parse(next, HERE) : null;
	if (url?.origin !== HERE || url.pathname.startsWith('//')) return '/todos';
	return url.pathname + url.search;
}
