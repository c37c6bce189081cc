import type { PageServerLoad } from './$types';

/** Logs in or out, and asks a backend which session it sees. */
export const load: PageServerLoad = async ({ fetch, locals, url }) => {
	if (url.searchParams.has('logout')) {
		await locals.session.destroy();
	} else {
		const session = await locals.session.regenerate();
		await session.setData({ n: 7 });
		await session.save();
	}
	const seen = await fetch('/backend/me');
	return { seen: await seen.text() };
};
