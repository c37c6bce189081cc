import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

const PORT = process.env.PORT ?? '3000';
const ORIGIN = `http://localhost:${PORT}`;
const FOLDER = new URL('..', import.meta.url).pathname;
const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;

let server: ChildProcess;
let profile: string;
let browser: BrowserContext;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
	server = spawn(process.execPath, ['build'], {
		cwd: FOLDER,
		env: {
			...process.env,
			HOST: '127.0.0.1',
			PORT,
			SESSION_SECRET: 'the secret of the browser test, long enough'
		},
		stdio: 'inherit'
	});
	for (let tries = 0; tries < 100; tries++) {
		if ((await fetch(`${ORIGIN}/about`).catch(() => undefined))?.ok) break;
		await sleep(100);
	}
	await mkdir(SHOTS, { recursive: true });
	profile = await mkdtemp(join(tmpdir(), 'vestiary-chromium-'));
	browser = await chromium.launchPersistentContext(profile, {
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		headless: true,
		viewport: { width: 960, height: 640 },
		colorScheme: 'light',
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
			'--no-first-run'
		]
	});
	page = browser.pages()[0] ?? (await browser.newPage());
	page.on('pageerror', (error) => errors.push(error.message));
});

afterAll(async () => {
	await browser.close();
	await rm(profile, { recursive: true, force: true });
	server.kill();
});

async function ticket(): Promise<string | undefined> {
	return (await browser.cookies(ORIGIN)).find(({ name }) => name === 'cloakroom')?.value;
}

async function shot(name: string): Promise<void> {
	await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

test('a visitor who looks around gets no cookie', async () => {
	await page.goto(ORIGIN);
	await expect.poll(() => page.textContent('h1')).toContain('take a ticket');
	await page.goto(`${ORIGIN}/about`);
	expect(await browser.cookies()).toEqual([]);
	await page.goto(ORIGIN);
	await shot('start');
});

test('a private page sends the visitor to the login, and the API too', async () => {
	await page.goto(`${ORIGIN}/todos`);
	expect(page.url()).toBe(`${ORIGIN}/login?next=%2Ftodos`);
	const api = await fetch(`${ORIGIN}/api/todos`, { redirect: 'manual' });
	expect(api.status).toBe(303);
	await shot('login');
});

test('a name that will not do is told so, and kept', async () => {
	await page.fill('input[name=name]', 'A');
	await page.click('main button');
	expect(await page.textContent('[role=alert]')).toContain('2 to 40');
	expect(await page.inputValue('input[name=name]')).toBe('A');
	expect(await ticket()).toBeUndefined();
});

test('logging in sets the cookie and leads to the page that was asked for', async () => {
	await page.goto(`${ORIGIN}/login?next=%2Ftodos`);
	await page.fill('input[name=name]', 'Ada');
	await page.click('main button');
	await page.waitForURL(`${ORIGIN}/todos`);
	expect(await page.textContent('[data-testid=user]')).toBe('Ada');
	const [cookie] = await browser.cookies(ORIGIN);
	expect(cookie).toMatchObject({ name: 'cloakroom', httpOnly: true, sameSite: 'Lax', path: '/' });
	expect(await page.evaluate(() => document.cookie)).toBe('');
});

test('to-dos are kept in the session, over a reload', async () => {
	for (const text of ['Hand in the coat', 'Keep the ticket', 'Dance']) {
		await page.fill('input[name=text]', text);
		await page.click('text=Add');
		await page.getByText(text).waitFor();
	}
	await page.getByText('Hand in the coat').click();
	await page.locator('button[aria-pressed=true]', { hasText: 'Hand in the coat' }).waitFor();
	await page.reload();
	expect(await page.locator('.todos li').count()).toBe(3);
	expect(await page.locator('button[aria-pressed=true]').count()).toBe(1);
	await shot('todos');
});

test('visits are counted', async () => {
	const visits = async (): Promise<number> =>
		Number(await page.textContent('[data-testid=visits]'));
	const before = await visits();
	await page.reload();
	expect(await visits()).toBe(before + 1);
});

test('the session page shows the session, but not the whole ID', async () => {
	await page.click('nav >> text=Session');
	await page.waitForURL(`${ORIGIN}/session`);
	const shown = (await page.textContent('[data-testid=id]')) ?? '';
	const value = decodeURIComponent((await ticket()) ?? '');
	expect(shown).toMatch(/^[\w-]{6}…$/);
	expect(value.startsWith(shown.slice(0, 6))).toBe(true);
	expect(await page.content()).not.toContain(value.split('.')[0]);
	expect(await page.textContent('[data-testid=expires]')).toMatch(/\d/);
	await shot('session');
});

test('a second login changes the ID, and the old ticket is worthless', async () => {
	const before = await ticket();
	const stolen = { cookie: `cloakroom=${before ?? ''}` };
	const todos = (headers: Record<string, string>): Promise<Response> =>
		fetch(`${ORIGIN}/api/todos`, { headers, redirect: 'manual' });
	expect((await todos(stolen)).status).toBe(200);
	await page.click('text=Log out');
	await page.waitForURL(`${ORIGIN}/`);
	expect(await ticket()).toBeUndefined();
	expect((await todos(stolen)).status).toBe(303);
	await page.goto(`${ORIGIN}/login`);
	await page.fill('input[name=name]', 'Grace');
	await page.click('main button');
	await page.waitForURL(`${ORIGIN}/todos`);
	expect(await ticket()).not.toBe(before);
	expect(await page.locator('.todos li').count()).toBe(0);
});

test('a forged ticket is a visitor without a session', async () => {
	const value = (await ticket()) ?? '';
	const forged = value.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
	await browser.addCookies([{ name: 'cloakroom', value: forged, url: ORIGIN }]);
	await page.goto(`${ORIGIN}/todos`);
	expect(page.url()).toContain('/login');
});

test('no page had an error', () => {
	expect(errors).toEqual([]);
});
