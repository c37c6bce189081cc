/** The handle with sessions in a real Redis: its commands, and the cost of a request. */
import { startRedis } from '../../../../packages/vestiary/test/stores/servers.ts';
import { CASES } from '../cases.ts';
import type { Context } from '../context.ts';
import { plan, rowsOf, scenesOf, inFlight, sequential, IN_FLIGHT } from '../handle.ts';
import type { Kit } from '../kit-request.ts';
import { loadKit } from '../kit.ts';
import { exactly, write, type Measured, type Row } from '../results.ts';
import { CountingProxy } from '../counting-proxy.ts';
import { nearRoundTrips, nearTimes } from './near-cache.ts';
import { redisPeers } from './peers.ts';
import { userRows } from './users.ts';

const PACKAGES = [
	'vestiary',
	'svelte-kit-sessions',
	'svelte-kit-connect-redis',
	'express-session',
	'connect-redis',
	'ioredis',
	'redis'
];

export async function redis(context: Context): Promise<void> {
	const kit = await loadKit(context.build);
	const server = await startRedis();
	try {
		const [port = 0] = server.ports;
		await counted(context, kit, port);
		await timed(context, kit, port);
	} finally {
		await server.stop();
	}
}

const asked = CASES.filter(({ bytes }) => bytes <= 64);

async function counted(context: Context, kit: Kit, redisPort: number): Promise<void> {
	const proxy = await CountingProxy.launch(redisPort);
	const { peers, close } = await redisPeers(kit, proxy.port);
	const roundTrips: Row[] = [];
	const commands: Row[] = [];
	for (const { made, peer, scene } of await scenesOf(context, peers, asked)) {
		const row = { case: made.name, peer: peer.name };
		const runs = context.smoke ? 2 : 100;
		const trips = await scene.count(() => proxy.roundTrips, runs);
		roundTrips.push({ ...row, ...exactly(trips) });
		commands.push({ ...row, ...exactly(await scene.count(() => proxy.commands, runs)) });
	}
	close();
	const users = await userRows(context, kit, proxy);
	roundTrips.push(...users.roundTrips);
	commands.push(...users.commands);
	const near = await nearRoundTrips(context, kit, proxy);
	await proxy.stop();
	const method =
		'A proxy in front of a real Redis counts them, over many requests, one after the other. Commands ' +
		'that are sent together are one round trip.';
	await save(context, {
		group: 'redis-round-trips',
		title: 'Redis: round trips of a request',
		unit: 'round trips',
		lowerIsBetter: true,
		method,
		rows: roundTrips
	});
	await save(context, {
		group: 'redis-commands',
		title: 'Redis: commands of a request',
		unit: 'commands',
		lowerIsBetter: true,
		method,
		rows: commands
	});
	await save(context, near);
}

async function timed(context: Context, kit: Kit, port: number): Promise<void> {
	const { peers, close } = await redisPeers(kit, port);
	const scenes = await scenesOf(context, peers, asked);
	const method =
		'The handle runs in process, with a real Redis on the same machine. vestiary and ' +
		'svelte-kit-sessions use ioredis; express-session uses node-redis, for which its store is made. ' +
		'The number is the cost over a handle that only resolves.';
	await save(context, {
		group: 'redis-sequential',
		title: 'SvelteKit handle with Redis, one request after the other',
		unit: 'µs',
		lowerIsBetter: true,
		method,
		rows: await rowsOf(kit, scenes, sequential, plan(context, 20, 10, 1))
	});
	await save(context, {
		group: 'redis-in-flight',
		title: `SvelteKit handle with Redis, ${IN_FLIGHT} requests in flight`,
		unit: 'µs',
		lowerIsBetter: true,
		method,
		rows: await rowsOf(kit, scenes, inFlight, plan(context, 20, 10, IN_FLIGHT))
	});
	close();
	await save(context, await nearTimes(context, kit, port));
}

function save({ folder }: Context, measured: Measured): Promise<void> {
	return write(folder, measured, PACKAGES);
}
