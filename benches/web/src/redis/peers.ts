/** The libraries with their stores for Redis, and the clients that these need. */
import { RedisStore as ConnectRedisStore } from 'connect-redis';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import TheirStore from 'svelte-kit-connect-redis';
import { RedisStore } from 'vestiary/redis';

import type { Kit } from '../kit-request.ts';
import { expressSession } from '../peers/express-session.ts';
import type { Peer } from '../peers/peer.ts';
import { svelteKitSessions, type Store } from '../peers/svelte-kit-sessions.ts';
import { vestiary } from '../peers/vestiary.ts';
import { loadedBy } from './clients.ts';

export interface RedisPeers {
	peers: Peer[];
	close: () => void;
}

export async function redisPeers(kit: Kit, port: number): Promise<RedisPeers> {
	const host = '127.0.0.1';
	const ours = new Redis(port, host);
	const theirs = new (loadedBy('svelte-kit-connect-redis'))(port, host);
	const node = createClient({ url: `redis://${host}:${port}` });
	await node.connect();
	let stores = 0;
	const prefix = (): string => `bench${stores++}:`;
	const peers = [
		{ ...vestiary(kit), store: () => new RedisStore({ client: ours, prefix: prefix() }) },
		{
			...svelteKitSessions(kit),
			store: () => new TheirStore({ client: theirs, prefix: prefix() }) as unknown as Store
		},
		{
			...expressSession,
			store: () => new ConnectRedisStore({ client: node, prefix: prefix() })
		}
	];
	return {
		peers: peers as unknown as Peer[],
		close: () => {
			ours.disconnect();
			theirs.disconnect();
			node.destroy();
		}
	};
}
