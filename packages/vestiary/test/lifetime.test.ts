import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

let options: SveltekitSessionConfig;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	options = { secret: SECRET, store: new MemoryStore() };
});

afterEach(() => {
	vi.useRealTimers();
});

/** One request. Returns its cookie, as a `Set-Cookie` header. */
async function request(
	cookie: string | undefined,
	act: (session: Session, locals: { session: Session }) => unknown,
	config = options,
	url?: string
): Promise<string | undefined> {
	const { event } = testEvent(cookie?.split(';')[0], url);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await act(event.locals.session, event.locals);
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0];
}

const left = (end: Date | null): number | null => end && end.getTime() - Date.now();

describe('maxAge of a login', () => {
	test.each([['60'], [true], [new Date()], [{}]])('is not %s', async (maxAge) => {
		await request(undefined, async (session) => {
			const login = session.login('ada', { maxAge: maxAge as unknown as number });
			await expect(login).rejects.toBeInstanceOf(ConfigError);
			await expect(login).rejects.toThrow('`maxAge` of `session.login()`');
			expect(session.isNew).toBe(true);
		});
	});

	test.each([[0], [0.9], [-5], [NaN], [Infinity], [1e12]])(
		'of %s is no lifetime, and the visitor keeps the session',
		async (maxAge) => {
			const cookie = await request(undefined, (session) => session.save());
			await request(cookie, async (session) => {
				const login = session.login('ada', { maxAge });
				await expect(login).rejects.toMatchObject({ code: 'timeout_option' });
				expect([session.isNew, session.userId]).toEqual([false, undefined]);
			});
		}
	);

	test('is rounded down to seconds', async () => {
		const login = (session: Session): unknown => session.login('ada', { maxAge: 60.9 });
		expect(await request(undefined, login)).toContain('; Max-Age=60;');
	});

	test('takes the place of a date in the options', async () => {
		const config = { ...options, cookie: { expires: new Date(Date.now() + 5_000) } };
		const login = (session: Session): unknown => session.login('ada', { maxAge: 60 });
		const cookie = await request(undefined, login, config);
		expect(cookie).toContain('; Max-Age=60;');
		expect(cookie).not.toContain('Expires');
		const open = async (session: Session): Promise<unknown> =>
			session.login('ada', { maxAge: null });
		expect(await request(cookie, open, config)).not.toMatch(/Expires|Max-Age/);
	});

	test.each([[null], [60]])(
		'stays with the session although the options say the same: %s',
		async (maxAge) => {
			const config = { ...options, cookie: maxAge === null ? {} : { maxAge } };
			const cookie = await request(
				undefined,
				(session) => session.login('ada', { maxAge }),
				config
			);
			await request(
				cookie,
				async (session) => {
					// Looking at the attributes changes none.
					expect(session.cookie.maxAge).toBe(maxAge ?? undefined);
					await session.save();
				},
				config
			);
			const changed = { ...options, cookie: { maxAge: 600 } };
			const again = await request(cookie, (session) => session.save(), changed);
			expect(/Max-Age=(\d+)/.exec(again ?? '')?.[1]).toBe(maxAge?.toString());
		}
	);

	test('gives way to an attribute that the application assigns afterwards', async () => {
		const cookie = await request(undefined, async (session, locals) => {
			await session.login('ada', { maxAge: 60 });
			locals.session.cookie.maxAge = 90;
			await locals.session.save();
		});
		expect(cookie).toContain('; Max-Age=90;');
	});
});

describe('a passive request', () => {
	const passive: SveltekitSessionConfig['passive'] = ({ url }) => url.pathname === '/poll';
	const poll = 'https://app.example/poll';

	test('begins no session, although the options store every one', async () => {
		const config = { ...options, saveUninitialized: true, passive };
		expect(await request(undefined, () => undefined, config, poll)).toBeUndefined();
		expect(await request(undefined, () => undefined, config)).toBeDefined();
	});

	test('knows when the session ends, and other requests move it', async () => {
		const config = { ...options, idleTimeout: 600, passive };
		const cookie = await request(undefined, (session) => session.save(), config);
		vi.setSystemTime(Date.now() + 400_000);
		const ends = async (url?: string): Promise<number | null> => {
			let idle: number | null = null;
			const look = (session: Session): void => {
				idle = left(session.idleUntil);
				expect(left(session.expires)).toBe(idle);
			};
			await request(cookie, look, config, url);
			return idle;
		};
		expect(await ends(poll)).toBe(260_000);
		expect(await ends(poll)).toBe(260_000);
		expect(await ends()).toBe(660_000);
		expect(await ends(poll)).toBe(660_000);
	});

	test('may have no handle', async () => {
		const config = { ...options, cookie: { maxAge: 60 }, rolling: true };
		const cookie = await request(undefined, (session) => session.save(), config);
		for (const isPassive of [true, false]) {
			const { event, cookies } = testEvent(cookie?.split(';')[0]);
			const session = await Session.initialize(event, {
				...config,
				passive: () => isPassive
			});
			expect([session.isNew, cookies.length]).toEqual([false, isPassive ? 0 : 1]);
		}
	});
});

describe('the end of a session', () => {
	test('is unknown before it is stored, and after it has ended', async () => {
		options.cookie = { maxAge: 60 };
		options.idleTimeout = 30;
		await request(undefined, async (session, locals) => {
			expect([session.expires, session.idleUntil]).toEqual([null, null]);
			await session.save();
			expect([left(session.expires), left(session.idleUntil)]).toEqual([33_000, 33_000]);
			const next = await session.regenerate();
			expect(next).toBe(locals.session);
			expect([next.expires, next.idleUntil]).toEqual([null, null]);
			await next.save();
			expect(left(session.expires)).toBe(33_000);
			await next.destroy();
			expect(session.expires).toBeNull();
		});
	});

	test('is the date of the cookie', async () => {
		const expires = new Date(Date.now() + 90_000);
		options.cookie = { expires };
		const cookie = await request(undefined, (session) => session.save());
		await request(cookie, (session) => {
			expect(session.expires).toEqual(expires);
		});
	});

	test('is known for an encrypted session', async () => {
		options.encrypt = true;
		options.cookie = { maxAge: 60 };
		const cookie = await request(undefined, (session) => session.save());
		vi.setSystemTime(Date.now() + 5_000);
		await request(cookie, (session) => {
			expect(left(session.expires)).toBe(55_000);
		});
	});
});
