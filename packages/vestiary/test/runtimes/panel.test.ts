import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { addPlugin, expectNoPanel } from './panel-plugin.js';
import { run, serveDev, type Server } from './run.js';

const SHOTS = new URL('../../../../target/screenshots/', import.meta.url).pathname;

describe.each(NEW_APPS)('$name, with the app of the tutorial and the dev panel', (kit) => {
	let folder: string;
	let chromium: FreshChromium;
	let server: Server;

	beforeAll(async () => {
		const packages = { ...kit.packages, '@vitejs/devtools': '0.8.0' };
		folder = await newApp({ ...kit, packages }, 'panel');
		await follow('docs/tutorial.md', folder, kit.name === 'new-kit3' ? 3 : 2);
		await addPlugin(folder);
		chromium = await freshChromium();
		server = await serveDev(folder);
	});
	afterAll(async () => {
		await chromium.close();
		await server.stop();
	});

	test('shows the login of a visitor, and why a forged cookie is none', async () => {
		const { page } = chromium;
		await page.goto(`${server.url}/login`, { waitUntil: 'networkidle' });
		// At the first visit, Vite bundles the page's imports, and then reloads the page.
		await page.reload({ waitUntil: 'networkidle' });
		await page.getByLabel('Name').fill('ada');
		await page.getByLabel('Password').fill('lovelace');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.waitForURL(`${server.url}/`);
		const panel = await page.context().newPage();
		const problems: string[] = [];
		panel.on('pageerror', (error) => problems.push(String(error)));
		panel.on('console', (message) => {
			if (message.type() === 'error') problems.push(message.text());
		});
		await panel.setViewportSize({ width: 1280, height: 860 });
		await panel.goto(`${server.url}/__vestiary`);
		await panel
			.getByRole('button', { name: /POST \/login/ })
			.first()
			.click();
		const detail = panel.locator('#detail');
		await detail.getByText('A new session was stored.').first().waitFor();
		await detail
			.getByText(/^(?:login|save)\(\)$/)
			.first()
			.waitFor();
		await detail
			.getByText(/HttpOnly/)
			.first()
			.waitFor();
		expect(await detail.textContent()).toMatch(/User\s*1/);

		await mkdir(SHOTS, { recursive: true });
		for (const colorScheme of ['light', 'dark'] as const) {
			await panel.emulateMedia({ colorScheme });
			await panel.screenshot({
				path: join(SHOTS, `dev-panel-${kit.name}-${colorScheme}.png`)
			});
		}

		// It follows the app by itself.
		const [cookie] = await page.context().cookies();
		await fetch(`${server.url}/account`, {
			headers: { cookie: `${cookie?.name}=${cookie?.value}x` }
		});
		const forged = panel.getByRole('button', { name: /GET \/account rejected/ });
		await forged.click();
		await detail.getByText('The cookie is forged').waitFor();
		const log = await (await fetch(`${server.url}/__vestiary/log`)).text();
		expect(log.includes(cookie?.value ?? '-')).toBe(false);
		expect(problems).toEqual([]);
	});

	test('has buttons for the session of a request, and its timeline', async () => {
		const { page } = chromium;
		await page.goto(`${server.url}/login`, { waitUntil: 'networkidle' });
		await page.getByLabel('Name').fill('ada');
		await page.getByLabel('Password').fill('lovelace');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.waitForURL(`${server.url}/`);
		const panel = await page.context().newPage();
		await panel.setViewportSize({ width: 1280, height: 1500 });
		await panel.goto(`${server.url}/__vestiary`);
		const press = async (name: string, answer: string): Promise<void> => {
			await panel.getByRole('button', { name }).click();
			await panel.getByRole('status').getByText(answer).waitFor();
		};
		await panel
			.getByRole('button', { name: /POST \/login/ })
			.first()
			.click();

		const opening = page.context().waitForEvent('page');
		await press('Steal this cookie', 'in another browser now');
		const second = await opening;
		await second.waitForURL(/second-browser\.localhost:\d+\/$/);
		await second.goto(new URL('/account', second.url()).href);
		await second.getByText('You are user 1').waitFor();
		await second.close();

		await press('Make a conflict', 'meets another write');
		await page.goto(`${server.url}/account`);
		await panel.getByText('The panel has written the session').first().waitFor();
		const times = panel.locator('.times li');
		await times.getByText('GET /account').first().waitFor();
		for (const colorScheme of ['light', 'dark'] as const) {
			await panel.emulateMedia({ colorScheme });
			await panel.screenshot({
				path: join(SHOTS, `dev-panel-session-${kit.name}-${colorScheme}.png`)
			});
		}

		await press('Log out', 'The session has ended');
		await page.goto(`${server.url}/account`);
		await page.waitForURL(/\/login/);
		await panel.close();
	});

	test('a page of another name is refused', async () => {
		const { port } = new URL(server.url);
		const script = `require('node:http').get({ port: ${port}, host: 'localhost', path: '/__vestiary/log', headers: { host: 'evil.example' } }, (r) => console.log(r.statusCode))`;
		expect((await run(process.execPath, ['-e', script], folder)).trim()).toBe('403');
	});

	test('a build has nothing of it', async () => {
		await run('node_modules/.bin/vite', ['build'], folder, { NODE_ENV: 'production' });
		await expectNoPanel(join(folder, 'build'));
	});

	test('is a dock of Vite DevTools', async () => {
		const config = join(folder, 'vite.config.ts');
		const text = await readFile(config, 'utf8');
		const tools = "import { DevTools } from '@vitejs/devtools';\n";
		// Without the code that it prints for each new browser.
		const added = text.replace('[vestiary()', '[DevTools({ clientAuth: false }), vestiary()');
		await writeFile(config, `${tools}${added}`);
		const other = await serveDev(folder);
		try {
			const { page } = chromium;
			await page.goto(`${other.url}/__devtools/`);
			await page.getByRole('button', { name: 'Vestiary' }).click();
			const panel = page.frameLocator('iframe[src*="__vestiary"]');
			await panel.getByRole('button', { name: 'GET /api/nonce' }).first().waitFor();
		} finally {
			await other.stop();
			await writeFile(config, text);
		}
	});
});
