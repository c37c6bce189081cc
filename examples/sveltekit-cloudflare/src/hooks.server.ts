import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle, type SessionHandle } from 'vestiary';
import { DurableObjectStore } from 'vestiary/durable-objects';

// Bindings come with the request, so the options are made by the first one.
const session = sveltekitSessionHandle(({ platform }) => {
	if (!platform) throw new Error('no platform: is this not run by wrangler or vite dev?');
	const { SESSION_SECRET, SESSIONS } = platform.env;
	return {
		name: 'cloakroom',
		secret: SESSION_SECRET,
		// `vite dev` does not run worker.js, so it has none of its Durable Objects. Its sessions are in memory.
		store: import.meta.env.DEV ? undefined : new DurableObjectStore({ client: SESSIONS }),
		cookie: { maxAge: 60 * 60 },
		rolling: true
	};
});

const countVisits: SessionHandle = async ({ event, resolve }) => {
	const { session } = event.locals;
	if (session.data.user && event.request.method === 'GET' && !event.isSubRequest) {
		// Changes the stored data, so two concurrent pages count as two visits.
		await session.update((data) => ({ ...data, visits: (data.visits ?? 0) + 1 }));
	}
	return resolve(event);
};

export const handle = sequence(session, countVisits);
