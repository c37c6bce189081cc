import { redirect, type Handle } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';
import RedisStore from 'vestiary/redis';
import { Redis } from 'ioredis';

declare module 'vestiary' {
	interface SessionData {
		userId: string;
		name: string;
	}
}

const client = new Redis({
	host: '127.0.0.1',
	port: Number(process.env.REDIS_PORT)
});

const checkAuthorizationHandle: Handle = async ({ event, resolve }) => {
	// The page that the sample redirects to, and the route by which the test recognises its server.
	if (['/login', '/api/nonce'].includes(event.url.pathname)) return resolve(event);
	// `event.locals.session` is available
	if (!event.locals.session.data.userId) throw redirect(302, '/login');

	const result = await resolve(event);
	return result;
};

// make sure to set sveltekitSessionHandle first
export const handle: Handle = sequence(
	sveltekitSessionHandle({ secret: 'secret', store: new RedisStore({ client }) }),
	checkAuthorizationHandle
);
