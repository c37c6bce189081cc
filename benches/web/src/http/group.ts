/** A SvelteKit app, built for production, over HTTP: the same without sessions and with them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { startRedis } from '../../../../packages/vestiary/test/stores/servers.ts';
import type { Context } from '../context.ts';
import { shuffled } from '../measure.ts';
import { quantile, spread, write, type Measured, type Row } from '../results.ts';
import type { Sessions } from './hook.ts';
import { HttpServer, Load, type Command } from './servers.ts';

const APP = fileURLToPath(new URL('../../app', import.meta.url));
const PEERS: Sessions[] = ['bare', 'vestiary', 'svelte-kit-sessions'];
const PACKAGES = ['@sveltejs/kit', '@sveltejs/adapter-node', 'vestiary', 'svelte-kit-sessions'];
const CONNECTIONS = 32;
const VISITORS = 64;

interface Asked {
	name: string;
	path: string;
	/** Whether the browser has a session. */
	visitor: boolean;
}

const ENDPOINT: Asked = { name: 'endpoint, valid cookie, read', path: '/read', visitor: true };
const PAGE: Asked = { name: 'page, valid cookie, read', path: '/page', visitor: true };
const MEMORY: Asked[] = [
	{ ...ENDPOINT, name: 'endpoint, no cookie', visitor: false },
	ENDPOINT,
	{ name: 'endpoint, read and save', path: '/save', visitor: true },
	PAGE
];

export async function http(context: Context): Promise<void> {
	execFileSync(process.execPath, [VITE, 'build'], { cwd: APP, stdio: 'inherit' });
	const load = new Load();
	await inMemory(context, load);
	const server = await startRedis();
	try {
		await inRedis(context, load, server.ports[0] ?? 0);
	} finally {
		await server.stop();
	}
	await load.stop();
}

async function inMemory(context: Context, load: Load): Promise<void> {
	const servers = await Servers.start();
	await servers.check(context, MEMORY);
	const measured = await saturate(context, load, servers, MEMORY);
	await saveThroughput(context, measured);
	await saveLatency(context, load, servers, measured);
	await servers.stop();
}

async function inRedis(context: Context, load: Load, port: number): Promise<void> {
	const asked = [ENDPOINT, PAGE];
	const servers = await Servers.start(port);
	await servers.check(context, asked);
	const measured = await saturate(context, load, servers, asked);
	await save(context, {
		group: 'http-redis',
		title: 'SvelteKit over HTTP, sessions in Redis: throughput',
		unit: 'requests/s',
		lowerIsBetter: false,
		method: `${THROUGHPUT} Redis shares the core of the load.`,
		rows: measured.map(({ row, perSecond }) => ({ ...row, ...spread(perSecond) }))
	});
	await servers.stop();
}

const VITE = fileURLToPath(new URL('bin/vite.js', import.meta.resolve('vite/package.json')));

const THROUGHPUT =
	'The servers are built with adapter-node for production, and have one process on one core. Another ' +
	`process on another core holds ${CONNECTIONS} connections, which each send the next request when they ` +
	'have a response. The servers take turns in random order. Visitors with a cookie send one of the same length.';

/** The app once for each of the peers. */
class Servers {
	readonly all: Map<Sessions, HttpServer>;
	readonly cookies = new Map<Sessions, string[]>();

	private constructor(all: Map<Sessions, HttpServer>) {
		this.all = all;
	}

	static async start(redisPort?: number): Promise<Servers> {
		const all = new Map<Sessions, HttpServer>();
		for (const peer of PEERS) {
			const env = (port: number): NodeJS.ProcessEnv => ({
				NODE_ENV: 'production',
				HOST: '127.0.0.1',
				PORT: `${port}`,
				SESSIONS: peer,
				...(redisPort !== undefined && { REDIS_PORT: `${redisPort}` })
			});
			const program: Command = [process.execPath, `${APP}/build/index.js`];
			all.set(peer, await HttpServer.start(program, env, '/read'));
		}
		return new Servers(all);
	}

	/** Logs the visitors in, and checks that each app does its work. */
	async check({ checked }: Context, asked: Asked[]): Promise<void> {
		for (const [peer, server] of this.all) {
			const cookies: string[] = [];
			for (let n = 0; peer !== 'bare' && n < VISITORS; n++)
				cookies.push((await server.get('/login')).cookie);
			this.cookies.set(peer, cookies);
			for (const { name, path, visitor } of asked) {
				const answer = await server.get(path, visitor ? cookies[0] : undefined);
				assert.equal(answer.status, 200, name);
				const known = peer === 'bare' || visitor;
				assert.equal(answer.text.includes('u-8f14e45fceea167a'), known, `${peer}: ${name}`);
				assert.equal(answer.cookie !== '', path === '/save' && peer !== 'bare', name);
				checked(`${peer}: ${name}`);
			}
		}
		// The app without sessions receives as many bytes, and reads as many.
		this.cookies.set('bare', this.cookies.get('vestiary') ?? []);
	}

	async stop(): Promise<void> {
		for (const server of this.all.values()) await server.stop();
	}
}

/** The throughput of a server for one case, by round. */
interface Saturated {
	row: { case: string; peer: Sessions };
	asked: Asked;
	perSecond: number[];
	/** Processor time per request, in microseconds. */
	processor: number[];
}

async function saturate(
	{ smoke }: Context,
	load: Load,
	servers: Servers,
	asked: Asked[]
): Promise<Saturated[]> {
	const all = asked.flatMap((one) =>
		PEERS.map((peer): Saturated => {
			const row = { case: one.name, peer };
			return { row, asked: one, perSecond: [], processor: [] };
		})
	);
	const milliseconds = smoke ? 50 : 600;
	// Servers run for days. In their first seconds, code is compiled on the core that answers.
	for (let round = smoke ? 0 : -6; round < (smoke ? 1 : 10); round++) {
		for (const one of shuffled(all)) {
			const { peer } = one.row;
			const server = servers.all.get(peer);
			if (!server) continue;
			const before = server.processorTime;
			const { answered, seconds } = await load.run({
				port: server.port,
				path: one.asked.path,
				cookies: one.asked.visitor ? (servers.cookies.get(peer) ?? []) : [],
				connections: CONNECTIONS,
				milliseconds
			});
			if (round < 0) continue;
			one.perSecond.push(answered / seconds);
			one.processor.push(((server.processorTime - before) * 1e6) / answered);
		}
	}
	return all;
}

async function saveThroughput(context: Context, measured: Saturated[]): Promise<void> {
	const bare = (asked: Asked): Saturated => {
		const found = measured.find((one) => one.asked === asked && one.row.peer === 'bare');
		if (!found) throw new Error('the bare app was not measured');
		return found;
	};
	await save(context, {
		group: 'http-throughput',
		title: 'SvelteKit over HTTP: throughput',
		unit: 'requests/s',
		lowerIsBetter: false,
		method: THROUGHPUT,
		rows: measured.map(({ row, perSecond }) => ({ ...row, ...spread(perSecond) }))
	});
	const withSessions = measured.filter(({ row }) => row.peer !== 'bare');
	await save(context, {
		group: 'http-share',
		title: 'SvelteKit over HTTP: throughput, as a share of the app without sessions',
		unit: '%',
		lowerIsBetter: false,
		method: `${THROUGHPUT} Each is compared with the app without sessions in the same round.`,
		rows: withSessions.map(({ row, asked, perSecond }) => ({
			...row,
			...spread(
				perSecond.map((rate, round) => (100 * rate) / (bare(asked).perSecond[round] ?? NaN))
			)
		}))
	});
	await save(context, {
		group: 'http-processor',
		title: 'SvelteKit over HTTP: processor time of the server',
		unit: 'µs',
		lowerIsBetter: true,
		method: `${THROUGHPUT} Linux counts the time of the process, including garbage collection and thread pool.`,
		rows: measured.map(({ row, processor }) => ({ ...row, ...spread(processor) }))
	});
}

/** The latency for a visitor, at half of the slowest server's throughput. */
async function saveLatency(
	{ smoke, folder }: Context,
	load: Load,
	servers: Servers,
	measured: Saturated[]
): Promise<void> {
	const rows: Row[] = [];
	let half = Infinity;
	for (const { asked, perSecond } of measured)
		if (asked === ENDPOINT || asked === PAGE)
			half = Math.min(half, spread(perSecond).median / 2);
	const rate = smoke ? 100 : half;
	const found = [ENDPOINT, PAGE].flatMap((asked) =>
		PEERS.map((peer) => ({ asked, peer, p50: [] as number[], p99: [] as number[] }))
	);
	for (let round = 0; round < (smoke ? 1 : 6); round++) {
		for (const { asked, peer, p50, p99 } of shuffled(found)) {
			const outcome = await load.run({
				port: servers.all.get(peer)?.port ?? 0,
				path: asked.path,
				cookies: servers.cookies.get(peer) ?? [],
				connections: VISITORS,
				milliseconds: smoke ? 100 : 800,
				rate
			});
			const sorted = Float64Array.from(outcome.latencies).sort();
			p50.push(quantile(sorted, 0.5));
			p99.push(quantile(sorted, 0.99));
		}
	}
	for (const { asked, peer, p50, p99 } of found) {
		rows.push({ case: `${asked.name}, p50`, peer, ...spread(p50) });
		rows.push({ case: `${asked.name}, p99`, peer, ...spread(p99) });
	}
	await write(
		folder,
		{
			group: 'http-latency',
			title: `SvelteKit over HTTP: latency at ${Math.round(rate)} requests/s`,
			unit: 'ms',
			lowerIsBetter: true,
			method:
				'The same servers get requests at a constant rate, half of the maximum of the slowest ' +
				'server. The time counts from when a request was due to its complete response, whether or ' +
				'not a connection was free.',
			rows
		},
		PACKAGES
	);
}

function save({ folder }: Context, measured: Measured): Promise<void> {
	return write(folder, measured, PACKAGES);
}
