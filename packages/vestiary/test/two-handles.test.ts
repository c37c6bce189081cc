import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	sveltekitSessionHandle,
	type Session,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { slots } from '../src/scope.js';
import { testEvent } from './event.js';

let shop: SveltekitSessionConfig & { store: MemoryStore };
let admin: SveltekitSessionConfig & { store: MemoryStore };

beforeEach(() => {
	shop = { secret: 'the secret of the shop, 32 bytes', store: new MemoryStore(), name: 'shop' };
	admin = {
		secret: 'the secret of the admins, 32 bytes',
		store: new MemoryStore(),
		name: 'admin'
	};
});

afterEach(() => {
	vi.unstubAllEnvs();
	vi.resetModules();
});

interface Seen {
	locals: Record<string, unknown>;
	cookies: string[];
}

/** A request through `sequence(outer, inner)`. */
async function sequence(
	[outer, inner]: [SessionHandle, SessionHandle],
	app: (locals: Record<string, unknown>) => unknown,
	cookie?: string
): Promise<Seen> {
	const { event } = testEvent(cookie);
	const locals = slots(event);
	const response = await outer({
		event,
		resolve: async () =>
			inner({
				event,
				resolve: async () => {
					await app(locals);
					return new Response();
				}
			})
	});
	const cookies = response.headers.getSetCookie().map((one) => one.split(';')[0] ?? '');
	return { locals, cookies };
}

function handles(): [SessionHandle, SessionHandle] {
	return [sveltekitSessionHandle(shop), sveltekitSessionHandle(admin)];
}

describe('two handles in a sequence', () => {
	test('have a property each, and what one does leaves the other alone', async () => {
		admin.as = 'adminSession';
		const { locals, cookies } = await sequence(handles(), async (given) => {
			const mine = given.session as Session;
			await (given.adminSession as Session).login('root');
			await (await mine.regenerate()).save();
			expect(given.session).not.toBe(mine);
		});
		expect(cookies.map((one) => one.split('=')[0])).toEqual(['admin', 'shop']);
		expect((locals.adminSession as Session).userId).toBe('root');
		expect((locals.session as Session).cookieName).toBe('shop');
		const next = await sequence(handles(), () => undefined, cookies.join('; '));
		expect((next.locals.adminSession as Session).userId).toBe('root');
		expect((next.locals.session as Session).isNew).toBe(false);
	});

	test('that have one property: a session replaces only itself there', async () => {
		let outer: Session | undefined;
		const spy: SessionHandle = async ({ event, resolve }) => {
			outer = event.locals.session;
			return sveltekitSessionHandle(admin)({ event, resolve });
		};
		await sequence([sveltekitSessionHandle(shop), spy], async (given) => {
			const inner = given.session;
			await outer?.regenerate();
			await outer?.login('ada');
			expect(given.session).toBe(inner);
			const next = await (inner as Session).regenerate();
			expect(given.session).toBe(next);
		});
	});

	test('that are one and the same: it acts once', async () => {
		const store = vi.spyOn(shop.store, 'get');
		const one = sveltekitSessionHandle(shop);
		const { cookies } = await sequence([one, one], async (given) => {
			await (given.session as Session).save();
		});
		expect(cookies).toHaveLength(1);
		expect(shop.store.size).toBe(1);
		expect(store).not.toHaveBeenCalled();
		const twice = { ...shop, as: 'other' };
		const { locals } = await sequence(
			[one, sveltekitSessionHandle(twice)],
			() => undefined,
			cookies[0]
		);
		expect(locals.other).toBe(locals.session);
	});
});

describe('two handles with one cookie name', () => {
	beforeEach(() => {
		admin = { ...admin, name: 'shop', as: 'adminSession' };
	});

	async function visitor(): Promise<string> {
		const { cookies } = await sequence(handles(), async (given) => {
			await (given.session as Session).save();
		});
		return cookies[0] ?? '';
	}

	test('the inner one neither removes nor replaces the cookie of the outer one', async () => {
		const cookie = await visitor();
		const { cookies } = await sequence(
			handles(),
			async (given) => {
				const inner = given.adminSession as Session;
				await inner.destroy();
				await expect(inner.save()).rejects.toBeInstanceOf(ConfigError);
				await expect(inner.login('root')).rejects.toThrow('another `name`');
			},
			cookie
		);
		expect(cookies).toEqual([]);
		expect(admin.store.size).toBe(0);
		const { locals } = await sequence(handles(), () => undefined, cookie);
		expect((locals.session as Session).isNew).toBe(false);
	});

	test('the outer one without a session leaves the cookie to the inner one', async () => {
		const { cookies } = await sequence(handles(), async (given) => {
			await (given.adminSession as Session).login('root');
		});
		expect(cookies).toHaveLength(1);
		const { locals } = await sequence(handles(), () => undefined, cookies[0]);
		expect((locals.adminSession as Session).userId).toBe('root');
	});

	test('only one of them begins a session, even if both continue at the same moment', async () => {
		let ended: PromiseSettledResult<boolean>[] = [];
		const { cookies } = await sequence(handles(), async (given) => {
			const both = [given.session, given.adminSession] as Session[];
			ended = await Promise.allSettled(
				both.map(async (session) => session.update((data) => data))
			);
		});
		expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
		expect(cookies).toHaveLength(1);
		expect(shop.store.size + admin.store.size).toBe(1);
	});

	test('the outer one stores nothing once the inner one has set the cookie', async () => {
		const { cookies } = await sequence(handles(), async (given) => {
			await (given.adminSession as Session).login('root');
			const outer = given.session as Session;
			await expect(outer.save()).rejects.toBeInstanceOf(ConfigError);
			await expect(outer.login('ada')).rejects.toThrow('another `name`');
		});
		expect(cookies).toHaveLength(1);
		expect(shop.store.size).toBe(0);
		const { locals } = await sequence(handles(), () => undefined, cookies[0]);
		expect((locals.adminSession as Session).userId).toBe('root');
	});
});

test('development has a hint for two handles with one cookie, or one property', async () => {
	vi.stubEnv('NODE_ENV', 'development');
	vi.resetModules();
	const fresh = await import('../src/index.js');
	const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
	const [one, other] = [fresh.sveltekitSessionHandle(shop), fresh.sveltekitSessionHandle(admin)];
	await sequence([one, other], () => undefined);
	const same = fresh.sveltekitSessionHandle({ ...admin, name: 'shop', as: 'adminSession' });
	await sequence([one, same], () => undefined);
	const hints = warn.mock.calls.join('\n');
	expect(hints).toMatch(/`event\.locals\.session`.*another `as`/);
	expect(hints).toMatch(/use the cookie `shop`.*another `name`/);
	warn.mockRestore();
});

test.each(['', '__proto__', 1])('`as: %j` is refused', (name) => {
	expect(() => sveltekitSessionHandle({ ...shop, as: name as string })).toThrow(ConfigError);
});
