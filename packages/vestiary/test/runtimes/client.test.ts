import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

import type { BrowserContext, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { freePort, run, serveBuilt, serveDev, startBuilt, type Server } from './run.js';

/** A page whose button runs the load functions again. */
const LATE = `<script>
	import { invalidateAll } from '$app/navigation';
</script>

<button onclick={() => invalidateAll()}>Again</button>
`;

/** A page that asks for a session which no load function returns. */
const FORGOTTEN = `<script>
	import { useSession } from 'vestiary/client';

	const session = useSession({ as: 'visitor' });
</script>

{session.signedIn}
`;

/** The layout of an app that does not use the client. */
const WITHOUT = `<script>
	let { children, data } = $props();
</script>

{#if data.session.signedIn}{data.session.data?.name}{/if}
{@render children()}
`;

/** Code of the client, by which a bundle shows that it has it. */
const SIGNS = ['x-vestiary', 'BroadcastChannel', 'EventSource'];

/** A part of the hint in development that a page has no session. */
const HINT = 'useSession() finds no session';

/** A server that waits at its stop for as long as a response is open, so that one which does not end shows. */
const PATIENT = { SHUTDOWN_TIMEOUT: '3600' };

/** The scripts that Vite has built for the browser. */
async function scripts(folder: string): Promise<string> {
	const built = join(folder, 'build/client/_app');
	const names = await readdir(built, { recursive: true });
	const texts = names
		.filter((name) => name.endsWith('.js'))
		.map(async (name) => readFile(join(built, name), 'utf8'));
	return (await Promise.all(texts)).join('\n');
}

describe.each(NEW_APPS)('$name, with the app of docs/how-to/session-in-the-browser.md', (kit) => {
	const version = kit.name === 'new-kit3' ? 3 : 2;
	let folder: string;
	let chromium: FreshChromium;
	let profile: BrowserContext;
	let server: Server;
	let port: number;
	/** The size of the scripts of the app with the client, compressed. */
	let withClient = 0;

	beforeAll(async () => {
		folder = await newApp(kit, 'client');
		await follow('docs/tutorial.md', folder, version);
		await follow('docs/how-to/session-in-the-browser.md', folder, version);
		if (version === 3) {
			const file = join(folder, 'src/lib/server/session.ts');
			const text = await readFile(file, 'utf8');
			const other = text
				.replace('{ env }', '{ SESSION_SECRET }')
				.replace('$env/dynamic/private', '$app/env/private')
				.replace("env.SESSION_SECRET ?? ''", 'SESSION_SECRET');
			await writeFile(file, other);
		}
		for (const [name, text] of Object.entries({ late: LATE, forgotten: FORGOTTEN })) {
			const file = join(folder, `src/routes/${name}/+page.svelte`);
			await mkdir(dirname(file), { recursive: true });
			await writeFile(file, text);
		}
		chromium = await freshChromium();
		const browser = chromium.browser.browser();
		if (!browser) throw new Error('the profile has no browser');
		profile = chromium.browser;
		port = await freePort();
		server = await serveBuilt(folder, port, PATIENT);
	});
	afterAll(async () => {
		await chromium.close();
		await server.stop();
	});

	/** Another browser. */
	async function otherProfile(): Promise<BrowserContext> {
		const context = await profile.browser()?.newContext();
		if (!context) throw new Error('the profile has no browser');
		return context;
	}

	/** A tab at a page, with all that it says about the visitor until the end of the test. */
	async function tab(context = profile, path = '/'): Promise<Page> {
		const page = await context.newPage();
		await page.goto(server.url + path);
		return page;
	}

	async function logIn(page: Page, name = 'ada'): Promise<void> {
		await page.goto(`${server.url}/login`);
		await page.getByLabel('Name').fill(name);
		await page.getByLabel('Password').fill('any');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.getByRole('link', { name }).waitFor();
	}

	const out = async (page: Page): Promise<void> =>
		page.getByRole('link', { name: 'Log in' }).waitFor();

	test('compiles', async () => {
		await run('node_modules/.bin/svelte-kit', ['sync'], folder);
		await run('node_modules/.bin/svelte-check', ['--tsconfig', './tsconfig.json'], folder);
	});

	test('a login shows in all tabs, and a logout everywhere in those of every browser', async () => {
		const tabs = [await tab(), await tab(), await tab()];
		const [one, two, three] = tabs as [Page, Page, Page];
		for (const page of tabs) await out(page);
		await logIn(one);
		for (const page of [two, three]) await page.getByRole('link', { name: 'ada' }).waitFor();

		// Another visitor is left alone, and other devices of the user learn of it by the server.
		const [theirs, mine] = [await otherProfile(), await otherProfile()];
		const [stranger, phone] = [await tab(theirs), await tab(mine)];
		await logIn(stranger, 'bea');
		await logIn(phone);
		// It opens its stream when it is ready.
		await three.goto(`${server.url}/account`);
		await three.getByText('You are user ada.').waitFor();
		await two.getByRole('button', { name: 'Log out everywhere' }).click();
		for (const page of [...tabs, phone]) await out(page);
		await three.waitForURL(`${server.url}/login`);
		expect(await stranger.getByRole('link', { name: 'bea' }).count()).toBe(1);
		await stranger.reload();
		await stranger.getByRole('link', { name: 'bea' }).waitFor();

		// A login again, while the tabs still know of the last session.
		await logIn(two);
		for (const page of [one, three]) await page.getByRole('link', { name: 'ada' }).waitFor();
		await two.getByRole('button', { name: 'Log out', exact: true }).click();
		for (const page of tabs) await out(page);
		for (const page of tabs) await page.close();
		for (const context of [theirs, mine]) await context.close();
	});

	test('a change of public data shows in the other tabs, and then all is quiet', async () => {
		const [one, other] = [await tab(), await tab()];
		await logIn(one);
		await other.getByRole('link', { name: 'ada' }).waitFor();
		await one.goto(`${server.url}/cart`, { waitUntil: 'networkidle' });
		await one.getByRole('button', { name: 'Buy a hat' }).click();
		for (const page of [one, other]) await page.getByText('Cart: 1').waitFor();
		await one.getByRole('button', { name: 'Buy a hat' }).click();
		for (const page of [one, other]) await page.getByText('Cart: 2').waitFor();
		const requests: string[] = [];
		for (const page of [one, other])
			page.on('request', (request) => requests.push(request.url()));
		for (const page of [one, other]) await page.waitForTimeout(500);
		expect(requests).toEqual([]);
		await one.getByRole('button', { name: 'Log out', exact: true }).click();
		await out(other);
		for (const page of [one, other]) await page.close();
	});

	test('a page shows the right session from the first paint on, also without JavaScript', async () => {
		const page = await tab();
		await logIn(page);
		const shown = await observed(page);
		await page.goto(server.url, { waitUntil: 'networkidle' });
		expect(await shown()).toEqual(['ada']);

		const [cookie] = await profile.cookies();
		const { headers, html } = await fetched(`${cookie?.name}=${cookie?.value}`);
		expect(html).toContain('>ada</a>');
		expect(headers.get('cache-control')).toContain('no-store');
		const anonymous = await fetched();
		expect(anonymous.html).toContain('>Log in</a>');
		expect(anonymous.headers.get('vary')).toMatch(/cookie/i);

		const context = await profile.browser()?.newContext({ javaScriptEnabled: false });
		const plain = await context?.newPage();
		if (!context || !plain) throw new Error('the profile has no browser');
		await logIn(plain);
		await plain.getByRole('button', { name: 'Log out', exact: true }).click();
		await out(plain);
		await context.close();
		await page.getByRole('button', { name: 'Log out', exact: true }).click();
		await out(page);
		await page.close();
	});

	async function fetched(cookie?: string): Promise<{ headers: Headers; html: string }> {
		const response = await fetch(server.url, { headers: cookie ? { cookie } : {} });
		return { headers: response.headers, html: await response.text() };
	}

	test.each([
		['the load functions', '/late', 'Again', 'button'],
		['a navigation', '/', 'ada', 'link']
	] as const)(
		'a late response to %s does not bring the last session back',
		async (_, path, name, role) => {
			const [page, other] = [await tab(profile, path), await tab()];
			await logIn(other);
			await page.getByRole('link', { name: 'ada' }).waitFor();
			await page.waitForLoadState('networkidle');
			// The server answers it before the logout, and the browser gets the answer after it.
			const held = await holdNext(page);
			await page.getByRole(role, { name, exact: true }).click();
			await held.answered;
			await other.getByRole('button', { name: 'Log out', exact: true }).click();
			await out(other);
			await out(page);
			const shown = await observed(page, false);
			await held.release();
			await page.waitForLoadState('networkidle');
			if (role === 'link') await page.waitForURL(`${server.url}/login`);
			expect(await shown()).toEqual(['Log in']);
			for (const one of [page, other]) await one.close();
		}
	);

	test('warns before the session expires, extends it, and is out when it has expired', async () => {
		const page = await profile.newPage();
		await page.clock.install();
		await logIn(page);
		const warning = page.getByText(/You will be logged out in \d+ seconds/);
		const key = await page.evaluate(async () => {
			const response = await fetch('/_session');
			const { key: of, at, expires } = (await response.json()) as Record<string, number>;
			return { of, left: (expires ?? 0) - (at ?? 0) };
		});
		expect(key.left).toBeGreaterThan(800_000);
		// The browser's clock can be moved, the server's not, so its answers are made up.
		const answers = async (answer: object): Promise<void> => {
			await page.route('**/_session', async (route) => {
				if (route.request().method() === 'POST') await route.continue();
				else await route.fulfill({ json: answer });
			});
		};
		await answers({ key: key.of, signedIn: true, at: 0, expires: 100_000, idleUntil: 100_000 });
		await page.clock.fastForward('14:50');
		await warning.waitFor();
		await page.getByRole('button', { name: 'Stay logged in' }).click();
		await warning.waitFor({ state: 'detached' });
		await page.unroute('**/_session');
		await answers({ signedIn: false, at: 0, expires: null, idleUntil: null });
		await profile.clearCookies();
		await page.clock.fastForward('17:00');
		await out(page);
		await page.close();
	});

	test('a stop of the server waits for no tab, and the tab follows the session at the next server', async () => {
		const page = await profile.newPage();
		const streamed = async (): Promise<unknown> =>
			page.waitForResponse(
				(response) => response.headers()['content-type'] === 'text/event-stream'
			);
		const opened = streamed();
		await logIn(page);
		await opened;
		const shown = await observed(page, false);
		await server.stop();
		const again = streamed();
		server = await startBuilt(folder, port, PATIENT);
		await again;
		expect(await shown()).toEqual(['ada']);
		const phone = await tab(await otherProfile());
		await logIn(phone);
		await phone.goto(`${server.url}/account`);
		await phone.getByRole('button', { name: 'Log out everywhere' }).click();
		await out(page);
		for (const one of [page, phone]) await one.close();
	});

	test('works in vite dev', async () => {
		const dev = await serveDev(folder);
		const pages = [await profile.newPage(), await profile.newPage()] as const;
		try {
			const [one] = pages;
			for (const page of pages) {
				await page.goto(`${dev.url}/login`, { waitUntil: 'networkidle' });
				// At the first visit, Vite bundles the page's imports, and then reloads the page.
				await page.reload({ waitUntil: 'networkidle' });
			}
			await one.getByLabel('Name').fill('ada');
			await one.getByLabel('Password').fill('any');
			await one.getByRole('button', { name: 'Log in' }).click();
			for (const page of pages) await page.getByRole('link', { name: 'ada' }).waitFor();
			await one.getByRole('button', { name: 'Log out everywhere' }).click();
			for (const page of pages) await out(page);
			const hint = one.waitForEvent('console', (said) => said.text().includes(HINT));
			await one.goto(`${dev.url}/forgotten`);
			expect((await hint).text()).toContain('{ visitor: locals.session.forClient() }');
			for (const page of pages) await page.close();
		} finally {
			await dev.stop();
		}
	});

	// The last one: it builds the app again.
	test('an app that does not import the client has none of it, and one that does has 3 KB more', async () => {
		const bundle = await scripts(folder);
		// Not `toContain`, which would print all of it.
		for (const sign of SIGNS) expect(bundle.includes(sign), sign).toBe(true);
		expect(bundle.includes(HINT)).toBe(false);
		withClient = gzipSync(bundle).length;
		await writeFile(join(folder, 'src/routes/+layout.svelte'), WITHOUT);
		await rm(join(folder, 'src/routes/forgotten'), { recursive: true });
		await run('node_modules/.bin/vite', ['build'], folder, { NODE_ENV: 'production' });
		const without = await scripts(folder);
		for (const sign of ['vestiary', 'BroadcastChannel'])
			expect(without.includes(sign), sign).toBe(false);
		const more = withClient - gzipSync(without).length;
		console.log(`vestiary/client in ${kit.name}: ${more} bytes, compressed`);
		expect(more).toBeGreaterThan(1_000);
		expect(more).toBeLessThan(3_500);
	});
});

/** Records what the navigation of a page says about the visitor, from now on or from its next load. */
async function observed(page: Page, fromLoad = true): Promise<() => Promise<string[]>> {
	const record = (): void => {
		const seen = new Set<string>();
		const look = (): void => {
			for (const link of document.querySelectorAll('nav a'))
				if (['ada', 'Log in'].includes(link.textContent)) seen.add(link.textContent);
		};
		look();
		new MutationObserver(look).observe(document, {
			childList: true,
			subtree: true,
			characterData: true
		});
		Object.assign(window, { seen: () => [...seen] });
	};
	if (fromLoad) await page.addInitScript(record);
	else await page.evaluate(record);
	return async () => page.evaluate(() => (window as unknown as { seen: () => string[] }).seen());
}

/** Holds the next response with the data of a page, once the server has made it. */
async function holdNext(
	page: Page
): Promise<{ answered: Promise<void>; release: () => Promise<void> }> {
	let answered = (): void => undefined;
	let release = async (): Promise<void> => undefined;
	const isAnswered = new Promise<void>((resolve) => (answered = resolve));
	let isHeld = false;
	await page.route('**/__data.json*', async (route: Route) => {
		if (isHeld) return route.continue();
		isHeld = true;
		const response = await route.fetch();
		release = async () => route.fulfill({ response });
		answered();
	});
	return { answered: isAnswered, release: async () => release() };
}
