import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals: { session } }) => ({
	session: session.forClient(),
	// Not in the session for the browser: each page that one tab shows would load the pages of the others again.
	visits: session.data.visits
});
