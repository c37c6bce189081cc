import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Server } from './run.js';

/**
 * Checks the headers of requests to the app's own origin that its `handleFetch` sends to another server: to the page
 * `echo` of the same app, over the network, as a request of its own.
 */
export function subRequests(start: () => Promise<Server>): void {
	let server: Server;

	beforeAll(async () => {
		server = await start();
	});
	afterAll(() => server.stop());

	async function page(path: string, cookie: string): Promise<{ seen: string; cookie: string }> {
		const response = await fetch(server.url + path, { headers: { cookie } });
		expect(response.status).toBe(200);
		const [, text = ''] = /<p>(.*?)<\/p>/s.exec(await response.text()) ?? [];
		const set = response.headers.getSetCookie();
		expect(set).toHaveLength(1);
		return { seen: text.replaceAll('&amp;', '&'), cookie: set[0]?.split(';')[0] ?? '' };
	}

	test('a backend behind handleFetch sees the login of the page, and no header of ours', async () => {
		const { seen, cookie } = await page('/elsewhere', 'theme=dark');
		expect(seen).toBe(`n=7|names=|theme=dark; ${cookie}`);
		const again = await page('/elsewhere', `${cookie}; theme=dark`);
		expect(again.cookie).not.toBe(cookie);
		expect(again.seen).toBe(`n=7|names=|theme=dark; ${again.cookie}`);
	});

	test('and the logout', async () => {
		const { cookie } = await page('/elsewhere', 'theme=dark');
		const { seen } = await page('/elsewhere?logout', `${cookie}; theme=dark`);
		expect(seen).toBe('n=0|names=|theme=dark; connect.sid=');
	});
}
