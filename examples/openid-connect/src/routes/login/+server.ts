import { redirect, type RequestHandler } from '@sveltejs/kit';
import { beginLogin } from '#lib/server/oidc.ts';
import { wayBack } from 'vestiary';

export const GET: RequestHandler = async ({ locals: { session }, url }) => {
	const next = wayBack(url.searchParams.get('next'));
	if (session.data.user) redirect(303, next);
	const { address, login } = await beginLogin(new URL('/login/callback', url));
	await session.setData({ ...session.data, login: { ...login, next } });
	await session.save();
	// The address is the provider's own, from its metadata: nothing that a visitor sent.
	redirect(303, address, { external: true });
};
