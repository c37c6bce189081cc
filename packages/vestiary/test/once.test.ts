import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	DataError,
	MemoryStore,
	OnceError,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore } from './event.js';
import { operationsOf, remote, visit, type Visited } from './visits.js';

let store: MemoryStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	store = new MemoryStore();
	options = { secret: '0123456789abcdef0123456789abcdef', store };
});

const LEASE = { lease: 10 };

/** A visitor with this data, as a cookie. */
async function visitor(data: object): Promise<string> {
	const { cookies } = await visit(options, async (session) => {
		await session.setData(data);
		await session.save();
	});
	return cookies[0] ?? '';
}

/** A promise, and the functions that settle it. */
function gate(): { readonly opened: Promise<void>; open: () => void } {
	let open = (): void => undefined;
	const opened = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { opened, open };
}

describe.each([
	['on a table', (): Store => store],
	['on a store that is awaited, by processes of their own', (): Store => remote(store)]
])('%s', (_, storeOf) => {
	/** A request in a process of its own. */
	const request = async <T>(
		cookie: string | undefined,
		app: (session: Visited) => Promise<T>
	): Promise<T> => {
		let made: T | undefined;
		await visit(
			{ ...options, store: storeOf() },
			async (session) => {
				made = await app(session);
			},
			cookie
		);
		return made as T;
	};

	test('one of eight requests runs the function, and all get its result', async () => {
		const cookie = await visitor({});
		let runs = 0;
		const results = await Promise.all(
			Array.from({ length: 8 }, async () =>
				request(cookie, async (session) =>
					session.once(
						'refresh',
						async () => {
							runs++;
							await new Promise((resolve) => setTimeout(resolve, 5));
							return { token: ['new', runs] };
						},
						LEASE
					)
				)
			)
		);
		expect(runs).toBe(1);
		expect(results).toEqual(Array(8).fill({ token: ['new', 1] }));
	});

	test('a refresh token with rotation is used once, and none of eight requests loses it', async () => {
		const cookie = await visitor({ refresh: 'token 0' });
		let current = 0;
		let isRevoked = false;
		/** A provider that revokes all tokens if one is used twice. */
		const grant = async (token: string): Promise<string> => {
			await new Promise((resolve) => setTimeout(resolve, 2));
			if (token !== `token ${current}`) isRevoked = true;
			return `token ${++current}`;
		};
		const refresh = async (session: Visited): Promise<unknown> =>
			session.once(
				'refresh',
				async () => {
					const data = session.data as { refresh?: string };
					data.refresh = await grant(data.refresh ?? '');
					await session.save();
					return data.refresh;
				},
				LEASE
			);
		const tokens = await Promise.all(
			Array.from({ length: 8 }, async () => request(cookie, refresh))
		);
		expect({ isRevoked, current }).toEqual({ isRevoked: false, current: 1 });
		expect(new Set(tokens)).toEqual(new Set(['token 1']));
		expect(await request(cookie, async (session) => Promise.resolve(session.data))).toEqual({
			refresh: 'token 1'
		});
	});

	test('the request whose function fails gets its error, the others a `once_failed`', async () => {
		const cookie = await visitor({});
		const { opened, open } = gate();
		const failure = new Error('the provider is down');
		const one = request(cookie, async (session) =>
			session.once(
				'refresh',
				async () => {
					await opened;
					throw failure;
				},
				LEASE
			)
		).catch((error: unknown) => error);
		const other = request(cookie, async (session) => {
			open();
			return session.once('refresh', () => 'another', LEASE);
		}).catch((error: unknown) => error);
		const errors = await Promise.all([one, other]);
		expect(errors).toContain(failure);
		const told = errors.find((error) => error !== failure);
		// Whichever request was first, the function of the other one has not run.
		expect(told instanceof OnceError ? told.code : told).toBe('once_failed');
		expect((told as Error).cause).toBeUndefined();
	});

	test('changes are saved first, and data is as the store has it', async () => {
		const cookie = await visitor({ n: 1 });
		const seen = await request(cookie, async (session) => {
			await request(cookie, async (other) => {
				other.data.m = 2;
				await other.save();
			});
			session.data.n = 5;
			return session.once('look', () => ({ ...session.data }), LEASE);
		});
		expect(seen).toEqual({ n: 5, m: 2 });
	});

	test('a result that is not JSON is refused, and the others need not wait for the lease', async () => {
		const cookie = await visitor({});
		const made = request(cookie, async (session) =>
			session.once('look', () => new Map(), LEASE)
		);
		await expect(made).rejects.toBeInstanceOf(DataError);
		const other = request(cookie, async (session) => session.once('look', () => 1, LEASE));
		await expect(other).rejects.toMatchObject({ code: 'once_failed' });
	});

	test('a lease longer than a timer of JavaScript is not over at once', async () => {
		const cookie = await visitor({});
		const lease = { lease: 100 * 365 * 86_400 };
		const slow = async (): Promise<number> =>
			new Promise((resolve) => setTimeout(resolve, 5, 1));
		expect(await request(cookie, async (session) => session.once('look', slow, lease))).toBe(1);
	});

	test('functions of different names do not wait for each other', async () => {
		const cookie = await visitor({});
		const { opened, open } = gate();
		const slow = request(cookie, async (session) =>
			session.once('slow', async () => opened.then(() => 1), LEASE)
		);
		expect(await request(cookie, async (session) => session.once('fast', () => 2, LEASE))).toBe(
			2
		);
		open();
		expect(await slow).toBe(1);
	});

	test('an anonymous visitor gets a session', async () => {
		let value: number | undefined;
		const { cookies } = await visit(options, async (session) => {
			value = await session.once('look', () => 1, LEASE);
		});
		expect({ value, cookies: cookies.length }).toEqual({ value: 1, cookies: 1 });
	});

	test('a function without a result has none in the other requests, either', async () => {
		const cookie = await visitor({});
		const looks = async (session: Visited): Promise<boolean> => {
			const value: unknown = await session.once('look', (): unknown => undefined, LEASE);
			return value === undefined;
		};
		expect([await request(cookie, looks), await request(cookie, looks)]).toEqual([true, true]);
	});

	test('a session that was ended meanwhile has no result', async () => {
		const cookie = await visitor({});
		const made = request(cookie, async (session) => {
			expect(session.data).toEqual({});
			await request(cookie, async (other) => other.destroy());
			return session.once('look', () => 1, LEASE);
		});
		await expect(made).rejects.toMatchObject({ code: 'once_ended' });
	});

	test.each(['login', 'regenerate', 'destroy'] as const)(
		'a function that calls %s() has no result, and the session is as it says',
		async (method) => {
			const cookie = await visitor({ n: 1 });
			const replaced = async (session: Visited): Promise<unknown> => {
				const made = session.once(
					'look',
					async () => {
						await session[method]('ada');
					},
					LEASE
				);
				await expect(made).rejects.toMatchObject({ code: 'once_lost' });
				return [session.userId, session.data];
			};
			const user = method === 'login' ? 'ada' : undefined;
			expect(await request(cookie, replaced)).toEqual([user, {}]);
		}
	);
});

describe('a lease that ends', () => {
	test('aborts the function, whose result is not kept, and another request runs it', async () => {
		const cookie = await visitor({});
		let signal: AbortSignal | undefined;
		const late = visit(
			options,
			async (session) =>
				session.once(
					'slow',
					async (given) => {
						signal = given;
						return new Promise(() => undefined);
					},
					{ lease: 0.05 }
				),
			cookie
		);
		await expect(late).rejects.toMatchObject({ code: 'once_lost' });
		expect(signal?.aborted).toBe(true);
		const next = visit(
			options,
			async (session) => {
				expect(await session.once('slow', () => 2, LEASE)).toBe(2);
			},
			cookie
		);
		await next;
		expect.assertions(3);
	});

	test('of a holder that was killed lets the next request run the function', async () => {
		const cookie = await visitor({});
		// The process dies before it settles: its writes no longer reach the store.
		const dying = remote(store);
		let [writes, hasRun] = [0, false];
		dying.atomic.replace = async (...given) =>
			++writes > 1 ? new Promise(() => undefined) : operationsOf(store).replace(...given);
		void visit(
			{ ...options, store: dying, storeTimeout: 0 },
			async (session) =>
				session.once(
					'refresh',
					() => {
						hasRun = true;
						return 'of the dead one';
					},
					{ lease: 0.05 }
				),
			cookie
		).catch(() => undefined);
		await vi.waitFor(() => {
			expect(hasRun).toBe(true);
		}, 30_000);
		let value: unknown;
		await visit(
			{ ...options, store: remote(store) },
			async (session) => {
				value = await session.once('refresh', () => 'of the next one', LEASE);
			},
			cookie
		);
		expect(value).toBe('of the next one');
	});
});

test.each([
	['no lease', {}],
	['a lease of 0', { lease: 0 }],
	['a lease that is text', { lease: '10' }],
	['no options', undefined]
])('%s is a ConfigError, and the function does not run', async (_, given) => {
	let runs = 0;
	const made = visit(options, async (session) =>
		session.once('look', () => ++runs, given as { lease: number })
	);
	await expect(made).rejects.toBeInstanceOf(ConfigError);
	expect(runs).toBe(0);
});

test('a store that is not atomic is refused', async () => {
	const made = visit({ ...options, store: new CountingStore() }, async (session) =>
		session.once('look', () => 1, LEASE)
	);
	await expect(made).rejects.toMatchObject({ code: 'store_capability' });
});
