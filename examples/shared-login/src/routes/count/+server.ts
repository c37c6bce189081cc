import { json } from '@sveltejs/kit';
import type { RequestHandler } from './$types';

export const POST: RequestHandler = async ({ locals: { session } }) => {
	if (!session.userId) return json({ error: 'log in first' }, { status: 401 });
	// Changes the stored data: the Rust service writes the same number concurrently.
	await session.update((data) => ({
		...data,
		clicks: (data.clicks ?? 0) + 1,
		sveltekit: (data.sveltekit ?? 0) + 1
	}));
	return json({ clicks: session.data.clicks });
};
