import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { RequestEvent } from '@sveltejs/kit';
import { chromium, type BrowserContext, type Cookie, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { LAUNCH } from '../../../../examples/sveltekit/e2e/chromium.js';
import {
	sveltekitSessionHandle,
	type CookieSerializeOptions,
	type SessionHandle
} from '../../dist/index.js';

/*
 * How a real browser treats the cookies. A server under two sites, with HTTPS and a certificate of its own, has handles
 * whose cookies differ in their attributes. `/set/<which>` saves a session, `/end/<which>` ends it, and `/sent` answers
 * with the names of the received cookies.
 */

const HANDLES: Record<string, { name: string; cookie: CookieSerializeOptions }> = {
	host: { name: '__Host-sid', cookie: {} },
	secure: { name: '__Secure-sid', cookie: { domain: 'shop.test', path: '/app' } },
	strict: { name: 'strict', cookie: { sameSite: 'strict' } },
	lax: { name: 'lax', cookie: {} },
	none: { name: 'none', cookie: { sameSite: 'none' } },
	chips: { name: 'chips', cookie: { sameSite: 'none', partitioned: true } },
	week: { name: 'week', cookie: { maxAge: 604_800 } }
};

let folder: string;
let server: Server;
let port: number;
let browser: BrowserContext;
let page: Page;

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), 'vestiary-jar-'));
	const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
	execFileSync(
		'openssl',
		['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=shop.test']
			.concat(['-addext', 'subjectAltName=DNS:shop.test,DNS:*.shop.test,DNS:evil.test'])
			.concat(['-keyout', key, '-out', cert]),
		{ stdio: 'ignore' }
	);
	const handles = new Map(
		Object.entries(HANDLES).map(([which, options]): [string, SessionHandle] => [
			which,
			sveltekitSessionHandle({ secret: 'the secret of the browser test, long', ...options })
		])
	);
	server = createServer(
		{ key: readFileSync(key), cert: readFileSync(cert) },
		(request, answer) => {
			void (async () => {
				const url = new URL(request.url ?? '/', `https://${request.headers.host ?? ''}`);
				const response = await respond(handles, url, request.headers.cookie ?? '');
				answer.statusCode = response.status;
				answer.setHeader('set-cookie', response.headers.getSetCookie());
				for (const [name, value] of response.headers)
					if (name !== 'set-cookie') answer.setHeader(name, value);
				answer.end(await response.text());
			})();
		}
	);
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	({ port } = server.address() as AddressInfo);
	browser = await chromium.launchPersistentContext(join(folder, 'profile'), {
		...LAUNCH,
		args: [...LAUNCH.args, '--host-resolver-rules=MAP * 127.0.0.1'],
		ignoreHTTPSErrors: true
	});
	page = browser.pages()[0] ?? (await browser.newPage());
});

afterAll(async () => {
	await browser.close();
	server.closeAllConnections();
	server.close();
	rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
	await browser.clearCookies();
});

/** A request event as far as a session needs one, and the page. */
async function respond(
	handles: Map<string, SessionHandle>,
	url: URL,
	cookie: string
): Promise<Response> {
	const html = { 'content-type': 'text/html' };
	const [, action, which = ''] = /\/(set|end)\/(\w+)$/.exec(url.pathname) ?? [];
	if (url.searchParams.has('frame')) {
		const source = url.searchParams.get('frame') ?? '';
		return new Response(`<iframe src="${source}"></iframe>`, { headers: html });
	}
	if (url.searchParams.has('link')) {
		const target = url.searchParams.get('link') ?? '';
		return new Response(
			`<a href="${target}">link</a><form method="post" action="${target}"><button>post</button></form>`,
			{ headers: html }
		);
	}
	const handle = handles.get(which);
	if (!handle) {
		const names = cookie.split('; ').map((one) => one.split('=', 1)[0]);
		return new Response(names.filter(Boolean).sort().join(' '), { headers: html });
	}
	const event = {
		url,
		request: new Request(url, { headers: { cookie } }),
		locals: {},
		cookies: { serialize: () => 'sample=; Path=/; Secure' },
		fetch
	} as unknown as RequestEvent;
	return handle({
		event,
		resolve: async () => {
			const { session } = event.locals;
			await (action === 'set' ? session.save() : session.destroy());
			return new Response('done', { headers: html });
		}
	});
}

const at = (host: string, path: string): string => `https://${host}:${port}${path}`;

/** The names of the cookies that the browser sends, opening this page. */
async function sent(url: string): Promise<string> {
	await page.goto(url);
	return page.innerText('body');
}

async function kept(name: string): Promise<Cookie | undefined> {
	return (await browser.cookies()).find((cookie) => cookie.name === name);
}

test('a cookie with a prefix is kept, sent, and deleted', async () => {
	for (const [which, path, name] of [
		['host', '', '__Host-sid'],
		['secure', '/app', '__Secure-sid']
	] as const) {
		await page.goto(at('shop.test', `${path}/set/${which}`));
		expect(await kept(name)).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax' });
		expect(await sent(at('shop.test', `${path}/sent`))).toBe(name);
		await page.goto(at('shop.test', `${path}/end/${which}`));
		expect(await kept(name)).toBeUndefined();
	}
});

test('__Host- stays with its host; a domain reaches those below, a path what is under it', async () => {
	await page.goto(at('shop.test', '/set/host'));
	await page.goto(at('shop.test', '/app/set/secure'));
	expect(await sent(at('shop.test', '/app/sent'))).toBe('__Host-sid __Secure-sid');
	expect(await sent(at('shop.test', '/sent'))).toBe('__Host-sid');
	expect(await sent(at('api.shop.test', '/app/sent'))).toBe('__Secure-sid');
	expect(await sent(at('evil.test', '/app/sent'))).toBe('');
});

test('SameSite: what a link and a form of another site send', async () => {
	for (const which of ['strict', 'lax', 'none'])
		await page.goto(at('shop.test', `/set/${which}`));
	expect(await sent(at('shop.test', '/sent'))).toBe('lax none strict');
	const from = at('evil.test', `/?link=${encodeURIComponent(at('shop.test', '/sent'))}`);
	// Chromium sends `Lax` cookies that are younger than two minutes with a form only if the cookie did not say `Lax`.
	for (const [click, expected] of [
		['a', 'lax none'],
		['button', 'none']
	] as const) {
		await page.goto(from);
		await page.click(click);
		await page.waitForURL(at('shop.test', '/sent'));
		expect(await page.innerText('body'), click).toBe(expected);
	}
});

test('partitioned: one jar for each site that embeds', async () => {
	const framed = async (top: string, path: string): Promise<string> => {
		await page.goto(at(top, `/?frame=${encodeURIComponent(at('shop.test', path))}`));
		return page.frameLocator('iframe').locator('body').innerText();
	};
	await framed('evil.test', '/set/chips');
	expect(await framed('evil.test', '/sent')).toBe('chips');
	expect(await framed('other.test', '/sent')).toBe('');
	expect(await sent(at('shop.test', '/sent'))).toBe('');
	await framed('evil.test', '/end/chips');
	expect(await framed('evil.test', '/sent')).toBe('');
});

test('maxAge: the browser keeps it that long; without, until it closes', async () => {
	await page.goto(at('shop.test', '/set/week'));
	await page.goto(at('shop.test', '/set/lax'));
	const week = (await kept('week'))?.expires ?? 0;
	expect(Math.abs(week - Date.now() / 1_000 - 604_800)).toBeLessThan(60);
	expect((await kept('lax'))?.expires).toBe(-1);
});

test('the browser’s old cookie does not bring back an ended session', async () => {
	await page.goto(at('shop.test', '/set/lax'));
	const before = await kept('lax');
	await page.goto(at('shop.test', '/end/lax'));
	await browser.addCookies([before ?? ({} as Cookie)]);
	const response = await page.goto(at('shop.test', '/set/lax'));
	expect(await response?.headerValue('set-cookie')).not.toContain(before?.value);
});
