import { createHmac } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { serveDev, type Server } from './run.js';

const SECRET = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';

const WALL = `import { redirect, type RequestEvent } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle, type Session, type SessionHandle } from 'vestiary';

declare global {
	namespace App {
		interface Locals {
			down: Session;
		}
	}
}

const session = sveltekitSessionHandle({ secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82' });

const wall: SessionHandle = async ({ event, resolve }) => {
	const isPrivate = event.url.pathname.startsWith('/account');
	if (isPrivate && !event.locals.session.userId) redirect(303, '/login');
	return resolve(event);
};

/** A second session, whose store is down. */
const fail = async () => {
	throw new Error('down');
};
const down = sveltekitSessionHandle({
	name: 'down',
	as: 'down',
	secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82',
	store: { get: fail, set: fail, destroy: fail, touch: fail },
	skip: ({ url }) => url.pathname !== '/down'
});

export const handle = sequence(session, down, wall);

export const handleError = ({ event: { locals, url } }: { event: RequestEvent }) => {
	if (url.pathname !== '/down') return undefined;
	const { isUnavailable, isNew } = locals.down;
	return { message: JSON.stringify([isUnavailable, isNew, locals.session.isUnavailable]) };
};
`;

/** An app with a hook that guards paths, and the requests that it does not stop. */
const FILES = {
	'src/hooks.server.ts': WALL,
	'src/routes/account/walled.remote.ts': `import { query } from '$app/server';

export const walled = query(async () => 'only the wall');
`,
	'src/routes/account/ask/+page.svelte': `<script>
	import { orders } from '../orders.remote';
	import { walled } from '../walled.remote';

	const ask = (query) => (query.run ? query.run() : query).then(() => {});
</script>

<button onclick={() => ask(walled())}>walled</button>
<button onclick={() => ask(orders())}>guarded</button>
`,
	'src/routes/account/static/+page.svelte': '<p>private text</p>',
	'src/routes/+page.svelte': `<a href="/account/static">without load</a>
<a href="/account">with load</a>
`,
	// The link to the account is there once.
	'src/routes/+layout.svelte': '<script>let { children } = $props();</script>{@render children()}'
};

describe.each(NEW_APPS)(
	'$name, with a wall by path and the guard of docs/how-to/protect-pages.md',
	(kit) => {
		let chromium: FreshChromium;
		let server: Server;

		beforeAll(async () => {
			const folder = await newApp(kit, 'guard');
			for (const page of ['docs/tutorial.md', 'docs/how-to/protect-pages.md'])
				await follow(page, folder, kit.name === 'new-kit3' ? 3 : 2);
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

		test('a logged-out client that names a public page passes the wall, and not the guard', async () => {
			const { browser, page } = chromium;
			await page.goto(`${server.url}/login`, { waitUntil: 'networkidle' });
			await page.getByLabel('Name').fill('ada');
			await page.getByLabel('Password').fill('lovelace');
			await page.getByRole('button', { name: 'Log in' }).click();
			await page.getByRole('link', { name: 'with load' }).waitFor();
			await page.goto(`${server.url}/account/ask`, { waitUntil: 'networkidle' });
			// At the first visit, Vite bundles the page's imports, and then reloads the page.
			await page.reload({ waitUntil: 'networkidle' });
			const press = async (name: string): Promise<{ url: string; text: string }> => {
				const answered = page.waitForResponse((response) =>
					response.url().includes('/remote/')
				);
				await page.getByRole('button', { name }).click();
				const response = await answered;
				return { url: response.url(), text: await response.text() };
			};
			const walled = await press('walled');
			const guarded = await press('guarded');
			expect(walled.text).toContain('only the wall');
			expect(guarded.text).toContain('the first order of user 1');
			await browser.clearCookies();

			const ask = async (url: string, pathname: string): Promise<string> => {
				const headers = { origin: server.origin, 'x-sveltekit-pathname': pathname };
				return (await fetch(url, { headers, redirect: 'manual' })).text();
			};
			expect(await ask(walled.url, '/account/ask')).not.toContain('only the wall');
			expect(await ask(walled.url, '/')).toContain('only the wall');
			for (const pathname of ['/account/ask', '/', '/login']) {
				const text = await ask(guarded.url, pathname);
				expect(text).not.toContain('order');
				expect(text).toContain('/login');
			}
		});

		test('while the store is down, handleError has a session that says so', async () => {
			const id = 'an-id-that-was-signed-by-this-app';
			const mac = createHmac('sha256', SECRET).update(id).digest('base64');
			const cookie = `down=${encodeURIComponent(`${id}.${mac.replace(/=+$/, '')}`)}`;
			const headers = { cookie, accept: 'application/json' };
			const response = await fetch(`${server.url}/down`, { headers });
			expect(response.status).toBe(500);
			expect(response.headers.getSetCookie()).toEqual([]);
			expect(await response.json()).toMatchObject({
				message: '[true,true,false]'
			});
		});

		test('a link leads past the wall to a page without load, and not past the guard', async () => {
			const { browser, page } = chromium;
			await browser.clearCookies();
			await page.goto(server.url, { waitUntil: 'networkidle' });
			await page.getByRole('link', { name: 'without load' }).click();
			await page.getByText('private text').waitFor();
			await page.goto(server.url, { waitUntil: 'networkidle' });
			await page.getByRole('link', { name: 'with load' }).click();
			await page.getByRole('button', { name: 'Log in' }).waitFor();
			expect(new URL(page.url()).pathname).toBe('/login');
		});
	}
);
