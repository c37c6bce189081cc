import { counts } from '../../counts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ fetch, locals }) => {
	const before = counts.reads;
	await locals.session.setData({ n: 50 });
	// The sub-request sees the page's unsaved changes, adds one, and saves.
	const child = (await (await fetch('/api/save')).json()) as { n: number };
	const other = await fetch('/api/read', { credentials: 'omit' });
	const stranger = (await other.json()) as { n: number };
	return {
		child: child.n,
		parent: locals.session.data.n,
		stranger: stranger.n,
		reads: counts.reads - before
	};
};
