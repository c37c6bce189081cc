import { redirect } from '@sveltejs/kit';
import { logoutAddress } from '#lib/server/oidc.ts';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = () => redirect(303, '/');

export const actions: Actions = {
	default: async ({ locals: { session }, url }) => {
		const tokens = await session.storedTokens();
		// Ended here first, so that it ends whatever the provider does.
		await session.destroy();
		const idToken = tokens?.idToken;
		const address = idToken && (await logoutAddress(idToken, new URL('/', url)));
		if (!address) redirect(303, '/');
		redirect(303, address, { external: true });
	}
};
