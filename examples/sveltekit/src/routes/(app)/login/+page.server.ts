import { fail, redirect } from '@sveltejs/kit';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => {
	if (locals.session.data.user) redirect(303, '/todos');
};

export const actions: Actions = {
	login: async ({ locals, request, url }) => {
		const name = String((await request.formData()).get('name') ?? '').trim();
		if (name.length < 2 || name.length > 40) {
			return fail(400, { name, error: 'Please give a name of 2 to 40 letters.' });
		}
		// A new ID at login: whoever knew the old one knows nothing.
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

/** Only a path of this site: `//elsewhere.example` is an address, too. */
function localPath(next: string | null): string {
	return next && /^\/(?![/\\])/.test(next) ? next : '/todos';
}
