/** Sessions that the process has read just now, with and without the near cache: round trips, and the cost of a read. */
import assert from 'node:assert/strict';

import { Redis } from 'ioredis';
import { sveltekitSessionHandle, type Store } from 'vestiary';
import { RedisStore } from 'vestiary/redis';

import { CASES } from '../cases.ts';
import type { Context } from '../context.ts';
import type { CountingProxy } from '../counting-proxy.ts';
import { plan, rowsOf, scenesOf, sequential } from '../handle.ts';
import type { Kit } from '../kit-request.ts';
import { KitApp } from '../peers/kit-app.ts';
import type { Peer } from '../peers/peer.ts';
import { endpointOf, vestiary } from '../peers/vestiary.ts';
import { exactly, type Measured, type Row } from '../results.ts';

/** Each visitor comes again within this time, in milliseconds. */
const MAX_STALE = 60_000;

const READS = CASES.filter(({ name }) => name === 'valid cookie, read');

const METHOD =
	'As above, but each visitor comes again within the `maxStale` of the near cache (`cache`), and no other process ' +
	'changes the sessions. The store has its feed.';

/** Round trips of reads, counted by a proxy. */
export async function nearRoundTrips(
	context: Context,
	kit: Kit,
	proxy: CountingProxy
): Promise<Measured> {
	const { peers, close } = nearPeers(kit, proxy.port);
	const rows: Row[] = [];
	for (const { made, peer, scene } of await scenesOf(context, peers, READS)) {
		const runs = context.smoke ? 2 : 100;
		const expected = peer.name === CACHED ? 0 : 1;
		let trips = NaN;
		// When the feed is connected, the cache begins anew.
		for (let pass = 0; trips !== expected && pass < 10; pass++)
			trips = await scene.count(() => proxy.roundTrips, runs);
		assert.equal(trips, expected, `${peer.name}: round trips`);
		rows.push({ case: made.name, peer: peer.name, ...exactly(trips) });
	}
	close();
	return {
		group: 'redis-near-cache-round-trips',
		title: 'Redis: round trips of a read with the near cache',
		unit: 'round trips',
		lowerIsBetter: true,
		method: METHOD,
		rows
	};
}

/** The times of reads. */
export async function nearTimes(context: Context, kit: Kit, port: number): Promise<Measured> {
	const { peers, close } = nearPeers(kit, port);
	const scenes = await scenesOf(context, peers, READS);
	// Each session is read once.
	for (const { scene } of scenes) await scene.count(() => 0, context.smoke ? 2 : 256);
	const rows = await rowsOf(kit, scenes, sequential, plan(context, 20, 10, 1));
	close();
	return {
		group: 'redis-near-cache',
		title: 'SvelteKit handle with Redis and the near cache, one request after the other',
		unit: 'µs',
		lowerIsBetter: true,
		method: METHOD,
		rows
	};
}

const CACHED = 'vestiary, near cache';

function nearPeers(kit: Kit, port: number): { peers: Peer[]; close: () => void } {
	const client = new Redis(port, '127.0.0.1');
	let stores = 0;
	const plain = {
		...vestiary(kit),
		store: () => new RedisStore({ client, feed: true, prefix: `near${stores++}:` })
	};
	const cached: Peer<Store> = {
		...plain,
		name: CACHED,
		can: [],
		app: ({ secrets, data }, store) => {
			const handle = sveltekitSessionHandle({
				secret: secrets,
				store,
				cache: { maxStale: MAX_STALE }
			});
			return new KitApp(kit, handle, endpointOf(data));
		}
	};
	return {
		peers: [cached, plain] as unknown as Peer[],
		close: () => {
			client.disconnect();
		}
	};
}
