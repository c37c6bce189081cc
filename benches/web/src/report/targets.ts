/** The targets and whether they were reached: computed only from the results. */
import type { Results } from './results.ts';

export interface Target {
	what: string;
	/** Such as `≤ 3 µs`. */
	wanted: string;
	/** Undefined if it was not measured. */
	reached: number | undefined;
	unit: string;
	ok: boolean | undefined;
}

const HANDLE = 'handle-sequential';
const IN_FLIGHT = 'handle-in-flight';
const READ = 'valid cookie, read';
const SEED = 'svelte-kit-sessions';

export function targetsOf(results: Results): Target[] {
	const median = results.median.bind(results);
	const atMost = (
		what: string,
		reached: number | undefined,
		most: number,
		unit: string
	): Target => ({
		what,
		wanted: `≤ ${most.toLocaleString('en')}${unit}`,
		reached,
		unit,
		ok: reached === undefined ? undefined : reached <= most
	});
	const atLeast = (
		what: string,
		reached: number | undefined,
		least: number,
		unit: string
	): Target => ({
		what,
		wanted: `≥ ${least}${unit}`,
		reached,
		unit,
		ok: reached === undefined ? undefined : reached >= least
	});
	const native = (name: string): number | undefined =>
		ratio(
			median('native-layer', `valid cookie, ${name}`),
			median('native-layer', `valid cookie, ${name}`, 'tower-sessions')
		);
	const times = (group: string, peer: string): number | undefined =>
		ratio(median(group, READ, peer), median(group, READ));
	const step = (name: string): number | undefined =>
		ratio(
			median('micro-web-signatures', name, 'createHmac'),
			median('micro-web-signatures', name)
		);
	const save = difference(
		median('redis-round-trips', 'read and save'),
		median('redis-round-trips', READ)
	);
	const p99 = (sessions: string): number | undefined =>
		median('scale-web-time', `${sessions}, get, p99`);
	const nativeP99 = (sessions: string): number | undefined =>
		median('scale-native', `${sessions} sessions, records of 200 B: read, 99th percentile`);
	return [
		atMost('handle, valid cookie, read, over bare', median(HANDLE, READ), 3, ' µs'),
		atLeast('less than svelte-kit-sessions, sequential', times(HANDLE, SEED), 20, '×'),
		atLeast('less than svelte-kit-sessions, 64 in flight', times(IN_FLIGHT, SEED), 2, '×'),
		atLeast('less than express-session, sequential', times(HANDLE, 'express-session'), 1, '×'),
		atMost('handle, no cookie, over bare', median(HANDLE, 'no cookie'), 0.5, ' µs'),
		atMost('handle, forged cookie, over bare', median(HANDLE, 'forged cookie'), 1.5, ' µs'),
		atLeast('verify in WebAssembly, against `createHmac`', step('verify'), 3, '×'),
		atLeast('sign in WebAssembly, against `createHmac`', step('sign'), 3, '×'),
		atLeast(
			'HTTP throughput of the app without sessions, endpoint',
			median('http-share', 'endpoint, valid cookie, read'),
			97,
			' %'
		),
		atLeast(
			'HTTP throughput of the app without sessions, page',
			median('http-share', 'page, valid cookie, read'),
			97,
			' %'
		),
		atMost('Redis round trips, read', median('redis-round-trips', READ), 1, ''),
		atMost(
			'Redis round trips, rolling read',
			// The second call checks whether the cookie may leave.
			median('redis-round-trips', 'rolling, read'),
			2,
			''
		),
		atMost('Redis round trips, save after the read', save, 2, ''),
		...(
			[
				['logged in, read', 1],
				// The second call checks whether the cookie may leave.
				['logged in, rolling, read', 2],
				['login of a new visitor', 3],
				['login of a visitor with a session', 3],
				['all sessions of a user ended', 1]
			] as const
		).map(([name, most]) =>
			atMost(`Redis round trips, ${name}`, median('redis-round-trips', name), most, '')
		),
		atMost('native layer, untouched, of tower-sessions', native('untouched'), 0.3, '×'),
		atMost('native layer, read, of tower-sessions', native('read'), 0.3, '×'),
		atMost('native layer, write, of tower-sessions', native('write'), 0.3, '×'),
		atMost(
			'memory store, 1,000,000 sessions of 200 B, each',
			median('scale-web-memory', '1,000,000 sessions'),
			350,
			' B'
		),
		atMost(
			'memory store, p99 of get with 1,000,000 sessions, of that with 1,000',
			ratio(p99('1,000,000'), p99('1,000')),
			2,
			'×'
		),
		atMost(
			'native memory store, 1,000,000 sessions of 200 B, each',
			median('scale-native', '1000000 sessions, records of 200 B: resident for each'),
			350,
			' B'
		),
		atMost(
			'native memory store, p99 of a read with 1,000,000 sessions, of that with 1,000',
			ratio(nativeP99('1000000'), nativeP99('1000')),
			2,
			'×'
		),
		atMost(
			'memory store, 1,000,000 sessions expire at once, longest stall',
			median('scale-web-pauses', '1,000,000, all expire at once'),
			5,
			' ms'
		),
		atMost(
			'heap after 10,000,000 requests without a cookie, of that after 1,000,000',
			ratio(
				median('scale-web-visitors', '10,000,000 requests'),
				median('scale-web-visitors', '1,000,000 requests')
			),
			1.05,
			'×'
		),
		atMost('WebAssembly, gzip', median('size', 'WebAssembly, gzip'), 20, ' kB'),
		atMost(
			'WebAssembly, decoded and instantiated in Node.js',
			difference(median('start', 'only its WebAssembly'), median('start', 'nothing', 'bare')),
			2,
			' ms'
		)
	];
}

function ratio(one: number | undefined, other: number | undefined): number | undefined {
	return one === undefined || other === undefined ? undefined : one / other;
}

function difference(one: number | undefined, other: number | undefined): number | undefined {
	return one === undefined || other === undefined ? undefined : one - other;
}
