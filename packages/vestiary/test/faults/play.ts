/** Runs one scenario, and checks the final state. */
import { setTimeout as sleep } from 'node:timers/promises';

import { Browsers, wasRead } from './browsers.ts';
import { Chance } from './chance.ts';
import { History, type SessionHistory, type Violation } from './history.ts';
import type { Reply } from './messages.ts';
import type { Scenario } from './stage.ts';
import { Workers } from './workers.ts';

/** The longest run in seconds: old IDs are followed for ten minutes, and sleeping browsers return at the end. */
export const LONGEST = 500;

export interface PlayOptions {
	seconds: number;
	seed: number;
	/**
	 * Seconds of rest before the last check, in which no browser uses a session: longer than the minute after which the
	 * protocol has repaired the effects of a crash.
	 */
	rest: number;
	/** Ends the run early. */
	enough?: (counts: Record<Violation, number>) => boolean;
	/** The number of acknowledged writes without which the run continues, for a minute at most, on a busy machine. */
	least?: number;
	/** The number of requests without which the run continues. Default: 0. */
	requests?: number;
	/** The seconds after which the run ends without that number of requests. Default: {@link LONGEST}. */
	longest?: number;
	/** Gets a line every few seconds. */
	tell: (line: string) => void;
}

/** The result of a run. */
export interface Result {
	name: string;
	faultsAre: string;
	strict: boolean;
	atomic: boolean;
	seconds: number;
	requests: number;
	/** Writes, logins and logouts that were acknowledged to the application. */
	acknowledged: number;
	faults: number;
	faultsByKind: Record<string, number>;
	/** Requests that ended with an error for the application. */
	errors: number;
	/** Writes, logins and logouts that may or may not have been done. */
	unknown: number;
	/** The number of comparisons of a session with its expected state. */
	comparisons: number;
	sessions: number;
	/** Browsers that slept from a renewal of unknown outcome until the end. */
	sleepers: number;
	counts: Record<Violation, number>;
	/** Errors that no fault explains, and problems of the store itself. */
	broken: string[];
	/** The first of each kind of finding, with all that happened to the session. */
	findings: { violation: Violation; what: string; trace: string[] }[];
	/** Per quarter of a second: answered requests, and errors. */
	series: { answered: number; errors: number }[];
	/** When there was a fault, in seconds. */
	faultsAt: number[];
}

/** Requests in progress; each browser stays with one worker, so that the others continue while one waits. */
const PARALLEL = 24;
/** Seconds that are counted together in `series`. */
export const BIN = 0.25;
/** Milliseconds between progress lines. */
const EVERY = 5_000;
/** Findings of one kind whose traces are kept. */
const TRACES = 3;

export async function play(scenario: Scenario, options: PlayOptions): Promise<Result> {
	const { seconds, rest, tell } = options;
	const chance = new Chance(options.seed);
	const stage = await scenario.begin();
	const workers = await Workers.launch(stage.setups);
	const history = new History();
	const browsers = new Browsers(history, workers, scenario.atomic);
	const faultsByKind: Record<string, number> = {};
	const faultsAt: number[] = [];
	const series: Result['series'] = [];
	const began = performance.now();
	const elapsed = (): number => (performance.now() - began) / 1_000;
	const over = (): boolean => {
		if (options.enough?.(history.counts)) return true;
		const { least, requests = 0, longest = LONGEST } = options;
		if (browsers.requests < requests) return elapsed() >= longest;
		const goesOn =
			least !== undefined && (browsers.acknowledged < least || faultsAt.length === 0);
		return elapsed() >= (goesOn ? Math.max(seconds, 60) : seconds);
	};
	browsers.answered = ({ outcome }) => {
		const bin = Math.floor(elapsed() / BIN);
		while (series.length <= bin) series.push({ answered: 0, errors: 0 });
		const now = series[bin];
		if (!now) return;
		if (outcome === 'unread' || outcome === 'failed' || outcome === 'died') now.errors++;
		else now.answered++;
	};
	const progress = (): string => {
		const { lost, twice, resurrected, mixed } = history.counts;
		return `${Math.round(elapsed())} s: ${browsers.requests} requests, ${faultsAt.length} faults, ${browsers.errors} errors, ${browsers.unknown} unknown; ${lost} lost, ${twice} twice, ${resurrected} back, ${mixed} mixed`;
	};
	const ticker = setInterval(() => {
		tell(progress());
	}, EVERY);
	const disturbing = stage.disturb({
		workers,
		chance: chance.split(),
		over,
		fault: (kind) => {
			faultsByKind[kind] = (faultsByKind[kind] ?? 0) + 1;
			faultsAt.push(elapsed());
		}
	});
	await Promise.all(
		Array.from({ length: PARALLEL }, async (_, n) => {
			const own = chance.split();
			while (!over()) {
				const reply = await browsers.act(own, n % workers.count);
				// A pause, so that requests do not always collide; longer after an error.
				const failed = reply?.outcome === 'unread' || reply?.outcome === 'failed';
				await sleep(own.below(failed ? 60 : 15));
			}
		})
	);
	await disturbing;
	clearInterval(ticker);
	const played = elapsed();
	// Commands that clients have queued while the server was down still arrive.
	await sleep(Math.max(1, browsers.sleepers > 0 ? rest : 0) * 1_000);
	await checkAll(history, workers);
	tell(`checked at ${progress()}`);
	await workers.stop();
	const damage = stage.check?.();
	await stage.end();
	return {
		name: scenario.name,
		faultsAre: scenario.faults,
		strict: scenario.strict,
		atomic: scenario.atomic,
		seconds: Math.round(played),
		requests: browsers.requests,
		acknowledged: browsers.acknowledged,
		faults: faultsAt.length,
		faultsByKind,
		errors: browsers.errors,
		unknown: browsers.unknown,
		comparisons: history.comparisons,
		sessions: history.sessions.length,
		sleepers: browsers.sleepers,
		counts: history.counts,
		broken: [...browsers.broken, ...(damage === undefined ? [] : [damage])],
		findings: firstFindings(history),
		series: series.slice(0, Math.ceil(seconds / BIN)),
		faultsAt
	};
}

/** Tries every cookie that ever existed. */
async function checkAll(history: History, workers: Workers): Promise<void> {
	const left = [...history.sessions];
	await Promise.all(
		Array.from({ length: PARALLEL }, async (_, n) => {
			for (let session = left.pop(); session; session = left.pop())
				await check(session, history, workers, n);
		})
	);
}

async function check(
	session: SessionHistory,
	history: History,
	workers: Workers,
	worker: number
): Promise<void> {
	let found = false;
	for (const cookie of [...session.cookies.keys()].reverse()) {
		const { sent } = history.act();
		const reply = await read(cookie, session.user, workers, worker);
		history.opened(session, cookie, sent, reply.found);
		found ||= reply.found !== undefined;
	}
	if (!found && !session.mayBeEnded) history.vanished(session);
}

// The store is healthy now, so there is an answer sooner or later.
async function read(
	cookie: string,
	user: number,
	workers: Workers,
	worker: number
): Promise<Reply> {
	for (let tries = 0; tries < 100; tries++) {
		const reply = await workers.ask(worker, { operation: 'read', cookie, user });
		if (wasRead(reply)) return reply;
		await sleep(100);
	}
	throw new Error('the store did not come back');
}

function firstFindings(history: History): Result['findings'] {
	const kept: Result['findings'] = [];
	for (const { violation, what, session } of history.findings) {
		if (kept.filter((one) => one.violation === violation).length === TRACES) continue;
		kept.push({ violation, what, trace: history.trace(session) });
	}
	return kept;
}
