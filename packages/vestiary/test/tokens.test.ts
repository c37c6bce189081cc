import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	DataError,
	MemoryStore,
	type OnceError,
	type Refresh,
	type Store,
	type SveltekitSessionConfig,
	type TokenOptions,
	type TokenResponse,
	type Tokens
} from '../src/index.js';
import { CountingStore } from './event.js';
import { operationsOf, remote, visit, type Visited } from './visits.js';

let store: MemoryStore;
let options: SveltekitSessionConfig;
let provider: Provider;

beforeEach(() => {
	store = new MemoryStore();
	options = { secret: '0123456789abcdef0123456789abcdef', store };
	provider = new Provider();
});

/** A provider that rotates refresh tokens, and revokes all of them if one is used twice. */
class Provider {
	grants = 0;
	isRevoked = false;
	lifetime = 3600;

	answer(): TokenResponse {
		const n = this.grants;
		return {
			access_token: `access ${n}`,
			refresh_token: `refresh ${n}`,
			expires_in: this.lifetime
		};
	}

	readonly refresh: Refresh = async (token) => {
		await new Promise((resolve) => setTimeout(resolve, 2));
		if (token !== `refresh ${this.grants++}`) this.isRevoked = true;
		return this.isRevoked ? undefined : this.answer();
	};
}

/** A visitor with tokens, as a cookie. Their access token has expired. */
async function visitor(
	response: TokenResponse = { ...provider.answer(), expires_in: 0 }
): Promise<string> {
	const { cookies } = await visit(options, async (session) => session.keepTokens(response));
	return cookies[0] ?? '';
}

/** A request in a process of its own. */
async function request<T>(
	cookie: string | undefined,
	app: (session: Visited) => Promise<T>,
	storeOf: () => Store = () => remote(store)
): Promise<T> {
	let made: T | undefined;
	await visit(
		{ ...options, store: storeOf() },
		async (session) => (made = await app(session)),
		cookie
	);
	return made as T;
}

async function accessToken(session: Visited, given?: TokenOptions): Promise<string | undefined> {
	return (await session.tokens(provider.refresh, given))?.accessToken;
}

describe.each([
	['on a table', (): Store => store],
	['on a store that is awaited, by processes of their own', (): Store => remote(store)]
])('%s', (_, storeOf) => {
	test('one of fifty requests refreshes the tokens, and all get the new ones', async () => {
		const cookie = await visitor();
		const found = await Promise.all(
			Array.from({ length: 50 }, async () => request(cookie, accessToken, storeOf))
		);
		expect(new Set(found)).toEqual(new Set(['access 1']));
		expect([provider.grants, provider.isRevoked]).toEqual([1, false]);
	});

	test('all tokens are kept beside the data, and replaced together', async () => {
		const cookie = await visitor({ ...provider.answer(), id_token: 'id "1"' });
		const first = await request(
			cookie,
			async (session) => {
				const tokens = await session.storedTokens();
				return { tokens, data: session.data };
			},
			storeOf
		);
		expect(first).toEqual({
			tokens: {
				accessToken: 'access 0',
				refreshToken: 'refresh 0',
				idToken: 'id "1"',
				expires: expect.any(Date) as Date
			},
			data: {}
		});
		const second = await request(
			cookie,
			async (session) =>
				session.tokens(() => ({ access_token: 'new' }), { refused: 'access 0' }),
			storeOf
		);
		expect(second).toEqual({
			accessToken: 'new',
			refreshToken: 'refresh 0',
			idToken: 'id "1"',
			expires: undefined
		});
		expect(await request(cookie, async (session) => session.storedTokens(), storeOf)).toEqual(
			second
		);
	});

	test('a token that is due and still valid is given to all but the request that refreshes it', async () => {
		const cookie = await visitor({ ...provider.answer(), expires_in: 30 });
		let open = (): void => undefined;
		const opened = new Promise<void>((resolve) => (open = resolve));
		const holder = request(
			cookie,
			async (session) =>
				session.tokens(
					async () => {
						await opened;
						return { access_token: 'new' };
					},
					{ early: 60, refused: 'access 0' }
				),
			storeOf
		);
		await vi.waitFor(async () => {
			const other = await request(cookie, accessToken, storeOf);
			expect(other).toBe('access 0');
		});
		open();
		expect((await holder)?.accessToken).toBe('new');
		expect(provider.grants).toBe(0);
	});

	test('without tokens, or when the provider refuses, there are none in any request', async () => {
		const run = vi.fn();
		expect(
			await request(undefined, async (session) => session.tokens(run), storeOf)
		).toBeUndefined();
		const cookie = await visitor();
		provider.isRevoked = true;
		const found = await Promise.all(
			Array.from({ length: 8 }, async () => request(cookie, accessToken, storeOf))
		);
		expect([found, provider.grants]).toEqual([Array(8).fill(undefined), 1]);
		expect(
			await request(cookie, async (session) => session.storedTokens(), storeOf)
		).toBeUndefined();
		expect(run).not.toHaveBeenCalled();
	});

	test('an error of the function is that of its request, and no other request asks for two seconds', async () => {
		const cookie = await visitor();
		const failure = new Error('the provider is down');
		const fails = async (): Promise<never> => Promise.reject(failure);
		await expect(
			request(cookie, async (session) => session.tokens(fails), storeOf)
		).rejects.toBe(failure);
		await expect(request(cookie, accessToken, storeOf)).rejects.toMatchObject({
			code: 'once_failed'
		});
		expect(provider.grants).toBe(0);
	});

	test('a login drops the tokens of the earlier session, and renew() keeps them', async () => {
		const cookie = await visitor({ access_token: 'a' });
		await request(
			cookie,
			async (session) => {
				await session.renew();
				expect((await session.storedTokens())?.accessToken).toBe('a');
				await session.login('ada');
				expect(await session.storedTokens()).toBeUndefined();
			},
			storeOf
		);
		expect.assertions(2);
	});
});

test('valid tokens cost no store call, and a refresh two writes', async () => {
	const cookie = await visitor(provider.answer());
	const counted = remote(store);
	let writes = 0;
	counted.atomic.replace = async (...given) => {
		writes++;
		return operationsOf(store).replace(...given);
	};
	const read = vi.spyOn(counted.atomic, 'read');
	await request(
		cookie,
		async (session) => {
			expect(session.data).toEqual({});
			const reads = read.mock.calls.length;
			expect(await accessToken(session)).toBe('access 0');
			expect((await session.storedTokens())?.accessToken).toBe('access 0');
			expect([read.mock.calls.length, writes]).toEqual([reads, 0]);
			expect(await accessToken(session, { refused: 'access 0' })).toBe('access 1');
			expect([read.mock.calls.length, writes]).toEqual([reads, 2]);
		},
		() => counted
	);
});

test('with encrypt, the store shows no token', async () => {
	options = { ...options, encrypt: true };
	const set = vi.fn();
	const watched = remote(store);
	watched.atomic.create = async (id, text, ...rest) => {
		set(text);
		return operationsOf(store).create(id, text, ...rest);
	};
	options = { ...options, store: watched };
	await visit(options, async (session) => session.keepTokens({ access_token: 'the secret' }));
	expect(set).toHaveBeenCalledOnce();
	expect(set.mock.calls[0]?.[0]).not.toContain('the secret');
	// The same without it, to see that this would show it.
	await visit({ ...options, encrypt: false }, async (session) =>
		session.keepTokens({ access_token: 'the secret' })
	);
	expect(set.mock.calls[1]?.[0]).toContain('the secret');
});

test('a login keeps the tokens that it is given, also encrypted, and drops earlier ones', async () => {
	options = { ...options, encrypt: true };
	const cookie = await visitor();
	const tokens = { access_token: 'new', id_token: 'id "1"', expires_in: 60 };
	const { cookies } = await visit(
		options,
		async (session) => session.login('ada', { data: { n: 1 }, tokens }),
		cookie
	);
	const found = await request(cookies[0], async (session) => ({
		user: session.userId,
		data: session.data,
		tokens: await session.storedTokens()
	}));
	expect(found).toEqual({
		user: 'ada',
		data: { n: 1 },
		tokens: {
			accessToken: 'new',
			refreshToken: undefined,
			idToken: 'id "1"',
			expires: expect.any(Date) as Date
		}
	});
	const left = (found.tokens?.expires?.getTime() ?? 0) - Date.now();
	expect(left).toBeLessThanOrEqual(60_000);
	expect(left).toBeGreaterThan(-3_600_000);
});

test('a process that dies during a login leaves no session without its tokens', async () => {
	// Its writes after this number do not reach the store.
	for (const [writes, sessions] of [
		[0, 0],
		[1, 1],
		[2, 1]
	] as const) {
		store = new MemoryStore();
		const dying = remote(store);
		let written = 0;
		const made: string[] = [];
		const dies = async <T>(write: () => T): Promise<T> =>
			++written > writes ? new Promise(() => undefined) : Promise.resolve(write());
		let asked = 0;
		dying.atomic.create = async (id, text, ...rest) => {
			asked++;
			return dies(async () => {
				if (text.includes('"data"')) made.push(text);
				return operationsOf(store).create(id, text, ...rest);
			});
		};
		dying.atomic.replace = async (...given) => {
			asked++;
			return dies(async () => operationsOf(store).replace(...given));
		};
		let hasEnded = false;
		void visit({ ...options, store: dying, storeTimeout: 0 }, async (session) =>
			session.login('ada', { tokens: { access_token: 'the token' } })
		).then(
			() => (hasEnded = true),
			() => undefined
		);
		await vi.waitFor(() => {
			expect(hasEnded || asked > writes).toBe(true);
		}, 30_000);
		expect(made).toHaveLength(sessions);
		for (const text of made) expect(text).toContain('the token');
	}
});

test("the application's changes of the data are not stored, and stay", async () => {
	const cookie = await visitor();
	await request(cookie, async (session) => {
		session.data.n = 1;
		await accessToken(session);
		expect(session.data).toEqual({ n: 1 });
	});
	expect(await request(cookie, async (session) => Promise.resolve(session.data))).toEqual({});
});

describe('a lease that ends', () => {
	const late = { lease: 0.05 };

	test('aborts the function, and tokens that come late are kept', async () => {
		const cookie = await visitor();
		let signal: AbortSignal | undefined;
		let answer = (_: TokenResponse): void => undefined;
		const asked = request(cookie, async (session) =>
			session.tokens(async (_, given) => {
				signal = given;
				return new Promise((resolve) => (answer = resolve));
			}, late)
		);
		await expect(asked).rejects.toMatchObject({
			code: 'once_lost'
		} satisfies Partial<OnceError>);
		expect(signal?.aborted).toBe(true);
		answer({ access_token: 'late' });
		await vi.waitFor(async () => {
			const tokens = await request(cookie, async (session) => session.storedTokens());
			expect(tokens?.accessToken).toBe('late');
		});
	});

	test('of a holder that was killed lets the next request refresh the tokens', async () => {
		const cookie = await visitor();
		// The process dies before it has stored the tokens: its writes no longer reach the store.
		const dying = remote(store);
		let [writes, hasRun] = [0, false];
		dying.atomic.replace = async (...given) =>
			++writes > 1 ? new Promise(() => undefined) : operationsOf(store).replace(...given);
		void visit(
			{ ...options, store: dying, storeTimeout: 0 },
			async (session) =>
				session.tokens(() => {
					hasRun = true;
					return { access_token: 'of the dead one' };
				}, late),
			cookie
		).catch(() => undefined);
		await vi.waitFor(() => {
			expect(hasRun).toBe(true);
		}, 30_000);
		expect(await request(cookie, accessToken)).toBe('access 1');
	});

	test('and is taken over leaves the tokens of the later request to both', async () => {
		const cookie = await visitor();
		let answer = (_: TokenResponse): void => undefined;
		const asking = new Promise<TokenResponse>((resolve) => (answer = resolve));
		// The first write of the tokens is slow: the lease ends meanwhile.
		const slow = remote(store);
		let writes = 0;
		slow.atomic.replace = async (...given) => {
			if (++writes === 2) {
				await new Promise((resolve) => setTimeout(resolve, 60));
				await request(cookie, accessToken);
			}
			return operationsOf(store).replace(...given);
		};
		const first = request(
			cookie,
			async (session) => session.tokens(async () => asking, late),
			() => slow
		);
		answer({ access_token: 'first' });
		expect((await first)?.accessToken).toBe('access 1');
		const stored: Tokens | undefined = await request(cookie, async (session) =>
			session.storedTokens()
		);
		expect(stored?.accessToken).toBe('access 1');
	});
});

test.each([
	['no function', undefined, {}],
	['a lease of 0', () => undefined, { lease: 0 }],
	['a negative `early`', () => undefined, { early: -1 }],
	['a `refused` that is no string', () => undefined, { refused: 5 }],
	['an unknown option', () => undefined, { leese: 5 }],
	['options that are no object', () => undefined, null]
])('%s is a ConfigError', async (_, run, given) => {
	const made = visit(options, async (session) =>
		session.tokens(run as Refresh, given as TokenOptions)
	);
	await expect(made).rejects.toBeInstanceOf(ConfigError);
});

test.each([
	['nothing', undefined],
	['no access token', { refresh_token: 'r' }],
	['an access token that is no string', { access_token: 5 }],
	['half a surrogate pair', { access_token: '\ud800' }]
])('an answer with %s is refused, and nothing is stored', async (_, response) => {
	const made = visit(options, async (session) => session.keepTokens(response as TokenResponse));
	await expect(made).rejects.toBeInstanceOf(ConfigError);
	const tokens = response as TokenResponse;
	const login = visit(options, async (session) => session.login('ada', { tokens }));
	// Without the option, a login has no tokens.
	if (response !== undefined) await expect(login).rejects.toBeInstanceOf(ConfigError);
	else await login;
	expect(store.size).toBe(response === undefined ? 2 : 0);
});

test('tokens for which there is no room are refused, and the others are not asked again at once', async () => {
	const cookie = await visitor();
	const made = request(cookie, async (session) =>
		session.tokens(() => ({ access_token: 'x'.repeat(17_000) }))
	);
	await expect(made).rejects.toMatchObject({ code: 'slots_full' } satisfies Partial<DataError>);
	await expect(request(cookie, accessToken)).rejects.toMatchObject({ code: 'once_failed' });
	const tokens = { access_token: 'x'.repeat(17_000) };
	const login = request(cookie, async (session) => session.login('ada', { tokens }));
	await expect(login).rejects.toMatchObject({ code: 'slots_full' } satisfies Partial<DataError>);
	const stays = await request(cookie, async (session) => session.storedTokens());
	expect(stays?.accessToken).toBe('access 0');
});

test('a lifetime that is text counts, and one of another kind is unknown', async () => {
	for (const [given, known] of [
		['3600', true],
		['soon', false],
		[-5, false],
		[null, false]
	] as const) {
		const response = { access_token: 'a', expires_in: given } as unknown as TokenResponse;
		const cookie = await visitor(response);
		const tokens = await request(cookie, async (session) => session.storedTokens());
		expect(tokens?.expires !== undefined, String(given)).toBe(known);
	}
});

test('a lifetime that is longer than all time ends with a date', async () => {
	for (const expires_in of [1e13, 1e300, Infinity, '1e400']) {
		const cookie = await visitor({ access_token: 'a', expires_in } as TokenResponse);
		const tokens = await request(cookie, async (session) => session.storedTokens());
		expect(tokens?.expires?.getTime(), String(expires_in)).toBeGreaterThan(Date.now());
	}
});

test('a store that is not atomic is refused', async () => {
	const made = visit({ ...options, store: new CountingStore() }, async (session) =>
		session.keepTokens({ access_token: 'a' })
	);
	await expect(made).rejects.toMatchObject({ code: 'store_capability' });
});
