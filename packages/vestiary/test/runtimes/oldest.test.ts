import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, test } from 'vitest';

import { COMPILER_OPTIONS, install, KIT2, type Kit } from './kits.js';
import { run, serve } from './run.js';
import { works } from './works.js';

const FOLDER = new URL('../../../../target/runtimes/oldest', import.meta.url).pathname;

/** The oldest SvelteKit that `peerDependencies` promise, with the Svelte and Vite of its time. */
const OLDEST: Kit = {
	name: 'oldest',
	packages: {
		'@sveltejs/adapter-node': '2.0.0',
		'@sveltejs/kit': '2.0.0',
		'@sveltejs/vite-plugin-svelte': '3.1.2',
		'@types/node': '20.10.0',
		svelte: '4.2.19',
		typescript: '~5.3.0',
		vite: '5.0.13'
	},
	files: {
		...KIT2.files,
		'svelte.config.js': `import adapter from '@sveltejs/adapter-node';
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default { preprocess: vitePreprocess(), kit: { adapter: adapter() } };
`,
		'tsconfig.json': `{ "extends": "./.svelte-kit/tsconfig.json", ${COMPILER_OPTIONS} }\n`
	}
};

describe('SvelteKit 2.0.0, Svelte 4, built with adapter-node 2.0.0', () => {
	beforeAll(async () => {
		await install(OLDEST, FOLDER);
		const routes = join(FOLDER, 'src/routes');
		for (const file of await readdir(routes, { recursive: true })) {
			if (!file.endsWith('.svelte')) continue;
			const page = await readFile(join(routes, file), 'utf8');
			await writeFile(
				join(routes, file),
				page.replace('let { data } = $props();', 'export let data: any;')
			);
		}
		await run('node_modules/.bin/vite', ['build'], FOLDER, { NODE_ENV: 'production' });
	});

	test('the app compiles against the types of the package', async () => {
		expect(await run('node_modules/.bin/tsc', ['--noEmit'], FOLDER)).toBe('');
	});

	works(
		() =>
			serve(
				process.execPath,
				() => ['build'],
				FOLDER,
				(port) => ({
					NODE_ENV: 'production',
					HOST: 'localhost',
					PORT: `${port}`,
					ORIGIN: `http://localhost:${port}`
				})
			),
		{ client: false }
	);
});
