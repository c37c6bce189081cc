import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { serveDev, type Server } from './run.js';

/** A live query that does not end with its session, and a page that runs it. */
const LEAK = {
	'src/routes/leak/clock.remote.ts': `import { getRequestEvent, query } from '$app/server';
import { error } from '@sveltejs/kit';

import { ticks } from '../../lib/server/clock';

export const clock = query.live(async function* () {
	if (getRequestEvent().locals.session.userId === undefined) error(401);
	yield* ticks();
});
`,
	'src/routes/leak/+page.svelte': `<script lang="ts">
	import { clock } from './clock.remote';

	const time = clock();
</script>

<p>{time.current}</p>
`
};

describe.each(NEW_APPS)('$name, with the streams of docs/how-to/live-streams.md', (kit) => {
	let chromium: FreshChromium;
	let server: Server;

	beforeAll(async () => {
		const folder = await newApp(kit, 'live-streams');
		for (const page of ['docs/tutorial.md', 'docs/how-to/live-streams.md'])
			await follow(page, folder, kit.name === 'new-kit3' ? 3 : 2);
		for (const [name, text] of Object.entries(LEAK)) {
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

	async function logIn(): Promise<void> {
		const { page } = chromium;
		await page.goto(`${server.url}/login`, { waitUntil: 'networkidle' });
		// At the first visit, Vite bundles the page's imports, and then reloads the page.
		await page.reload({ waitUntil: 'networkidle' });
		await page.getByLabel('Name').fill('ada');
		await page.getByLabel('Password').fill('lovelace');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.getByRole('button', { name: 'Log out' }).waitFor();
	}

	/** The address at which a page runs its live query. */
	async function liveUrl(path: string): Promise<string> {
		const { page } = chromium;
		await page.goto(`${server.url}${path}`);
		const asked = page.waitForRequest((request) => request.url().includes('/remote/'));
		await page.reload();
		const url = (await asked).url();
		await page.getByText(/^\d{4}-\d\d-\d\dT/).waitFor();
		return url;
	}

	/** A stream of the server, from its first data on. */
	async function opened(url: string, cookie: string): Promise<Opened> {
		const headers = { cookie, origin: server.origin, 'x-sveltekit-pathname': '/live' };
		const response = await fetch(url, { headers });
		expect(response.status).toBe(200);
		expect(response.headers.get('content-type')).toContain('text/event-stream');
		const reader = response.body?.getReader();
		if (!reader) throw new Error('the response has no body');
		const { value } = await reader.read();
		expect(new TextDecoder().decode(value)).toMatch(/\d{4}-\d\d-\d\dT/);
		return reader;
	}

	test('streams and live queries end with their session, a plain live query goes on', async () => {
		const { page, browser } = chromium;
		await logIn();
		const [live, leak] = [await liveUrl('/live'), await liveUrl('/leak')];
		const [{ name, value } = { name: '', value: '' }] = await browser.cookies();
		const cookie = `${name}=${value}`;
		const streams = [await opened(`${server.url}/events`, cookie), await opened(live, cookie)];
		const plain = await opened(leak, cookie);

		// A tab of the browser shows the clock, and the visitor logs out in another one.
		await page.goto(`${server.url}/live`);
		await page.getByText(/^\d{4}-\d\d-\d\dT/).waitFor();
		const other = await browser.newPage();
		await other.goto(server.url);
		await other.getByRole('button', { name: 'Log out' }).click();
		await other.getByRole('link', { name: 'Log in' }).waitFor();
		for (const stream of streams) await toTheEnd(stream);
		await page.getByText('You have been logged out.').waitFor();
		await page.getByRole('link', { name: 'Log in' }).waitFor();

		for (let more = 0; more < 3; more++) expect((await plain.read()).done).toBe(false);
		await plain.cancel();
		// A browser that connects again is refused.
		expect((await fetch(`${server.url}/events`, { headers: { cookie } })).status).toBe(401);
		await other.close();
	});
});

type Opened = ReadableStreamDefaultReader<Uint8Array>;

/** Reads a stream to its end. The test fails by its time limit if it has none. */
async function toTheEnd(stream: Opened): Promise<void> {
	while (!(await stream.read()).done);
}
