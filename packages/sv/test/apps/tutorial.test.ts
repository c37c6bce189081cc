import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.ts';
import { follow } from '../../../vestiary/test/runtimes/pages.ts';
import { run } from '../../../vestiary/test/runtimes/run.ts';
import {
	addVestiary,
	change,
	emptyFolder,
	install,
	logIn,
	readManifest,
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

/** The commands of a section of the tutorial. */
function commands(heading: string): string[] {
	const page = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
	const [, section = ''] = new RegExp(`^## ${heading}\\n(.*?)^## `, 'ms').exec(page) ?? [];
	const blocks = section.matchAll(/^```sh\n(.*?)^```$/gms);
	return [...blocks].flatMap(([, block = '']) => block.trim().split('\n'));
}

test('the commands of the tutorial make an app whose login survives a restart', async () => {
	const [create = '', enter = '', add = '', dev, ...rest] = commands('With the add-on');
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

test('the commands of its first step ask nothing, and its files make a login in that app', async () => {
	const [create = '', enter = '', ...rest] = commands('1. Create the app');
	expect(rest).toEqual(['npm install vestiary']);
	let folder = await emptyFolder('tutorial-by-hand');
	await sv(withoutInstalling(create), folder);
	folder = join(folder, enter.replace('cd ', ''));
	await change(folder, 'package.json', (text) => {
		const manifest = JSON.parse(text) as object;
		return JSON.stringify({ ...manifest, dependencies: { vestiary: '*' } });
	});
	const { devDependencies } = await readManifest(folder);
	const version = devDependencies?.['@sveltejs/kit']?.startsWith('^3') ? 3 : 2;
	const files = await follow('docs/tutorial.md', folder, version);
	expect(files).toContain('src/hooks.server.ts');
	await install(folder);
	await script(folder, 'check');
	const server = await serveDev(folder);
	try {
		const { browser, page } = chromium;
		await browser.clearCookies();
		await page.goto(`${server.url}/account`, { waitUntil: 'networkidle' });
		await logIn(page, 'lovelace');
		await page.getByRole('link', { name: 'Account' }).click();
		await page.getByText('You are user 1.').waitFor();
	} finally {
		await server.stop();
	}
});

/** The arguments of `npx sv …`. The packages are installed later, with the packed one among them. */
function withoutInstalling(command: string): string[] {
	const [, args = ''] = /^npx sv (create .*)$/.exec(command) ?? [];
	expect(args).toContain(' --install npm ');
	return args.replace('--install npm', '--no-install').split(' ');
}
