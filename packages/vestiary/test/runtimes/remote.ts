import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import type { Server } from './run.js';

/** The behaviour of a session in remote functions, called by a page of `remote/` in Chromium. */
export function remoteFunctions(start: () => Promise<Server>): void {
	let server: Server;
	let chromium: FreshChromium;
	let browser: BrowserContext;
	let page: Page;

	beforeAll(async () => {
		server = await start();
		chromium = await freshChromium();
		({ browser, page } = chromium);
	});
	afterAll(async () => {
		await chromium.close();
		await server.stop();
	});

	async function press(button: string, shown: string): Promise<void> {
		await page.getByRole('button', { name: button, exact: true }).click();
		await page.getByText(shown).waitFor();
	}

	test('a command, a form and a query save the session, and a query reads it', async () => {
		await page.goto(`${server.url}/remote`, { waitUntil: 'networkidle' });
		// At the first visit, Vite bundles the page's imports, and then reloads the page.
		await page.reload({ waitUntil: 'networkidle' });
		expect(await browser.cookies()).toEqual([]);
		await press('increment', 'n = 10');
		const [cookie] = await browser.cookies();
		expect(cookie).toMatchObject({ name: 'connect.sid', httpOnly: true });
		await press('increment', 'n = 20');
		const answer = page.waitForResponse(
			(response) => response.request().method() === 'POST' && response.ok()
		);
		await page.getByRole('button', { name: 'form' }).click();
		await answer;
		await press('read', 'n = 120');

		await browser.clearCookies();
		await page.reload({ waitUntil: 'networkidle' });
		await press('begin', 'n = 1');
		await press('increment', 'n = 11');
	});
}
