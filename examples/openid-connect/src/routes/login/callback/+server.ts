import { error, redirect, type RequestHandler } from '@sveltejs/kit';
import { finishLogin } from '#lib/server/oidc.ts';

export const GET: RequestHandler = async ({ locals, url }) => {
	const { login, ...rest } = locals.session.data;
	if (!login) error(400, 'This login has expired, or was begun in another browser.');
	// Removed, whatever the result is: each login accepts one callback.
	await locals.session.setData(rest);
	await locals.session.save();
	const { user, tokens } = await finishLogin(url, login);
	// A new ID: an attacker who planted or knew the old one is not logged in with it.
	const session = await locals.session.regenerate();
	await session.setData({ user, tokens });
	await session.save();
	redirect(303, login.next);
};
