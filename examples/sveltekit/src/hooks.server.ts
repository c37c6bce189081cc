import { SESSION_SECRET } from '$app/env/private';
import { sequence, type Handle } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';

const session = sveltekitSessionHandle({
	name: 'cloakroom',
	secret: SESSION_SECRET,
	cookie: { maxAge: 60 * 60 },
	rolling: true
});

const countVisits: Handle = async ({ event, resolve }) => {
	const { session } = event.locals;
	if (session.data.user && event.request.method === 'GET' && !event.isSubRequest) {
		// Changes the stored data, so two concurrent pages count as two visits.
		await session.update((data) => ({ ...data, visits: (data.visits ?? 0) + 1 }));
	}
	return resolve(event);
};

export const handle = sequence(session, countVisits);
