import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals: { session } }) => ({
	user: session.userId,
	visits: session.data.visits
});
