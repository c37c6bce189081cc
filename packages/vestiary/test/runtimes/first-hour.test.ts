import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { GUIDES } from './guides.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { run, serveBuilt, serveDev } from './run.js';

let chromium: FreshChromium;

beforeAll(async () => {
	chromium = await freshChromium();
});
afterAll(() => chromium.close());

/** The store of docs/how-to/write-a-store.md, and the same for atomic operations. */
const SUITES = `import { describe, test } from 'vitest';
import { MemoryStore } from 'vestiary';
import { testAtomicStore, testStore } from 'vestiary/testing';

const options = { runner: { describe, test }, shortestTtl: 300 };
testStore('my store', () => new MemoryStore(), options);
testAtomicStore('my atomic store', () => new MemoryStore(), options);
`;

/** Fills in the login form, and logs in. */
async function logIn(page: Page, fields: Record<string, string>): Promise<void> {
	for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(value);
	await page.getByRole('button', { name: 'Log in' }).click();
}

/** The name of the session cookie, if the browser has one. */
async function cookies(): Promise<string[]> {
	return (await chromium.browser.cookies()).map(({ name }) => name);
}

const check = async (folder: string): Promise<void> => {
	await run('node_modules/.bin/svelte-kit', ['sync'], folder);
	await run('node_modules/.bin/svelte-check', ['--tsconfig', './tsconfig.json'], folder);
};

describe.each(NEW_APPS)('$name, made as the page says', (kit) => {
	const version = kit.name === 'new-kit3' ? 3 : 2;
	let folder: string;

	describe('README.md, and the login page of docs/how-to/log-in.md', () => {
		beforeAll(async () => {
			folder = await newApp(kit, 'first-hour');
			const files = await follow('README.md', folder, version);
			expect(files).toContain('src/hooks.server.ts');
			const login = await follow('docs/how-to/log-in.md', folder, version);
			expect(login).toContain('src/routes/login/+page.svelte');
		});

		test('compiles', () => check(folder));

		test('its vitest, which demands assertions, runs the suites for stores', async () => {
			const vitest = async (text: string): Promise<string> => {
				await writeFile(join(folder, 'src/store.test.ts'), text);
				const args = ['run', '--reporter=verbose'];
				return run('node_modules/.bin/vitest', args, folder, { NO_COLOR: '1' });
			};
			await follow('docs/how-to/test-your-app.md', folder, version);
			const passed = await vitest(SUITES);
			expect(passed).toContain('keeps the cart of a user');
			expect(passed).toContain('forgets an idle user');
			expect(passed).toContain('my store is a store > returns the stored record');
			expect(passed).toContain(
				'my atomic store is an atomic store > creates a record only once'
			);
			const nothing = "import { test } from 'vitest';\ntest('nothing', () => undefined);\n";
			await expect(vitest(nothing)).rejects.toThrow('expected any number of assertion');
		});

		test.each([
			['vite dev', serveDev],
			['vite build', serveBuilt]
		])('%s: logs in and out in Chromium', async (_, start) => {
			const server = await start(folder);
			try {
				const { page, browser } = chromium;
				await browser.clearCookies();
				await page.goto(`${server.url}/login`);
				expect(await cookies()).toEqual([]);
				await logIn(page, { Name: 'ada' });
				await page.getByText('Logged in as ada.').waitFor();
				expect(await cookies()).toEqual(['connect.sid']);
				await page.reload();
				await page.getByText('Logged in as ada.').waitFor();
				await page.getByRole('button', { name: 'Log out' }).click();
				await page.getByLabel('Name').waitFor();
				expect(await cookies()).toEqual([]);
			} finally {
				await server.stop();
			}
		});
	});

	describe('docs/tutorial.md', () => {
		beforeAll(async () => {
			folder = await newApp(kit, 'first-hour');
			const files = await follow('docs/tutorial.md', folder, version);
			expect(files).toContain('src/routes/account/+page.server.ts');
			expect(files.includes('src/env.ts')).toBe(version === 3);
		});

		test('compiles', () => check(folder));

		test.each([
			['vite dev', serveDev],
			['vite build', serveBuilt]
		])('%s: logs in and out in Chromium', async (name, start) => {
			let server = await start(folder);
			try {
				const { page, browser } = chromium;
				await browser.clearCookies();
				await page.goto(`${server.url}/account`);
				expect(new URL(page.url()).pathname).toBe('/login');
				await logIn(page, { Name: 'ada', Password: 'wrong' });
				await page.getByText('Wrong name or password').waitFor();
				expect(await cookies()).toEqual([]);
				await logIn(page, { Name: 'ada', Password: 'lovelace' });
				await page.getByRole('link', { name: 'Account' }).click();
				await page.getByText('You are user 1.').waitFor();
				if (name === 'vite dev') {
					await server.stop();
					server = await start(folder);
					await page.goto(`${server.url}/account`);
					await page.getByText('You are user 1.').waitFor();
				}
				await page.getByRole('button', { name: 'Log out' }).click();
				await page.getByRole('link', { name: 'Log in' }).waitFor();
				expect(await cookies()).toEqual([]);
			} finally {
				await server.stop();
			}
		});

		// After the others: it replaces files of the tutorial.
		if (version === 2)
			test('the guides run in its app, and compile', async () => {
				for (const { pages, clicks } of GUIDES) {
					for (const page of pages)
						expect(await follow(`docs/how-to/${page}.md`, folder, 2)).not.toEqual([]);
					const server = await serveDev(folder);
					await chromium.browser.clearCookies();
					const page = await chromium.browser.newPage();
					try {
						await clicks(page, server.url);
					} finally {
						await page.close();
						await server.stop();
					}
				}
				await check(folder);
			});
	});
});
