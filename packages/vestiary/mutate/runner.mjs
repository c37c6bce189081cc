/*
 * Repeats each test: first without a change, to find the changes that it reaches, then with each of those that no test
 * has noticed yet. After it notices one, it must pass without a change again. If it does not, the change has left
 * something behind, and the process ends, because its results are worthless.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import process from 'node:process';

import { TestRunner, vi } from 'vitest';

const { log, slowest, only } = JSON.parse(readFileSync(process.env.MUTATE, 'utf8'));

const NONE = -1;
let active = only ?? NONE;
let hits = 0;
/** A change may make a loop endless. The limit, as a multiple of the iterations without a change. */
const MOST = 20;
let mostHits = Infinity;
/** Whether this process has made a change yet. */
let made = false;
/** Whether the test that runs is repeated with changes. */
let isRepeated = false;
/** Changes that were reached without being active. */
let reached = new Set();

globalThis.__change = (number) => {
	if (++hits > mostHits) throw new Error('endless');
	if (active === NONE) reached.add(number);
	return number === active;
};

/** Changes that a test has noticed, also in a previous process. */
const noticed = new Set();
/** Tests and changes that cannot be judged in one process. */
const isolated = new Set();
/** Tests that this pass has finished. */
const done = new Set();
/** Tests that were repeated, in this pass or one before it. */
const asked = new Set();
for (const line of readFileSync(log, 'utf8').split('\n')) {
	const [what, subject, test] = line.split('\t');
	if (what === 'pass') done.clear();
	if (what === 'done') done.add(subject);
	if (what === 'asked') asked.add(subject);
	if (what === 'noticed' || what === 'hangs') noticed.add(Number(subject));
	if (what === 'left-behind') {
		noticed.delete(Number(subject));
		isolated.add(`${subject} ${test}`);
	}
}

const note = (...fields) => appendFileSync(log, `${fields.join('\t')}\n`);

class Repeating extends TestRunner {
	/** Changes that the test is still to be repeated with; unknown before it has run without any. */
	#left;
	/** The change that it has noticed last. */
	#last = NONE;
	/** Whether it has to show that it passes without that change. */
	#checks = false;
	#began = 0;

	async onBeforeRunTask(test) {
		await super.onBeforeRunTask(test);
		const name = nameOf(test);
		if (done.has(name) || asked.has(name)) {
			test.mode = 'skip';
			return;
		}
		note('modules', [...reached].join());
		reached = new Set();
		this.#left = undefined;
		mostHits = Infinity;
		this.#checks = false;
		// Vitest compares it before each repetition. How many there are is known after the first.
		test.repeats = {
			valueOf: () =>
				this.#left === undefined || this.#left.length > 0 || this.#checks ? Infinity : -1
		};
	}

	onBeforeTryTask(test, options) {
		super.onBeforeTryTask(test, options);
		hits = 0;
		this.#began = performance.now();
		active = this.#checks ? NONE : (this.#left?.[0] ?? NONE);
		writeFileSync(`${log}.now`, `${active}\t${nameOf(test)}`);
	}

	async onAfterRetryTask(test, options) {
		await super.onAfterRetryTask(test, options);
		const failed = test.result.state === 'fail';
		const took = Math.round(performance.now() - this.#began);
		const name = nameOf(test);
		active = NONE;
		vi.useRealTimers();
		if (this.#left === undefined) {
			// Too slow a test may exceed its time; every other one passes, if no change was made before it.
			if (failed && took < slowest) {
				note(made ? 'left-behind' : 'fails', NONE, name);
				if (made) process.kill(process.pid, 'SIGKILL');
			}
			const isAsked = !failed && took < slowest;
			isRepeated = isAsked;
			const isLeft = (change) => !noticed.has(change) && !isolated.has(`${change} ${name}`);
			mostHits = 100_000 + hits * MOST;
			this.#left = isAsked ? [...reached].filter(isLeft) : [];
			note('reached', name, took, [...reached].join());
		} else if (this.#checks) {
			this.#checks = false;
			if (failed) {
				note('left-behind', this.#last, name);
				process.kill(process.pid, 'SIGKILL');
			}
		} else {
			const change = this.#left.shift();
			made = true;
			if (failed) {
				this.#last = change;
				this.#checks = true;
				noticed.add(change);
				note('noticed', change, name, took);
			}
		}
		reached = new Set();
		// The next repetition begins anew.
		test.result.state = 'pass';
		test.result.errors = undefined;
	}

	onAfterRunTask(test) {
		super.onAfterRunTask(test);
		note(isRepeated ? 'asked' : 'done', nameOf(test));
		test.repeats = undefined;
	}
}

function nameOf(test) {
	const names = [test.name];
	for (let { suite } = test; suite; suite = suite.suite) names.unshift(suite.name);
	return `${test.file.name} ${names.join(' > ')}`;
}

// With a change that is active from the start, the tests run as usual.
export default only === undefined ? Repeating : TestRunner;
