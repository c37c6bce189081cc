import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { serveDev, type Server } from './run.js';

/** The files that the guide leaves to the reader, and a login whose proof is an hour old. */
const FILES = {
	'src/hooks.server.ts': `import { sveltekitSessionHandle } from 'vestiary';

export const handle = sveltekitSessionHandle({ secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82' });
`,
	'src/routes/early/+server.ts': `export const GET = async ({ locals }) => {
	await locals.session.login('1', { provenAt: new Date(Date.now() - 3_600_000) });
	return new Response('logged in');
};
`,
	'src/routes/ask/email.remote.ts': `import { query } from '$app/server';

import { requireFresh } from '../../lib/server/auth';
import { emails } from '../../lib/server/users';

export const email = query(async () => 'address: ' + emails.get(requireFresh()));
`,
	'src/routes/ask/+page.svelte': `<script>
	import { email } from './email.remote';

	const ask = (query) => (query.run ? query.run() : query).then(() => {}, () => {});
</script>

<button onclick={() => ask(email())}>ask</button>
`,
	'src/routes/+layout.svelte': '<script>let { children } = $props();</script>{@render children()}'
};

/** SvelteKit 2 has the guard of docs/how-to/protect-pages.md in its own test. */
const APPS = NEW_APPS.filter(({ name }) => name === 'new-kit3');

describe.each(APPS)('$name, with the pages of docs/how-to/confirm.md', (kit) => {
	let chromium: FreshChromium;
	let server: Server;

	beforeAll(async () => {
		const folder = await newApp(kit, 'confirm');
		await follow('docs/how-to/confirm.md', folder, 3);
		for (const [name, text] of Object.entries(FILES)) {
			await mkdir(dirname(join(folder, name)), { recursive: true });
			await writeFile(join(folder, name), text);
		}
		chromium = await freshChromium();
		server = await serveDev(folder);
	});
	afterAll(async () => {
		await chromium.close();
		await server.stop();
	});

	test('a user is asked for the password again, comes back, and changes the address', async () => {
		const { page } = chromium;
		const go = async (path: string): Promise<string> => {
			await page.goto(server.url + path, { waitUntil: 'networkidle' });
			// At the first visit, Vite bundles the page's imports, and then reloads the page.
			await page.reload({ waitUntil: 'networkidle' });
			const { pathname, search } = new URL(page.url());
			return pathname + decodeURIComponent(search);
		};
		const confirm = async (password: string): Promise<void> => {
			await page.getByLabel('Password').fill(password);
			await page.getByRole('button', { name: 'Confirm' }).click();
		};
		const post = async (): Promise<number> => {
			await page.request.get(`${server.url}/early`);
			const posted = await page.request.post(`${server.url}/settings`, {
				form: { email: 'eve@evil.example' },
				headers: { origin: server.origin, accept: 'text/html' },
				maxRedirects: 0
			});
			expect(posted.headers().location).toMatch(/^\/confirm\?next=/);
			return posted.status();
		};

		expect(await go('/settings')).toBe('/login?next=/settings');
		await go('/early');
		expect(await go('/settings')).toBe('/confirm?next=/settings');
		await confirm('wrong');
		await page.getByRole('alert').waitFor();
		await confirm('lovelace');
		await page.getByLabel('Address for invoices').waitFor();
		expect(await go('/settings')).toBe('/settings');
		await page.getByLabel('Address for invoices').fill('ada@example.com');
		await page.getByRole('button', { name: 'Save' }).click();
		await page.getByRole('status').waitFor();

		// Anyone can call the action, without the page.
		expect(await post()).toBe(303);
		expect(await go('/settings')).toBe('/confirm?next=/settings');
		await confirm('lovelace');
		await page.getByLabel('Address for invoices').waitFor();
		expect(await page.getByLabel('Address for invoices').inputValue()).toBe('ada@example.com');
	});

	test('a remote function sends a user whose proof is too old to the page that asks', async () => {
		const { page } = chromium;
		const ask = async (): Promise<string> => {
			await page.goto(`${server.url}/ask`, { waitUntil: 'networkidle' });
			await page.reload({ waitUntil: 'networkidle' });
			const answered = page.waitForResponse((response) =>
				response.url().includes('/remote/')
			);
			await page.getByRole('button', { name: 'ask' }).click();
			return (await answered).text();
		};
		await page.goto(`${server.url}/login`, { waitUntil: 'networkidle' });
		await page.getByLabel('Name').fill('ada');
		await page.getByLabel('Password').fill('lovelace');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.waitForURL(`${server.url}/`);
		expect(await ask()).toContain('address: ada@example.com');
		await page.request.get(`${server.url}/early`);
		const refused = await ask();
		expect(refused).not.toContain('address');
		expect(refused).toContain('/confirm');
	});
});
