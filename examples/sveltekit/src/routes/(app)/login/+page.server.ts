import { fail, redirect } from '@sveltejs/kit';
import { wayBack } from 'vestiary';

import { deviceOf } from '../../../lib/server/device';
import type { Actions, PageServerLoad } from './$types';

const MONTH = 30 * 24 * 60 * 60;

export const load: PageServerLoad = ({ locals }) => {
	if (locals.session.userId) redirect(303, '/todos');
};

export const actions: Actions = {
	login: async (event) => {
		const { session } = event.locals;
		const form = await event.request.formData();
		const name = String(form.get('name') ?? '').trim();
		if (name.length < 2 || name.length > 40) {
			return fail(400, { name, error: 'Please enter a name of 2 to 40 letters.' });
		}
		// A new ID at login, which makes the old one worthless.
		await session.login(name, {
			data: { todos: [] },
			device: deviceOf(event),
			// Without the box, the cookie ends with the browser.
			maxAge: form.has('remember') ? MONTH : null
		});
		await session.flash({ text: `Hello, ${name}. You are logged in.` });
		// Only to a page of this app: anyone can write a link to this one.
		redirect(303, wayBack(event.url.searchParams.get('next'), '/todos'));
	},

	logout: async ({ locals }) => {
		await locals.session.destroy();
		redirect(303, '/');
	}
};
