import { requireUser } from '../../../lib/server/guard';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals: { session }, setHeaders }) => {
	requireUser();
	// This data belongs to one visitor.
	setHeaders({ 'cache-control': 'private, no-store' });
	const { encode: _, ...cookie } = session.cookie;
	return {
		// Never send a whole ID to a page: with it, an attacker could act as the visitor.
		id: `${session.id.slice(0, 6)}…`,
		cookieName: session.cookieName,
		cookie,
		expires: session.expires,
		isFresh: session.isFresh(300),
		visits: session.data.visits ?? 0,
		keys: Object.keys(session.data)
	};
};
