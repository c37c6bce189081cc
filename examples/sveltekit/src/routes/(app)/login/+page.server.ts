import { fail, redirect } from '@sveltejs/kit';
import { wayBack } from 'vestiary';
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
		// Only to a page of this app: anyone can write a link to this one.
		redirect(303, wayBack(url.searchParams.get('next'), '/todos'));
	},

	logout: async ({ locals }) => {
		await locals.session.destroy();
		redirect(303, '/');
	}
};
