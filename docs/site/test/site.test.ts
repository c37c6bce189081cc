import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { LAUNCH } from '../../../examples/sveltekit/e2e/chromium.ts';
import { serveSite } from './serve.ts';

const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

const PAGES = ['', 'tutorial', 'reference/options', 'explanation/life-of-a-request', 'inspector'];

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 800 };

let browser: Browser;
let site: Awaited<ReturnType<typeof serveSite>>;

beforeAll(async () => {
	await mkdir(SHOTS, { recursive: true });
	site = await serveSite();
	browser = await chromium.launch(LAUNCH);
});

afterAll(async () => {
	await browser.close();
	site.stop();
});

/** The parts of the page that people with some disabilities cannot use, and why. */
async function problems(page: Page): Promise<string[]> {
	const script = await readFile(AXE, 'utf8');
	return page.evaluate(async (script) => {
		new Function(script)();
		const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
		const { violations } = await axe.run();
		return violations.flatMap(({ id, nodes }) =>
			nodes.slice(0, 3).map(({ html }) => `${id}: ${html.slice(0, 200)}`)
		);
	}, script);
}

describe.each(PAGES)('/%s', (path) => {
	test.each([
		['desktop', DESKTOP],
		['phone', PHONE]
	] as const)('on a %s, in light and dark', async (device, viewport) => {
		const context = await browser.newContext({ viewport, bypassCSP: true });
		const page = await context.newPage();
		const errors: string[] = [];
		page.on('pageerror', ({ message }) => errors.push(message));
		page.on('response', (answer) => {
			if (answer.status() >= 400) errors.push(`${answer.status()} ${answer.url()}`);
		});
		await page.addInitScript(() => {
			const seen = { shift: 0 };
			Object.assign(globalThis, { seen });
			new PerformanceObserver((list) => {
				for (const entry of list.getEntries())
					seen.shift += (entry as PerformanceEntry & { value: number }).value;
			}).observe({ type: 'layout-shift', buffered: true });
		});
		await page.goto(`${site.url}/${path}`, { waitUntil: 'networkidle' });
		for (const colorScheme of ['light', 'dark'] as const) {
			await page.emulateMedia({ colorScheme });
			const name = `docs-${path.replaceAll('/', '-') || 'home'}-${device}-${colorScheme}.png`;
			await page.screenshot({ path: join(SHOTS, name) });
			// The markup is the same in both schemes, and each scheme is checked once.
			if ((device === 'phone') === (colorScheme === 'dark'))
				expect(await problems(page)).toEqual([]);
		}
		const { shift, wide } = await page.evaluate(() => ({
			shift: (globalThis as unknown as { seen: { shift: number } }).seen.shift,
			wide: document.documentElement.scrollWidth
		}));
		expect(shift).toBeLessThan(0.001);
		expect(wide).toBeLessThanOrEqual(viewport.width);
		expect(errors).toEqual([]);
		await context.close();
	});
});

test('works without JavaScript: pages, the menu, and the versions of a sample', async () => {
	const context = await browser.newContext({ viewport: PHONE, javaScriptEnabled: false });
	const page = await context.newPage();
	await page.goto(`${site.url}/tutorial`);
	await page.locator('.menu summary').click();
	await page.locator('.menu').getByRole('link', { name: 'Connect a store' }).click();
	await page.waitForURL(`${site.url}/how-to/stores`);
	await page.goto(`${site.url}/how-to/devices`);
	const sample = page.locator('.sample[data-languages="2"][data-kits="2"]').first();
	await sample.getByText('JavaScript', { exact: true }).click();
	await sample.getByText('SvelteKit 3', { exact: true }).click();
	const shown = sample.locator('.variant:visible');
	expect(await shown.count()).toBe(1);
	expect(await shown.textContent()).toContain('$app/env/private');
	await context.close();
});

test('a choice counts for all samples, and is remembered', async () => {
	const page = await browser.newPage({ viewport: DESKTOP });
	await page.goto(`${site.url}/tutorial`, { waitUntil: 'networkidle' });
	await page.locator('[value=js]').first().check({ force: true });
	await page.goto(`${site.url}/how-to/log-in`, { waitUntil: 'networkidle' });
	expect(await page.locator('[data-language=ts]:visible').count()).toBe(0);
	expect(await page.locator('[data-language=js]:visible').count()).toBeGreaterThan(0);
	await page.close();
});

test('a search finds an option', async () => {
	const page = await browser.newPage({ viewport: DESKTOP });
	await page.goto(site.url, { waitUntil: 'networkidle' });
	await page.keyboard.press('/');
	await page.getByRole('searchbox').pressSequentially('idleTimeout');
	await page.getByRole('dialog').locator('a[href="/reference/options"]').click();
	await page.waitForURL(`${site.url}/reference/options`);
	await page.close();
});

test('llms.txt leads to the Markdown of the pages', async () => {
	const text = await (await fetch(`${site.url}/llms.txt`)).text();
	const links = [...text.matchAll(/^- \[.+?\]\((.+?)\): \S/gm)].map(([, link = '']) => link);
	expect(links.length).toBeGreaterThan(50);
	for (const link of links) expect((await fetch(`${site.url}/${link}`)).status).toBe(200);
	expect(await (await fetch(`${site.url}/llms-full.txt`)).text()).toContain(
		'# Log a visitor in and out'
	);
});

test('the links in the Markdown lead to files of the site', async () => {
	const text = await (await fetch(`${site.url}/llms.txt`)).text();
	const found = new Map<string, string>();
	for (const [, page = ''] of text.matchAll(/^- \[.+?\]\((.+?)\): /gm)) {
		const markdown = await (await fetch(`${site.url}/${page}`)).text();
		const prose = markdown.replaceAll(/^```.*?^```$/gms, '');
		for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g))
			found.set(new URL(target, `${site.url}/${page}`).href.replace(/#.*/, ''), page);
	}
	const own = [...found].filter(([url]) => url.startsWith(site.url));
	expect(own.length).toBeGreaterThan(50);
	for (const [url, page] of own)
		expect((await fetch(url)).status, `${url}, a link of ${page}`).toBe(200);
});

describe('the cookie inspector', () => {
	const SECRET = '0123456789abcdef0123456789abcdef';
	// Made by `sveltekitSessionHandle` with this secret.
	const COOKIE =
		'connect.sid=FK6NK9SAeVUmTqEocr_yZTdkshYXQHEe.L9zV8TNQcmlyPCZdNNTh%2FtYu8ygXkHQqBcd6vxt3k%2FU';
	const RECORD =
		'{"v":"7PXYYtoOprKZaVwK","cookie":{"path":"/"},"data":{"n":1},"meta":{"created":1795792623604}}';

	let page: Page;
	const left: string[] = [];

	beforeAll(async () => {
		page = await browser.newPage({ viewport: DESKTOP });
		await page.goto(`${site.url}/inspector`, { waitUntil: 'networkidle' });
	});

	afterAll(async () => page.close());

	async function findings(cookie: string, secrets = '', record = ''): Promise<string> {
		await page.getByLabel('Cookie A value').fill(cookie);
		await page.getByLabel('Secrets').fill(secrets);
		await page.getByLabel('Record').fill(record);
		await page.getByRole('button', { name: 'Inspect' }).click();
		await page.locator('.findings li').first().waitFor();
		return (await page.locator('.findings').innerText()).replaceAll(/\s+/g, ' ');
	}

	test.each([
		[COOKIE, '', '', 'The signature was not checked'],
		[COOKIE, SECRET, '', 'The signature is valid. The secret is the current one.'],
		[COOKIE, `${SECRET.replace('0', '9')}\n${SECRET}`, '', 'number 2, an older one'],
		[COOKIE, SECRET.replace('0', '9'), '', 'The signature is not valid with the secret'],
		[COOKIE.replace('=F', '=G'), SECRET, '', 'The signature is not valid'],
		[COOKIE, 'short', '', 'a test server. `secret` number 1 has fewer than 16 bytes'],
		[COOKIE, SECRET, '', '`secret` number 1 can be guessed: in production pass'],
		[COOKIE, SECRET, RECORD, 'has a session, of an anonymous visitor. Keys of its data: n.'],
		[
			COOKIE,
			SECRET,
			RECORD.replace('"meta":{', '"meta":{"absolute":1,'),
			'Its absolute deadline has passed'
		],
		[COOKIE, SECRET, '{"data"', 'The record is no JSON.'],
		['theme=dark', '', '', 'No cookie has the name connect.sid, but: theme'],
		['connect.sid=eyJhbGciOiJIUzI1NiJ9.e30.x', '', '', 'a JSON Web Token']
	])('%s, %s, %s: %s', async (cookie, secrets, record, expected) => {
		expect(await findings(cookie, secrets, record)).toContain(expected);
	});

	test('shows no findings beside a cookie that they are not about', async () => {
		await findings(COOKIE, SECRET);
		await page.getByLabel('Cookie A value').fill('theme=dark');
		expect(await page.locator('.findings li').count()).toBe(0);
	});

	test('sends and keeps nothing', async () => {
		page.on('request', (request) => left.push(request.url()));
		const refused = await page.evaluate(async () =>
			fetch('/llms.txt').then(
				() => false,
				() => true
			)
		);
		expect(refused).toBe(true);
		await findings(COOKIE, SECRET, RECORD);
		expect(left).toEqual([]);
		expect(
			await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length])
		).toEqual(['', 0, 0]);
	});
});
