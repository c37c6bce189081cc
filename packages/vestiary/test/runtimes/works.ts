import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Server } from './run.js';

/**
 * The behaviour of a session in every server. SvelteKit looks at the origin of a form only in an app that was
 * built, not in `vite dev`. `vestiary/client` is for Svelte 5.
 */
export function works(start: () => Promise<Server>, { built = true, client = true } = {}): void {
	let server: Server;

	beforeAll(async () => {
		server = await start();
	});
	afterAll(() => server.stop());

	/** One request of a browser that has this cookie. */
	async function get(path: string, cookie?: string): Promise<Response> {
		return fetch(server.url + path, {
			redirect: 'manual',
			headers: cookie === undefined ? {} : { cookie }
		});
	}

	async function answer(path: string, cookie?: string): Promise<{ n: number; id: string }> {
		const response = await get(path, cookie);
		expect(response.status).toBe(200);
		return (await response.json()) as { n: number; id: string };
	}

	/** The cookie that a response sets: exactly one. */
	function cookieOf(response: Response): string {
		const ours = response.headers
			.getSetCookie()
			.filter((one) => one.startsWith('connect.sid='));
		expect(ours).toHaveLength(1);
		expect(ours[0]).toMatch(/; Max-Age=600; Path=\/; HttpOnly; (Secure; )?SameSite=Lax$/);
		return ours[0]?.split(';')[0] ?? '';
	}

	test('a visitor who reads gets no cookie', async () => {
		for (const path of ['/', '/api/read', '/about', '/nowhere']) {
			expect((await get(path)).headers.getSetCookie()).toEqual([]);
		}
	});

	test('saved, the session comes back in endpoint, load and page', async () => {
		const response = await get('/api/save');
		const cookie = cookieOf(response);
		expect(response.headers.get('cache-control')).toBe('no-store');
		const { id } = (await response.json()) as { id: string };
		expect(await answer('/api/read', cookie)).toEqual({ n: 1, id });
		expect(await answer('/api/save', cookie)).toEqual({ n: 2, id });
		expect(await (await get('/', cookie)).text()).toContain('n = 2');
		expect(await (await get('/__data.json', cookie)).text()).toContain('"n"');
	});

	test('the stream for the pages of a session ends with it, and no answer to them sets a cookie', async () => {
		const cookie = cookieOf(await get('/api/save'));
		const key = async (): Promise<unknown> => {
			const asked = await get('/_session', cookie);
			expect(asked.headers.getSetCookie()).toEqual([]);
			expect(asked.headers.get('cache-control')).toBe('no-store');
			return ((await asked.json()) as { key?: unknown }).key;
		};
		expect(await key()).toMatch(/^[\w-]{16}$/);
		const headers = { cookie, accept: 'text/event-stream' };
		const { body, status } = await fetch(`${server.url}/_session`, { headers });
		expect(status).toBe(200);
		const reader = body?.getReader();
		expect(new TextDecoder().decode((await reader?.read())?.value)).toContain(':');
		await get('/api/destroy', cookie);
		while (!(await reader?.read())?.done);
		expect(await key()).toBeUndefined();
	});

	if (client)
		test('the server renders a page that uses the client', async () => {
			expect(await (await get('/client')).text()).toContain('no session');
			const cookie = cookieOf(await get('/api/save'));
			const { key } = (await (await get('/_session', cookie)).json()) as { key: string };
			const page = await get('/client', cookie);
			expect(await page.text()).toContain(`session ${key}`);
			expect(page.headers.get('cache-control')).toContain('no-store');
		});

	test('a forged cookie is a visitor without a session', async () => {
		const cookie = cookieOf(await get('/api/save'));
		const forged = cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
		expect(await answer('/api/read', forged)).toMatchObject({ n: 0 });
	});

	test('a form action that logs in and redirects', async () => {
		const before = cookieOf(await get('/api/save'));
		const response = await fetch(`${server.url}/form`, {
			method: 'POST',
			redirect: 'manual',
			headers: { accept: 'text/html', cookie: before, origin: server.origin },
			body: new URLSearchParams({ n: '42' })
		});
		expect(response.status).toBe(303);
		const after = cookieOf(response);
		expect(await answer('/api/read', after)).toMatchObject({ n: 42 });
		expect(await answer('/api/read', before)).toMatchObject({ n: 0 });
	});

	const refusesForms = async (): Promise<void> => {
		const cookie = cookieOf(await get('/api/save'));
		for (const type of [
			'application/x-www-form-urlencoded',
			'APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8',
			'text/plain',
			'Text/Plain',
			'multipart/form-data; boundary=x',
			undefined
		]) {
			const response = await fetch(`${server.url}/form`, {
				method: 'POST',
				redirect: 'manual',
				headers: {
					accept: 'text/html',
					cookie,
					origin: 'https://evil.example',
					...(type !== undefined && { 'content-type': type })
				},
				body: new TextEncoder().encode('n=666')
			});
			expect(response.status, type).toBeGreaterThanOrEqual(400);
			expect(response.headers.getSetCookie(), type).toEqual([]);
		}
		expect(await answer('/api/read', cookie)).toMatchObject({ n: 1 });
	};
	if (built)
		test('a form of another site is refused, whatever it calls its content', refusesForms);

	test('regenerate makes the new session locals.session, and the old ID dies', async () => {
		const before = cookieOf(await get('/api/save'));
		const response = await get('/api/regenerate', before);
		const after = cookieOf(response);
		expect(await answer('/api/read', after)).toMatchObject({ n: 100 });
		expect(await answer('/api/read', before)).toMatchObject({ n: 0 });
	});

	test('destroy clears the cookie, and the session is gone', async () => {
		const cookie = cookieOf(await get('/api/save'));
		const response = await get('/api/destroy', cookie);
		expect(response.headers.getSetCookie()).toEqual([
			expect.stringMatching(
				/^connect\.sid=; Max-Age=0; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; /
			)
		]);
		expect(await answer('/api/read', cookie)).toMatchObject({ n: 0 });
	});

	test('a sub-request shares the session of its page: no second read, no lost change', async () => {
		const cookie = cookieOf(await get('/api/save'));
		const response = await get('/parent', cookie);
		const expected = 'child 51, parent 51, stranger 0, 0 reads';
		expect(await response.text()).toContain(expected);
		expect(cookieOf(response)).toBe(cookie);
		expect(await answer('/api/read', cookie)).toMatchObject({ n: 51 });
		// A visitor without a session, too: the child's save is the page's.
		const first = await get('/parent');
		expect(await first.text()).toContain(expected);
		expect(await answer('/api/read', cookieOf(first))).toMatchObject({ n: 51 });
	});

	test.each([
		['a redirect that a later hook throws', '/hook/redirect', 303],
		['a redirect that it throws after resolve()', '/hook/late-redirect', 303],
		['a response that a later hook makes', '/hook/response', 200],
		['a save after resolve()', '/hook/late', 404],
		['a response of a hook with immutable headers', '/hook/immutable', 303],
		['a redirect in load', '/throws/redirect', 303],
		['an error in load', '/throws/error', 418],
		['a crash in load', '/throws/crash', 500],
		['a load for the client', '/throws/not/__data.json', 200],
		['a redirect in a load for the client', '/throws/redirect/__data.json', 200],
		['a redirect in an endpoint', '/api/throws/redirect', 303],
		['an error in an endpoint', '/api/throws/error', 418],
		['a crash in an endpoint', '/api/throws/crash', 500],
		['a response of an endpoint with immutable headers', '/api/throws/immutable', 303]
	])('the cookie survives %s', async (_, path, status) => {
		const response = await get(path);
		expect(response.status).toBe(status);
		const [cookie = ''] = response.headers.getSetCookie();
		expect(await answer('/api/read', cookie.split(';')[0])).toMatchObject({ n: 1 });
	});

	test.each([
		['redirect', 303],
		['error', 418],
		['crash', 500],
		['fail', 422],
		['not', 200]
	])('the cookie survives an action that ends with: %s', async (how, status) => {
		const response = await fetch(`${server.url}/throws/${how}`, {
			method: 'POST',
			redirect: 'manual',
			headers: { accept: 'text/html', origin: server.origin },
			body: new URLSearchParams({ n: '1' })
		});
		expect(response.status).toBe(status);
		expect(await answer('/api/read', cookieOf(response))).toMatchObject({ n: 1 });
	});

	test('the cookie survives HEAD, and 304', async () => {
		const head = await fetch(`${server.url}/api/throws/etag`, { method: 'HEAD' });
		expect(head.status).toBe(200);
		expect(await answer('/api/read', cookieOf(head))).toMatchObject({ n: 1 });
		const unchanged = await fetch(`${server.url}/api/throws/etag`, {
			headers: { 'if-none-match': '"1"' }
		});
		expect(unchanged.status).toBe(304);
		expect(await answer('/api/read', cookieOf(unchanged))).toMatchObject({ n: 1 });
	});

	test('while a page is streamed, a session can be saved, but a new one has no cookie any more', async () => {
		const cookie = cookieOf(await get('/api/save'));
		expect(await (await get('/stream', cookie)).text()).toContain('saved');
		expect(await answer('/api/read', cookie)).toMatchObject({ n: 9 });
		const first = await get('/stream');
		expect(await first.text()).toContain('ResponseSentError');
		expect(first.headers.getSetCookie()).toEqual([]);
	});

	// As docs/reference/session.md says: SvelteKit puts no other header on this response, not even those of
	// `setHeaders`.
	test('a redirect that a later hook throws has the cookie, and nothing for caches', async () => {
		const response = await get('/hook/redirect');
		expect(response.headers.getSetCookie()).toHaveLength(1);
		expect(response.headers.get('cache-control')).toBeNull();
		expect(response.headers.get('vary') ?? '').not.toContain('Cookie');
	});

	// SvelteKit turns these into its own responses, which no hook sees: docs/how-to/troubleshooting.md.
	test.each([
		['an error that a hook throws', '/hook/error', 418],
		['a redirect that a hook returns to the client router', '/hook/immutable/__data.json', 200]
	])('SvelteKit drops the cookie with %s', async (_, path, status) => {
		const response = await get(path);
		expect(response.status).toBe(status);
		expect(response.headers.getSetCookie()).toEqual([]);
	});
}
