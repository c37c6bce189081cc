import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { CLIENT, OTHER_CLIENT } from '../provider/clients.ts';
import { startProvider, type RunningProvider } from '../provider/provider.ts';
import {
	BUILT,
	buildApp,
	ISSUER,
	ORIGIN,
	PROVIDER_PORT,
	startApp,
	startBrowser,
	type App
} from './running.ts';

/* Two apps at one provider. It tells the first one of a logout by a token, and the other one by a frame. */

const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;

let other: string;
let apps: App[];
let oidc: RunningProvider;
let browser: Browser;
/** The apps that the provider has sent a token to, and the errors of those that did not take it. */
const told: string[] = [];

beforeAll(async () => {
	await mkdir(SHOTS, { recursive: true });
	other = `http://localhost:${await freePort()}`;
	await buildApp('build/other', other);
	apps = [
		await startApp({ ...BUILT, other }),
		await startApp({
			folder: 'build/other',
			origin: other,
			client: OTHER_CLIENT,
			other: ORIGIN
		})
	];
	oidc = await startProvider(PROVIDER_PORT, [ORIGIN], [other]);
	oidc.provider.on('backchannel.success', (_ctx, { clientId }) => told.push(clientId));
	oidc.provider.on('backchannel.error', (_ctx, error) => told.push(error.message));
	browser = await startBrowser();
}, 120_000);

afterAll(async () => {
	await browser.close();
	await oidc.close();
	for (const app of apps) await app.stop();
});

async function freePort(): Promise<number> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

/** A browser of its own, in which a user has logged in to the app at this address. */
async function loggedIn(
	origin: string,
	name: string
): Promise<{ context: BrowserContext; page: Page }> {
	const context = await browser.newContext({
		viewport: { width: 960, height: 640 },
		colorScheme: 'light'
	});
	const page = await context.newPage();
	await page.goto(`${origin}/login`);
	await page.fill('input[name=name]', name);
	await page.click('text=Log in');
	await page.click('text=Allow');
	await page.waitForURL(`${origin}/`);
	return { context, page };
}

/** Logs in to the other app, where the provider asks only whether it may. */
async function joins(page: Page, origin: string): Promise<void> {
	await page.goto(origin);
	await page.click('header >> text=Log in');
	await page.click('text=Allow');
	await page.waitForURL(`${origin}/`);
}

/** The session cookies of a browser, as a copy of its own: what the server makes of them, whatever the browser does. */
async function cookiesOf(context: BrowserContext, origin: string): Promise<string> {
	const cookies = await context.cookies(origin);
	return cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
}

async function isIn(origin: string, cookie: string): Promise<boolean> {
	const response = await fetch(`${origin}/profile`, {
		headers: { cookie, accept: 'text/html' },
		redirect: 'manual'
	});
	expect([200, 303]).toContain(response.status);
	return response.status === 200;
}

/** Logs out of an app, and then of the provider. */
async function logsOut(page: Page, origin: string): Promise<void> {
	await page.goto(origin);
	await page.click('button >> text=Log out');
	await page.waitForURL(`${ISSUER}/session/end?*`);
	await page.click('button >> text=Log out');
	await page.waitForURL(`${origin}/`);
}

async function shot(page: Page, name: string): Promise<void> {
	await page.screenshot({ path: join(SHOTS, `oidc-${name}.png`) });
}

test('one login at the provider is enough for both apps', async () => {
	const { context, page } = await loggedIn(ORIGIN, 'Ada Lovelace');
	await shot(page, 'home');
	await page.click('[data-testid=other]');
	await page.waitForURL(`${other}/`);
	expect(await page.textContent('.brand')).toBe(OTHER_CLIENT.name);
	await page.click('header >> text=Log in');
	await page.getByText(`${OTHER_CLIENT.name} asks for`).waitFor();
	expect(await page.isVisible('input[name=name]')).toBe(false);
	await page.click('text=Allow');
	await page.waitForURL(`${other}/`);
	expect(await page.textContent('[data-testid=user]')).toBe('Ada Lovelace');
	await shot(page, 'other');
	await context.close();
});

test('a logout of the other app ends the session of this one, by the back channel', async () => {
	const { context, page } = await loggedIn(ORIGIN, 'Ada Lovelace');
	await joins(page, other);
	const [mine, theirs] = [await cookiesOf(context, ORIGIN), await cookiesOf(context, other)];
	const grace = await loggedIn(ORIGIN, 'Grace Hopper');
	const elsewhere = await loggedIn(ORIGIN, 'Ada Lovelace');
	expect([await isIn(ORIGIN, mine), await isIn(other, theirs)]).toEqual([true, true]);

	told.length = 0;
	await logsOut(page, other);
	expect(told).toEqual([CLIENT.id]);
	expect([await isIn(ORIGIN, mine), await isIn(other, theirs)]).toEqual([false, false]);
	await page.goto(ORIGIN);
	await page.getByRole('heading', { name: 'Log in at a provider' }).waitFor();
	// Those of another user, and of the same user in another browser, stay.
	for (const one of [grace, elsewhere]) {
		expect(await isIn(ORIGIN, await cookiesOf(one.context, ORIGIN))).toBe(true);
		await one.context.close();
	}
	await context.close();
});

test('a logout of this app ends the session of the other one, by the front channel', async () => {
	const { context, page } = await loggedIn(ORIGIN, 'Ada Lovelace');
	await joins(page, other);
	const theirs = await cookiesOf(context, other);
	const frames: string[] = [];
	page.on('response', (response) => {
		if (response.url().startsWith(`${other}/frontchannel-logout`))
			frames.push(
				`${response.status()} ${response.request().headers().cookie ?? 'no cookie'}`
			);
	});
	expect(await isIn(other, theirs)).toBe(true);
	await logsOut(page, ORIGIN);
	expect(frames).toEqual(['200 no cookie']);
	expect(await isIn(other, theirs)).toBe(false);
	await page.goto(other);
	await page.getByRole('heading', { name: 'Log in at a provider' }).waitFor();
	await context.close();
});

test('a token of anyone else ends nothing, and says why in the log', async () => {
	const { context } = await loggedIn(ORIGIN, 'Ada Lovelace');
	const cookie = await cookiesOf(context, ORIGIN);
	// {"alg":"none"}
	for (const token of ['eyJhbGciOiJub25lIn0.e30.', 'nonsense']) {
		const body = new URLSearchParams({ logout_token: token });
		const response = await fetch(`${ORIGIN}/backchannel-logout`, { method: 'POST', body });
		expect(response.status).toBe(400);
	}
	const sid = 'a-name-of-no-session';
	const query = new URLSearchParams({ iss: ISSUER, sid });
	expect((await fetch(`${ORIGIN}/frontchannel-logout?${query.toString()}`)).status).toBe(200);
	query.set('iss', 'https://evil.example');
	expect((await fetch(`${ORIGIN}/frontchannel-logout?${query.toString()}`)).status).toBe(400);
	expect(await isIn(ORIGIN, cookie)).toBe(true);
	const log = apps[0]?.log() ?? '';
	expect(log).toContain('OpenID Connect, logout by the provider: token_algorithm');
	expect(log).toContain('OpenID Connect, logout by the provider: token_malformed');
	// All other forms of other sites are refused, although SvelteKit's own check is off.
	const forged = await fetch(`${ORIGIN}/logout`, {
		method: 'POST',
		headers: { cookie, origin: 'https://evil.example' },
		body: new URLSearchParams()
	});
	expect([forged.status, await isIn(ORIGIN, cookie)]).toEqual([403, true]);
	await context.close();
});
