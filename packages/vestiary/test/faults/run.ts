/** `node packages/vestiary/test/faults/run.ts`: see docs/explanation/reliability.md. */
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { mySqlVersion } from '../stores/mysql-server.ts';
import { postgresVersion } from '../stores/postgres-server.ts';
import { Chance } from './chance.ts';
import { LONGEST, play, type Result } from './play.ts';
import { tableOf, writeDocs } from './report.ts';
import { SCENARIOS } from './scenarios.ts';
import { REDIS_SERVER } from './servers.ts';

const FOLDER = new URL('../../../../target/faults', import.meta.url).pathname;

const { values } = parseArgs({
	options: {
		/** How long each scenario lasts. */
		seconds: { type: 'string', default: '60' },
		/** Continues each scenario until it has made so many requests. */
		requests: { type: 'string', default: '0' },
		/** The seconds after which a scenario ends without that number of requests. */
		longest: { type: 'string', default: `${LONGEST}` },
		/** Seconds without requests before the last check. */
		rest: { type: 'string', default: '65' },
		/** The requests follow from the seed; their timing does not. */
		seed: { type: 'string', default: `${randomInt(1_000_000)}` },
		/** Only scenarios with this in their name. */
		only: { type: 'string', default: '' },
		/** Puts the table and the plot into docs/. */
		write: { type: 'boolean', default: false }
	}
});
const seconds = Number(values.seconds);
const chosen = SCENARIOS.filter(({ name }) => name.includes(values.only));
if (!(seconds > 0) || chosen.length === 0) throw new Error('nothing to run');
const longest = Number(values.longest);
if (seconds > LONGEST || !(longest > 0 && longest <= LONGEST))
	throw new Error(`a scenario takes at most ${LONGEST} seconds: run more seeds`);
if (values.write && chosen.length < SCENARIOS.length)
	throw new Error('`--write` wants all of them');

const version = execFileSync(REDIS_SERVER, ['--version'], { encoding: 'utf8' });
const redis = `Redis ${/v=(\S+)/.exec(version)?.[1] ?? ''}`;
console.log(`seed ${values.seed}: ${chosen.length} scenarios of ${seconds} seconds`);
await mkdir(FOLDER, { recursive: true });
const traces = join(FOLDER, 'faults.json');
const results: Result[] = [];
for (const scenario of chosen) {
	const seed = new Chance(Number(values.seed) + SCENARIOS.indexOf(scenario)).below(2 ** 32);
	const result = await play(scenario, {
		seconds,
		seed,
		requests: Number(values.requests),
		longest,
		rest: Number(values.rest),
		tell: (line) => {
			console.log(`[${scenario.name}] ${line}`);
		}
	});
	results.push(result);
	// After each scenario, so that a finding can be looked at while the others run.
	const run = {
		seed: Number(values.seed),
		node: process.version,
		redis,
		cores: availableParallelism(),
		results
	};
	await writeFile(traces, JSON.stringify(run, undefined, '\t'));
	for (const { violation, what } of result.findings)
		console.log(`[${scenario.name}] ${violation}: ${what}; the trace is in ${traces}`);
}
console.log(`\n${tableOf(results)}\n`);
if (values.write) {
	const sqlite = `SQLite ${process.versions.sqlite ?? ''}`;
	const servers = [redis, await postgresVersion(), await mySqlVersion(), sqlite];
	const machine = [...servers, `Node.js ${process.version}`].join(', ');
	await writeDocs(
		results,
		`Seed ${values.seed}, on ${availableParallelism()} cores, with ${machine}.`
	);
}
const wrong = results.filter(isWrong);
for (const { name, broken } of wrong) for (const what of broken) console.log(`${name}: ${what}`);
console.log(wrong.length > 0 ? `FAILED; the traces are in ${traces}` : 'as promised');
process.exit(wrong.length > 0 ? 1 : 0);

/** Whether a run that must have no violation has one, or a run that must find one has none. */
function isWrong({ strict, atomic, counts, broken }: Result): boolean {
	const found = Object.values(counts).some((count) => count > 0);
	return broken.length > 0 || (strict && found) || (!atomic && counts.lost === 0);
}
