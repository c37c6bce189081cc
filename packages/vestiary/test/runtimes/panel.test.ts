import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { run, serveDev, type Server } from './run.js';

const SHOTS = new URL('../../../../target/screenshots/', import.meta.url).pathname;

/** Text of the panel, and the name under which a handle looks for it. */
const SIGNS = ['__vestiary', 'Sessions of the requests', 'another secret has signed it'];

/** Adds the plugin, as docs/how-to/dev-panel.md says. */
async function addPlugin(folder: string): Promise<void> {
	const file = join(folder, 'vite.config.ts');
	const text = await readFile(file, 'utf8');
	const added = text
		.replace(/^/, "import { vestiary } from 'vestiary/vite';\n")
		.replace(/plugins: \[\s*/, 'plugins: [vestiary(), ');
	await writeFile(file, added);
}

describe.each(NEW_APPS)('$name, with the app of the tutorial and the dev panel', (kit) => {
	let folder: string;
	let chromium: FreshChromium;
	let server: Server;

	beforeAll(async () => {
		folder = await newApp(kit, 'panel');
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
		expect(await detail.textContent()).toContain('userId: "1"');

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

	test('a page of another name is refused', async () => {
		const { port } = new URL(server.url);
		const script = `require('node:http').get({ port: ${port}, host: 'localhost', path: '/__vestiary/log', headers: { host: 'evil.example' } }, (r) => console.log(r.statusCode))`;
		expect((await run(process.execPath, ['-e', script], folder)).trim()).toBe('403');
	});

	test('a build has nothing of it', async () => {
		await run('node_modules/.bin/vite', ['build'], folder, { NODE_ENV: 'production' });
		const built = join(folder, 'build');
		const names = await readdir(built, { recursive: true });
		for (const name of names.filter((one) => /\.(?:js|html|css)$/.test(one))) {
			const text = await readFile(join(built, name), 'utf8');
			for (const sign of SIGNS) expect(text.includes(sign), `${sign} in ${name}`).toBe(false);
		}
	});
});
