import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, test } from 'vitest';

import { install, KITS } from './kits.js';
import { installOthers } from './others.js';
import { remoteFunctions } from './remote.js';
import { run, serve, serveDev, type Server } from './run.js';
import { subRequests } from './sub-requests.js';
import { works } from './works.js';

const TARGET = new URL('../../../../target/runtimes/', import.meta.url).pathname;

let others: string;

beforeAll(async () => {
	others = await installOthers();
});

for (const kit of KITS) {
	const folder = join(TARGET, kit.name);

	beforeAll(async () => {
		await install(kit, folder);
		for (const more of ['remote/', 'elsewhere/'])
			await cp(new URL(more, import.meta.url).pathname, folder, { recursive: true });
	});

	describe(kit.name, () => {
		test('the app compiles against the types of the package', async () => {
			await run('node_modules/.bin/svelte-kit', ['sync'], folder);
			await run('node_modules/.bin/tsc', ['--noEmit'], folder);
		});

		describe('vite dev', () => {
			const start = (): Promise<Server> => serveDev(folder);
			works(start, { built: false });
			remoteFunctions(start);
			subRequests(start);
		});

		describe('vite build, with a prerendered page, and adapter-node', () => {
			let printed: string;

			beforeAll(async () => {
				const build = ['-c', 'node_modules/.bin/vite build 2>&1'];
				printed = await run('sh', build, folder, { NODE_ENV: 'production' });
			});

			test('the build hints at the prerendered page that reads the session, once', () => {
				const hints = printed.split('\n').filter((line) => line.includes('[vestiary]'));
				expect(hints).toEqual([
					expect.stringContaining('a `load` of /about reads the session')
				]);
			});

			test('the prerendered page is there', async () => {
				const page = await readFile(
					join(folder, 'build/prerendered/about.html'),
					'utf8'
				).catch(() => readFile(join(folder, 'build/client/about.html'), 'utf8'));
				expect(page).toContain('<p>about</p>');
			});

			describe.each([
				['Node.js', () => process.execPath, ['build']],
				['Deno', () => join(others, 'deno'), ['run', '--allow-all', 'build/index.js']],
				['Bun', () => join(others, 'bun'), ['build/index.js']]
			])('in %s', (_, command, args) => {
				const start = (): Promise<Server> =>
					serve(
						command(),
						() => args,
						folder,
						(port) => ({
							NODE_ENV: 'production',
							HOST: 'localhost',
							PORT: `${port}`,
							ORIGIN: `http://localhost:${port}`
						})
					);
				works(start);
				subRequests(start);
			});
		});
	});
}
