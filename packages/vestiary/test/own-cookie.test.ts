import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type SessionData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const MONTH = 2_592_000;

type Data = SessionData & { n?: number };

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	events = [];
	options = {
		secret: SECRET,
		store,
		cookie: { maxAge: 60 },
		onEvent: ({ type }) => events.push(type)
	};
});

afterEach(() => {
	vi.useRealTimers();
});

/** One request through a handle. Returns the cookie as a `Set-Cookie` header. */
async function request(
	cookie: string | undefined,
	act: (session: Session & { data: Data }) => unknown = () => undefined,
	config = options
): Promise<string | undefined> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await act(event.locals.session as Session & { data: Data });
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0];
}

const pairOf = (header: string | undefined): string => header?.split(';', 1)[0] ?? '';

async function remembered(config = options): Promise<string> {
	const header = await request(
		undefined,
		async (session) => {
			session.cookie.maxAge = MONTH;
			session.data.n = 1;
			await session.save();
		},
		config
	);
	expect(header).toContain(`; Max-Age=${MONTH};`);
	return pairOf(header);
}

describe('an attribute that is assigned to session.cookie', () => {
	test('with the value of the options is no attribute of its own', async () => {
		const cookie = pairOf(
			await request(undefined, async (session) => {
				session.cookie.path = '/';
				await session.save();
			})
		);
		const longer = { ...options, cookie: { maxAge: 600 } };
		expect(await request(cookie, (session) => session.save(), longer)).toContain('Max-Age=600');
	});

	test('applies to the cookie and to the TTL of the record', async () => {
		const cookie = await remembered();
		vi.setSystemTime(Date.now() + (MONTH - 1) * 1_000);
		expect(
			await request(cookie, (session) => {
				expect(session.data.n).toBe(1);
			})
		).toBeUndefined();
		vi.setSystemTime(Date.now() + 1_000);
		expect(
			await request(cookie, (session) => {
				expect(session.isNew).toBe(true);
			})
		).toBeUndefined();
	});

	test('stays whichever handle writes: saved, touched, renewed, rolling, updated', async () => {
		let cookie = await remembered();
		const rolling = { ...options, cookie: { maxAge: 60, path: '/' }, rolling: true };
		const acts: [(session: Session & { data: Data }) => unknown, SveltekitSessionConfig][] = [
			[(session) => ((session.data.n = 2), session.save()), options],
			[(session) => session.touch(), options],
			[(session) => session.renew(), options],
			[() => undefined, rolling],
			[(session) => session.save(), { ...options, cookie: {} }]
		];
		for (const [act, config] of acts) {
			const header = await request(cookie, act, config);
			expect(header, String(act)).toContain(`; Max-Age=${MONTH};`);
			cookie = pairOf(header);
			vi.setSystemTime(Date.now() + 1_000_000);
		}
		await request(cookie, (session) => session.update((data) => ({ ...data, n: 3 })));
		vi.setSystemTime(Date.now() + (MONTH - 1) * 1_000);
		await request(cookie, (session) => {
			expect(session.data.n).toBe(3);
			expect(session.cookie).toEqual({ maxAge: MONTH, path: '/' });
		});
	});

	test('is repeated where the cookie is removed', async () => {
		const cookie = pairOf(
			await request(undefined, async (session) => {
				Object.assign(session.cookie, {
					path: '/app',
					domain: 'app.example',
					sameSite: 'strict'
				});
				await session.save();
			})
		);
		expect(await request(cookie, (session) => session.destroy())).toMatch(
			/=; Max-Age=0; Domain=app\.example; Path=\/app; .*SameSite=Strict$/
		);
	});

	test('may be unset, replaced as a whole, and given back to the options', async () => {
		let header = await request(undefined, async (session) => {
			session.cookie.maxAge = undefined;
			await session.save();
		});
		expect(header).not.toContain('Max-Age');
		header = await request(pairOf(header), async (session) => {
			expect(session.cookie).toEqual({ path: '/' });
			session.cookie = { path: '/', priority: 'high', expires: new Date(4e12) };
			await session.save();
		});
		expect(header).toContain(`Expires=${new Date(4e12).toUTCString()}`);
		expect(header).toContain('Priority=High');
		expect(header).not.toContain('Max-Age');
		header = await request(pairOf(header), async (session) => {
			expect(session.cookie.expires).toEqual(new Date(4e12));
			session.cookie = options.cookie ?? {};
			await session.save();
		});
		expect(header).toMatch(/; Max-Age=60; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
	});

	test.each([
		[{ path: 'app' }, 'cookie.path'],
		[{ maxAge: NaN }, 'cookie.maxAge'],
		[{ maxAge: '60' }, 'cookie.maxAge'],
		[{ expires: new Date(NaN) }, 'cookie.expires'],
		[{ sameSite: 'lose' }, 'cookie.sameSite'],
		[{ domain: 'https://a' }, 'cookie.domain'],
		[{ partitioned: true, secure: false }, 'cookie.partitioned'],
		[{ originalMaxAge: 5 }, 'cookie.originalMaxAge'],
		[{ encode: String }, 'cookie.encode']
	])('that is not valid is refused at save(), and nothing is written: %o', async (bad, name) => {
		const cookie = await remembered();
		const before = store.size;
		await request(cookie, async (session) => {
			session.data.n = 7;
			Object.assign(session.cookie, bad);
			const error = await session.save().catch((error: unknown) => error);
			expect(error).toBeInstanceOf(ConfigError);
			expect((error as Error).message).toContain(name);
		});
		expect(store.size).toBe(before);
		await request(cookie, (session) => {
			expect(session.data.n).toBe(1);
		});
	});

	test('is seen by autoSave, without another change', async () => {
		const saving = { ...options, autoSave: true };
		const cookie = await remembered(saving);
		await request(cookie, (session) => void (session.cookie.path = '/app'), saving);
		await request(
			cookie,
			(session) => {
				expect(session.cookie.path).toBe('/app');
			},
			saving
		);
		expect(await request(cookie, () => undefined, saving)).toBeUndefined();
	});

	test('is seen by saveUninitialized, without another change, and data that was changed in place is not', async () => {
		const saving = { ...options, autoSave: false, saveUninitialized: true };
		const cookie = await remembered(saving);
		await request(
			cookie,
			(session) => {
				session.cookie.path = '/app';
			},
			saving
		);
		await request(cookie, (session) => void (session.data.n = 2), saving);
		await request(
			cookie,
			(session) => {
				expect([session.cookie.path, session.data.n]).toEqual(['/app', 1]);
			},
			saving
		);
		// Without either option, nothing is stored automatically.
		await request(cookie, (session) => void (session.cookie.path = '/else'));
		await request(cookie, (session) => {
			expect(session.cookie.path).toBe('/app');
		});
	});

	test('ends the session with maxAge 0', async () => {
		const cookie = await remembered();
		const header = await request(cookie, async (session) => {
			session.cookie.maxAge = 0;
			await session.save();
		});
		expect(header).toContain('=; Max-Age=0');
		expect(store.size).toBe(0);
	});

	test('does not outlive a login or regenerate(), and remembers a user who asks for it', async () => {
		let cookie = await remembered();
		cookie = pairOf(
			await request(cookie, async (session) => {
				const next = await session.regenerate();
				expect(next.cookie.maxAge).toBe(60);
				await next.save();
			})
		);
		const header = await request(cookie, async (session) => {
			const user = await session.login('ada');
			expect(user.cookie.maxAge).toBe(60);
			user.cookie.maxAge = MONTH;
			await user.save();
		});
		expect(header).toContain(`; Max-Age=${MONTH};`);
		// The user's session list keeps the session as long as its record lasts.
		vi.setSystemTime(Date.now() + (MONTH - 60) * 1_000);
		await request(pairOf(header), (session) => {
			expect(session.userId).toBe('ada');
		});
		expect(events).not.toContain('revoked');
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
	});

	test('works with a store that is not atomic and keeps only cookie and data', async () => {
		const plain = new CountingStore();
		const set = plain.set.bind(plain);
		plain.set = async (id, { cookie, data }, ttl) => set(id, { cookie, data }, ttl);
		const config = { ...options, store: plain };
		const cookie = await remembered(config);
		expect(plain.lastTtl).toBe(MONTH * 1_000);
		const header = await request(cookie, (session) => session.save(), config);
		expect(header).toContain(`; Max-Age=${MONTH};`);
		expect(plain.lastTtl).toBe(MONTH * 1_000);
	});

	test.each([
		['atomic', () => new MemoryStore()],
		['not atomic', () => new CountingStore()]
	])('is not lost by an update, in a store that is %s', async (_, plain) => {
		const config = { ...options, store: plain() };
		const cookie = pairOf(await request(undefined, (session) => session.save(), config));
		const header = await request(
			cookie,
			async (session) => {
				session.cookie.maxAge = MONTH;
				await session.update((data) => Object.assign(data, { n: 2 }));
			},
			config
		);
		expect(header).toContain(`; Max-Age=${MONTH};`);
	});

	test.each([null, undefined, 5])('must be one of an object, not of %o', async (cookie) => {
		await request(undefined, (session) => {
			expect(() => {
				session.cookie = cookie as never;
			}).toThrow(ConfigError);
		});
	});

	test('reaches the cookie jar where there is no handle', async () => {
		const { event, cookies } = testEvent();
		const session = await Session.initialize(event, options);
		session.cookie.maxAge = MONTH;
		await session.save();
		expect(cookies[0]?.options.maxAge).toBe(MONTH);
	});
});

test("a maxAge that Express gave a session stays, and options reach those that have the app's", async () => {
	const express = { ...options, format: 'express-session' as const };
	const cookie = pairOf(await request(undefined, (session) => session.save(), express));
	const [id = ''] = decodeURIComponent(pairOf(cookie).split('=')[1] ?? '')
		.slice(2)
		.split('.');
	const saved = async (maxAge: number | null, config = express): Promise<string | undefined> => {
		// As express-session writes it: it keeps only the attributes that it knows.
		const record = { cookie: { originalMaxAge: maxAge, expires: null, path: '/' }, n: 1 };
		await store.set(id, record as never, Infinity);
		return request(cookie, (session) => session.save(), config);
	};
	expect(await saved(MONTH * 1_000)).toContain(`; Max-Age=${MONTH};`);
	const record = (await store.get(id)) as unknown as { cookie: { originalMaxAge: number } };
	expect(record.cookie.originalMaxAge).toBe(MONTH * 1_000);
	vi.setSystemTime(Date.now() + 1_000_000);
	await request(
		cookie,
		(session) => {
			expect(session.data.n).toBe(1);
		},
		express
	);
	expect(await saved(null)).not.toContain('Max-Age');
	// The record repeats the options, so later options still apply.
	expect(await saved(60_000)).toContain('; Max-Age=60;');
	const longer = { ...express, cookie: { maxAge: 600 } };
	expect(await request(cookie, (session) => session.save(), longer)).toContain('; Max-Age=600;');
});
