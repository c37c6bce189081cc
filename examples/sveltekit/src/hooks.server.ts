import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle, type SessionHandle } from 'vestiary';

import { optionsOf } from './lib/server/session';

const session = sveltekitSessionHandle(optionsOf);

const countVisits: SessionHandle = async ({ event, resolve }) => {
	const { session } = event.locals;
	const isPage = event.route.id?.startsWith('/(app)') === true;
	if (session.userId && isPage && event.request.method === 'GET' && !event.isSubRequest) {
		// Changes the stored data, so two concurrent pages count as two visits.
		await session.update((data) => ({ ...data, visits: (data.visits ?? 0) + 1 }));
	}
	return resolve(event);
};

export const handle = sequence(session, countVisits);
