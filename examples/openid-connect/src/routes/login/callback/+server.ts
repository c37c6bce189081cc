import { error, redirect, type RequestHandler } from '@sveltejs/kit';
import { finishLogin } from '#lib/server/oidc.ts';
import { LoginOutdatedError } from 'vestiary';

export const GET: RequestHandler = async ({ locals: { session }, url }) => {
	const { login, ...rest } = session.data;
	if (!login) error(400, 'This login has expired, or was begun in another browser.');
	// Removed, whatever the result is: each login accepts one callback.
	await session.setData(rest);
	await session.save();
	const { user, claims, answer } = await finishLogin(url, login);
	try {
		// A new ID: an attacker who planted or knew the old one is not logged in with it.
		await session.login(user.sub, { data: { user }, provider: claims, tokens: answer });
	} catch (cause) {
		if (cause instanceof LoginOutdatedError)
			error(400, 'You have logged out at the login service meanwhile.');
		throw cause;
	}
	redirect(303, login.next);
};
