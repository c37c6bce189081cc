import type { Handle } from '@sveltejs/kit';
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

const yourOwnHandle: Handle = async ({ event, resolve }) => {
	// `event.locals.session` is available
	const { name } = event.locals.session.data;
	const result = await resolve(event);
	result.headers.set('x-name', name ?? 'anonymous');
	return result;
};

export const handle: Handle = sequence(
	sveltekitSessionHandle({ secret: 'secret', store: new RedisStore({ client }) }),
	yourOwnHandle
);
