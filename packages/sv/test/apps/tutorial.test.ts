import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.ts';
import { run } from '../../../vestiary/test/runtimes/run.ts';
import {
	addVestiary,
	emptyFolder,
	install,
	ROOT,
	script,
	serveDev,
	servePreview,
	sv,
	tryDemo
} from './app.ts';

let chromium: FreshChromium;
beforeAll(async () => {
	chromium = await freshChromium();
});
afterAll(() => chromium.close());

/** The commands of the tutorial's first section. */
function commands(): string[] {
	const page = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
	const [, section = ''] = /^## With the add-on\n(.*?)^## /ms.exec(page) ?? [];
	const blocks = section.matchAll(/^```sh\n(.*?)^```$/gms);
	return [...blocks].flatMap(([, block = '']) => block.trim().split('\n'));
}

test('the commands of the tutorial make an app whose login survives a restart', async () => {
	const [create = '', enter = '', add = '', dev, ...rest] = commands();
	let folder = await emptyFolder('tutorial');
	await sv(withoutInstalling(create), folder);
	folder = join(folder, enter.replace('cd ', ''));
	execFileSync('git', ['init', '--quiet'], { cwd: folder });
	const [, answers = ''] = /^npx sv add @vestiary="?([^" ]+)"? --install npm$/.exec(add) ?? [];
	await addVestiary(folder, answers);
	expect([dev, ...rest]).toEqual(['npm run dev']);
	// Nothing that git would commit has the secret.
	const files = execFileSync('git', ['ls-files', '--others', '--exclude-standard'], {
		cwd: folder
	});
	const committed = files.toString().trim().split('\n');
	expect(committed).toContain('.env.example');
	const secret =
		/SESSION_SECRET="(.+)"/.exec(readFileSync(join(folder, '.env'), 'utf8'))?.[1] ?? '';
	expect(secret).toHaveLength(44);
	for (const file of committed)
		expect(readFileSync(join(folder, file), 'utf8'), file).not.toContain(secret);

	await install(folder);
	await script(folder, 'check');
	// The program of the packed package, by the name of the package.
	const migrated = await run('npx', ['--no', 'vestiary', 'migrate'], folder);
	expect(migrated).toBe('Nothing here uses svelte-kit-sessions.\n');
	await tryDemo(chromium, () => serveDev(folder), true);
	await script(folder, 'build');
	await tryDemo(chromium, () => servePreview(folder), true);
});

/** The arguments of `npx sv …`. The packages are installed later, with the packed one among them. */
function withoutInstalling(command: string): string[] {
	const [, args = ''] = /^npx sv (create .*)$/.exec(command) ?? [];
	expect(args).toContain(' --install npm ');
	return args.replace('--install npm', '--no-install').split(' ');
}
