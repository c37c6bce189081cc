import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		projects: [
			{ test: { name: 'unit', include: ['test/*.test.ts'], testTimeout: 60_000 } },
			{
				// A new app that is made as the tutorial says.
				test: {
					name: 'tutorial',
					include: ['test/apps/tutorial.test.ts'],
					testTimeout: 300_000,
					hookTimeout: 300_000
				}
			},
			{
				// Every store, language and version, one after the other. `cargo xtask sv` runs it.
				test: {
					name: 'matrix',
					include: ['test/apps/{matrix,mistakes,managers,former,lucia}.test.ts'],
					testTimeout: 600_000,
					hookTimeout: 300_000
				}
			}
		]
	}
});
