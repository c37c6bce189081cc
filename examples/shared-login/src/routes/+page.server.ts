import { fail, redirect } from '@sveltejs/kit';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals: { session } }) => {
	const { by, clicks = 0, sveltekit = 0, axum = 0 } = session.data;
	return { user: session.userId, by, clicks, sveltekit, axum };
};

export const actions: Actions = {
	login: async ({ locals, request }) => {
		const name = String((await request.formData()).get('name') ?? '').trim();
		if (name.length < 2 || name.length > 40) {
			return fail(400, { error: 'Please enter a name of 2 to 40 letters.' });
		}
		await locals.session.login(name, { data: { by: 'SvelteKit' } });
		redirect(303, '/');
	},

	logout: async ({ locals }) => {
		await locals.session.destroy();
		redirect(303, '/');
	}
};
