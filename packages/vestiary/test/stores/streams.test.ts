import { fork, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis6';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { started, type Killable } from './killable.js';
import { freePort } from './servers.js';
import { DroppingProxy } from './streams-proxy.js';

/* Event streams of three processes with one Redis, while users are logged out everywhere. */

const PROCESSES = 3;
const USERS = 100;
const WORKER = new URL('streams-worker.ts', import.meta.url).pathname;
/** The default of the option is 10; a shorter time makes the test shorter. */
const RECHECK_AFTER = Number(process.env.STREAMS_RECHECK_AFTER ?? 2);

let redis: Killable;
let admin: Redis;
let proxy: DroppingProxy;
let workers: { child: ChildProcess; url: string }[];

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
	workers = await Promise.all(
		Array.from({ length: PROCESSES }, async () => {
			const child = fork(WORKER, [`${proxy.port}`, `${RECHECK_AFTER}`]);
			const at = await new Promise((resolve) => child.once('message', resolve));
			return { child, url: `http://127.0.0.1:${String(at)}` };
		})
	);
}, 60_000);

afterAll(async () => {
	for (const { child } of workers) child.kill();
	admin.disconnect();
	await proxy.stop();
	await redis.stop();
});

/** An open stream of a user. */
interface Stream {
	user: string;
	chunks: number;
	/** The time that the last chunk names, in milliseconds since the epoch. */
	last: number;
	isOver: boolean;
	/** When it has ended. */
	end: Promise<number>;
	leave: () => void;
}

const urlOf = (process: number): string => workers[process % PROCESSES]?.url ?? '';

async function logIn(process: number, user: string): Promise<string> {
	const response = await fetch(`${urlOf(process)}/login?user=${user}`, { method: 'POST' });
	return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

async function open(process: number, user: string, cookie: string): Promise<Stream> {
	const leaving = new AbortController();
	const response = await fetch(`${urlOf(process)}/events`, {
		headers: { cookie },
		signal: leaving.signal
	});
	expect(response.status).toBe(200);
	const { body } = response;
	if (!body) throw new Error('the response has no body');
	const stream: Stream = {
		user,
		chunks: 0,
		last: 0,
		isOver: false,
		end: Promise.resolve(0),
		leave: () => {
			leaving.abort();
		}
	};
	stream.end = (async () => {
		for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
			stream.chunks++;
			stream.last = Number(/[\d.]+(?=\n\n$)/.exec(Buffer.from(chunk).toString())?.[0]);
		}
		stream.isOver = true;
		return performance.timeOrigin + performance.now();
	})();
	// The test's own end of a stream.
	stream.end.catch(() => undefined);
	return stream;
}

/** Opens three streams of each user, in each process one. Two of them have the same session. */
async function openAll(run: string): Promise<Stream[]> {
	const opening = Array.from({ length: USERS }, async (_, number) => {
		const user = `${run}-${number}`;
		const [one, other] = [await logIn(number, user), await logIn(number + 1, user)];
		return Promise.all([
			open(number, user, one),
			open(number + 1, user, one),
			open(number + 2, user, other)
		]);
	});
	const streams = (await Promise.all(opening)).flat();
	while (streams.some(({ chunks }) => chunks === 0)) await sleep(20);
	await connected();
	return streams;
}

/** Waits until all processes listen to the feed. */
async function connected(): Promise<void> {
	for (;;) {
		const [, count] = (await admin.pubsub('NUMSUB', 'sess:feed').catch(() => [])) as unknown[];
		if (count === PROCESSES) return;
		await sleep(20);
	}
}

/**
 * Logs half of the users out everywhere, each in one of the processes. Returns how long each of their streams went on
 * after that, and by how much the data in it was made later.
 */
async function revokeHalf(streams: Stream[]): Promise<{ ends: number[]; data: number[] }> {
	const users = [...new Set(streams.map(({ user }) => user))];
	const ended = await Promise.all(
		users.slice(0, USERS / 2).map(async (user, number) => {
			const url = `${urlOf(number)}/revoke?user=${user}`;
			const revoked = Number(await (await fetch(url, { method: 'POST' })).text());
			const theirs = streams.filter((stream) => stream.user === user);
			return Promise.all(
				theirs.map(async (stream) => {
					const end = await stream.end;
					return [
						Math.max(0, end - revoked),
						Math.max(0, stream.last - revoked)
					] as const;
				})
			);
		})
	);
	const all = ended.flat();
	// The others go on.
	const others = streams.filter(({ user }) => users.indexOf(user) >= USERS / 2);
	expect([all.length, others.length]).toEqual([(USERS / 2) * 3, (USERS / 2) * 3]);
	const before = others.map(({ chunks }) => chunks);
	while (others.some(({ chunks }, place) => chunks <= (before[place] ?? 0))) await sleep(20);
	expect(others.some(({ isOver }) => isOver)).toBe(false);
	for (const { leave } of others) leave();
	return { ends: all.map(([end]) => end), data: all.map(([, data]) => data) };
}

function report(run: string, { ends, data }: { ends: number[]; data: number[] }): void {
	const sorted = ends.toSorted((one, other) => one - other);
	const at = (share: number): string =>
		(sorted[Math.ceil(share * sorted.length) - 1] ?? NaN).toFixed(0);
	const latest = Math.max(...data).toFixed(0);

	console.log(
		`${run}: ${ends.length} streams ended after p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} ms, with data of at most ${latest} ms`
	);
}

test.each([
	['with the feed', 0],
	['with a feed that loses one message in ten', 0.1],
	['with a feed that loses all messages', 1]
])(
	'%s, the streams of revoked sessions end, and the others go on',
	async (run, drops) => {
		proxy.drops = drops;
		Object.assign(proxy, { passed: 0, dropped: 0 });
		const streams = await openAll(`drops-${drops}`);
		report(run, await revokeHalf(streams));
		expect(proxy.dropped > 0).toBe(drops > 0);
		expect(proxy.passed > 0).toBe(drops < 1);
	},
	180_000
);

test('after the server was killed, streams go on, and those of revoked sessions end', async () => {
	proxy.drops = 0;
	const streams = await openAll('killed');
	await redis.kill();
	const before = streams.map(({ chunks }) => chunks);
	while (streams.some(({ chunks }, place) => chunks <= (before[place] ?? 0))) await sleep(20);
	await redis.start();
	await connected();
	expect(streams.some(({ isOver }) => isOver)).toBe(false);
	report('after the server was killed', await revokeHalf(streams));
}, 180_000);
