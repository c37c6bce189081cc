/* The unit tests, on sources in which changes can be switched on: see `runner.mjs`. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath, URL } from 'node:url';

import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { sources, only, slow } = JSON.parse(readFileSync(process.env.MUTATE, 'utf8'));

/** They test the documentation, the core or the licenses, not these sources. */
const OTHERS = ['docs', 'differential', 'vectors', 'notices'];

/** The other way round than usual: tests that take long come last, when few changes are left. */
class Sequencer extends BaseSequencer {
	async sort(files) {
		return files.sort((a, b) => (a.moduleId < b.moduleId ? 1 : -1));
	}
}

export default defineConfig({
	root: ROOT,
	plugins: [
		{
			name: 'changes',
			enforce: 'pre',
			transform(_, id) {
				const path = id.startsWith(ROOT) ? id.slice(ROOT.length) : '';
				return Object.hasOwn(sources, path)
					? { code: sources[path], map: null }
					: undefined;
			}
		}
	],
	test: {
		include: ['test/*.test.ts'],
		exclude: OTHERS.map((name) => `test/${name}.test.ts`),
		sequence: { sequencer: Sequencer },
		runner: `${ROOT}mutate/runner.mjs`,
		// All tests in one process, but for a change that is there from the start.
		isolate: only !== undefined,
		maxWorkers: 1,
		// It knows modules by the text of their files alone.
		fsModuleCache: false,
		testTimeout: slow ? 60_000 : 5_000,
		silent: true,
		// A change that is not noticed otherwise may leave a promise that rejects.
		dangerouslyIgnoreUnhandledErrors: only === undefined
	}
});
