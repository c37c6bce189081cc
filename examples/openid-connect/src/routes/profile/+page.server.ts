import { redirect } from '@sveltejs/kit';
import { requireUser } from '#lib/server/guard.ts';
import { userInfo } from '#lib/server/oidc.ts';
import { loginPage } from 'vestiary';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals: { session }, setHeaders, url }) => {
	requireUser();
	const known = await userInfo(session);
	if (!known) {
		await session.destroy();
		redirect(303, loginPage({ url }));
	}
	// This data belongs to one visitor.
	setHeaders({ 'cache-control': 'private, no-store' });
	// Claim by claim: what else the provider may send is not for the page.
	const { info, expires } = known;
	return { sub: info.sub, name: info.name, email: info.email, expires };
};
