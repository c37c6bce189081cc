import { redirect } from '@sveltejs/kit';
import type { Actions } from './$types';

export const actions: Actions = {
	default: async ({ locals, request }) => {
		const n = Number((await request.formData()).get('n'));
		const session = await locals.session.regenerate();
		await session.setData({ n });
		await session.save();
		redirect(303, '/');
	}
};
