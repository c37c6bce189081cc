import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

const ROOT = new URL('../../../', import.meta.url).pathname;
const FOLDER = join(ROOT, 'packages/vestiary/test/generated');
const PAGES = ['README.md', 'docs/stores.md', 'packages/vestiary/README.md'];

/** The TypeScript samples of a page. */
function samples(page: string): string[] {
	const text = readFileSync(join(ROOT, page), 'utf8');
	return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '');
}

test('every TypeScript sample of the documentation compiles', () => {
	rmSync(FOLDER, { recursive: true, force: true });
	mkdirSync(FOLDER, { recursive: true });
	let count = 0;
	for (const page of PAGES) {
		const found = samples(page);
		expect(found.length, page).toBeGreaterThan(0);
		for (const code of found) writeFileSync(join(FOLDER, `sample-${count++}.ts`), code);
	}
	const config = {
		extends: '../../tsconfig.json',
		// The versions of the clients are installed under names of their own.
		compilerOptions: {
			paths: { redis: [join(ROOT, 'node_modules/redis6/dist/index.d.ts')] },
			types: ['node']
		},
		include: ['*.ts'],
		exclude: []
	};
	writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify(config));
	const tsc = join(ROOT, 'node_modules/.bin/tsc');
	const { stdout } = spawnSync(tsc, ['-p', FOLDER], { encoding: 'utf8' });
	expect(stdout).toBe('');
});

test('the README tells the commands that there are', () => {
	const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
	const cli = readFileSync(join(ROOT, 'xtask/src/main.rs'), 'utf8');
	for (const [, task = ''] of readme.matchAll(/cargo xtask (\w+)/g)) {
		expect(cli.toLowerCase()).toContain(`\t${task}`.replace('\t', '    '));
	}
});
