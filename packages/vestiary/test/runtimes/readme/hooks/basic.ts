import type { Handle } from '@sveltejs/kit';
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

export const handle: Handle = sveltekitSessionHandle({
	secret: 'secret',
	store: new RedisStore({ client }) // other compatible stores are available
});
