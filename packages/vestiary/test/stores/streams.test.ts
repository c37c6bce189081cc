import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Redis } from 'ioredis6';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { started, type Killable } from './killable.js';
import { freePort } from './servers.js';
import { DroppingProxy } from './streams-proxy.js';
import { goOn, StreamRun, within, type Ends } from './streams-run.js';

/* Event streams of three processes with one store, while users are logged out everywhere. `cargo xtask faults --streams`
   measures the same with more stores. */

/** The default of the option is 10; a shorter time makes the test shorter. */
const RECHECK_AFTER = 2;

let redis: Killable;
let admin: Redis;
let proxy: DroppingProxy;
let run: StreamRun;

beforeAll(async () => {
	const port = await freePort();
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-streams-'));
	const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
	// A server that is killed then forgets nothing.
	const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];
	admin = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 50 });
	admin.on('error', () => undefined);
	redis = await started({
		launch: () =>
			spawn(process.env.REDIS_SERVER ?? 'redis-server', [...args, ...durable], {
				detached: true,
				stdio: 'ignore'
			}),
		answers: async () => (await admin.ping().catch(() => '')) === 'PONG',
		folder,
		end: 'SIGTERM'
	});
	proxy = await DroppingProxy.launch(port);
	const listeners = async (): Promise<number> => {
		const [, count] = (await admin.pubsub('NUMSUB', 'sess:feed').catch(() => [])) as unknown[];
		return Number(count);
	};
	run = await StreamRun.launch(
		{ kind: 'Redis', address: `${proxy.port}`, listeners },
		RECHECK_AFTER
	);
}, 60_000);

afterAll(async () => {
	run.stop();
	admin.disconnect();
	await proxy.stop();
	await redis.stop();
});

/** All streams of the half that was logged out have ended. */
function report(name: string, all: Map<string, Ends>): void {
	const ends = all.get('event streams');
	if (!ends) throw new Error('no stream has ended');
	expect(ends.ends.length).toBe(150);
	const [p50, p99, max] = [0.5, 0.99, 1].map((share) => within(ends, share));

	console.log(
		`${name}: streams ended after p50 ${p50}, p99 ${p99}, max ${max} ms, data ${ends.data} ms`
	);
}

test.each([
	['with the feed', 0],
	['with a feed that loses one message in ten', 0.1],
	['with a feed that loses all messages', 1]
])(
	'%s, the streams of revoked sessions end, and the others go on',
	async (name, drops) => {
		proxy.drops = drops;
		Object.assign(proxy, { passed: 0, dropped: 0 });
		report(name, await run.revokeHalf(await run.openAll(`drops-${drops}`)));
		expect(proxy.dropped > 0).toBe(drops > 0);
		expect(proxy.passed > 0).toBe(drops < 1);
	},
	180_000
);

test('after the server was killed, streams go on, and those of revoked sessions end', async () => {
	proxy.drops = 0;
	const streams = await run.openAll('killed');
	await redis.kill();
	await goOn(streams);
	await redis.start();
	await run.connected();
	await goOn(streams);
	report('after the server was killed', await run.revokeHalf(streams));
}, 180_000);

test('of a file of SQLite, which is looked at for changes, the streams of revoked sessions end', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-streams-'));
	// Only the search for changes can end them while the test runs.
	const file = await StreamRun.launch(
		{ kind: 'SQLite', address: join(folder, 'sessions.db') },
		300
	);
	report('SQLite', await file.revokeHalf(await file.openAll('sqlite')));
	file.stop();
	await rm(folder, { recursive: true, force: true });
}, 180_000);
