import { writeFileSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { expect } from 'vitest';
import type { Page } from 'playwright-core';

import type { FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.ts';
import { link, TARBALL } from '../../../vestiary/test/runtimes/packages.ts';
import { run, serve, type Server } from '../../../vestiary/test/runtimes/run.ts';
import { WRANGLER_ENV } from '../../../vestiary/test/runtimes/workers.ts';

export const ROOT = new URL('../../../../', import.meta.url).pathname;
const TARGET = join(ROOT, 'target/sv');
const SV = join(ROOT, 'node_modules/.bin/sv');
const ADD_ON = `file:${join(ROOT, 'packages/sv')}`;

interface Manifest {
	scripts?: Record<string, string>;
	dependencies?: Record<string, string>;
	devDependencies?: Record<string, string>;
}

/** Runs `sv`, which must ask nothing. */
export async function sv(args: string[], folder: string): Promise<string> {
	return run(SV, args, folder, { CI: '1', NO_COLOR: '1' });
}

/** An empty folder for an app of this name, which is made in it. */
export async function emptyFolder(name: string): Promise<string> {
	const folder = join(TARGET, name);
	await rm(folder, { recursive: true, force: true });
	await mkdir(folder, { recursive: true });
	return folder;
}

/** The SvelteKit 3 with which the apps are tried. `sv` writes a range. */
export const KIT3: Readonly<Record<string, string>> = { '@sveltejs/kit': '3.2.0' };

/** Gives a new app SvelteKit 3, with adapter-node: there is no adapter-auto for it yet. */
export async function useKit3(folder: string): Promise<void> {
	const version = 'experimental=versions:kit+features:none';
	await sv(['add', version, '--no-git-check', '--no-install'], folder);
	await change(folder, 'package.json', (text) =>
		text.replace(/"@sveltejs\/adapter-auto": "[^"]*"/, '"@sveltejs/adapter-node": "6.0.1"')
	);
	for (const name of ['vite.config.ts', 'vite.config.js'])
		await change(folder, name, (text) => text.replace('adapter-auto', 'adapter-node'));
}

/** Adds Vestiary to an app with these answers, and other add-ons by the same command. */
export async function addVestiary(
	folder: string,
	answers: string,
	others: readonly string[] = []
): Promise<string> {
	const args = ['--no-git-check', '--no-download-check', '--no-install'];
	return sv(['add', ...others, `${ADD_ON}=${answers}`, ...args], folder);
}

/** Installs the packages of an app, with the packed package in place of the published one. */
export async function install(folder: string, pinned: Record<string, string> = {}): Promise<void> {
	const manifest = await readManifest(folder);
	for (const kind of ['dependencies', 'devDependencies'] as const) {
		const packages = manifest[kind] ?? {};
		for (const name of Object.keys(packages))
			packages[name] = pinned[name] ?? packages[name] ?? '';
		if (packages.vestiary !== undefined) packages.vestiary = `file:${TARBALL}`;
	}
	await link(manifest, folder);
	await addNonce(folder);
}

/** Gives an app a route by which a test knows that its own server answers. */
export async function addNonce(folder: string): Promise<void> {
	const nonce = join(ROOT, 'packages/vestiary/test/runtimes/new/src/routes/api');
	await cp(nonce, join(folder, 'src/routes/api'), { recursive: true });
}

export async function readManifest(folder: string): Promise<Manifest & Record<string, unknown>> {
	const text = await readFile(join(folder, 'package.json'), 'utf8');
	return JSON.parse(text) as Manifest & Record<string, unknown>;
}

/** The files of an app by their names, without its packages and what is built of them. */
export async function contents(folder: string): Promise<Record<string, string>> {
	const own = (await readdir(folder)).filter(
		(name) => !/^(?:node_modules|\.svelte-kit)$/.test(name)
	);
	const names = await Promise.all(
		own.map(async (name) => {
			const isFolder = (await stat(join(folder, name))).isDirectory();
			if (!isFolder) return [name];
			const inside = await readdir(join(folder, name), {
				recursive: true,
				withFileTypes: true
			});
			const files = inside.filter((file) => file.isFile());
			return files.map((file) => relative(folder, join(file.parentPath, file.name)));
		})
	);
	const texts = names
		.flat()
		.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const);
	return Object.fromEntries(await Promise.all(texts));
}

/** Whether an app is among those that the environment names. A skipped test would count as a failure. */
export function wanted({ name }: { name: string }): boolean {
	return name.includes(process.env.SV_APPS ?? '');
}

/** Changes a file of an app. */
export async function change(
	folder: string,
	name: string,
	edit: (text: string) => string
): Promise<void> {
	const file = join(folder, name);
	const text = await readFile(file, 'utf8').catch(() => '');
	const changed = edit(text);
	if (changed !== text) await writeFile(file, changed);
}

/** Runs an npm script of the app. */
export async function script(folder: string, name: string): Promise<string> {
	return run('npm', ['run', name], folder, { ...WRANGLER_ENV, NO_COLOR: '1' });
}

/** Starts `vite dev` of the app. */
export async function serveDev(folder: string, port?: number, noncePath?: string): Promise<Server> {
	return vite('dev', 'development', folder, port, noncePath);
}

/** Serves the built app with `vite preview`, which needs no adapter. */
export async function servePreview(folder: string): Promise<Server> {
	return vite('preview', 'production', folder);
}

/** Serves the built Worker by the app's own script `preview`, on a free port. */
export async function serveWorker(folder: string, noncePath = '/api/nonce'): Promise<Server> {
	const { preview = '' } = (await readManifest(folder)).scripts ?? {};
	const [program = '', ...words] = preview.replace(/ --port \d+/, '').split(' ');
	return serve(
		join(folder, 'node_modules/.bin', program),
		(port, nonce) => {
			if (noncePath === '/nonce') writeNonce(join(folder, '.svelte-kit/cloudflare'), nonce);
			const variable = words.includes('pages')
				? ['--binding', `NONCE=${nonce}`]
				: ['--var', `NONCE:${nonce}`];
			const own = ['--inspector-port', '0', ...variable];
			return [...words, '--port', `${port}`, ...own];
		},
		folder,
		() => WRANGLER_ENV,
		noncePath
	);
}

/** A file by which a test knows its own server, where each request of the app itself fails. */
function writeNonce(folder: string, nonce: string): void {
	writeFileSync(join(folder, 'nonce'), JSON.stringify({ nonce }));
}

async function vite(
	command: string,
	mode: string,
	folder: string,
	port?: number,
	noncePath = '/api/nonce'
): Promise<Server> {
	return serve(
		join(folder, 'node_modules/.bin/vite'),
		(free, nonce) => {
			if (noncePath === '/nonce') writeNonce(join(folder, 'static'), nonce);
			return [command, '--port', `${free}`, '--strictPort'];
		},
		folder,
		() => ({ ...WRANGLER_ENV, NODE_ENV: mode }),
		noncePath,
		port
	);
}

/** Fills in the login form, and logs in. */
export async function logIn(page: Page, password: string): Promise<void> {
	await page.getByLabel('Name').fill('ada');
	await page.getByLabel('Password').fill(password);
	await page.getByRole('button', { name: 'Log in' }).click();
}

/** Clicks through the demo, and restarts the server while the visitor is logged in. */
export async function tryDemo(
	{ browser, page }: FreshChromium,
	start: () => Promise<Server>,
	survives: boolean
): Promise<void> {
	let server = await start();
	try {
		await browser.clearCookies();
		await page.goto(`${server.url}/account`);
		await page.waitForURL(`${server.url}/login?next=/account`);
		expect(await browser.cookies()).toEqual([]);
		await page.waitForLoadState('networkidle');
		await logIn(page, 'wrong');
		await page.getByText('Wrong name or password').waitFor();
		await logIn(page, 'lovelace');
		await page.getByText('You are user 1.').waitFor();
		await page.goto(`${server.url}/devices`);
		await page.getByText('Chrome on Linux (this device)').waitFor();

		await server.stop();
		server = await start();
		await page.goto(`${server.url}/account`);
		if (!survives) {
			await page.waitForURL(`${server.url}/login?next=/account`);
			return;
		}
		await page.getByText('You are user 1.').waitFor();
		await page.getByRole('button', { name: 'Log out' }).click();
		await page.waitForURL(`${server.url}/login`);
		expect(await browser.cookies()).toEqual([]);
	} finally {
		await server.stop();
	}
}
