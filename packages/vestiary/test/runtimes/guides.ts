import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** Guides that are followed together in the app of the tutorial, and the clicks that try them. */
export interface Guides {
	/** Names of pages in docs/how-to. They read the environment as SvelteKit 2 does. */
	readonly pages: readonly string[];
	readonly clicks: (page: Page, url: string) => Promise<void>;
}

/** Later ones replace files of earlier ones. */
export const GUIDES: readonly Guides[] = [
	{
		pages: ['protect-pages', 'roles', 'flash-messages', 'one-time-values', 'idle-warning'],
		clicks: async (page, url) => {
			await page.clock.install();
			await page.goto(`${url}/admin`);
			await logIn(page);
			// The login leads back to the page that was asked for.
			await page.getByText('User 1 is an administrator.').waitFor();

			await page.goto(`${url}/todos`);
			await page.getByRole('button', { name: 'Add' }).click();
			await page.getByText('Saved.').waitFor();
			await page.reload({ waitUntil: 'networkidle' });
			expect(await page.getByText('Saved.').count()).toBe(0);
			await withoutJavaScript(page, async (plain) => {
				await plain.goto(`${url}/todos`);
				await plain.getByRole('button', { name: 'Add' }).click();
				await plain.getByText('Saved.').waitFor();
				await plain.reload();
				expect(await plain.getByText('Saved.').count()).toBe(0);
			});
			await answerOnce(page, `${url}/challenge`);

			const left = await page.evaluate(
				async () => ((await (await fetch('/session-end')).json()) as { left: number }).left
			);
			expect(left).toBeGreaterThan(890_000);
			expect(left).toBeLessThanOrEqual(990_000);
			// The browser's clock can be moved, the server's not, so its answers are made up.
			await page.route('**/session-end', async (route) =>
				route.fulfill({ json: { left: 60_000 } })
			);
			await page.clock.fastForward('00:31');
			const stay = page.getByRole('button', { name: 'Stay logged in' });
			await stay.waitFor();
			await page.unroute('**/session-end');
			await stay.click();
			await page.getByRole('alert').waitFor({ state: 'detached' });
			await page.route('**/session-end', async (route) =>
				route.fulfill({ json: { left: null } })
			);
			await page.clock.fastForward('00:31');
			await page.waitForURL(`${url}/login`);

			// Only the clock of the browser was moved. A page that learned of the end, as from a true answer that comes while
			// the visitor logs out, would leave for the login, and Back would lead there.
			await page.route('**/session-end', async (route) =>
				route.fulfill({ json: { left: 600_000 } })
			);
			await page.goto(`${url}/admin`);
			await page.getByText('User 1 is an administrator.').waitFor();
			await page.getByRole('button', { name: 'Log out' }).click();
			await page.getByRole('link', { name: 'Log in' }).waitFor();
			await page.goBack();
			await page.waitForURL(`${url}/login?next=/admin`);
		}
	},
	{
		pages: ['remember-me'],
		clicks: async (page, url) => {
			const expires = async (): Promise<number> =>
				(await page.context().cookies())[0]?.expires ?? 0;
			await page.goto(`${url}/login`);
			await logIn(page);
			await page.getByRole('link', { name: 'Account' }).waitFor();
			expect(await expires()).toBe(-1);
			await page.getByRole('button', { name: 'Log out' }).click();
			await page.goto(`${url}/login`);
			await page.getByLabel('Remember me').check();
			await logIn(page);
			await page.getByRole('link', { name: 'Account' }).waitFor();
			expect(await expires()).toBeGreaterThan(Date.now() / 1000 + 29 * 86_400);
			// The next guide lists the user's sessions, in the same store.
			await page.getByRole('button', { name: 'Log out' }).click();
			await page.getByRole('link', { name: 'Log in' }).waitFor();
		}
	},
	{
		pages: ['devices'],
		clicks: async (page, url) => {
			await logInElsewhere(page, url);
			await logInElsewhere(page, url);
			await page.goto(`${url}/login`);
			await logIn(page);
			const devices = page.locator('form[action="?/end"]');
			const mine = devices.filter({ hasText: '(this device)' });
			// The page may still be loading when its first device is there.
			const count = async (expected: number): Promise<void> =>
				expect.poll(async () => devices.count(), { timeout: 30_000 }).toBe(expected);
			await mine.waitFor();
			// Their browser, and the network of this machine.
			expect(await mine.textContent()).toMatch(
				/Chrome on Linux\s+\(this device\)\s+from (127\.0\.0\.0\/24|::\/48),/
			);
			await count(3);
			const other = devices.filter({ hasNotText: '(this device)' }).first();
			await other.getByRole('button').click();
			await page.waitForURL(`${url}/devices?/end`);
			await count(2);
			await page.getByRole('button', { name: 'Log out everywhere else' }).click();
			await page.waitForURL(`${url}/devices?/endOthers`);
			await count(1);
			await mine.getByRole('button').click();
			await page.waitForURL(`${url}/login`);
		}
	},
	{
		pages: ['limit-devices'],
		clicks: async (page, url) => {
			await logInElsewhere(page, url);
			await logInElsewhere(page, url);
			for (const refused of [false, true]) {
				// Without JavaScript, in a browser that has no session.
				await withoutJavaScript(page, async (plain) => {
					await plain.goto(`${url}/login`);
					await logIn(plain);
					await plain.getByText('Which one do you want to log out?').waitFor();
					expect(await plain.getByRole('radio').count()).toBe(2);
					expect(await plain.context().cookies()).toEqual([]);
					if (refused) return;
					await plain.getByRole('radio').first().check();
					await logIn(plain);
					await plain.getByText('(this device)').waitFor();
					expect(await plain.locator('form[action="?/end"]').count()).toBe(2);
				});
			}
			await page.goto(`${url}/login`, { waitUntil: 'networkidle' });
			await logIn(page);
			await page.getByRole('radio').last().check();
			// The form has kept the password.
			await page.getByRole('button', { name: 'Log in' }).click();
			await page.getByText('(this device)').waitFor();
			// A login of the same browser needs no other place.
			await page.goto(`${url}/login`, { waitUntil: 'networkidle' });
			await logIn(page);
			await page.getByText('(this device)').waitFor();
			await page.getByRole('button', { name: 'Log out everywhere', exact: true }).click();
			await page.waitForURL(`${url}/login`);
		}
	}
];

/** Each device has cookies of its own. Were those of one browser cleared, a late response could set one again. */
async function logInElsewhere(page: Page, url: string): Promise<void> {
	const context = await page.context().browser()?.newContext();
	const other = await context?.newPage();
	if (!other) throw new Error('the page has no browser');
	await other.goto(`${url}/login`);
	await logIn(other);
	await other.getByText('(this device)').waitFor();
	await context?.close();
}

async function logIn(page: Page): Promise<void> {
	await page.getByLabel('Name').fill('ada');
	await page.getByLabel('Password').fill('lovelace');
	await page.getByRole('button', { name: 'Log in' }).click();
}

/** Runs the clicks of a visitor whose browser runs no scripts. */
async function withoutJavaScript(
	page: Page,
	clicks: (plain: Page) => Promise<void>
): Promise<void> {
	const context = await page.context().browser()?.newContext({ javaScriptEnabled: false });
	if (!context) throw new Error('the page has no browser');
	await clicks(await context.newPage());
	await context.close();
}

/** Sends the same answer to a challenge several times at once: one of them is accepted. */
async function answerOnce(page: Page, url: string): Promise<void> {
	const { request } = page.context();
	const { challenge } = (await (await request.get(url)).json()) as { challenge: string };
	const answered = await Promise.all(
		[1, 2, 3].map(async () => request.post(url, { data: { answer: challenge } }))
	);
	expect(answered.map((answer) => answer.status()).sort()).toEqual([200, 409, 409]);
}
