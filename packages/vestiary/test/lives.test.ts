import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { sveltekitSessionHandle, type SveltekitSessionConfig } from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const HOUR = 3_600_000;

let store: CountingStore;

beforeEach(() => {
	store = new CountingStore();
});

afterEach(() => {
	vi.useRealTimers();
});

/** One request; the app saves or only looks. Returns the `Set-Cookie` header, or undefined. */
async function request(
	options: Partial<SveltekitSessionConfig>,
	{ save = false, cookie }: { save?: boolean; cookie?: string | undefined } = {}
): Promise<string | undefined> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle({ secret: SECRET, store, ...options })({
		event,
		resolve: async () => {
			if (save) await event.locals.session.save();
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0];
}

async function login(options: Partial<SveltekitSessionConfig> = {}): Promise<string> {
	const [cookie = ''] = (await request(options, { save: true }))?.split(';') ?? [];
	store.calls.length = 0;
	return cookie;
}

describe('the lifetimes of cookie and record', () => {
	const expires = new Date(Date.now() + HOUR);

	test('maxAge only', async () => {
		const header = await request({ cookie: { maxAge: 60.9 } }, { save: true });
		expect(header).toContain('; Max-Age=60;');
		expect(header).not.toContain('Expires');
		expect(store.lastTtl).toBe(60_000);
	});

	test('expires only', async () => {
		const header = await request({ cookie: { expires } }, { save: true });
		expect(header).toContain(`; Expires=${expires.toUTCString()};`);
		expect(header).not.toContain('Max-Age');
		expect(store.lastTtl).toBeGreaterThan(HOUR - 60_000);
		expect(store.lastTtl).toBeLessThanOrEqual(HOUR + 1_000);
	});

	test('both: the cookie has both, and the record’s TTL is maxAge', async () => {
		const header = await request({ cookie: { maxAge: 60, expires } }, { save: true });
		expect(header).toContain('; Max-Age=60;');
		expect(header).toContain(`; Expires=${expires.toUTCString()};`);
		expect(store.lastTtl).toBe(60_000);
	});

	test('neither: until the browser closes, and as long as the store likes', async () => {
		const header = await request({}, { save: true });
		expect(header).not.toMatch(/Max-Age|Expires/);
		expect(store.lastTtl).toBe(Infinity);
	});

	test('an end in the past ends the session', async () => {
		const cookie = await login();
		const header = await request({ cookie: { expires: new Date(0) } }, { save: true, cookie });
		expect(header).toContain('connect.sid=; Max-Age=0');
		expect(store.records.size).toBe(0);
	});

	test('an end that comes while the request works ends the session that is saved after it', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const cookie = await login();
		const { event } = testEvent(cookie);
		const attributes = { expires: new Date(Date.now() + HOUR) };
		const response = await sveltekitSessionHandle({
			secret: SECRET,
			store,
			cookie: attributes
		})({
			event,
			resolve: async () => {
				const { session } = event.locals;
				await session.save();
				expect(session.isNew).toBe(false);
				vi.setSystemTime(Date.now() + HOUR);
				await session.save();
				expect(session.isNew).toBe(true);
				return new Response();
			}
		});
		expect(response.headers.getSetCookie()[0]).toContain('connect.sid=; Max-Age=0');
		expect(store.records.size).toBe(0);
	});
});

describe('rolling', () => {
	test.each([
		['only expires', { expires: new Date(Date.now() + HOUR) }],
		['neither', {}]
	])('with %s it is ignored: nothing is touched, nothing set', async (_, attributes) => {
		const cookie = await login({ cookie: attributes });
		expect(await request({ rolling: true, cookie: attributes }, { cookie })).toBeUndefined();
		expect(store.calls).toEqual(['get']);
	});

	test('leaves a visitor without a session alone', async () => {
		expect(await request({ rolling: true, cookie: { maxAge: 60 } })).toBeUndefined();
		expect(store.calls).toEqual([]);
	});

	test('with saveUninitialized, a new session is set once, and then refreshed', async () => {
		const options = { rolling: true, saveUninitialized: true, cookie: { maxAge: 60 } };
		const first = await request(options);
		expect(first).toContain('; Max-Age=60;');
		expect(store.calls).toEqual(['set']);
		const next = await request(options, { cookie: first?.split(';')[0] });
		expect(next).toBe(first);
		// Other options of the same values: the first write is known, and nothing has to be touched.
		// The last question is whether the cookie may leave.
		expect(store.calls).toEqual(['set', 'get', 'get']);
	});

	test('without saveUninitialized a new session is not set', async () => {
		const options = { rolling: true, cookie: { maxAge: 60 } };
		expect(await request(options)).toBeUndefined();
		const saveUninitialized = { saveUninitialized: true, cookie: { maxAge: 60 } };
		const first = await request(saveUninitialized);
		expect(await request(saveUninitialized, { cookie: first?.split(';')[0] })).toBeUndefined();
	});
});

describe('a changed configuration reaches sessions that exist', () => {
	const before = { cookie: { maxAge: 60, sameSite: 'lax', path: '/' } } as const;
	const after = {
		cookie: { maxAge: 600, sameSite: 'strict', domain: 'app.example', path: '/app' }
	} as const;
	const changed =
		/; Max-Age=600; Domain=app\.example; Path=\/app; HttpOnly; Secure; SameSite=Strict$/;

	test('when they are saved', async () => {
		const cookie = await login(before);
		expect(await request(after, { save: true, cookie })).toMatch(changed);
		expect(store.lastTtl).toBe(600_000);
		expect([...store.records.values()][0]?.cookie).toEqual(after.cookie);
	});

	test('when they roll', async () => {
		const cookie = await login(before);
		expect(await request({ ...after, rolling: true }, { cookie })).toMatch(changed);
		expect(store.lastTtl).toBe(660_000);
	});
});
