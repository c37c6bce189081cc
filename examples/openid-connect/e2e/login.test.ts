import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { CLIENT } from '../provider/clients.ts';
import { startProvider, type RunningProvider } from '../provider/provider.ts';
import {
	ask,
	COOKIE,
	cookieOf,
	ISSUER,
	locationOf,
	ORIGIN,
	PROVIDER_PORT,
	startApp,
	startBrowser,
	type App
} from './running.ts';

const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;

let app: App;
let oidc: RunningProvider | undefined;
let browser: Browser;
let ada: BrowserContext;
let page: Page;
/** Errors in pages. */
const errors: string[] = [];
/** Every token that the provider gave out, and the grants that it gave and refused. */
const tokens = new Map<string, string>();
const grants: string[] = [];
/** Ada's callbacks, as her browser was sent to them. */
const callbacks: string[] = [];

beforeAll(async () => {
	await mkdir(SHOTS, { recursive: true });
	app = await startApp();
	browser = await startBrowser();
	ada = await visitor();
	page = await ada.newPage();
	page.on('request', (request) => {
		if (request.url().startsWith(`${ORIGIN}/login/callback`)) callbacks.push(request.url());
	});
});

afterAll(async () => {
	await oidc?.close();
	await app.stop();
	await browser.close();
});

/** A browser of its own, with no cookies. */
async function visitor(): Promise<BrowserContext> {
	const context = await browser.newContext({
		viewport: { width: 960, height: 640 },
		colorScheme: 'light'
	});
	context.on('page', (opened) => {
		opened.on('pageerror', (error) => errors.push(error.message));
	});
	return context;
}

async function ticket(context = ada): Promise<string | undefined> {
	return (await context.cookies(ORIGIN)).find(({ name }) => name === COOKIE)?.value;
}

async function shot(name: string): Promise<void> {
	await page.screenshot({ path: join(SHOTS, `oidc-${name}.png`) });
}

/** Answers the provider's pages until it sends the browser back. */
async function answerProvider(at: Page, name: string): Promise<void> {
	await at.fill('input[name=name]', name);
	await at.click('text=Log in');
	await at.click('text=Allow');
}

/** Logs in at the provider, but skips the callback: its code is valid and not yet used. */
async function unusedCallback({ request }: BrowserContext, name: string): Promise<URL> {
	const login = await request.get(`${ORIGIN}/login`);
	const consent = await request.post(login.url(), { form: { name, answer: 'yes' } });
	const form = { answer: 'yes' };
	const resume = await request.post(consent.url(), { form, maxRedirects: 0 });
	const callback = await request.get(resume.headers().location ?? '', { maxRedirects: 0 });
	const address = new URL(callback.headers().location ?? '');
	expect(address.origin + address.pathname).toBe(`${ORIGIN}/login/callback`);
	return address;
}

/** Whether the holder of this cookie is logged in. */
async function isIn(cookie: string | undefined): Promise<boolean> {
	const response = await ask('/profile', cookie ?? '');
	if (response.status === 303) {
		expect(locationOf(response).href).toBe(`${ORIGIN}/login?next=/profile`);
		return false;
	}
	expect(response.status).toBe(200);
	return true;
}

/** A refusal: the right status, an explanation, a way to continue, and no internals. */
async function expectRefusal(response: Response, status: number, words: string): Promise<void> {
	const text = await response.text();
	expect(text).toContain(words);
	expect(response.status).toBe(status);
	expect(text).toContain('<a class="button" href="/login">Try again</a>');
	expect(text).not.toMatch(
		/node_modules|Error:|\bat .*:\d+:\d+|OAUTH_|invalid_grant|code=|state=/
	);
}

test('the app runs without its provider, says so, and finds it later', async () => {
	const response = await ask('/login');
	await expectRefusal(response, 503, 'is not available');
	expect(response.headers.getSetCookie()).toEqual([]);

	oidc = await startProvider(PROVIDER_PORT, [ORIGIN]);
	oidc.provider.on('grant.success', (ctx) => {
		const { access_token, id_token, refresh_token } = ctx.body as Record<string, string>;
		for (const [kind, token] of Object.entries({ access_token, id_token, refresh_token })) {
			if (token) tokens.set(token, kind);
		}
		grants.push(String(ctx.oidc.params?.grant_type));
	});
	oidc.provider.on('grant.error', (_ctx, error) => grants.push(error.error));
	expect((await ask('/login')).status).toBe(303);
});

test('the login asks for a code with PKCE, state and nonce, new ones each time', async () => {
	const seen = new Set<string>();
	for (let times = 0; times < 2; times++) {
		const response = await ask('/login');
		const { origin, searchParams } = locationOf(response);
		expect(origin).toBe(ISSUER);
		expect(Object.fromEntries(searchParams)).toMatchObject({
			client_id: CLIENT.id,
			response_type: 'code',
			redirect_uri: `${ORIGIN}/login/callback`,
			code_challenge_method: 'S256'
		});
		for (const name of ['state', 'nonce', 'code_challenge']) {
			const value = searchParams.get(name) ?? '';
			expect(value).toMatch(/^[\w-]{43}$/);
			seen.add(value);
		}
		const [cookie = ''] = response.headers.getSetCookie();
		expect(cookie).toMatch(/; HttpOnly/i);
		expect(cookie).toMatch(/; SameSite=Lax/i);
	}
	expect(seen.size).toBe(6);
});

test('a visitor who looks around gets no cookie', async () => {
	await page.goto(ORIGIN);
	expect(await page.textContent('h1')).toContain('Log in at a provider');
	await page.hover('header >> text=Log in');
	expect(await ada.cookies()).toEqual([]);
	await shot('start');
});

test('a private page redirects to the provider, and back after the login', async () => {
	await page.goto(`${ORIGIN}/profile?tab=1`);
	expect(page.url()).toMatch(`${ISSUER}/interaction/`);
	const before = await ticket();
	expect(before).toBeDefined();
	await shot('provider-login');
	await page.fill('input[name=name]', 'Ada Lovelace');
	await page.click('text=Log in');
	await page.getByText('asks for').waitFor();
	await shot('provider-consent');
	await page.click('text=Allow');
	await page.waitForURL(`${ORIGIN}/profile?tab=1`);
	expect(await page.textContent('[data-testid=user]')).toBe('Ada Lovelace');
	expect(await page.textContent('[data-testid=name]')).toBe('Ada Lovelace');
	expect(await page.textContent('[data-testid=email]')).toBe('ada.lovelace@example.com');
	await shot('profile');

	const after = await ticket();
	expect(after).toBeDefined();
	expect(after).not.toBe(before);
	expect(await isIn(after)).toBe(true);
	// An attacker who planted or read the cookie before the login has nothing.
	expect(await isIn(before)).toBe(false);
});

test('no token reaches the browser', async () => {
	expect(new Set(tokens.values())).toEqual(
		new Set(['access_token', 'id_token', 'refresh_token'])
	);
	const cookie = await ticket();
	const seen: string[] = [JSON.stringify(await ada.cookies())];
	for (const path of ['/', '/profile']) {
		await page.goto(ORIGIN + path);
		seen.push(
			await page.content(),
			await page.evaluate(() => document.cookie + JSON.stringify(localStorage))
		);
		for (const data of [path, `${path === '/' ? '' : path}/__data.json`]) {
			const response = await ask(data, cookie, { headers: { accept: '*/*' } });
			expect(response.status).toBe(200);
			const headers = JSON.stringify([...response.headers]);
			seen.push(headers, await response.text());
		}
	}
	const all = seen.join('\n');
	expect(all).toContain('Ada Lovelace');
	for (const token of tokens.keys()) expect(all).not.toContain(token);
	expect(await page.evaluate(() => document.cookie)).toBe('');
});

test('an expired access token is renewed', async () => {
	const before = grants.length;
	await forget('access');
	await page.goto(`${ORIGIN}/profile`);
	expect(await page.textContent('[data-testid=name]')).toBe('Ada Lovelace');
	await page.reload();
	expect(await page.textContent('[data-testid=name]')).toBe('Ada Lovelace');
	expect(grants.slice(before)).toEqual(['refresh_token']);
});

test('eight requests find an expired access token, and one of them renews it', async () => {
	const before = grants.length;
	await forget('access');
	const cookie = await ticket();
	const answers = await Promise.all(
		Array.from({ length: 8 }, async () => (await ask('/profile', cookie)).status)
	);
	expect(answers).toEqual(Array(8).fill(200));
	// The provider would have taken back all tokens, had one of the requests used an old refresh token again.
	expect(grants.slice(before)).toEqual(['refresh_token']);
});

test('a user whose tokens the provider has taken back logs in again', async () => {
	const before = await ticket();
	await forget('all');
	// A click inside the app: the redirect to another site comes back as data.
	await page.goto(ORIGIN);
	await page.click('nav >> text=Profile');
	await page.waitForURL(`${ORIGIN}/profile`);
	expect(await page.textContent('[data-testid=name]')).toBe('Ada Lovelace');
	expect(await ticket()).not.toBe(before);
	expect(await isIn(before)).toBe(false);
});

/** The provider takes its tokens back: the access tokens, or all. */
async function forget(which: 'access' | 'all'): Promise<void> {
	for (const token of tokens.keys()) {
		await (await oidc?.provider.AccessToken.find(token))?.destroy();
		if (which === 'all') await (await oidc?.provider.RefreshToken.find(token))?.destroy();
	}
}

test('a callback played again is refused, and changes nothing', async () => {
	const callback = callbacks.at(-1) ?? '';
	const before = await ticket();
	const response = await page.goto(callback);
	expect(response?.status()).toBe(400);
	expect(await page.textContent('[role=alert]')).toContain('has expired');
	await shot('refused');
	expect(await ticket()).toBe(before);
	expect(await isIn(before)).toBe(true);

	await expectRefusal(await ask(callback), 400, 'has expired');
	// The old code with a state that is right: the provider has seen the code before.
	const begun = await ask('/login');
	const replay = new URL(callback);
	replay.searchParams.set('state', locationOf(begun).searchParams.get('state') ?? '');
	const refused = await ask(replay.href, cookieOf(begun));
	await expectRefusal(refused, 400, 'could not be verified');
	expect(await isIn(cookieOf(begun))).toBe(false);
	expect(grants.at(-1)).toBe('invalid_grant');
});

test('a callback with another state, or none, is refused', async () => {
	for (const state of ['another', null]) {
		const context = await visitor();
		const callback = await unusedCallback(context, 'Mallory');
		const right = callback.href;
		if (state === null) callback.searchParams.delete('state');
		else callback.searchParams.set('state', state);
		const cookie = await ticket(context);
		const refused = await ask(callback.href, cookie);
		await expectRefusal(refused, 400, 'could not be verified');
		expect(cookieOf(refused)).toBe(cookie);
		expect(await isIn(cookie)).toBe(false);
		// One callback per login: the valid one comes too late now.
		await expectRefusal(await ask(right, cookie), 400, 'has expired');
		await context.close();
	}
});

test("another browser's callback does not log the visitor in", async () => {
	const [mallory, victim] = [await visitor(), await visitor()];
	const callback = await unusedCallback(mallory, 'Mallory');

	const at = await victim.newPage();
	expect((await at.goto(callback.href))?.status()).toBe(400);
	expect(await at.textContent('[role=alert]')).toContain('another browser');
	expect(await victim.cookies(ORIGIN)).toEqual([]);

	await at.goto(`${ORIGIN}/login`);
	expect((await at.goto(callback.href))?.status()).toBe(400);
	expect(await isIn(await ticket(victim))).toBe(false);

	// The code alone, in a login of the victim's own: it was made for Mallory's verifier.
	const begun = await ask('/login');
	callback.searchParams.set('state', locationOf(begun).searchParams.get('state') ?? '');
	const refused = await ask(callback.href, cookieOf(begun));
	await expectRefusal(refused, 400, 'could not be verified');
	expect(grants.at(-1)).toBe('invalid_grant');
	expect(await isIn(cookieOf(begun))).toBe(false);
	await mallory.close();
	await victim.close();
});

test('a cookie planted before the login is not logged in by it', async () => {
	const planted = cookieOf(await ask('/login'));
	const victim = await visitor();
	await victim.addCookies([{ name: COOKIE, value: planted, url: ORIGIN }]);
	const at = await victim.newPage();
	await at.goto(`${ORIGIN}/login?next=/profile`);
	await answerProvider(at, 'Grace Hopper');
	await at.waitForURL(`${ORIGIN}/profile`);
	expect(await isIn(await ticket(victim))).toBe(true);
	expect(await isIn(planted)).toBe(false);
	await victim.close();
});

test('a login that is cancelled at the provider is reported, and can be repeated', async () => {
	const context = await visitor();
	page = await context.newPage();
	await page.goto(`${ORIGIN}/login?next=/profile`);
	const denied = page.waitForResponse((answer) => answer.url().includes('/login/callback?'));
	await page.click('text=Cancel');
	expect((await denied).status()).toBe(403);
	expect(await page.textContent('[role=alert]')).toContain('was cancelled');
	await shot('cancelled');
	expect(await isIn(await ticket(context))).toBe(false);
	await page.click('text=Try again');
	await answerProvider(page, 'Second Thoughts');
	await page.waitForURL(`${ORIGIN}/`);
	expect(await page.textContent('[data-testid=user]')).toBe('Second Thoughts');
	await context.close();
	page = ada.pages()[0] ?? page;
});

test('only paths of this site are returned to', async () => {
	const cookie = await ticket();
	const evil = 'evil.example';
	const addresses = [
		`//${evil}`,
		`/\\${evil}`,
		`\\\\${evil}`,
		`https://${evil}`,
		`/\t/${evil}`,
		`/\n/${evil}`,
		`/.//${evil}`,
		`/a/..//${evil}`,
		`/%2e//${evil}`,
		`@${evil}`,
		`javascript:alert(1)`
	];
	for (const next of addresses) {
		const response = await ask(`/login?next=${encodeURIComponent(next)}`, cookie);
		expect(response.status, next).toBe(303);
		expect(response.headers.get('location'), next).toBe('/');
	}
	const kept = await ask(`/login?next=${encodeURIComponent('/profile?a=//b#c')}`, cookie);
	expect(kept.headers.get('location')).toBe('/profile?a=//b#c');

	const victim = await visitor();
	const at = await victim.newPage();
	await at.goto(`${ORIGIN}/login?next=//${evil}`);
	await answerProvider(at, 'Eve');
	await at.waitForURL(`${ORIGIN}/`);
	await victim.close();
});

test('only a form of this site logs out', async () => {
	const cookie = await ticket();
	expect((await ask('/logout', cookie)).headers.get('location')).toBe('/');
	const forged = await ask('/logout', cookie, {
		method: 'POST',
		headers: { origin: 'https://evil.example' },
		body: new URLSearchParams()
	});
	expect(forged.status).toBe(403);
	expect(await isIn(cookie)).toBe(true);
});

test('logging out ends the session here and at the provider', async () => {
	const before = await ticket();
	await page.goto(`${ORIGIN}/profile`);
	await page.click('button >> text=Log out');
	await page.waitForURL(`${ISSUER}/session/end?*`);
	expect(await ticket()).toBeUndefined();
	expect(await isIn(before)).toBe(false);
	await shot('provider-logout');
	await page.click('button >> text=Log out');
	await page.waitForURL(`${ORIGIN}/`);
	await page.getByRole('heading', { name: 'Log in at a provider' }).waitFor();

	await page.goto(`${ORIGIN}/profile`);
	expect(page.url()).toMatch(`${ISSUER}/interaction/`);
	expect(await page.isVisible('input[name=name]')).toBe(true);
});

test('no page had an error, and the log tells no secrets', () => {
	expect(errors).toEqual([]);
	const log = app.log();
	expect(log).toContain('OpenID Connect, discovery: TypeError ECONNREFUSED');
	expect(log).not.toMatch(/\n\s+at /);
	for (const secret of [CLIENT.secret, ...tokens.keys()]) expect(log).not.toContain(secret);
});
