import { redirect, type RequestHandler } from '@sveltejs/kit';
import { localPath } from '#lib/server/local-path.ts';
import { beginLogin } from '#lib/server/oidc.ts';

export const GET: RequestHandler = async ({ locals: { session }, url }) => {
	const next = localPath(url.searchParams.get('next'));
	if (session.data.user) redirect(303, next);
	const { address, login } = await beginLogin(new URL('/login/callback', url));
	await session.setData({ ...session.data, login: { ...login, next } });
	await session.save();
	// The address is the provider's own, from its metadata: nothing that a visitor sent.
	redirect(303, address, { external: true });
};
