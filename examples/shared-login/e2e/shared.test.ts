import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../sveltekit/e2e/chromium.ts';
import { ORIGIN, redis, sqlite, startBoth, type Backend, type Both } from './running.ts';
import { events, loggedIn, post, socket } from './visitors.ts';

const SHOTS = new URL('../../../target/screenshots/', import.meta.url).pathname;

/** The two halves of the example, as a visitor sees them. */
const HALVES = [
	{ name: 'SvelteKit', page: `${ORIGIN}/`, count: '/count' },
	{ name: 'axum', page: `${ORIGIN}/api`, count: '/api/count' }
] as const;

const STORES = [
	{ store: 'SQLite', start: sqlite },
	{ store: 'Redis', start: redis }
];

describe.each(STORES)('with one $store', ({ store, start }) => {
	let backend: Backend;
	let both: Both;
	let chromium: FreshChromium;
	let browser: BrowserContext;
	let page: Page;
	const errors: string[] = [];

	beforeAll(async () => {
		await mkdir(SHOTS, { recursive: true });
		backend = await start();
		both = await startBoth(backend.url);
		chromium = await freshChromium();
		({ browser, page } = chromium);
		page.on('pageerror', (error) => errors.push(error.message));
	});

	afterAll(async () => {
		await chromium.close();
		await both.stop();
		await backend.stop();
	});

	const text = (id: string): Promise<string | null> => page.textContent(`[data-testid=${id}]`);

	async function cookie(): Promise<string> {
		const found = (await browser.cookies(ORIGIN)).find(({ name }) => name === 'session');
		return found ? `session=${found.value}` : '';
	}

	async function logIn(half: { page: string }, name: string): Promise<void> {
		await page.goto(half.page);
		await page.fill('input[name=name]', name);
		await page.click('text=Log in here');
		await page.getByTestId('user').waitFor();
	}

	/** The answers of both APIs to a visitor with this cookie. */
	async function answers(cookie: string): Promise<number[]> {
		const ask = async ({ count }: { count: string }): Promise<number> =>
			(await fetch(ORIGIN + count, { method: 'POST', headers: { cookie, origin: ORIGIN } }))
				.status;
		return Promise.all(HALVES.map(ask));
	}

	test('the visitor is not logged in, and there is no cookie', async () => {
		for (const half of HALVES) {
			await page.goto(half.page);
			expect(await page.textContent('h1')).toBe('One login for two');
		}
		expect(await answers('')).toEqual([401, 401]);
		expect(await cookie()).toBe('');
	});

	describe.each(HALVES)('logged in at $name', (here) => {
		const there = HALVES[here === HALVES[0] ? 1 : 0];

		test('is logged in at the other one', async () => {
			await logIn(here, 'Ada & <Grace>');
			for (const half of [there, here]) {
				await page.goto(half.page);
				expect(await page.textContent('h1')).toContain(
					`Hello Ada & <Grace>, says ${half.name}`
				);
				expect(await text('by')).toBe(here.name);
			}
			expect(await answers(await cookie())).toEqual([200, 200]);
		});

		test('concurrent writes of both services lose nothing', async () => {
			await page.goto(HALVES[0].page);
			const before = Number(await text('clicks'));
			await page.click('text=30 each, at once');
			expect(await page.textContent('[role=status]')).toBe(
				'60 counted at once: none was lost.'
			);
			if (here.name === 'axum') {
				await page.screenshot({ path: join(SHOTS, `shared-login-${store}.png`) });
			}
			// More concurrent requests than a browser sends, and each is answered.
			const headers = { cookie: await cookie(), origin: ORIGIN };
			const sent = Array.from({ length: 12 }, (_, n) =>
				fetch(ORIGIN + HALVES[n % 2 ? 0 : 1].count, { method: 'POST', headers })
			);
			expect((await Promise.all(sent)).map(({ status }) => status)).toEqual(
				sent.map(() => 200)
			);
			for (const half of HALVES) {
				await page.goto(half.page);
				expect(Number(await text('clicks'))).toBe(before + 60 + 12);
				expect(Number(await text('sveltekit'))).toBe(Number(await text('axum')));
			}
		});

		test('its open pages at both leave by themselves when the other one logs it out', async () => {
			await page.goto(here.page);
			const old = await cookie();
			const tabs = await Promise.all(HALVES.map(async () => browser.newPage()));
			for (const [at, tab] of tabs.entries()) {
				await tab.goto(HALVES[at]?.page ?? '');
				await tab.getByText('for 1 seconds now').waitFor();
			}
			await page.goto(there.page);
			await page.click('text=Log out');
			for (const tab of tabs) {
				await tab.getByText('Log in here').waitFor();
				await tab.close();
			}
			expect(await answers(old)).toEqual([401, 401]);
			await logIn(here, 'Ada & <Grace>');
		});

		test('is logged out at both by the other one', async () => {
			const old = await cookie();
			await page.goto(there.page);
			await page.screenshot({ path: join(SHOTS, `shared-login-${there.name}.png`) });
			await page.click('text=Log out');
			await page.getByText('Log in here').waitFor();
			expect(await cookie()).toBe('');
			expect(await answers(old)).toEqual([401, 401]);
			await page.goto(here.page);
			expect(await page.textContent('h1')).toBe('One login for two');
		});
	});

	test('both refuse an invalid name', async () => {
		for (const half of HALVES) {
			await page.goto(half.page);
			await page.fill('input[name=name]', 'A');
			await page.click('text=Log in here');
			expect(await page.textContent('[role=alert]')).toContain('2 to 40');
		}
		expect(await cookie()).toBe('');
	});

	test('a form of another site does not log the visitor in', async () => {
		for (const half of [`${ORIGIN}/?/login`, `${ORIGIN}/api/login`]) {
			const headers = {
				origin: 'https://elsewhere.example',
				'sec-fetch-site': 'cross-site',
				'content-type': 'application/x-www-form-urlencoded'
			};
			const answer = await fetch(half, { method: 'POST', headers, body: 'name=Mallory' });
			expect(answer.status).toBe(403);
			expect(answer.headers.get('set-cookie')).toBeNull();
		}
	});

	test('the streams of visitors who log out end at both, and all others go on', async () => {
		const visitors = await Promise.all(
			Array.from({ length: 20 }, async (_, n) => {
				const cookie = await loggedIn(
					n % 2 === 0 ? '/?/login' : '/api/login',
					`Visitor ${n}`
				);
				return { cookie, streams: [await events(cookie), await socket(cookie)] };
			})
		);
		const leaving = visitors.filter((_, n) => n % 4 < 2);
		const staying = visitors.filter((visitor) => !leaving.includes(visitor));
		await Promise.all(
			leaving.map(async ({ cookie, streams }, n) => {
				await post(n % 2 === 0 ? '/api/logout' : '/?/logout', cookie);
				await Promise.all(streams.map(async ({ end }) => end));
			})
		);
		for (const { streams } of staying)
			for (const stream of streams) {
				const { count } = stream;
				while (stream.count === count) await sleep(20);
				expect(stream.isOver).toBe(false);
				stream.leave();
			}
	});

	test('a page of another site gets no socket, and a visitor without a session no stream', async () => {
		const headers = {
			cookie: await loggedIn('/api/login', 'Ada'),
			origin: 'https://elsewhere.example'
		};
		for (const refused of [{ headers }, { headers: {} }]) {
			const socket = new WebSocket(
				`${ORIGIN.replace('http', 'ws')}/api/live`,
				refused as never
			);
			const event = await new Promise<string>((resolve) => {
				for (const type of ['open', 'error'])
					socket.addEventListener(type, () => {
						resolve(type);
					});
			});
			expect(event).toBe('error');
		}
		expect((await fetch(`${ORIGIN}/events`)).status).toBe(401);
	});

	test('without the Rust half, the other one goes on', async () => {
		await logIn(HALVES[0], 'Ada');
		await both.stopService();
		expect(await answers(await cookie())).toEqual([200, 502]);
		await page.goto(HALVES[0].page);
		expect(await text('user')).toBe('Ada');
	});

	test('no page had an error', () => {
		expect(errors).toEqual([]);
	});
});
