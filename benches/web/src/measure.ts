/** Interleaved rounds: each measures everything that is compared, in random order. */

/** Something to measure, such as an app that handles requests. */
export interface Candidate {
	/** Prepares this many runs, outside of the measured time. */
	prepare: (runs: number) => Promise<(() => Promise<void>) | (() => void)>;
	/** The baseline to subtract: measured in the same round. */
	base?: Candidate;
	/** The maximum number of runs per round, if each needs much preparation. */
	most?: number;
}

export interface Plan {
	rounds: number;
	/** How long a candidate is measured in a round, in milliseconds. */
	slice: number;
	/** The number of runs is a multiple of this. */
	multiple: number;
}

export interface Times {
	/** Microseconds for one run, by round. */
	absolute: number[];
	/** The same, minus the baseline in the same round. */
	over: number[];
}

const LEAST = 16;
const MOST = 2_000;
const WARM_UP_ROUNDS = 3;

/** One round with only a few runs of each, to check that it works. */
export const SMOKE: Plan = { rounds: 1, slice: 0, multiple: 1 };

export async function measure(candidates: Candidate[], plan: Plan): Promise<Map<Candidate, Times>> {
	const runs = new Map<Candidate, number>();
	for (const candidate of candidates) runs.set(candidate, await calibrate(candidate, plan));
	const times = new Map(
		candidates.map((candidate): [Candidate, Times] => [candidate, { absolute: [], over: [] }])
	);
	const warmUp = plan.slice === 0 ? 0 : WARM_UP_ROUNDS;
	for (let round = -warmUp; round < plan.rounds; round++) {
		const measured = new Map<Candidate, number>();
		for (const candidate of shuffled(candidates))
			measured.set(candidate, await time(candidate, runs.get(candidate) ?? LEAST));
		if (round < 0) continue;
		for (const [candidate, { absolute, over }] of times) {
			const micros = measured.get(candidate) ?? NaN;
			absolute.push(micros);
			if (candidate.base) over.push(micros - (measured.get(candidate.base) ?? NaN));
		}
	}
	return times;
}

/** Microseconds for one run. */
async function time(candidate: Candidate, runs: number): Promise<number> {
	const run = await candidate.prepare(runs);
	// The runs should not pay for garbage of the preparation.
	globalThis.gc?.({ type: 'minor', execution: 'sync' });
	const begin = performance.now();
	await run();
	return ((performance.now() - begin) * 1_000) / runs;
}

/** The number of runs that fill a candidate's time in a round. */
async function calibrate(candidate: Candidate, { slice, multiple }: Plan): Promise<number> {
	const atLeast = (runs: number): number => Math.ceil(runs / multiple) * multiple;
	if (slice === 0) return atLeast(2);
	const few = atLeast(LEAST);
	await time(candidate, few);
	const micros = await time(candidate, few);
	const most = candidate.most ?? MOST;
	return atLeast(Math.min(most, Math.max(LEAST, (slice * 1_000) / micros)));
}

export function shuffled<T>(list: readonly T[]): T[] {
	return list
		.map((item): [number, T] => [Math.random(), item])
		.sort(([a], [b]) => a - b)
		.map(([, item]) => item);
}
