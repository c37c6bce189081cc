import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { passTime } from '../../src/testing.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { addPlugin } from './panel-plugin.js';
import { freePort, run, serveBuilt, serveDev, startBuilt, type Server } from './run.js';

const DAY = 86_400;

/** A server whose clock a test can move. */
const TEST_SERVER = { NODE_ENV: 'test', NODE_OPTIONS: '--import vestiary/testing/server' };

/** The app is served once by Vite, with the plugin that refuses imports in pages, and once as it is deployed. */
async function serve(folder: string, version: 2 | 3): Promise<Server> {
	if (version === 3) {
		await addPlugin(folder);
		return serveDev(folder, { ...TEST_SERVER, VITEST: undefined });
	}
	const port = await freePort();
	await (await serveBuilt(folder, port)).stop();
	return startBuilt(folder, port, TEST_SERVER);
}

describe.each(NEW_APPS)('$name, with the app of docs/how-to/all-together.md', (kit) => {
	const version = kit.name === 'new-kit3' ? 3 : 2;
	let folder: string;
	let chromium: FreshChromium;
	let server: Server;
	let page: Page;
	const errors: string[] = [];

	beforeAll(async () => {
		folder = await newApp(kit, 'all-together');
		const files = await follow('docs/how-to/all-together.md', folder, version);
		expect(files).toHaveLength(version === 3 ? 19 : 18);
		chromium = await freshChromium();
		({ page } = chromium);
		page.on('pageerror', (error) => errors.push(error.message));
		server = await serve(folder, version);
	});
	afterAll(async () => {
		await chromium.close();
		await server.stop();
	});

	test('compiles', async () => {
		await run('node_modules/.bin/svelte-kit', ['sync'], folder);
		await run('node_modules/.bin/svelte-check', ['--tsconfig', './tsconfig.json'], folder);
	});

	/** Opens a page once its scripts run. */
	async function open(path: string, on = page): Promise<void> {
		await on.goto(server.url + path, { waitUntil: 'load' });
		// At the first visit, Vite bundles the page's imports, and then reloads the page.
		if (version === 3) await on.reload({ waitUntil: 'load' });
	}

	async function logIn(on = page, remember = false): Promise<void> {
		await on.getByLabel('Name').fill('ada');
		await on.getByLabel('Password').fill('lovelace');
		if (remember) await on.getByLabel('Remember me').check();
		await on.getByRole('button', { name: 'Log in' }).click();
	}

	/** Runs clicks that log out another browser of the same user. Its page and its stream notice it. */
	async function elsewhere(clicks: (other: BrowserContext) => Promise<void>): Promise<void> {
		const context = await chromium.browser.browser()?.newContext();
		const other = await context?.newPage();
		if (!context || !other) throw new Error('the profile has no browser');
		await open('/account', other);
		await logIn(other);
		await streams(other);
		const [session] = await context.cookies();
		const headers = { cookie: `${session?.name}=${session?.value}` };
		const reader = (await fetch(`${server.url}/events`, { headers })).body?.getReader();
		expect(new TextDecoder().decode((await reader?.read())?.value)).toMatch(/^data: \d{4}-/);
		await clicks(context);
		await other.waitForURL(`${server.url}/login?next=/account`);
		// The test fails by its time limit if the stream has no end.
		while (reader && !(await reader.read()).done);
		expect((await fetch(`${server.url}/events`, { headers })).status).toBe(401);
		await context.close();
	}

	const streams = async (on: Page): Promise<void> =>
		on.getByText(/^The time of the server: \d{4}-/).waitFor();

	const status = async (text: string): Promise<void> =>
		page.getByRole('status').filter({ hasText: text }).waitFor();

	const press = async (name: string): Promise<void> =>
		page.getByRole('button', { name, exact: true }).click();

	const cookie = async (of: BrowserContext = chromium.browser): Promise<number | undefined> =>
		(await of.cookies())[0]?.expires;

	/** The seconds until the session ends, by the answer of the server. */
	const left = async (): Promise<number> =>
		page.evaluate(async () => {
			const times = (await (await fetch('/_session')).json()) as Record<string, number>;
			return ((times.expires ?? 0) - (times.at ?? 0)) / 1_000;
		});

	/** Lets time pass on the server and in the browser. */
	async function pass(seconds: number): Promise<void> {
		await passTime(seconds, server.url);
		await page.clock.fastForward(seconds * 1_000);
	}

	test('a login leads back to the page asked for, says hello once, and is remembered if it should be', async () => {
		await open('/devices');
		expect(page.url()).toBe(`${server.url}/login?next=/devices`);
		await page.getByLabel('Name').fill('ada');
		await page.getByLabel('Password').fill('wrong');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.getByRole('alert').filter({ hasText: 'Wrong name or password' }).waitFor();
		expect(await cookie()).toBeUndefined();
		await logIn(page, true);
		await page.waitForURL(`${server.url}/devices`);
		await status('Hello, ada.');
		expect(await cookie()).toBeGreaterThan(Date.now() / 1_000 + 29 * DAY);
		await page.reload();
		await page.getByRole('link', { name: 'ada' }).waitFor();
		expect(await page.getByRole('status').count()).toBe(0);
	});

	test('a device that is logged out loses its stream, and its page goes to the login', async () => {
		const devices = page.locator('form[action="?/end"]');
		await open('/devices');
		await elsewhere(async (other) => {
			expect(await cookie(other)).toBe(-1);
			await press('Log out everywhere else');
			await status('All other devices are logged out.');
		});
		await elsewhere(async () => {
			await page.reload();
			expect(await devices.count()).toBe(2);
			expect(await devices.filter({ hasText: '(this device)' }).textContent()).toContain(
				'Chrome on Linux'
			);
			await devices
				.filter({ hasNotText: '(this device)' })
				.getByRole('button', { name: 'Log out this one' })
				.click();
			await status('The device is logged out.');
			expect(await devices.count()).toBe(1);
		});
	});

	test('a page warns before the idle logout, stays logged in on demand, and notices the end', async () => {
		await page.clock.install();
		await open('/account');
		await streams(page);
		const warning = page.getByText(/You will be logged out in \d+ seconds/);
		expect(await left()).toBeGreaterThanOrEqual(3 * DAY);
		await pass((await left()) - 60);
		await warning.waitFor();
		await press('Stay logged in');
		await warning.waitFor({ state: 'detached' });
		expect(await left()).toBeGreaterThan(2 * DAY);
		await pass(4 * DAY);
		await page.waitForURL(`${server.url}/login?next=/account`);
	});

	test('logging out everywhere asks for the password again, and ends the streams of all devices', async () => {
		await logIn();
		await streams(page);
		await pass(601);
		await elsewhere(async () => {
			await page.getByRole('link', { name: 'Devices' }).click();
			await press('Log out everywhere');
			await page.waitForURL(`${server.url}/confirm?next=/devices`);
			await page.getByLabel('Password').fill('wrong');
			await press('Confirm');
			await page.getByRole('alert').filter({ hasText: 'Wrong password' }).waitFor();
			await page.getByLabel('Password').fill('lovelace');
			await press('Confirm');
			await status('Thank you. Please go on.');
			await press('Log out everywhere');
			await page.waitForURL(`${server.url}/`);
			await page.getByRole('link', { name: 'Log in' }).waitFor();
		});
		await page.goBack();
		await page.waitForURL(`${server.url}/login?next=/devices`);
		expect(errors).toEqual([]);
	});
});
