import { beforeEach, describe, expect, test } from 'vitest';

import {
	ConfigError,
	ResponseSentError,
	sveltekitSessionHandle,
	type Session,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent, type CookieCall } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

let store: CountingStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	store = new CountingStore();
	options = { secret: SECRET, store, cookie: { maxAge: 60 } };
});

/** Runs a request through the handle. */
async function run(
	app: (session: Session, close: () => void) => Response | Promise<Response>,
	cookie?: string,
	url?: string
): Promise<{ response: Response; session: Session; cookie: string }> {
	const { event, close } = testEvent(cookie, url);
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => app(event.locals.session, close)
	});
	const sent = response.headers.getSetCookie().at(-1)?.split(';')[0] ?? '';
	return { response, session: event.locals.session, cookie: sent };
}

async function save(session: Session): Promise<Response> {
	await session.save();
	return new Response('ok');
}

describe('the cookie is on the response that leaves', () => {
	const ours = expect.stringMatching(
		/^connect\.sid=[\w-]{32}\.[\w%]+; Max-Age=60; Path=\/; HttpOnly; Secure; SameSite=Lax$/
	) as string;

	test('when the application made the response', async () => {
		const { response } = await run(save);
		expect(response.headers.getSetCookie()).toEqual([ours]);
	});

	test('when its headers are immutable', async () => {
		const { response } = await run(async (session) => {
			await session.save();
			return Response.redirect('https://app.example/next', 303);
		});
		expect(response.status).toBe(303);
		expect(response.headers.get('location')).toBe('https://app.example/next');
		expect(response.headers.getSetCookie()).toEqual([ours]);
		const { response: read } = await run((session) => {
			expect(session.isNew).toBe(true);
			return Response.redirect('https://app.example/next', 303);
		});
		expect([...read.headers]).toEqual([
			['location', 'https://app.example/next'],
			['vary', 'Cookie']
		]);
	});

	test('and on no other, though an endpoint returns one object to every visitor', async () => {
		const shared = new Response(null, { status: 204, headers: { 'x-own': 'yes' } });
		const { response } = await run(async (session) => {
			await session.save();
			return shared;
		});
		expect(response.status).toBe(204);
		expect(response.headers.get('x-own')).toBe('yes');
		expect(response.headers.getSetCookie()).toEqual([ours]);
		expect([...shared.headers]).toEqual([['x-own', 'yes']]);
		const { response: next } = await run((session) => {
			expect(session.isNew).toBe(true);
			return shared;
		});
		expect(next.headers.getSetCookie()).toEqual([]);
		expect(next.headers.get('vary')).toBe('Cookie');
		expect(shared.headers.getSetCookie()).toEqual([]);
	});

	test('when SvelteKit had closed its cookie jar before the save', async () => {
		const { response } = await run(async (session, close) => {
			close();
			return save(session);
		});
		expect(response.headers.getSetCookie()).toEqual([ours]);
	});

	test('once, even if it was set before, and other cookies stay', async () => {
		const { response } = await run(async (session) => {
			await session.save();
			const headers = new Headers({ 'content-type': 'text/plain' });
			headers.append('set-cookie', 'theme=dark; Path=/');
			headers.append('set-cookie', 'connect.sid=stale; Path=/');
			headers.append('set-cookie', 'connect.sidx=other; Path=/');
			return new Response('ok', { headers });
		});
		expect(response.headers.getSetCookie()).toEqual([
			'theme=dark; Path=/',
			'connect.sidx=other; Path=/',
			ours
		]);
		expect(await response.text()).toBe('ok');
	});

	test('not Secure where SvelteKit would not make it so', async () => {
		const { response } = await run(save, undefined, 'http://localhost/');
		expect(response.headers.getSetCookie()[0]).not.toContain('Secure');
	});

	test('as the application encodes it', async () => {
		options.cookie = { encode: (value) => value.replaceAll('.', '%2e') };
		const { response } = await run(save);
		expect(response.headers.getSetCookie()[0]).toMatch(
			/^connect\.sid=[\w-]{32}%2e[A-Za-z0-9+/]{43};/
		);
	});

	test('the last word counts: saved, then destroyed', async () => {
		const { response } = await run(async (session) => {
			await session.save();
			await session.destroy();
			return new Response();
		});
		expect(response.headers.getSetCookie()).toEqual([
			'connect.sid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax'
		]);
		expect(store.records.size).toBe(0);
	});
});

describe('caches', () => {
	test('keep no response that sets the cookie', async () => {
		const { response } = await run(async (session) => {
			await session.save();
			return new Response('', {
				headers: { 'cache-control': 'public, max-age=60', vary: 'Accept' }
			});
		});
		expect(response.headers.get('cache-control')).toBe('no-store');
		expect(response.headers.get('vary')).toBe('Accept, Cookie');
	});

	test('may keep what has nothing to do with sessions', async () => {
		const made = new Response('', { headers: { 'cache-control': 'public, max-age=60' } });
		const { response } = await run(() => made);
		expect(response).toBe(made);
		expect(response.headers.get('cache-control')).toBe('public, max-age=60');
		expect(response.headers.get('vary')).toBeNull();
	});
});

describe('a response that has left', () => {
	test('a new session: a typed error, and nothing is stored', async () => {
		const { session } = await run(() => new Response());
		await expect(session.save()).rejects.toBeInstanceOf(ResponseSentError);
		expect(store.calls).toEqual([]);
	});

	test('an existing session is stored', async () => {
		const { cookie } = await run(save);
		const { session } = await run(() => new Response(), cookie);
		await session.setData({ late: true });
		await session.save();
		expect([...store.records.values()][0]?.data).toEqual({ late: true });
	});

	test('a logout is a logout', async () => {
		const { cookie } = await run(save);
		const { session } = await run(() => new Response(), cookie);
		await session.destroy();
		expect(store.records.size).toBe(0);
	});
});

describe('exceptions that pass the handle', () => {
	test('keeps the changes made before it, and is thrown on', async () => {
		options.saveUninitialized = true;
		const { event } = testEvent();
		const thrown = { status: 303, location: '/next' };
		const request = sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await event.locals.session.setData({ seen: true });
				// eslint-disable-next-line @typescript-eslint/only-throw-error -- as SvelteKit's redirect is
				throw thrown;
			}
		});
		await expect(request).rejects.toBe(thrown);
		expect([...store.records.values()].map(({ data }) => data)).toEqual([{ seen: true }]);
	});

	/** The contents of SvelteKit's cookie jar after a later hook threw. */
	async function jar(
		app: (session: Session, close: () => void) => Promise<void>,
		cookie?: string
	): Promise<CookieCall[]> {
		const { event, cookies, close } = testEvent(cookie);
		const request = sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await app(event.locals.session, close);
				throw new Error('thrown');
			}
		});
		await expect(request).rejects.toThrow('thrown');
		return cookies;
	}

	test('leaves the cookie with SvelteKit, which makes the response then', async () => {
		const [call, ...more] = await jar((session) => session.save());
		expect(more).toEqual([]);
		expect(call).toMatchObject({ name: 'connect.sid', options: { path: '/', maxAge: 60 } });
		expect(call?.value).toMatch(/^[\w-]{32}\.[A-Za-z0-9+/]{43}$/);
	});

	test('even after SvelteKit has closed its jar', async () => {
		const calls = await jar(async (session, close) => {
			await session.save();
			close();
		});
		expect(calls).toHaveLength(1);
	});

	test('or removes it', async () => {
		const { cookie } = await run(save);
		const calls = await jar((session) => session.destroy(), cookie);
		expect(calls).toMatchObject([{ method: 'set', value: '', options: { maxAge: 0 } }]);
	});

	test('touches no cookie that has not changed', async () => {
		const { cookie } = await run(save);
		expect(await jar(async () => undefined, cookie)).toEqual([]);
	});
});

test('without a throw, SvelteKit’s cookie jar has nothing to put on a response', async () => {
	const { event, cookies } = testEvent();
	await sveltekitSessionHandle(options)({ event, resolve: () => save(event.locals.session) });
	expect(cookies).toEqual([]);
});

describe('options that come with the request', () => {
	/** A request of a browser, or of the prerenderer. */
	async function request(handle: SessionHandle, prerendering = false): Promise<Session> {
		const { event } = testEvent();
		if (prerendering) {
			Object.defineProperty(event.url, 'search', { get: () => expect.fail('prerendering') });
		}
		await handle({ event, resolve: () => new Response() });
		return event.locals.session;
	}

	test('are made once, by the first request that has a visitor', async () => {
		let calls = 0;
		const handle = sveltekitSessionHandle(({ url }) => {
			calls++;
			return { ...options, name: url.hostname };
		});
		expect((await request(handle, true)).data).toEqual({});
		expect(calls).toBe(0);
		expect((await request(handle)).cookieName).toBe('app.example');
		expect((await request(handle)).store).toBe(store);
		expect((await request(handle, true)).data).toEqual({});
		expect(calls).toBe(1);
	});

	test('are checked then, and asked for again after an error', async () => {
		let calls = 0;
		const handle = sveltekitSessionHandle(() => {
			if (++calls === 1) throw new Error('no binding');
			return calls === 2 ? { secret: '' } : options;
		});
		await expect(request(handle)).rejects.toThrow('no binding');
		await expect(request(handle)).rejects.toThrow(ConfigError);
		expect((await request(handle)).store).toBe(store);
	});

	test('may be missing on a page that vite dev will not let see its bindings', async () => {
		const handle = sveltekitSessionHandle(() => {
			throw new Error('Cannot access platform.env.SESSIONS in a prerenderable route');
		});
		expect((await request(handle)).data).toEqual({});
	});
});

describe('event.fetch', () => {
	/** The cookie that a request to `target` carries beside what SvelteKit adds. */
	async function carried(target: string, init?: RequestInit): Promise<string | null> {
		const { event } = testEvent(undefined, 'https://app.example/');
		let seen: string | null = null;
		const fetch: typeof event.fetch = async (input, init) => {
			seen = new Request(input, init).headers.get('cookie');
			return new Response();
		};
		Object.assign(event, { fetch });
		await sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await event.locals.session.save();
				await event.fetch(target, init);
				return new Response();
			}
		});
		return seen;
	}

	test('tells the hosts below ours of the cookie that this request has set', async () => {
		const value = /^connect\.sid=[\w-]{32}\.[\w%]{43,}$/;
		expect(await carried('https://api.app.example/')).toMatch(value);
		expect(await carried('https://app.example:8443/')).toMatch(value);
	});

	test('sends the cookie to no other host', async () => {
		expect(await carried('https://example/')).toBeNull();
		expect(await carried('https://evilapp.example/')).toBeNull();
		expect(await carried('https://api.app.example/', { credentials: 'omit' })).toBeNull();
		const own = { headers: { cookie: 'a=1' } };
		expect(await carried('https://api.app.example/', own)).toBe('a=1');
	});
});

describe('while prerendering', () => {
	test('the session is left alone', async () => {
		options.saveUninitialized = true;
		const { event, cookies } = testEvent();
		// SvelteKit does this to the URL of a prerendered page.
		Object.defineProperty(event.url, 'search', {
			get: () => {
				throw new Error('Cannot access url.search on a page with prerendering enabled');
			}
		});
		const response = await sveltekitSessionHandle(options)({
			event,
			resolve: () => new Response()
		});
		expect(store.calls).toEqual([]);
		expect(cookies).toEqual([]);
		expect(response.headers.getSetCookie()).toEqual([]);
		expect(event.locals.session.data).toEqual({});
	});
});
