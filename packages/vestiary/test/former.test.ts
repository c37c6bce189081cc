import type { RequestEvent } from '@sveltejs/kit';
import { getIronSession, sealData, unsealData, type SessionOptions } from 'iron-session';
import * as version8 from 'iron-session8';
import { handleSession } from 'svelte-kit-cookie-session';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { browserAfter, cookieHeader, FakeCookies, type Browser } from '../src/fake-cookies.js';
import {
	fromCookieSession,
	fromIronSession,
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	takeOver,
	type FormerSessions,
	type Session,
	type SessionHandle
} from '../src/index.js';
import { CountingStore } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const OTHER = 'fedcba9876543210fedcba9876543210';
const options = () => ({ secret: SECRET, store: new MemoryStore(), autoSave: true });

afterEach(() => {
	vi.useRealTimers();
});

const soon = (): Date => new Date(Date.now() + 1_000_000);

/** The application's part of a request. */
type Page = (session: Session) => unknown;

/** A browser, and the hooks of the server that it asks. */
class Visitor {
	browser: Browser;
	sent: string[] = [];

	constructor(browser: Browser = new Map()) {
		this.browser = browser;
	}

	/** Another browser with the same cookies. */
	copy(): Visitor {
		return new Visitor(new Map(this.browser));
	}

	async ask(handle: SessionHandle, page: Page = () => undefined): Promise<Session> {
		const url = new URL('https://app.example/');
		const cookies = new FakeCookies(this.browser, url);
		const headers = new Headers();
		const cookie = cookieHeader(this.browser);
		if (cookie !== undefined) headers.set('cookie', cookie);
		const request = new Request(url);
		Object.defineProperty(request, 'headers', { value: headers, configurable: true });
		const event = { url, request, cookies: cookies.jar, locals: {}, isSubRequest: false };
		const asked = event as unknown as RequestEvent;
		const resolve = async (): Promise<Response> => {
			const answer = await page(asked.locals.session);
			return answer instanceof Response ? answer : new Response('done');
		};
		const response = await handle({ event: asked, resolve });
		this.sent = [...response.headers.getSetCookie(), ...cookies.close()];
		this.browser = browserAfter(this.browser, this.sent);
		return asked.locals.session;
	}
}

/** The hooks of an app that has left the library. */
function hooks(former: FormerSessions, given = options()): SessionHandle {
	const [taking, opening] = [takeOver(given, former), sveltekitSessionHandle(given)];
	return ({ event, resolve }) =>
		taking({ event, resolve: async (next) => opening({ event: next, resolve }) });
}

/** A visitor who is logged in by svelte-kit-cookie-session. */
async function byCookieSession(
	more: object = {},
	data: object = { userId: 'ada', cart: ['tea'] }
): Promise<Visitor> {
	const visitor = new Visitor();
	const former = handleSession({ secret: SECRET, ...more });
	await visitor.ask(former, async (session) => {
		await (session as unknown as { set(data: object): Promise<void> }).set(data);
	});
	return visitor;
}

const COOKIE_SESSION = fromCookieSession({ secret: SECRET });

describe('a session that is taken over', () => {
	test('keeps its data, in a session of its own, and its old cookie is removed', async () => {
		const visitor = await byCookieSession();
		expect([...visitor.browser.keys()]).toEqual(['kit.session']);
		const handle = hooks(COOKIE_SESSION);
		const first = await visitor.ask(handle);
		expect(first.data).toEqual({ userId: 'ada', cart: ['tea'] });
		expect([...visitor.browser.keys()]).toEqual(['connect.sid']);
		const second = await visitor.ask(handle);
		expect(second.id).toBe(first.id);
		expect(second.data).toEqual({ userId: 'ada', cart: ['tea'] });
		expect(visitor.sent).toEqual([]);
	});

	test('is one session in all requests that still have the old cookie', async () => {
		const visitor = await byCookieSession();
		const given = options();
		const handle = hooks(COOKIE_SESSION, given);
		const tabs = [1, 2, 3, 4].map(() => visitor.copy());
		const opened = await Promise.all(tabs.map(async (tab) => tab.ask(handle)));
		expect(new Set(opened.map(({ id }) => id)).size).toBe(1);
		// The session, and the record that leads to it.
		expect(given.store.size).toBe(2);
		// The response with the new cookie was lost, and the browser asks again.
		const late = visitor.copy();
		expect((await late.ask(handle)).id).toBe(opened[0]?.id);
		expect([...late.browser.keys()]).toEqual(['connect.sid']);
	});

	test('ends with its logout, whatever the form of the old cookie', async () => {
		const visitor = await byCookieSession();
		const old = visitor.copy();
		const handle = hooks(COOKIE_SESSION);
		await visitor.ask(handle);
		await visitor.ask(handle, (session) => session.destroy());
		expect([...visitor.browser.keys()]).toEqual([]);
		const [value = ''] = old.browser.values();
		const text = decodeURIComponent(value);
		for (const form of [text, text.toUpperCase().replace('&ID=', '&id='), text.split('&')[0]]) {
			const thief = new Visitor(new Map([['kit.session', encodeURIComponent(form ?? '')]]));
			const found = await thief.ask(handle);
			expect(found.isNew).toBe(true);
			expect(found.data).toEqual({});
			expect([...thief.browser.keys()]).toEqual([]);
		}
	});

	test('leaves the earlier cookies of its library valid, as the guide says', async () => {
		const [earlier, visitor] = [await byCookieSession(), await byCookieSession()];
		const handle = hooks(COOKIE_SESSION);
		await visitor.ask(handle, (session) => session.destroy());
		expect((await earlier.ask(handle)).data).toEqual({ userId: 'ada', cart: ['tea'] });
	});

	test('is bound to no device before the next login', async () => {
		const visitor = await byCookieSession();
		const former = {
			...COOKIE_SESSION,
			read: () => ({ id: 'a', userId: 'ada', expires: soon() })
		};
		const handle = hooks(former, Object.assign(options(), { deviceBound: true }));
		const asks = async (page?: Page): Promise<boolean> => {
			let response = new Response();
			await visitor.ask(async (input) => (response = await handle(input)), page);
			return response.headers.has('secure-session-registration');
		};
		expect(await asks()).toBe(false);
		expect(await asks(async (session) => session.login('ada'))).toBe(true);
	});

	test('is written by the request that takes it over, and logged out by it', async () => {
		const handle = hooks(COOKIE_SESSION);
		const writer = await byCookieSession();
		await writer.ask(handle, (session) => session.setData({ ...session.data, cart: [] }));
		expect((await writer.ask(handle)).data).toEqual({ userId: 'ada', cart: [] });
		const leaver = await byCookieSession();
		const old = leaver.copy();
		await leaver.ask(handle, (session) => session.destroy());
		expect([...leaver.browser.keys()]).toEqual([]);
		expect((await old.ask(handle)).isNew).toBe(true);
	});

	test('keeps its cookie with a response whose headers are immutable', async () => {
		const visitor = await byCookieSession();
		const handle = hooks(COOKIE_SESSION);
		await visitor.ask(handle, () => Response.redirect('https://app.example/next'));
		expect([...visitor.browser.keys()]).toEqual(['connect.sid']);
	});

	test('survives a hook that throws, because the old cookie is still there', async () => {
		const visitor = await byCookieSession();
		const handle = hooks(COOKIE_SESSION);
		const thrown = visitor.ask(handle, () => {
			throw new Error('a redirect');
		});
		await expect(thrown).rejects.toThrow('a redirect');
		expect((await visitor.ask(handle)).data).toEqual({ userId: 'ada', cart: ['tea'] });
	});

	test('logs its user in, if the library knows the user', async () => {
		const given = options();
		const former: FormerSessions = {
			owns: (name) => name === 'auth_session',
			read: (cookies) => ({
				id: cookies.get('auth_session') ?? '',
				userId: 'ada',
				expires: new Date(Date.now() + 60_000)
			})
		};
		const visitor = new Visitor(new Map([['auth_session', 'abc']]));
		const session = await visitor.ask(hooks(former, given));
		expect(session.userId).toBe('ada');
		expect(await sessions(given).of('ada').list(session)).toHaveLength(1);
	});

	test('waits while its user has too many sessions', async () => {
		const given = { ...options(), sessionsPerUser: { most: 1, whenFull: 'refuse' as const } };
		const former: FormerSessions = {
			owns: (name) => name === 'auth_session',
			read: () => ({ id: 'abc', userId: 'ada', expires: new Date(Date.now() + 60_000) })
		};
		const handle = hooks(former, given);
		const other = new Visitor();
		await other.ask(handle, (session) => session.login('ada'));
		const visitor = new Visitor(new Map([['auth_session', 'abc']]));
		expect((await visitor.ask(handle)).isNew).toBe(true);
		expect([...visitor.browser.keys()]).toEqual(['auth_session']);
		await other.ask(handle, (session) => session.destroy());
		expect((await visitor.ask(handle)).userId).toBe('ada');
	});

	test('counts no longer after a logout, also if reading prolongs it', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const former: FormerSessions = {
			owns: (name) => name === 'auth_session',
			read: () => ({ id: 'abc', userId: 'ada', expires: new Date(Date.now() + 60_000) })
		};
		const visitor = new Visitor(new Map([['auth_session', 'abc']]));
		const old = visitor.copy();
		const handle = hooks(former);
		await visitor.ask(handle);
		await visitor.ask(handle, (session) => session.destroy());
		for (let n = 0; n < 4; n++) {
			vi.setSystemTime(Date.now() + 40_000);
			expect((await old.copy().ask(handle)).isNew).toBe(true);
		}
	});

	test('cannot be found with a dump of the store alone', async () => {
		const store = new CountingStore();
		const visitor = await byCookieSession();
		const handle = hooks(COOKIE_SESSION, { ...options(), store } as never);
		await visitor.ask(handle);
		const texts = [...store.records].map((record) => JSON.stringify(record));
		const value = decodeURIComponent(visitor.browser.get('connect.sid') ?? '');
		const [id = ''] = value.split('.');
		const leads = texts.filter((text) => text.includes('former-'));
		expect(leads).toHaveLength(1);
		expect(leads[0]).not.toContain(id);
		expect(atob(/"former":"([^"]+)/.exec(leads[0] ?? '')?.[1] ?? '')).not.toContain(id);
	});
});

describe('a visitor', () => {
	test('with a session of the new library keeps that one', async () => {
		const handle = hooks(COOKIE_SESSION);
		const visitor = new Visitor();
		await visitor.ask(handle, (session) => session.setData({ userId: 'grace' }));
		const [pair] = visitor.browser;
		const both = new Visitor(
			new Map([...(await byCookieSession()).browser, ...(pair ? [pair] : [])])
		);
		expect((await both.ask(handle)).data).toEqual({ userId: 'grace' });
		expect([...both.browser.keys()]).toEqual(['connect.sid']);
	});

	test('with a session of the new library has ended the old one, also for a copy of its cookie', async () => {
		const handle = hooks(COOKIE_SESSION);
		const old = await byCookieSession();
		const visitor = new Visitor();
		await visitor.ask(handle, (session) => session.setData({ userId: 'grace' }));
		const both = new Visitor(new Map([...old.browser, ...visitor.browser]));
		await both.ask(handle);
		expect((await old.ask(handle)).isNew).toBe(true);
		expect([...old.browser.keys()]).toEqual([]);
	});

	test('whose response was lost still has the session that took the place of the old one', async () => {
		const handle = hooks(COOKIE_SESSION);
		const old = await byCookieSession();
		const first = old.copy();
		await first.ask(handle);
		await new Visitor(new Map([...old.browser, ...first.browser])).ask(handle);
		expect((await old.ask(handle)).data).toMatchObject({ userId: 'ada' });
	});

	test('without an old cookie costs the store nothing', async () => {
		const store = new CountingStore();
		await new Visitor().ask(hooks(COOKIE_SESSION, { ...options(), store } as never));
		expect(store.calls).toEqual([]);
	});
});

describe('svelte-kit-cookie-session', () => {
	test.each([
		['a forged cookie', { secret: OTHER }],
		['an expired session', { expires: -1, expires_in: 'seconds' }]
	])('%s counts for nothing', async (_, more) => {
		const visitor = await byCookieSession(more);
		visitor.browser =
			visitor.browser.size > 0
				? visitor.browser
				: new Map([['kit.session', visitor.sent[0]?.split(/[=;]/)[1] ?? '']]);
		const session = await visitor.ask(hooks(COOKIE_SESSION));
		expect(session.isNew).toBe(true);
		expect([...visitor.browser.keys()]).toEqual([]);
	});

	test('a text that is no cookie of it counts for nothing', async () => {
		for (const text of ['', 'abc', 'zz'.repeat(40), 'ab'.repeat(40), '&id=1']) {
			const visitor = new Visitor(new Map([['kit.session', text]]));
			expect((await visitor.ask(hooks(COOKIE_SESSION))).isNew).toBe(true);
		}
	});

	test.each([
		[
			'chunks',
			{ chunked: true, key: 'my.key' },
			{ secret: SECRET, chunked: true, key: 'my.key' }
		],
		[
			'an old secret',
			{ secret: [{ id: 7, secret: OTHER }] },
			{
				secret: [
					{ id: 8, secret: SECRET },
					{ id: 7, secret: OTHER }
				]
			}
		],
		[
			'a secret of bytes',
			{ secret: new TextEncoder().encode(SECRET) },
			{ secret: new TextEncoder().encode(SECRET) }
		]
	])('%s', async (_, written, read) => {
		const data = { text: 'é'.repeat('chunked' in written ? 2500 : 5) };
		const visitor = await byCookieSession(written, data);
		if ('chunked' in written) expect(visitor.browser.size).toBeGreaterThan(3);
		const session = await visitor.ask(hooks(fromCookieSession(read)));
		expect(session.data).toEqual(data);
		expect([...visitor.browser.keys()]).toEqual(['connect.sid']);
	});
});

const IRON: SessionOptions = { cookieName: 'app', password: SECRET };

/** A visitor who is logged in by iron-session. */
async function byIronSession(
	more: Partial<SessionOptions> = {},
	data: object = { user: 'ada' }
): Promise<Visitor> {
	const visitor = new Visitor();
	const response = new Response();
	const session = await getIronSession<object>(new Request('https://app.example'), response, {
		...IRON,
		...more
	});
	Object.assign(session, data);
	await session.save();
	visitor.browser = browserAfter(new Map(), response.headers.getSetCookie());
	return visitor;
}

describe('iron-session', () => {
	test('a session of version 9, and of a former password', async () => {
		const visitor = await byIronSession({ password: { 1: OTHER } });
		const options = { ...IRON, password: { 1: OTHER, 2: SECRET } };
		const session = await visitor.ask(hooks(fromIronSession(unsealData, options)));
		expect(session.data).toEqual({ user: 'ada' });
		expect([...visitor.browser.keys()]).toEqual(['connect.sid']);
	});

	test('a session of version 8', async () => {
		const seal = await version8.sealData({ user: 'ada' }, { password: SECRET });
		const visitor = new Visitor(new Map([['app', encodeURIComponent(seal)]]));
		const former = fromIronSession(version8.unsealData, IRON);
		expect((await visitor.ask(hooks(former))).data).toEqual({ user: 'ada' });
		const broken = new Visitor(new Map([['app', 'Fe26.1*1*2*3*4*5*6*7']]));
		expect((await broken.ask(hooks(former))).isNew).toBe(true);
	});

	test('a session in chunks', async () => {
		const data = { text: 'x'.repeat(5000) };
		const visitor = await byIronSession({ chunk: true }, data);
		expect(visitor.browser.size).toBeGreaterThan(1);
		const session = await visitor.ask(hooks(fromIronSession(unsealData, IRON)));
		expect(session.data).toEqual(data);
		expect([...visitor.browser.keys()]).toEqual(['connect.sid']);
	});

	test('ends with its logout, whatever the form of its seal', async () => {
		const visitor = await byIronSession();
		const seal = decodeURIComponent(visitor.browser.get('app') ?? '');
		const handle = hooks(fromIronSession(unsealData, IRON));
		await visitor.ask(handle);
		await visitor.ask(handle, (session) => session.destroy());
		for (const form of [
			seal,
			`${seal}~3`,
			seal.replace('~2', '~9'),
			seal.split('~')[0] ?? ''
		]) {
			const thief = new Visitor(new Map([['app', encodeURIComponent(form)]]));
			expect((await thief.ask(handle)).isNew).toBe(true);
		}
		const halves = [seal.slice(0, 20), seal.slice(20)];
		const chunks = halves.map((half, n) => [`app.${n}`, encodeURIComponent(half)] as const);
		expect((await new Visitor(new Map(chunks)).ask(handle)).isNew).toBe(true);
	});

	test('an expired seal, and a forged one, count for nothing', async () => {
		const expired = await sealData({ user: 'ada' }, { password: SECRET, ttl: -120 });
		const forged = await sealData({ user: 'ada' }, { password: OTHER });
		for (const seal of [expired, forged, 'abc']) {
			const visitor = new Visitor(new Map([['app', encodeURIComponent(seal)]]));
			const session = await visitor.ask(hooks(fromIronSession(unsealData, IRON)));
			expect(session.isNew).toBe(true);
			expect([...visitor.browser.keys()]).toEqual([]);
		}
	});

	test('sessions without an end need one', async () => {
		for (const endless of [{ ttl: 0 }, { cookieOptions: { maxAge: undefined } }]) {
			const options = { ...IRON, ...endless };
			expect(() => fromIronSession(unsealData, options)).toThrow('{ until }');
			const visitor = await byIronSession(endless);
			const until = (ms: number) => ({ until: new Date(Date.now() + ms) });
			const over = await visitor
				.copy()
				.ask(hooks(fromIronSession(unsealData, options, until(-1))));
			expect(over.isNew).toBe(true);
			const former = fromIronSession(unsealData, options, until(60_000));
			expect((await visitor.ask(hooks(former))).data).toEqual({ user: 'ada' });
		}
	});
});
