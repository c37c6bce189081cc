import { fail, redirect } from '@sveltejs/kit';
import { wayBack } from 'vestiary';

import { requireUser } from '../../../lib/server/guard';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = () => {
	requireUser();
};

export const actions: Actions = {
	default: async ({ locals: { session }, request, url }) => {
		const user = requireUser();
		// Here your app checks a password, or a passkey.
		const name = String((await request.formData()).get('name') ?? '').trim();
		if (name !== user) return fail(400, { error: 'That is not the name you logged in with.' });
		if (!(await session.confirm())) redirect(303, '/login');
		await session.flash({ text: 'Thank you. Now you may log out everywhere.' });
		redirect(303, wayBack(url.searchParams.get('next'), '/devices'));
	}
};
