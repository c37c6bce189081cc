/** Many sessions in the memory stores: memory per session, time per operation, and stalls. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import type { Context } from '../context.ts';
import { shuffled } from '../measure.ts';
import { exactly, spread, write, type Measured, type Row } from '../results.ts';
import type { Report } from './child.ts';
import { STORES } from './stores.ts';

const PACKAGES = ['vestiary', 'svelte-kit-sessions', 'express-session'];

interface Sized {
	store: string;
	sessions: number;
	reports: Report[];
}

export async function scale(context: Context): Promise<void> {
	const counts = context.smoke ? [100, 1_000] : [1_000, 100_000, 1_000_000];
	const most = counts.at(-1) ?? 0;
	const all = Object.keys(STORES).flatMap((store) =>
		counts.map((sessions): Sized => ({ store, sessions, reports: [] }))
	);
	const rounds = context.smoke ? 1 : 3;
	for (let round = 0; round < rounds; round++) {
		for (const { store, sessions, reports } of shuffled(all)) {
			// These take longest.
			if (sessions === most && round > 0 && round < rounds - 1) continue;
			const args = [
				`--store=${store}`,
				`--sessions=${sessions}`,
				`--asked=${context.smoke ? 50 : 20_000}`
			];
			if (sessions === most && round === rounds - 1) args.push('--expire');
			reports.push(await child<Report>('child.ts', args));
			if (round === 0) context.checked(`${store}: ${sessions} sessions`);
		}
	}
	const method =
		'Each store holds this number of records of 200 bytes, in a process of its own, several times in ' +
		'random order.';
	const rows = (of: (report: Report) => number | undefined, name: string): Row[] =>
		all.flatMap(({ store, sessions, reports }) => {
			const values = reports.map(of).filter((value) => value !== undefined);
			if (values.length === 0) return [];
			return [{ case: `${named(sessions)}${name}`, peer: store, ...spread(values) }];
		});
	await save(context, {
		group: 'scale-web-memory',
		title: 'Memory stores: bytes of a session',
		unit: 'bytes',
		lowerIsBetter: true,
		method: `${method} The number is the growth of the process (resident, after garbage collection).`,
		rows: rows((report) => report.bytes, ' sessions').filter(
			// With few sessions, the process's own memory dominates.
			(row) => context.smoke || !row.case.startsWith('1,000 ')
		)
	});
	await save(context, {
		group: 'scale-web-time',
		title: 'Memory stores: time of an operation, by sessions',
		unit: 'µs',
		lowerIsBetter: true,
		method: `${method} Each operation on a random session is timed by itself.`,
		rows: (['get', 'set', 'touch'] as const).flatMap((operation) =>
			(['p50', 'p99'] as const).flatMap((at) =>
				rows((report) => report.times[operation][at], `, ${operation}, ${at}`)
			)
		)
	});
	await save(context, {
		group: 'scale-web-pauses',
		title: 'Memory stores: longest pauses',
		unit: 'ms',
		lowerIsBetter: true,
		method:
			`${method} The first rows are the longest pause of the garbage collector during operations. The ` +
			'last is the longest turn of an event loop that reads one session per turn, while all sessions ' +
			'expire at the same time. It is measured by the clock and by processor time, and the smaller ' +
			'number counts.',
		rows: [
			...rows((report) => report.longestPause, ', garbage collection'),
			...rows((report) => report.longestStall, ', all expire at once')
		]
	});
	await flat(context);
}

/** Visitors without a cookie must leave nothing behind. */
async function flat(context: Context): Promise<void> {
	const requests = context.smoke ? 1_000 : 10_000_000;
	const args = [`--requests=${requests}`, `--build=${context.build}`];
	const bytes = await child<number[]>('visitors.ts', args);
	context.checked(`${requests} requests without a cookie`);
	await save(context, {
		group: 'scale-web-visitors',
		title: 'Memory after requests without a cookie',
		unit: 'MiB',
		lowerIsBetter: true,
		method: 'The heap after garbage collection, in one process that handles one request after the other.',
		rows: [1, 2, 5, 10].map((tenths) => ({
			case: `${named((requests / 10) * tenths)} requests`,
			peer: 'vestiary',
			...exactly((bytes[tenths - 1] ?? NaN) / 2 ** 20)
		}))
	});
}

async function child<T>(script: string, args: string[]): Promise<T> {
	const path = new URL(script, import.meta.url).pathname;
	const options = ['--expose-gc', '--conditions=svelte', '--max-old-space-size=8192', path];
	const { stdout } = await promisify(execFile)(process.execPath, [...options, ...args]);
	return JSON.parse(stdout) as T;
}

function named(count: number): string {
	return count.toLocaleString('en');
}

function save({ folder }: Context, measured: Measured): Promise<void> {
	return write(folder, measured, PACKAGES);
}
