import { redirect } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type SessionEvent,
	type SveltekitSessionConfig
} from '../src/index.js';
import { BoundBrowser } from './bound-browser.js';
import { CountingStore } from './event.js';
import { remote } from './visits.js';
import { SECRET, WatchedStore } from './watched-store.js';

let store: WatchedStore;
let events: SessionEvent[];
let options: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new WatchedStore();
	events = [];
	options = {
		secret: SECRET,
		store,
		deviceBound: true,
		onEvent: (event) => events.push(event)
	};
});

afterEach(() => {
	vi.useRealTimers();
});

function pass(seconds: number): void {
	vi.setSystemTime(Date.now() + seconds * 1_000);
}

/** The reasons of the events `bound` since the last call. */
function reasons(): string[] {
	return events.splice(0).flatMap((event) => (event.type === 'bound' ? [event.reason] : []));
}

const userOf = async (browser: BoundBrowser): Promise<string | undefined> =>
	(await browser.visit((session) => session.isNew)).session.userId;

describe('a login', () => {
	test('asks the browser to bind the session, which it does', async () => {
		const browser = await BoundBrowser.open(options);
		expect(await browser.logIn()).toMatch(
			/^\(ES256\);path="\/device-session\/register";challenge="[\w-]{32}"$/
		);
		expect((await browser.visit()).session.bound).toBe(false);
		expect(reasons()).toEqual([]);

		const answer = await browser.register();
		expect(answer.status).toBe(200);
		expect(reasons()).toEqual(['registered']);
		expect(answer.instructions).toEqual({
			session_identifier: expect.stringMatching(/^[\w-]{16}$/) as string,
			refresh_url: '/device-session/refresh',
			scope: { include_site: false },
			credentials: [
				{
					type: 'cookie',
					name: 'connect.sid.bound',
					attributes: 'Path=/; HttpOnly; Secure; SameSite=Lax'
				}
			]
		});
		expect(answer.challenge).toMatch(/^[\w-]{32}$/);
		expect(answer.cookies).toEqual([
			expect.stringMatching(
				/^connect\.sid\.bound=\d{13}\.[\w-]{43}; Max-Age=300; Path=\/; HttpOnly; Secure; SameSite=Lax$/
			)
		]);
		const { session } = await browser.visit();
		expect([session.userId, session.bound]).toEqual(['ada', true]);
		expect(reasons()).toEqual([]);
	});

	test('whose response a hook throws asks in the next response of its session, once, in any process', async () => {
		const browser = await BoundBrowser.open(options);
		const login = browser.visit(async (session) => {
			await session.login('ada');
			redirect(303, '/');
		});
		await expect(login).rejects.toMatchObject({ status: 303 });
		expect(browser.jar.has('connect.sid')).toBe(true);
		// Another process, and an application that does not look at the session.
		const other = await BoundBrowser.open({ ...options, store: remote(store.memory) });
		for (const [name, value] of browser.jar) other.jar.set(name, value);
		const { response } = await other.visit();
		other.asked(response);
		expect(response.headers.get('secure-session-registration')).toContain('/register"');
		expect(response.headers.get('cache-control')).toBe('no-store');
		const again = await other.visit((session) => session.isNew);
		expect(again.response.headers.has('secure-session-registration')).toBe(false);
		expect((await other.register()).status).toBe(200);
		const { session } = await other.visit();
		expect([session.userId, session.bound]).toEqual(['ada', true]);
		expect(await session.take('vestiary:unasked')).toBeUndefined();
	});

	test('whose response a hook throws asks within a minute only, and never a browser that is logged out', async () => {
		for (const leave of [
			async () => {
				pass(61);
				return Promise.resolve();
			},
			async (browser: BoundBrowser) => {
				await browser.visit(async (session) => session.destroy());
			}
		]) {
			const browser = await BoundBrowser.open(options);
			const login = browser.visit(async (session) => {
				await session.login('ada');
				redirect(303, '/');
			});
			await expect(login).rejects.toMatchObject({ status: 303 });
			await leave(browser);
			const { response } = await browser.visit((session) => session.isNew);
			expect(response.headers.has('secure-session-registration')).toBe(false);
		}
	});

	test('is listed as bound once it is', async () => {
		const browser = await BoundBrowser.open(options);
		await browser.logIn();
		const bound = async (): Promise<boolean[]> =>
			(await sessions(options).of('ada').list()).map((one) => one.bound);
		expect(await bound()).toEqual([false]);
		await browser.register();
		expect(await bound()).toEqual([true]);
	});

	test('is the only response that asks', async () => {
		const browser = await BoundBrowser.open(options);
		const asks = async (app: (session: Session) => unknown): Promise<boolean> =>
			(await browser.visit(app)).response.headers.has('secure-session-registration');
		expect(await asks(async (session) => session.save())).toBe(false);
		expect(await asks(async (session) => session.login('ada'))).toBe(true);
		// A thief of the cookie would get the challenge.
		expect(await asks(async (session) => session.save())).toBe(false);
		expect(await asks(async (session) => session.renew())).toBe(false);
		const leaves = async (session: Session): Promise<unknown> =>
			(await session.login('ada')).destroy();
		expect(await asks(leaves)).toBe(false);
		const begins = async (session: Session): Promise<unknown> =>
			(await (await session.login('ada')).regenerate()).save();
		expect(await asks(begins)).toBe(false);
	});

	test('asks nothing without the option', async () => {
		const browser = await BoundBrowser.open({ ...options, deviceBound: false });
		expect(await browser.logIn()).toBeNull();
		expect((await browser.visit()).session.bound).toBe(false);
		expect((await browser.register()).status).toBe(404);
	});
});

describe('a bound session', () => {
	let browser: BoundBrowser;

	beforeEach(async () => {
		browser = await BoundBrowser.open(options);
		await browser.bind();
		await browser.visit(async (session) => {
			await session.setData({ n: 1 });
			await session.save();
		});
		reasons();
		// Past the grace after the registration.
		pass(31);
	});

	test('is not opened by its session cookie alone, and nothing is written', async () => {
		const thief = await browser.stolen();
		thief.jar.delete('connect.sid.bound');
		const { response, session } = await thief.visit(async (anonymous) => {
			expect(anonymous.userId).toBeUndefined();
			expect(anonymous.data).toEqual({});
		});
		expect([session.isNew, session.bound, session.logId]).toEqual([true, false, undefined]);
		expect([session.expires, session.idleUntil]).toEqual([null, null]);
		expect(response.headers.getSetCookie()).toEqual([]);
		expect(reasons()).toEqual(['missing']);
		const found = await sessions(options).read(
			`connect.sid=${browser.jar.get('connect.sid') ?? ''}`
		);
		expect(found).toBeUndefined();
		expect((await browser.visit()).session.data).toEqual({ n: 1 });
	});

	test('is not shown to its browser without the bound cookie, and not as ended either', async () => {
		const same = await BoundBrowser.open({ ...options, client: true });
		for (const [name, value] of browser.jar) same.jar.set(name, value);
		const ask = async (accept: string, method = 'GET'): Promise<Response> => {
			const headers = { accept, 'x-vestiary': '1' };
			return (await same.visit(undefined, { path: '/_session', headers, method })).response;
		};
		const { key } = (await (await ask('*/*')).json()) as { key: string };
		expect(await (await ask('*/*', 'POST')).json()).toMatchObject({ key, signedIn: true });
		const cookie = same.jar.get('connect.sid.bound') ?? '';
		same.jar.delete('connect.sid.bound');
		for (const response of [
			await ask('*/*'),
			await ask('*/*', 'POST'),
			await ask('text/event-stream')
		]) {
			expect([response.status, await response.text()]).toEqual([503, '']);
			expect(response.headers.get('cache-control')).toBe('no-store');
		}
		// The browser has refreshed it: the page goes on with the same session.
		same.jar.set('connect.sid.bound', cookie);
		expect(await (await ask('*/*')).json()).toMatchObject({ key, signedIn: true });
		await same.visit(async (session) => session.destroy());
		expect(await (await ask('*/*')).json()).toMatchObject({ signedIn: false });
	});

	test('is opened without a request by both cookies', async () => {
		const header = [...browser.jar].map(([name, value]) => `${name}=${value}`).join('; ');
		expect((await sessions(options).read(header))?.userId).toBe('ada');
		const jar = { get: (name: string) => browser.jar.get(name), set: () => undefined };
		const { cookies } = { cookies: jar as never };
		const session = await Session.initialize({ cookies }, options);
		expect([session.userId, session.bound]).toEqual(['ada', true]);
	});

	test('is dead for a copy of its cookies when the bound cookie has ended, and refreshed for its device', async () => {
		const thief = await browser.stolen();
		expect(await userOf(thief)).toBe('ada');
		pass(300);
		expect(await userOf(thief)).toBeUndefined();
		expect(reasons()).toEqual(['missing']);
		expect(await thief.ask()).toMatchObject({ status: 403, cookies: [] });
		expect(await thief.refresh()).toMatchObject({ status: 400, cookies: [] });
		expect(reasons()).toEqual(['refused']);
		expect(await userOf(thief)).toBeUndefined();

		expect((await browser.refresh()).status).toBe(200);
		expect(await userOf(browser)).toBe('ada');
		expect(reasons()).toEqual(['missing']);
	});

	test('gives its challenge again until it is used, and then never', async () => {
		const { challenge } = await browser.ask();
		expect((await (await browser.stolen()).ask()).challenge).toBe(challenge);
		const proof = await browser.proof();
		const refreshed = await browser.ask(proof);
		expect(refreshed.status).toBe(200);
		expect(refreshed.challenge).not.toBe(challenge);
		// Replayed, it is answered by the next challenge, which the copy cannot sign.
		const thief = await browser.stolen();
		const replayed = await thief.ask(proof);
		expect(replayed).toMatchObject({
			status: 403,
			challenge: refreshed.challenge,
			cookies: []
		});
		expect((await browser.refresh()).status).toBe(200);
	});

	test('costs one write for each refresh, and other requests call the store no more often', async () => {
		const calls = async (run: () => Promise<unknown>): Promise<string[]> => {
			store.calls.length = 0;
			await run();
			return store.calls.splice(0);
		};
		expect(await calls(async () => userOf(browser))).toEqual(['read', 'read']);
		const { challenge } = browser;
		const refreshed = await calls(async () => browser.refresh());
		expect(browser.challenge).not.toBe(challenge);
		expect(refreshed.filter((one) => one !== 'read')).toEqual(['replace']);
		expect(await calls(async () => browser.ask())).toEqual(['read', 'read']);
		const unbound = await BoundBrowser.open({ ...options, deviceBound: false });
		await unbound.logIn('bea');
		expect(await calls(async () => userOf(unbound))).toEqual(['read', 'read']);
	});

	test('stays bound when it gets another ID', async () => {
		await browser.visit(async (session) => session.renew());
		const { session } = await browser.visit();
		expect([session.userId, session.bound]).toEqual(['ada', true]);
		pass(299);
		expect((await browser.refresh()).status).toBe(200);
		expect(await userOf(browser)).toBe('ada');
		expect(reasons()).toEqual([]);
	});

	test.each([
		['a logout', async (session: Session) => session.destroy()],
		['a revocation', async () => sessions(options).of('ada').revokeAll()]
	])('ends with %s, and the answer makes the browser forget it', async (_, end) => {
		const before = await browser.stolen();
		await browser.visit(end);
		const answer = await browser.refresh();
		expect(answer).toMatchObject({ status: 400, challenge: undefined, cookies: [] });
		expect((await before.ask()).status).toBe(400);
		expect(await userOf(before)).toBeUndefined();
	});

	test('is kept by the browser while the store fails', async () => {
		for (const onStoreError of ['throw', 'anonymous'] as const) {
			const same = await BoundBrowser.open({ ...options, onStoreError });
			for (const [name, value] of browser.jar) same.jar.set(name, value);
			store.before = () => {
				throw new Error('down');
			};
			expect(await same.ask()).toMatchObject({ status: 503, cookies: [] });
			store.before = undefined;
		}
		store.before = (operation) => {
			if (operation === 'replace') throw new Error('down');
		};
		await browser.ask();
		expect(await browser.ask(await browser.proof())).toMatchObject({
			status: 503,
			cookies: []
		});
		expect(events.map(({ type }) => type)).toContain('store_failed');
		store.before = undefined;
		expect((await browser.refresh()).status).toBe(200);
	});

	test('is bound again after a refresh whose answer was lost', async () => {
		const { challenge } = await browser.ask();
		const proof = await browser.proof();
		await browser.ask(proof);
		browser.jar.delete('connect.sid.bound');
		browser.challenge = challenge ?? '';
		expect((await browser.ask(proof)).status).toBe(403);
		expect((await browser.refresh()).status).toBe(200);
		expect(await userOf(browser)).toBe('ada');
	});
});

test('a registration whose answer was lost is answered again', async () => {
	const browser = await BoundBrowser.open(options);
	await browser.logIn();
	const proof = await browser.proof({}, true);
	expect((await browser.register(proof)).status).toBe(200);
	browser.jar.delete('connect.sid.bound');
	expect((await browser.register(proof)).status).toBe(200);
	pass(31);
	expect(await userOf(browser)).toBe('ada');
	expect((await browser.register(proof)).status).toBe(400);
});

test('a session whose values leave no room for more is bound and refreshed nevertheless', async () => {
	const browser = await BoundBrowser.open(options);
	await browser.logIn();
	const beside = JSON.stringify({ tokens: { until: Date.now(), value: '' } }).length;
	await browser.visit(async (session) =>
		session.put('tokens', 'x'.repeat(16_384 - beside - 200), { for: 3_600 })
	);
	expect((await browser.register()).status).toBe(200);
	const fill = async (session: Session): Promise<boolean> =>
		session.put('tokens', 'x'.repeat(16_384 - beside), { for: 3_600 });
	await browser.visit(fill);
	expect((await browser.refresh()).status).toBe(200);
	pass(31);
	const { session } = await browser.visit(async (now) => {
		await expect(now.put('more', 1, { for: 60 })).rejects.toMatchObject({ code: 'slots_full' });
	});
	expect([session.userId, session.bound]).toEqual(['ada', true]);
});

test('a browser that binds no session keeps it', async () => {
	const browser = await BoundBrowser.open(options);
	await browser.logIn();
	pass(3_600);
	const { session } = await browser.visit();
	expect([session.userId, session.bound]).toEqual(['ada', false]);
	expect(reasons()).toEqual([]);
});

test('a login over a bound session begins one that is not bound yet', async () => {
	const browser = await BoundBrowser.open(options);
	await browser.bind();
	expect(await browser.logIn('bea')).not.toBeNull();
	const { session } = await browser.visit();
	expect([session.userId, session.bound]).toEqual(['bea', false]);
	expect((await browser.register()).status).toBe(200);
	pass(31);
	expect(await userOf(browser)).toBe('bea');
});

describe('the two addresses', () => {
	test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])(
		'leave a %s to the app',
		async (method) => {
			const browser = await BoundBrowser.open(options);
			for (const path of ['/device-session/register', '/device-session/refresh'])
				expect((await browser.visit(undefined, { path, method })).response.status).toBe(
					404
				);
		}
	);

	test.each(['/device-session', '/device-session/', '/device-session/register/', '/x/refresh'])(
		'leave %s to the app',
		async (path) => {
			const browser = await BoundBrowser.open(options);
			const { response } = await browser.visit(undefined, { path, method: 'POST' });
			expect(response.status).toBe(404);
		}
	);

	test('are below the path of the options', async () => {
		const browser = await BoundBrowser.open({
			...options,
			deviceBound: { path: '/auth/device' }
		});
		expect(await browser.logIn()).toContain('path="/auth/device/register"');
		expect((await browser.register()).status).toBe(404);
		const answer = await browser.register(undefined, '/auth/device');
		expect(answer.instructions?.refresh_url).toBe('/auth/device/refresh');
	});

	test('are never cached, and tell a visitor without a session nothing', async () => {
		const browser = await BoundBrowser.open(options);
		for (const path of ['/device-session/register', '/device-session/refresh']) {
			const { response } = await browser.visit(undefined, { path, method: 'POST' });
			expect(response.status).toBe(400);
			expect(response.headers.get('cache-control')).toContain('no-store');
			expect(response.headers.has('secure-session-challenge')).toBe(false);
			expect(await response.text()).toBe('');
		}
	});

	test('do not count as use of the session', async () => {
		const browser = await BoundBrowser.open({ ...options, renewAfter: 60 });
		await browser.bind();
		const id = browser.jar.get('connect.sid');
		pass(100);
		await browser.refresh();
		expect(browser.jar.get('connect.sid')).toBe(id);
		await browser.visit();
		expect(browser.jar.get('connect.sid')).not.toBe(id);
	});
});

describe.each<[string, Partial<SveltekitSessionConfig>]>([
	['encrypt', { encrypt: true }],
	['hashIds', { hashIds: true }],
	['namespace', { namespace: 'shop' }],
	['format', { format: 'express-session' }],
	['cache', { cache: { maxStale: 1_000 } }],
	['rolling', { rolling: true, cookie: { maxAge: 86_400 } }],
	['idleTimeout', { idleTimeout: 3_600 }],
	['sameSite', { cookie: { sameSite: 'strict', httpOnly: false } }],
	['path', { cookie: { path: '/' }, name: '__Host-id' }],
	['secure', { cookie: { secure: false, priority: 'high' } }],
	['expires', { cookie: { expires: new Date('2099-01-01') } }]
])('with the option %s', (_, more) => {
	test('a session is bound, refreshed, and opened by no other browser', async () => {
		const browser = await BoundBrowser.open({ ...options, ...more, renewGrace: 0 });
		const { instructions, cookies } = await browser.bind();
		// A browser that does not find the very cookie of its instructions refreshes before each request.
		const [credential] = instructions?.credentials ?? [];
		const [pair = '', maxAge, ...attributes] = cookies[0]?.split('; ') ?? [];
		expect([pair.split('=')[0], maxAge]).toEqual([credential?.name, 'Max-Age=300']);
		expect(attributes.join('; ')).toBe(credential?.attributes);
		const { session } = await browser.visit();
		expect([session.userId, session.bound]).toEqual(['ada', true]);
		const thief = await browser.stolen();
		thief.jar.delete(credential?.name ?? '');
		expect(await userOf(thief)).toBeUndefined();
		pass(301);
		expect(await userOf(browser)).toBeUndefined();
		expect((await browser.refresh()).status).toBe(200);
		expect(await userOf(browser)).toBe('ada');
		expect(reasons()).toEqual(['registered', 'missing', 'missing']);
	});
});

test('two handles bind a session each, at two paths', async () => {
	const outer = sveltekitSessionHandle(options);
	const own = { name: 'admin.sid', as: 'admin', deviceBound: { path: '/admin-device' } };
	const inner = sveltekitSessionHandle({ ...options, store: new MemoryStore(), ...own });
	const adminOf = ({ locals }: { locals: object }): Session =>
		(locals as { admin: Session }).admin;
	let bound = false;
	const browser = await BoundBrowser.open(async ({ event, resolve }) => {
		const inside = async (): Promise<Response> => {
			if (event.url.pathname === '/admin') await adminOf(event).login('bea');
			({ bound } = adminOf(event));
			return resolve(event);
		};
		return outer({ event, resolve: async () => inner({ event, resolve: inside }) });
	});
	await browser.bind();
	browser.asked((await browser.visit(undefined, { path: '/admin' })).response);
	expect((await browser.register()).status).toBe(400);
	expect((await browser.register(undefined, '/admin-device')).status).toBe(200);
	expect([...browser.jar.keys()]).toEqual([
		'connect.sid',
		'connect.sid.bound',
		'admin.sid',
		'admin.sid.bound'
	]);
	const { session } = await browser.visit();
	expect([session.bound, bound]).toEqual([true, true]);
});

describe('the options', () => {
	const refusal = (more: object): unknown => {
		try {
			sveltekitSessionHandle({ ...options, ...more });
			return 'accepted';
		} catch (error) {
			return error;
		}
	};

	test.each([
		[{ deviceBound: { maxAge: 0 } }, 'deviceBound.maxAge'],
		[{ deviceBound: { maxAge: 86_401 } }, 'deviceBound.maxAge'],
		[{ deviceBound: { maxAge: 60.5 } }, 'deviceBound.maxAge'],
		[{ deviceBound: { maxAge: '300' } }, 'deviceBound.maxAge'],
		[{ deviceBound: { path: 'device' } }, 'deviceBound.path'],
		[{ deviceBound: { path: '/a//b' } }, 'deviceBound.path'],
		[{ deviceBound: { path: '/a"b' } }, 'deviceBound.path'],
		[{ deviceBound: { path: 7 } }, 'deviceBound.path'],
		[{ deviceBound: {}, cookie: { domain: 'example.com' } }, 'cookie.domain'],
		[{ deviceBound: true, cookie: { partitioned: true } }, 'cookie.partitioned'],
		[{ deviceBound: { path: '/device' }, cookie: { path: '/app' } }, 'deviceBound.path'],
		[{ deviceBound: { life: 5 } }, 'deviceBound.life'],
		[{ deviceBound: 300 }, 'deviceBound']
	])('%j are refused', (more, name) => {
		expect(refusal(more)).toMatchObject({
			code: 'options',
			message: expect.stringContaining(name) as string
		});
	});

	test('need an atomic store', () => {
		const plain = { store: new CountingStore() };
		expect(refusal(plain)).toMatchObject({
			code: 'store_capability',
			message: expect.stringContaining('deviceBound') as string
		});
		expect(refusal({ ...plain, deviceBound: false })).toBe('accepted');
	});

	test('of a session cannot give its cookie a domain', async () => {
		const browser = await BoundBrowser.open(options);
		await browser.visit(async (session) => {
			await session.login('ada');
			session.cookie = { domain: 'example.com' };
			await expect(session.save()).rejects.toMatchObject({ code: 'options' });
		});
	});
});
