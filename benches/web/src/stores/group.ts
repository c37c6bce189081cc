/** The handle with sessions in the databases that applications have: round trips, and the cost of a request. */
import { startMySql } from '../../../../packages/vestiary/test/stores/mysql-server.ts';
import { startPostgres } from '../../../../packages/vestiary/test/stores/postgres-server.ts';
import { startRedis } from '../../../../packages/vestiary/test/stores/servers.ts';
import { CASES } from '../cases.ts';
import type { Context } from '../context.ts';
import { CountingProxy } from '../counting-proxy.ts';
import { plan, rowsOf, scenesOf, inFlight, sequential, IN_FLIGHT } from '../handle.ts';
import type { Kit } from '../kit-request.ts';
import { loadKit } from '../kit.ts';
import { exactly, write, type Measured, type Row } from '../results.ts';
import { filePeers, serverPeers, type Servers } from './peers.ts';

const PACKAGES = [
	'vestiary',
	'better-auth',
	'better-sqlite3',
	'connect-pg-simple',
	'express-session',
	'ioredis',
	'mysql2',
	'pg',
	'postgres'
];

const ASKED = CASES.filter(({ name }) =>
	['valid cookie, read', 'read and save', 'login'].includes(name)
);

export async function stores(context: Context): Promise<void> {
	const kit = await loadKit(context.build);
	const postgres = await startPostgres('-c', 'fsync=on');
	const mysql = await startMySql('--innodb-flush-log-at-trx-commit=1');
	const redis = await startRedis();
	const [redisPort = 0] = redis.ports;
	const servers = { postgres: postgres.port, mysql: mysql.port, redis: redisPort };
	try {
		await counted(context, kit, servers);
		await timed(context, kit, servers);
	} finally {
		await redis.stop();
		await mysql.stop();
		await postgres.stop();
	}
}

async function counted(context: Context, kit: Kit, servers: Servers): Promise<void> {
	const postgres = await CountingProxy.launch(servers.postgres, 'another');
	const mysql = await CountingProxy.launch(servers.mysql, 'another');
	const redis = await CountingProxy.launch(servers.redis);
	const proxies = [postgres, mysql, redis];
	const { peers, close } = await serverPeers(kit, {
		postgres: postgres.port,
		mysql: mysql.port,
		redis: redis.port
	});
	const rows: Row[] = [];
	for (const { made, peer, scene } of await scenesOf(context, peers, ASKED)) {
		const trips = await scene.count(
			() => proxies.reduce((sum, { roundTrips }) => sum + roundTrips, 0),
			context.smoke ? 2 : 100
		);
		rows.push({ case: made.name, peer: peer.name, ...exactly(trips) });
	}
	await close();
	for (const proxy of proxies) await proxy.stop();
	await save(context, {
		group: 'stores-round-trips',
		title: 'Databases: round trips of a request',
		unit: 'round trips',
		lowerIsBetter: true,
		method: 'A proxy in front of the real server counts them, over many requests, one after the other.',
		rows
	});
}

async function timed(context: Context, kit: Kit, servers: Servers): Promise<void> {
	const remote = await serverPeers(kit, servers);
	const local = await filePeers(kit);
	const scenes = await scenesOf(context, [...remote.peers, ...local.peers], ASKED);
	const method =
		'The handle runs in process, with real servers on the same machine. Postgres and MariaDB wait for ' +
		'the disk at each commit, Redis does not. The SQLite files are in WAL mode, where node:sqlite waits ' +
		'for the disk, and better-sqlite3 does not. A login of better-auth checks no password here. The ' +
		'number is the cost over a handle that only resolves.';
	for (const [group, title, way, many] of [
		['stores-sequential', 'one request after the other', sequential, 1],
		['stores-in-flight', `${IN_FLIGHT} requests in flight`, inFlight, IN_FLIGHT]
	] as const) {
		await save(context, {
			group,
			title: `SvelteKit handle with a database, ${title}`,
			unit: 'µs',
			lowerIsBetter: true,
			method,
			rows: await rowsOf(kit, scenes, way, plan(context, 15, 10, many))
		});
	}
	await remote.close();
	await local.close();
}

function save({ folder }: Context, measured: Measured): Promise<void> {
	return write(folder, measured, PACKAGES);
}
