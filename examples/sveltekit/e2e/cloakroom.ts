import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { BrowserContext, Page } from 'playwright-core';
import { loginAs } from 'vestiary/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from './chromium.js';

const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;

/** A running demo. */
export interface Demo {
	origin: string;
	/** Lets time pass on the server, in seconds, if the test can move its clock. */
	pass?: (seconds: number) => Promise<void>;
	stop: () => Promise<void> | void;
}

/** Firefox on another computer. */
const ELSEWHERE = 'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0';

/**
 * The demo in a browser, on any platform.
 * @param shots The prefix of the screenshots' names
 * @param isTestServer Whether the server was started with `vestiary/testing/server`, and {@link Demo.pass} moves its clock
 */
export function cloakroom(
	start: () => Promise<Demo>,
	shots: string,
	{ isTestServer = false } = {}
): void {
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

	/** Screenshots in light and dark colours, and of a phone. */
	async function shotsOf(name: string): Promise<void> {
		await shot(name);
		await page.emulateMedia({ colorScheme: 'dark' });
		await shot(`${name}-dark`);
		await page.setViewportSize({ width: 390, height: 700 });
		expect(await page.evaluate(() => document.body.scrollWidth)).toBeLessThanOrEqual(390);
		await shot(`${name}-phone-dark`);
		await page.emulateMedia({ colorScheme: 'light' });
		await shot(`${name}-phone`);
		await page.setViewportSize({ width: 960, height: 640 });
	}

	async function logIn(on: Page, name: string, remember = false): Promise<void> {
		await on.goto(`${origin}/login`);
		await on.fill('input[name=name]', name);
		if (remember) await on.check('input[name=remember]');
		await on.click('main button');
		await on.waitForURL(`${origin}/todos`);
	}

	/** Logs in with another browser, and closes it. */
	async function elsewhere(name: string, then: (on: Page) => Promise<void>): Promise<void> {
		const context = await browser.browser()?.newContext({ userAgent: ELSEWHERE });
		if (!context) throw new Error('the page has no browser');
		const other = await context.newPage();
		await logIn(other, name, true);
		await then(other);
		await context.close();
	}

	/** Visits a private page, and tells whether the visitor was sent to the login. */
	async function isLoggedOut(on: Page): Promise<boolean> {
		await on.goto(`${origin}/todos`);
		return on.url() === `${origin}/login?next=/todos`;
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
			path: '/',
			expires: -1
		});
		expect(await page.textContent('[role=status]')).toContain('Hello, Ada.');
		await page.reload();
		expect(await page.locator('[role=status]').count()).toBe(0);
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

	test('the page of devices shows this one and others, and ends one or all others', async () => {
		const devices = page.locator('.devices li');
		await elsewhere('Ada', async (other) => {
			// "Remember me" lasts a month.
			const [cookie] = await other.context().cookies();
			expect(cookie?.expires).toBeGreaterThan(Date.now() / 1_000 + 29 * 86_400);
			await page.click('nav >> text=Devices');
			await page.waitForURL(`${origin}/devices`);
			await devices.nth(1).waitFor();
			const mine = devices.filter({ hasText: 'this device' });
			expect(await mine.textContent()).toContain('Chrome on Linux');
			const firefox = devices.filter({ hasText: 'Firefox on Linux' });
			expect(await firefox.textContent()).not.toContain('this device');
			await shotsOf('devices');
			await firefox.getByRole('button').click();
			await page.locator('[role=status]', { hasText: 'Firefox is logged out.' }).waitFor();
			expect(await devices.count()).toBe(1);
			expect(await isLoggedOut(other)).toBe(true);
		});
		await elsewhere('Ada', async (other) => {
			// It learns of the logout by its stream.
			await page.reload();
			await page.getByRole('button', { name: 'Log out all others' }).click();
			await page.locator('[role=status]', { hasText: 'All other devices' }).waitFor();
			expect(await devices.count()).toBe(1);
			await other.waitForURL(`${origin}/login`);
			expect(await isLoggedOut(other)).toBe(true);
		});
	});

	if (isTestServer) {
		const pass = async (seconds: number): Promise<void> => demo.pass?.(seconds);

		test('logging out everywhere asks for the name again, some minutes after the login', async () => {
			await elsewhere('Ada', async (other) => {
				await pass(301);
				await page.goto(`${origin}/devices`);
				await page.getByRole('button', { name: 'Log out everywhere' }).click();
				await page.waitForURL(`${origin}/confirm?next=/devices`);
				await shotsOf('confirm');
				await page.fill('input[name=name]', 'Eve');
				await page.click('main button');
				expect(await page.textContent('[role=alert]')).toContain('not the name');
				await page.fill('input[name=name]', 'Ada');
				await page.click('main button');
				await page.waitForURL(`${origin}/devices`);
				await page.locator('[role=status]', { hasText: 'Thank you.' }).waitFor();
				await page.getByRole('button', { name: 'Log out everywhere' }).click();
				await page.waitForURL(`${origin}/`);
				expect(await ticket()).toBeUndefined();
				expect(await isLoggedOut(other)).toBe(true);
			});
		});

		test('the page warns before the session expires, and notices when it has', async () => {
			const left = async (): Promise<number> =>
				page.evaluate(async () => {
					const response = await fetch('/_session');
					const times = (await response.json()) as { at: number; expires: number };
					return times.expires - times.at;
				});
			// On the server and in the browser.
			const passBoth = async (milliseconds: number): Promise<void> => {
				await pass(milliseconds / 1_000);
				await page.clock.fastForward(milliseconds);
			};
			await loginAs(browser, 'Ada', { todos: [] }, { url: origin });
			const warning = page.getByText('You will be logged out in less than two minutes.');
			await page.clock.install();
			await page.goto(`${origin}/todos`);
			await passBoth((await left()) - 90_000);
			await warning.waitFor();
			await shotsOf('warning');
			await page.getByRole('button', { name: 'Stay logged in' }).click();
			await warning.waitFor({ state: 'detached' });
			expect(await left()).toBeGreaterThan(600_000);

			await passBoth((await left()) + 1_000);
			await page.waitForURL(`${origin}/login`);
			await loginAs(browser, 'Ada', { todos: [] }, { url: origin });
			await page.goto(`${origin}/todos`);
		});
	}

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
