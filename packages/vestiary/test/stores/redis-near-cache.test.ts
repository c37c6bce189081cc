import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis6';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sessions, type SveltekitSessionConfig } from '../../src/index.js';
import { RedisStore } from '../../src/stores/redis.js';
import { loggedIn, visit } from '../visits.js';
import { startRedis, type Servers } from './servers.js';

let server: Servers;
let admin: Redis;
const clients: Redis[] = [];

beforeAll(async () => {
	server = await startRedis();
	admin = client();
});

afterAll(async () => {
	for (const one of clients) one.disconnect();
	await server.stop();
});

function client(): Redis {
	const one = new Redis(server.ports[0] ?? 0, '127.0.0.1');
	clients.push(one);
	return one;
}

/** The options of a process: those of two share nothing but the server. */
function process(maxStale: number, feed: boolean, prefix: string): SveltekitSessionConfig {
	const store = new RedisStore({ client: client(), feed, prefix });
	return { secret: 'a secret of the tests of near caches', store, cache: { maxStale } };
}

async function isIn(options: SveltekitSessionConfig, cookie: string): Promise<boolean> {
	const { session } = await visit(options, () => undefined, cookie);
	return !session.isNew;
}

/** Waits until requests are out, and returns after how many milliseconds. */
async function out(options: SveltekitSessionConfig, cookie: string): Promise<number> {
	const began = performance.now();
	while (await isIn(options, cookie)) await sleep(0.2);
	return performance.now() - began;
}

/** The number of records that the server was asked for. */
async function reads(): Promise<number> {
	const stats = await admin.info('commandstats');
	const calls = [...stats.matchAll(/^cmdstat_(?:get|mget|getrange|eval|evalsha):calls=(\d+)/gm)];
	const sum = calls.reduce((before, [, count]) => before + Number(count), 0);
	expect(sum).toBeGreaterThan(0);
	return sum;
}

/**
 * Waits until the feed of a process is connected: only then does it notice within its minute what another one does. Before,
 * its connection drops all entries when it begins.
 */
async function connected(
	here: SveltekitSessionConfig,
	other: SveltekitSessionConfig
): Promise<void> {
	const cookie = await loggedIn(other);
	expect(await isIn(here, cookie)).toBe(true);
	await visit(other, (session) => session.destroy(), cookie);
	await out(here, cookie);
}

function shown(what: string, times: number[]): void {
	const sorted = times.sort((one, other) => one - other);
	const [half, most] = [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0];
	console.log(`${what}: p50 ${half.toFixed(1)} ms, most ${most.toFixed(1)} ms`);
}

/** The longest time of an entry, so that a test which passes owes it to the feed. */
const MINUTE = 60_000;

describe('a logout by another process', () => {
	test('counts at once with the feed, and the server is not asked before', async () => {
		const [here, there] = [process(MINUTE, true, 'a:'), process(MINUTE, true, 'a:')];
		await connected(here, there);
		const first = await loggedIn(there);
		expect(await isIn(here, first)).toBe(true);
		const before = await reads();
		for (let n = 0; n < 100; n++) expect(await isIn(here, first)).toBe(true);
		expect(await reads()).toBe(before);
		const times: number[] = [];
		for (let n = 0; n < 40; n++) {
			const cookie = await loggedIn(there, `user ${n}`);
			expect(await isIn(here, cookie)).toBe(true);
			if (n % 2 === 0) await visit(there, (session) => session.destroy(), cookie);
			else await sessions(there).of(`user ${n}`).revokeAll();
			times.push(await out(here, cookie));
		}
		shown('with the feed', times);
	});

	test('counts within the bound without a feed', async () => {
		const [here, there] = [process(300, false, 'b:'), process(300, false, 'b:')];
		const times: number[] = [];
		for (let n = 0; n < 5; n++) {
			const cookie = await loggedIn(there);
			expect(await isIn(here, cookie)).toBe(true);
			await visit(there, (session) => session.destroy(), cookie);
			times.push(await out(here, cookie));
		}
		shown('without a feed, 300 ms', times);
	});

	test('that the feed has missed counts when it is connected again', async () => {
		// The other process publishes nothing.
		const [here, silent] = [process(MINUTE, true, 'c:'), process(MINUTE, false, 'c:')];
		await connected(here, process(MINUTE, true, 'c:'));
		const cookie = await loggedIn(silent);
		expect(await isIn(here, cookie)).toBe(true);
		await visit(silent, (session) => session.destroy(), cookie);
		expect(await isIn(here, cookie)).toBe(true);
		await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
		await out(here, cookie);
	});
});
