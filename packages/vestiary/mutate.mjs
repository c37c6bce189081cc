/*
 * Changes one thing at a time in the sources of the package, and runs the unit tests on it. Prints each change that no
 * test notices: it needs a test, or an explanation.
 *
 *     node packages/vestiary/mutate.mjs [--sample 100] [--tests find,handle] [--slow] [--log file] src/records.ts …
 *
 * All changes are in the modules at once, behind switches, so that one process makes one after another; the sources are
 * not modified. A test is repeated with the changes that it reaches. Changes that take longer than a second only run
 * with `--slow`. A change in code that runs while modules are loaded gets a run of all tests. With the log of a stopped
 * run, the run continues there. log of a run that was stopped it goes on there.
 */
import { spawn } from 'node:child_process';
import {
	appendFileSync,
	existsSync,
	mkdtempSync,
	readFileSync,
	statSync,
	writeFileSync
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { clearInterval, setInterval } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { withChanges } from './mutate/changes.mjs';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
/** In milliseconds: slower tests run last, and much slower ones never. */
const SLOW = 150;
const TOO_SLOW = 1_000;
/** In milliseconds: a test that runs longer with a change is taken for endless. */
const HANGS = 20_000;
/** The same of vitest as it starts, and of all tests on a change that is there from the start. */
const STARTS = 120_000;

const { values, positionals: files } = parseArgs({
	options: {
		sample: { type: 'string', default: '100' },
		tests: { type: 'string', default: '' },
		log: { type: 'string' },
		slow: { type: 'boolean', default: false }
	},
	allowPositionals: true
});
const share = Number(values.sample) / 100;
const filters = values.tests.split(',').filter((name) => name !== '');

const sources = {};
const changes = [];
for (const file of files) {
	const made = withChanges(readFileSync(join(ROOT, file), 'utf8'), changes.length);
	sources[file] = made.text;
	for (const change of made.changes) changes.push({ ...change, file });
}
/** Spread evenly, and the same ones each time. */
const isChosen = ({ number }) => Math.floor(number * share) !== Math.floor((number - 1) * share);

const folder = mkdtempSync(join(tmpdir(), 'mutate-'));
const config = join(folder, 'config.json');
const log = values.log ?? join(folder, 'log');
const now = `${log}.now`;
if (!existsSync(log)) {
	const others = changes.filter((change) => !isChosen(change));
	writeFileSync(log, others.map(({ number }) => `noticed\t${number}\tleft out\n`).join(''));
}
console.log(`what happens: ${log}`);

const lines = () =>
	readFileSync(log, 'utf8')
		.split('\n')
		.map((line) => line.split('\t'));

/** Runs vitest, and stops it when it hangs. Returns whether the tests pass. */
async function run(settings, ...args) {
	writeFileSync(now, '');
	writeFileSync(config, JSON.stringify({ log, sources, slow: values.slow, ...settings }));
	const child = spawn('npx', ['vitest', 'run', '-c', 'mutate/vitest.config.mjs', ...args], {
		cwd: ROOT,
		stdio: 'ignore',
		detached: true,
		env: { ...process.env, MUTATE: config }
	});
	const ended = new Promise((resolve) => child.on('exit', resolve));
	let seen = '';
	let since = Date.now();
	const timer = setInterval(() => {
		const state = `${statSync(log).size} ${statSync(now).mtimeMs}`;
		if (state !== seen) since = Date.now();
		seen = state;
		const change = readFileSync(now, 'utf8');
		const isMade = change !== '' && !change.startsWith('-1');
		if (Date.now() - since < (isMade && !values.slow ? HANGS : STARTS)) return;
		if (isMade) appendFileSync(log, `hangs\t${change}\n`);
		else appendFileSync(log, `stuck\t${change}\n`);
		since = Infinity;
		process.kill(-child.pid, 'SIGKILL');
	}, 1_000);
	const code = await ended;
	clearInterval(timer);
	return code === 0;
}

/** Runs the remaining tests that take less time than this, and continues after a change that stops the process. */
async function ask(slowest) {
	// A stopped run continues where it was.
	if (!lines().some(([what, slow]) => what === 'pass' && Number(slow) === slowest))
		appendFileSync(log, `pass\t${slowest}\n`);
	for (let before = -1, after = 0; before !== after;) {
		before = after;
		if (await run({ slowest }, ...filters)) return;
		after = lines().filter(
			([what]) => what === 'left-behind' || what === 'hangs' || what === 'stuck'
		).length;
	}
	throw new Error('vitest ends before the tests do');
}

/** The numbers of changes that lines of the log are about. */
function numbers(what, field) {
	return new Set(
		lines()
			.filter((line) => line[0] === what && line[field])
			.flatMap((line) => line[field].split(',').map(Number))
	);
}

function survivors() {
	const noticed = new Set();
	for (const [what, number] of lines()) {
		if (what === 'noticed' || what === 'hangs') noticed.add(Number(number));
		if (what === 'left-behind') noticed.delete(Number(number));
	}
	return changes.filter(({ number }) => !noticed.has(number));
}

await ask(SLOW);
await ask(TOO_SLOW);
if (values.slow) await ask(Number.MAX_SAFE_INTEGER);
// A test that depends on earlier ones, which a continuing process skips, proves nothing.
for (const [, , name] of lines().filter(([what]) => what === 'fails'))
	console.log(`not asked, for it fails without a change: ${name}`);

const reached = numbers('reached', 3);
const isolated = numbers('left-behind', 1);
const loaded = numbers('modules', 1);
for (const { number } of survivors()) {
	const isAlone = isolated.has(number) || (loaded.has(number) && !reached.has(number));
	if (isAlone && !(await run({ only: number }, '--bail=1', ...filters)))
		appendFileSync(log, `noticed\t${number}\tall\n`);
}

const short = (text) => text.replace(/\s+/g, ' ').slice(0, 80);
const survived = new Set(survivors());
for (const file of files) {
	const all = changes.filter((change) => change.file === file);
	const chosen = all.filter(isChosen);
	for (const change of chosen.filter((one) => survived.has(one))) {
		const note =
			reached.has(change.number) || loaded.has(change.number) ? '' : ' (never reached)';
		console.log(
			`${file}:${change.line}: ${short(change.original)} -> ${short(change.replacement)}${note}`
		);
	}
	const caught = chosen.filter((one) => !survived.has(one)).length;
	console.log(`${file}: ${chosen.length} of ${all.length} changes, ${caught} caught`);
}
