import { describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	sveltekitSessionHandle,
	type ClientSession,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { loggedIn, visit, visitor, type Data } from './visits.js';
import { SECRET } from './watched-store.js';

const toPublic = vi.fn((data: Data, session: { userId: string | undefined }) => ({
	cart: data.cart?.length ?? 0,
	user: session.userId
}));

const options = (more: Partial<SveltekitSessionConfig> = {}): SveltekitSessionConfig => ({
	secret: SECRET,
	store: new MemoryStore(),
	public: toPublic,
	...more
});

/** The session for the browser, and the headers of its response. */
async function forClient(
	config: SveltekitSessionConfig,
	cookie?: string
): Promise<{ given: ClientSession | undefined; headers: Headers }> {
	const { event } = testEvent(cookie);
	let given: ClientSession | undefined;
	const { headers } = await sveltekitSessionHandle(config)({
		event,
		resolve: () => {
			given = event.locals.session.forClient();
			return new Response(null, { headers: { 'cache-control': 'public, s-maxage=600' } });
		}
	});
	return { given, headers };
}

describe('session.forClient()', () => {
	test('gives what `public` selects, and nothing secret', async () => {
		const config = options({ idleTimeout: 900, client: true });
		const cookie = await loggedIn(config);
		await visit(config, async (s) => s.update((data) => ({ ...data, cart: ['hat'] })), cookie);
		const { given } = await forClient(config, cookie);
		const { key, at, expires, ...rest } = given ?? ({} as ClientSession);
		expect(rest).toEqual({
			signedIn: true,
			data: { cart: 1, user: 'ada' },
			idleUntil: expires,
			path: '/_session'
		});
		expect((expires ?? 0) - at).toBeGreaterThan(899_000);
		expect(structuredClone(given)).toEqual(given);
		const [id] = decodeURIComponent(cookie.split('=')[1] ?? '').split('.');
		expect(JSON.stringify(given)).not.toContain(id);
		expect(key).toHaveLength(16);
	});

	test('has the same key over a renewal, and another one after a login', async () => {
		const config = options({ client: true });
		const cookie = await loggedIn(config);
		const before = (await forClient(config, cookie)).given?.key;
		const renewed = await visit(config, async (session) => session.renew(), cookie);
		expect((await forClient(config, renewed.cookies[0])).given?.key).toBe(before);
		const again = await visit(config, async (session) => session.login('ada'), cookie);
		const after = (await forClient(config, again.cookies[0])).given?.key;
		expect(after).toHaveLength(16);
		expect(after).not.toBe(before);
	});

	test('asks `public` only about a stored session', async () => {
		toPublic.mockClear();
		const config = options();
		expect((await forClient(config)).given).toEqual({
			key: undefined,
			signedIn: false,
			data: undefined,
			expires: null,
			idleUntil: null,
			path: undefined,
			at: expect.any(Number) as unknown
		});
		expect(toPublic).not.toHaveBeenCalled();
		const { given } = await forClient(config, await visitor(config, { cart: ['a', 'b'] }));
		expect(given).toMatchObject({ signedIn: false, data: { cart: 2 } });
	});

	test('keeps the page of a stored session out of every cache, and lets the others vary', async () => {
		const config = options();
		const { headers } = await forClient(config, await loggedIn(config));
		expect(headers.get('cache-control')).toContain('no-store');
		expect(headers.get('cache-control')).not.toContain('s-maxage');
		expect(headers.get('vary')).toMatch(/cookie/i);
		const anonymous = await forClient(config);
		expect(anonymous.headers.get('cache-control')).toBe('public, s-maxage=600');
		expect(anonymous.headers.get('vary')).toMatch(/cookie/i);
	});

	test('gives nothing for a page that is prerendered', async () => {
		const { event } = testEvent();
		// So SvelteKit marks it.
		Object.defineProperty(event.url, 'search', {});
		let given: unknown = 'nothing yet';
		await sveltekitSessionHandle(options({ client: true }))({
			event,
			resolve: () => {
				given = event.locals.session.forClient();
				return new Response();
			}
		});
		expect(given).toBeUndefined();
	});

	test('refuses an async `public`', async () => {
		const config = options({ public: async () => ({}) });
		const cookie = await loggedIn(config);
		await expect(forClient(config, cookie)).rejects.toThrow('`public` must not be async');
	});
});
