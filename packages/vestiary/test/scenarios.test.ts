import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { check, type Scenario } from './scenario.js';
import { Player } from './scenario-player.js';
import { vectors } from './vectors.js';

/* What the SvelteKit package and the Rust crates must answer alike: crates/vestiary-tower/tests/scenarios.rs. */

const scenarios = vectors<Scenario>('scenarios');

let played = 0;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
});

afterEach(() => {
	vi.useRealTimers();
});

async function play(scenario: Scenario): Promise<void> {
	check(scenario);
	const player = new Player(scenario);
	await player.play(scenario.steps);
	player.end();
}

describe('a scenario that both products play', () => {
	test.each(scenarios.map((scenario) => [scenario.title, scenario] as const))(
		'%s',
		async (_, scenario) => {
			await play(scenario);
			played++;
		},
		60_000
	);
});

test('every scenario was played, and has a title of its own', () => {
	expect(new Set(scenarios.map(({ title }) => title)).size).toBe(scenarios.length);
	expect(played).toBe(scenarios.length);
});

/** A session that is stored, and read by its cookie. */
const sound: Scenario = {
	title: 'sound',
	steps: [
		{
			step: 'visit',
			browser: 'ann',
			ops: [{ do: 'set', key: 'n', value: 1 }],
			cookie: 'sets A',
			events: ['created'],
			asked: { create: 1 }
		},
		{ step: 'visit', browser: 'ann', ops: [{ do: 'read', data: { n: 1 } }] },
		{ step: 'stored', sessions: { A: { data: { n: 1 }, user: null } } }
	]
};

describe('the player', () => {
	test('plays what is right', async () => {
		await play(sound);
	});

	test.each([
		['another answer', 1, { ops: [{ do: 'read', data: { n: 2 } }] }],
		['another outcome', 1, { ops: [{ do: 'save', gives: 'gone' }], cookie: 'sets A' }],
		['another cookie', 0, { cookie: 'none' }],
		['a cookie that is not set', 1, { cookie: 'sets A' }],
		['the removal of a cookie', 0, { cookie: 'removes' }],
		['the cookie of another session', 1, { ops: [{ do: 'save' }], cookie: 'sets B' }],
		['other attributes', 0, { attributes: 'Path=/app' }],
		['an event more', 1, { events: ['created'] }],
		['an event less', 0, { events: [] }],
		['an error', 0, { fails: 'store_failed' }],
		['more questions', 0, { asked: { create: 2 } }],
		['a session more', 2, { sessions: { A: {}, B: {} } }],
		['a session less', 2, { sessions: {} }],
		['other data', 2, { sessions: { A: { data: {} } } }],
		['another user', 2, { sessions: { A: { user: 'ada' } } }],
		['an unknown step', 0, { step: 'visits' }],
		['an unknown key', 0, { cookies: 'sets A' }],
		['an unknown operation', 1, { ops: [{ do: 'reads' }] }],
		['an unknown key of an operation', 1, { ops: [{ do: 'read', dat: {} }] }],
		['an unknown instance', 1, { at: 'there' }]
	])('fails on %s', async (_, at, wrong) => {
		const steps = sound.steps.map((step, i) => (i === at ? { ...step, ...wrong } : step));
		await expect(play({ ...sound, steps } as Scenario)).rejects.toThrow();
	});

	test('fails on a request that does not end', async () => {
		const steps = [...sound.steps, { step: 'begin', request: 'slow', browser: 'ann' } as const];
		await expect(play({ ...sound, steps })).rejects.toThrow('have not ended');
	});
});
