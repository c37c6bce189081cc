import { readFileSync, rmSync, writeFileSync } from 'node:fs';

import { afterAll, expect, test } from 'vitest';

import { MemoryStore, type Store } from '../src/index.js';
import { testAtomicStore, testStore, type Runner } from '../src/testing.js';

const PAGE = new URL('../../../docs/how-to/write-a-store.md', import.meta.url);
const FILES = ['map', 'atomic'].map((name) => new URL(`docs-${name}-store.ts`, import.meta.url));

afterAll(() => {
	for (const file of FILES) rmSync(file, { force: true });
});

/** Runs a suite in a runner that counts the assertions of each test, as vitest does. */
async function assertions(suite: (runner: Runner) => void): Promise<number[]> {
	const runs: ((...context: unknown[]) => Promise<void>)[] = [];
	suite({
		describe: (_, define) => {
			define();
		},
		test: (_, run) => runs.push(run)
	});
	return Promise.all(
		runs.map(async (run) => {
			expect(run).toHaveLength(0); // jest and mocha pass a callback to a test that takes an argument
			let count = 0;
			await run({ expect: () => ({ toBe: () => count++ }) });
			await run();
			return count;
		})
	);
}

test('each test of the suites asserts, as `requireAssertions` of vitest demands', async () => {
	const factory = (): Store => new MemoryStore();
	const counts = await assertions((runner) => {
		testStore('a store', factory, { runner, shortestTtl: 30 });
		testAtomicStore('a store', factory, { runner, shortestTtl: 30 });
	});
	expect(counts.length).toBeGreaterThan(20);
	expect(new Set(counts)).toEqual(new Set([1]));
}, 300_000);

test('the stores of docs/how-to/write-a-store.md pass the suites', async () => {
	const samples = [...readFileSync(PAGE, 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)];
	const stores = samples
		.map(([, code = '']) => code)
		.filter((code) => code.includes('implements Store'));
	expect(stores).toHaveLength(2);
	const factories: (() => Store)[] = [];
	for (const [i, code] of stores.entries()) {
		const file = FILES[i] ?? PAGE;
		writeFileSync(file, code);
		const [made] = Object.values((await import(file.href)) as Record<string, new () => Store>);
		if (made) factories.push(() => new made());
	}
	const [map, atomic] = factories;
	if (!map || !atomic) throw new Error('a store is missing');
	await assertions((runner) => {
		testStore('MapStore', map, { runner, shortestTtl: 30 });
	});
	const tests: Promise<void>[] = [];
	testAtomicStore('AtomicMapStore', atomic, {
		runner: {
			describe: (_, define) => {
				define();
			},
			// The sample does without expiry, to be short.
			test: (name, run) => name.includes('expire') || tests.push(run())
		}
	});
	await Promise.all(tests);
	expect(tests.length).toBeGreaterThan(5);
}, 300_000);
