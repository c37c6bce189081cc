/** One store with this many sessions, in a process of its own. */
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { quantile } from '../results.ts';
import { idOf, STORES, type Asked } from './stores.ts';

/** The report of a process. */
export interface Report {
	/** The growth in bytes per session. */
	bytes: number;
	/** Microseconds. */
	times: Record<'get' | 'set' | 'touch', { p50: number; p99: number }>;
	/** The longest pause of the garbage collector during the operations, in milliseconds. */
	longestPause: number;
	/** The longest turn of the event loop while all sessions expired, in milliseconds. */
	longestStall?: number;
}

const DAY = 86_400_000;
const LONGEST_WAIT = 120_000;
/** The resolution of Linux's processor time of a thread, in milliseconds. */
const TICK = 4;

const { values } = parseArgs({
	options: {
		store: { type: 'string', default: '' },
		sessions: { type: 'string', default: '' },
		asked: { type: 'string', default: '' },
		/** Whether all sessions expire at once in the end. */
		expire: { type: 'boolean', default: false }
	}
});
const sessions = Number(values.sessions);
const make = STORES[values.store];
if (!make) throw new Error(`no store ${values.store}`);
const store = make();
const before = await resident();
const filledIn = await fill(() => DAY);
const bytes = ((await resident()) - before) / sessions;
let longestPause = 0;
const pauses = new PerformanceObserver((list) => {
	for (const { duration } of list.getEntries()) longestPause = Math.max(longestPause, duration);
});
pauses.observe({ entryTypes: ['gc'] });
const times = await timesOf(store, Number(values.asked));
// The observers are called when the event loop is idle.
await sleep(100);
pauses.disconnect();
const report: Report = {
	bytes,
	times,
	longestPause,
	...(values.expire && { longestStall: await stallOf(filledIn) })
};
console.log(JSON.stringify(report));
process.exit(0);

async function timesOf(store: Asked, asked: number): Promise<Report['times']> {
	const calls = {
		get: (id: string) => store.get(id),
		set: (id: string) => store.set(id, id, DAY),
		touch: (id: string) => store.touch(id, DAY)
	};
	const found = { get: [] as number[], set: [] as number[], touch: [] as number[] };
	const names = ['get', 'set', 'touch'] as const;
	// Until it is compiled it is another program.
	for (let n = -asked / 2; n < asked; n++) {
		for (const name of names) {
			const id = idOf(Math.floor(Math.random() * sessions));
			const begin = process.hrtime.bigint();
			const result = await calls[name](id);
			const taken = Number(process.hrtime.bigint() - begin) / 1_000;
			if (name === 'get' && !result) throw new Error('a session is missing');
			if (n >= 0) found[name].push(taken);
		}
	}
	const of = (name: (typeof names)[number]): { p50: number; p99: number } => {
		const sorted = Float64Array.from(found[name]).sort();
		return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
	};
	return { get: of('get'), set: of('set'), touch: of('touch') };
}

/** Stores all sessions; returns the time in milliseconds. */
async function fill(ttl: () => number): Promise<number> {
	const begin = Date.now();
	for (let n = 0; n < sessions; n++) {
		await store.set(idOf(n), idOf(n + sessions), ttl());
		// Stores that answer at once would never yield to other code.
		if (n % 10_000 === 0) await turn();
	}
	return Date.now() - begin;
}

/** Lets all sessions expire at once, and measures the longest turn of the event loop. */
async function stallOf(filledIn: number): Promise<number> {
	const quiet = 200;
	let end = 0;
	// A machine that has other things to do may need longer than it has before.
	for (let wait = filledIn * 1.5 + 500; Date.now() > end - quiet; wait *= 2) {
		if (wait > LONGEST_WAIT) throw new Error('they expire before all of them are there');
		end = Date.now() + Math.ceil(wait);
		await fill(() => Math.max(1, end - Date.now()));
	}
	await sleep(end - quiet - Date.now());
	const settled = end + Math.min(1_500, 200 + sessions / 100);
	let longest = 0;
	let last = clocks();
	while (Date.now() < settled) {
		await store.get(idOf(Math.floor(Math.random() * sessions)));
		await turn();
		const now = clocks();
		// Processor time excludes stalls by other programs, but it is counted in ticks.
		const atMost = now.processor - last.processor + TICK;
		longest = Math.max(longest, Math.min(now.wall - last.wall, atMost));
		last = now;
	}
	if (await store.get(idOf(0))) throw new Error('a session has not expired');
	return longest;
}

/** The clock, and the processor time of this thread, in milliseconds. */
function clocks(): { wall: number; processor: number } {
	const { user, system } = process.threadCpuUsage();
	return { wall: performance.now(), processor: (user + system) / 1_000 };
}

/** The memory of the process after garbage collection, in bytes. */
async function resident(): Promise<number> {
	for (let n = 0; n < 3; n++) {
		globalThis.gc?.();
		await sleep(50);
	}
	return process.memoryUsage.rss();
}
