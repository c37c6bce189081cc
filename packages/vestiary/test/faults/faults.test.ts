import { describe, expect, test } from 'vitest';

import { play, type Result } from './play.ts';
import { SCENARIOS } from './scenarios.ts';

/** A short run. Its requests follow from the seed, their timing from the machine. */
async function run(name: string, more: Partial<Parameters<typeof play>[1]> = {}): Promise<Result> {
	const scenario = SCENARIOS.find((one) => one.name === name);
	if (!scenario) throw new Error(`there is no scenario \`${name}\``);
	return play(scenario, {
		seconds: 3,
		seed: 1,
		rest: 0,
		least: 101,
		tell: () => undefined,
		...more
	});
}

/** One scenario for each way in which a store fails. */
const STRICT = [
	'Redis, killed',
	'Redis, bad network',
	'SQLite, processes killed',
	'Postgres, killed',
	'MariaDB, killed'
];

describe('under real faults', () => {
	for (const name of STRICT) {
		test(`${name}: nothing is lost, twice, back or mixed`, { timeout: 120_000 }, async () => {
			const { findings, broken, ...result } = await run(name);
			expect(findings).toEqual([]);
			expect(broken).toEqual([]);
			expect(result.counts).toEqual({ lost: 0, twice: 0, resurrected: 0, mixed: 0 });
			expect(result.acknowledged).toBeGreaterThan(100);
			expect(result.comparisons).toBeGreaterThan(100);
			expect(result.faults).toBeGreaterThan(0);
		});
	}

	test(
		'the checks find what a store loses that is not atomic',
		{ timeout: 120_000 },
		async () => {
			const enough = ({ lost }: Result['counts']): boolean => lost > 0;
			const { counts } = await run('Redis, not atomic', { seconds: 60, enough });
			expect(counts.lost).toBeGreaterThan(0);
		}
	);
});
