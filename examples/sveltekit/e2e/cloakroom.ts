import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from './chromium.js';

const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;

/** A running demo. */
export interface Demo {
	origin: string;
	stop: () => Promise<void> | void;
}

/**
 * The demo in a browser, on any platform.
 * @param shots The prefix of the screenshots' names
 */
export function cloakroom(start: () => Promise<Demo>, shots: string): void {
	let demo: Demo;
	let origin: string;
	let chromium: FreshChromium;
	let browser: BrowserContext;
	let page: Page;
	const errors: string[] = [];

	beforeAll(async () => {
		demo = await start();
		({ origin } = demo);
		await mkdir(SHOTS, { recursive: true });
		chromium = await freshChromium();
		({ browser, page } = chromium);
		page.on('pageerror', (error) => errors.push(error.message));
	});

	afterAll(async () => {
		await chromium.close();
		await demo.stop();
	});

	async function ticket(): Promise<string | undefined> {
		return (await browser.cookies(origin)).find(({ name }) => name === 'cloakroom')?.value;
	}

	async function shot(name: string): Promise<void> {
		await page.screenshot({ path: join(SHOTS, `${shots}${name}.png`) });
	}

	test('a visitor who looks around gets no cookie', async () => {
		await page.goto(origin);
		await expect.poll(() => page.textContent('h1')).toContain('stay on the server');
		await page.goto(`${origin}/about`);
		expect(await browser.cookies()).toEqual([]);
		await page.goto(origin);
		await shot('start');
	});

	test('a private page sends the visitor to the login, and the API too', async () => {
		await page.goto(`${origin}/todos`);
		expect(page.url()).toBe(`${origin}/login?next=/todos`);
		const api = await fetch(`${origin}/api/todos`, { redirect: 'manual' });
		expect(api.status).toBe(303);
		await shot('login');
	});

	test('an invalid name is refused, and kept in the form', async () => {
		await page.fill('input[name=name]', 'A');
		await page.click('main button');
		expect(await page.textContent('[role=alert]')).toContain('2 to 40');
		expect(await page.inputValue('input[name=name]')).toBe('A');
		expect(await ticket()).toBeUndefined();
	});

	test('logging in sets the cookie and leads to the page that was asked for', async () => {
		await page.goto(`${origin}/login?next=/todos`);
		await page.fill('input[name=name]', 'Ada');
		await page.click('main button');
		await page.waitForURL(`${origin}/todos`);
		expect(await page.textContent('[data-testid=user]')).toBe('Ada');
		const [cookie] = await browser.cookies(origin);
		expect(cookie).toMatchObject({
			name: 'cloakroom',
			httpOnly: true,
			sameSite: 'Lax',
			path: '/'
		});
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
		const seen = async (): Promise<number> =>
			Number(await page.textContent('[data-testid=visits]'));
		const before = await seen();
		await page.reload();
		expect(await seen()).toBe(before + 1);
	});

	test('the session page shows the session, but not the whole ID', async () => {
		await page.click('nav >> text=Session');
		await page.waitForURL(`${origin}/session`);
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
			fetch(`${origin}/api/todos`, { headers, redirect: 'manual' });
		expect((await todos(stolen)).status).toBe(200);
		await page.click('text=Log out');
		await page.waitForURL(`${origin}/`);
		expect(await ticket()).toBeUndefined();
		expect((await todos(stolen)).status).toBe(303);
		await page.goto(`${origin}/login`);
		await page.fill('input[name=name]', 'Grace');
		await page.click('main button');
		await page.waitForURL(`${origin}/todos`);
		expect(await ticket()).not.toBe(before);
		expect(await page.locator('.todos li').count()).toBe(0);
	});

	test('a forged ticket is a visitor without a session', async () => {
		const value = (await ticket()) ?? '';
		const forged = value.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
		await browser.addCookies([{ name: 'cloakroom', value: forged, url: origin }]);
		await page.goto(`${origin}/todos`);
		expect(page.url()).toContain('/login');
	});

	test('no page had an error', () => {
		expect(errors).toEqual([]);
	});
}
