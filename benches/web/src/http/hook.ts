/** The app of the HTTP benchmarks: the same with each library, and without one. */
import type { RequestEvent } from '@sveltejs/kit';

import type { Handle } from '../kit-request.ts';
import type { Endpoint } from '../peers/kit-app.ts';
import { dataOf, type Options, type Work } from '../peers/peer.ts';

export type Sessions = 'bare' | 'vestiary' | 'svelte-kit-sessions';

const OPTIONS: Options = { secrets: ['a secret of 32 characters, or so.'], data: dataOf(64) };

let endpoint: Endpoint = async () => OPTIONS.data;

/** The hook that the environment names. */
export async function hook(): Promise<Handle> {
	const redis = process.env.REDIS_PORT;
	switch (process.env.SESSIONS) {
		case 'vestiary': {
			const { endpointOf, handleOf } = await import('../peers/vestiary.ts');
			endpoint = endpointOf(OPTIONS.data);
			return handleOf(OPTIONS, await ourStore(redis));
		}
		case 'svelte-kit-sessions': {
			const { endpointOf, handleOf } = await import('../peers/svelte-kit-sessions.ts');
			endpoint = endpointOf(OPTIONS.data);
			return handleOf(OPTIONS, await theirStore(redis));
		}
		default:
			return ({ event, resolve }) => resolve(event);
	}
}

/** An endpoint that answers with the user. */
export function answer(work: Work): (event: RequestEvent) => Promise<Response> {
	return async (event) => new Response(await userOf(event, work));
}

export async function userOf(event: RequestEvent, work: Work): Promise<string> {
	return (await endpoint(event, work))?.userId ?? 'anonymous';
}

type OurStore = Parameters<typeof import('../peers/vestiary.ts').handleOf>[1];
type TheirStore = Parameters<typeof import('../peers/svelte-kit-sessions.ts').handleOf>[1];

async function ourStore(redis: string | undefined): Promise<OurStore> {
	const { MemoryStore } = await import('vestiary');
	if (redis === undefined) return new MemoryStore();
	const { RedisStore } = await import('vestiary/redis');
	const { Redis } = await import('ioredis');
	return new RedisStore({ client: new Redis(Number(redis), '127.0.0.1'), prefix: 'ours:' });
}

async function theirStore(redis: string | undefined): Promise<TheirStore> {
	const { MemoryStore } = await import('svelte-kit-sessions');
	if (redis === undefined) return new MemoryStore();
	const { default: Store } = await import('svelte-kit-connect-redis');
	const { loadedBy } = await import('../redis/clients.ts');
	const client = new (loadedBy('svelte-kit-connect-redis'))(Number(redis), '127.0.0.1');
	return new Store({ client, prefix: 'theirs:' }) as unknown as TheirStore;
}
