import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		projects: [
			{
				// Generous, so that a busy machine does not fail a test. Threads start in less time than processes.
				test: {
					name: 'unit',
					include: ['test/*.test.ts'],
					pool: 'threads',
					testTimeout: 60_000,
					hookTimeout: 60_000
				}
			},
			{
				// Against real servers, which the tests start and stop.
				test: {
					name: 'stores',
					include: ['test/stores/*.test.ts', 'test/faults/*.test.ts'],
					// They wait most of the time. Without this, a machine with two cores runs one file at a time.
					maxWorkers: 2,
					testTimeout: 120_000,
					hookTimeout: 60_000
				}
			},
			{
				// Each installs the packed tarball into a fresh app, builds it and runs it. While one waits for a server or a
				// browser, another one builds.
				test: {
					name: 'runtimes',
					include: ['test/runtimes/*.test.ts'],
					testTimeout: 180_000,
					hookTimeout: 300_000,
					maxWorkers: 2,
					sequence: { groupOrder: 1 }
				}
			}
		]
	}
});
