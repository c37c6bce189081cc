import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { RequestEvent } from '@sveltejs/kit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	backChannelLogout,
	ConfigError,
	frontChannelLogout,
	LoginOutdatedError,
	LogoutError,
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type KeySet,
	type LoginOptions,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { remote } from './visits.js';
import { SECRET } from './watched-store.js';

/* A logout that begins at the provider: OpenID Connect Back-Channel and Front-Channel Logout 1.0. */

const ISSUER = 'https://login.example';
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const jwk = (key: KeyObject, more: object): object => ({
	...key.export({ format: 'jwk' }),
	...more
});

const KEYS: KeySet = {
	keys: [
		jwk(rsa.publicKey, { kid: 'rsa', use: 'sig' }),
		jwk(p256.publicKey, { kid: 'p256', alg: 'ES256' }),
		jwk(weak.publicKey, { kid: 'weak' }),
		jwk(rsa.publicKey, { kid: 'encrypts', use: 'enc' }),
		{ kty: 'EC', crv: 'P-256', kid: 'no-point', x: 'A'.repeat(43), y: 'A'.repeat(43) }
	]
};

let store: MemoryStore;
let options: SveltekitSessionConfig;
let refused: string[];
/** The number of times that the keys were fetched. */
let fetched: number;
let logout: (event: RequestEvent) => Promise<Response>;

beforeEach(() => {
	store = new MemoryStore();
	options = { secret: SECRET, name: 'sid', store };
	refused = [];
	fetched = 0;
	logout = backChannelLogout({
		issuer: ISSUER,
		clientId: 'app',
		jwks: () => {
			fetched++;
			return KEYS;
		},
		onRefused: ({ code }) => refused.push(code)
	});
});

afterEach(() => {
	vi.useRealTimers();
});

async function logIn(user: string, more: LoginOptions, config = options): Promise<string> {
	const { event, cookies } = testEvent();
	await (await Session.initialize(event, config)).login(user, more);
	return `sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
}

const at = (sub: string, sid?: string): LoginOptions => ({
	provider: { iss: ISSUER, sub, ...(sid !== undefined && { sid }) }
});

async function userOf(cookie: string): Promise<string | undefined> {
	return (await sessions(options).read(cookie))?.userId;
}

let ids = 0;

function claims(more: object = {}): Record<string, unknown> {
	const now = Math.floor(Date.now() / 1_000);
	return {
		iss: ISSUER,
		aud: 'app',
		iat: now,
		exp: now + 120,
		jti: `jti-${ids++}`,
		events: { [EVENT]: {} },
		...more
	};
}

type Signer = (text: Buffer) => Buffer;
const withRsa: Signer = (text) => sign('sha256', text, rsa.privateKey);

function tokenOf(payload: object, header: object = {}, signer: Signer = withRsa): string {
	const part = (value: object): string =>
		Buffer.from(JSON.stringify(value)).toString('base64url');
	const text = `${part({ alg: 'RS256', kid: 'rsa', typ: 'logout+jwt', ...header })}.${part(payload)}`;
	return `${text}.${signer(Buffer.from(text)).toString('base64url')}`;
}

interface Sending {
	readonly config?: SveltekitSessionConfig;
	readonly endpoint?: typeof logout;
	readonly init?: RequestInit;
	readonly address?: string;
}

/** Sends a request as the provider does, through the handle of an app. */
async function send(body: string | null, sending: Sending = {}): Promise<Response> {
	const {
		config = options,
		endpoint = logout,
		init,
		address = 'https://app.example/logout'
	} = sending;
	const { event } = testEvent(undefined, address);
	const headers = { 'content-type': 'application/x-www-form-urlencoded' };
	const request = new Request(
		address,
		body === null ? {} : { method: 'POST', body, headers, ...init }
	);
	Object.assign(event, { request });
	return sveltekitSessionHandle(config)({ event, resolve: endpoint });
}

const sendToken = (token: string, sending?: Sending): Promise<Response> =>
	send(new URLSearchParams({ logout_token: token }).toString(), sending);

describe('a logout token', () => {
	test('ends exactly the sessions of its sid, of whichever user', async () => {
		const [one, same, other] = [
			await logIn('ada', at('a', 's1')),
			await logIn('ada', at('a', 's1')),
			await logIn('ada', at('a', 's2'))
		];
		const linked = await logIn('ada-2', at('a', 's1'));
		const [bob, without] = [await logIn('bob', at('b', 's3')), await logIn('ada', {})];
		const elsewhere = await logIn('ada', {
			provider: { iss: 'https://other.example', sub: 'a', sid: 's1' }
		});
		const response = await sendToken(tokenOf(claims({ sid: 's1', sub: 'a' })));
		expect([response.status, await response.text(), refused]).toEqual([200, '', []]);
		expect(response.headers.get('cache-control')).toBe('no-store');
		for (const ended of [one, same, linked]) expect(await userOf(ended)).toBeUndefined();
		for (const stays of [other, without, elsewhere]) expect(await userOf(stays)).toBe('ada');
		expect(await userOf(bob)).toBe('bob');
	});

	test('without a sid ends all sessions of its sub, also those without a sid', async () => {
		const ended = [
			await logIn('ada', at('a', 's1')),
			await logIn('ada', at('a')),
			await logIn('eve', at('a', 's2'))
		];
		const bob = await logIn('bob', at('b', 's1'));
		expect((await sendToken(tokenOf(claims({ sub: 'a' })))).status).toBe(200);
		for (const cookie of ended) expect(await userOf(cookie)).toBeUndefined();
		expect(await userOf(bob)).toBe('bob');
	});

	test('is accepted with each algorithm, and without kid', async () => {
		const es256: Signer = (text) =>
			sign('sha256', text, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' });
		const ps256: Signer = (text) =>
			sign('sha256', text, { key: rsa.privateKey, padding: 6, saltLength: 32 });
		const tokens = [
			tokenOf(claims({ sid: 's1' }), { alg: 'ES256', kid: 'p256' }, es256),
			tokenOf(claims({ sid: 's1' }), { alg: 'PS256' }, ps256),
			tokenOf(claims({ sid: 's1' }), { kid: undefined }),
			tokenOf(claims({ sid: 's1' }), { alg: 'ES256', kid: undefined }, es256)
		];
		for (const token of tokens) {
			const ada = await logIn('ada', {
				...at('a', 's1'),
				provenAt: new Date(Date.now() + 1_000)
			});
			expect((await sendToken(token)).status).toBe(200);
			expect(await userOf(ada)).toBeUndefined();
		}
		expect(fetched).toBe(1);
	});

	test.each<[string, () => string]>([
		['token_signature', () => tokenOf(claims({ sid: 's1' }), {}, () => Buffer.alloc(256))],
		[
			'token_signature',
			() =>
				tokenOf(claims({ sid: 's1' }), { alg: 'ES256', kid: 'no-point' }, () =>
					Buffer.alloc(64)
				)
		],
		// The claims of one token with the signature of another one.
		[
			'token_signature',
			() =>
				[
					...tokenOf(claims({ sid: 's1' }))
						.split('.')
						.slice(0, 2),
					tokenOf(claims({ sid: 's9' })).split('.')[2]
				].join('.')
		],
		[
			'token_algorithm',
			() => tokenOf(claims({ sid: 's1' }), { alg: 'none' }, () => Buffer.alloc(0))
		],
		['token_algorithm', () => tokenOf(claims({ sid: 's1' }), { alg: 'HS256' })],
		// A key for another algorithm, a short one, one that encrypts, and none.
		['token_key', () => tokenOf(claims({ sid: 's1' }), { kid: 'p256' })],
		[
			'token_key',
			() =>
				tokenOf(claims({ sid: 's1' }), { kid: 'weak' }, (text) =>
					sign('sha256', text, weak.privateKey)
				)
		],
		['token_key', () => tokenOf(claims({ sid: 's1' }), { kid: 'encrypts' })],
		['token_key', () => tokenOf(claims({ sid: 's1' }), { kid: 'unknown' })],
		['token_critical', () => tokenOf(claims({ sid: 's1' }), { crit: ['b64'], b64: false })],
		['token_type', () => tokenOf(claims({ sid: 's1' }), { typ: 'at+jwt' })],
		['token_issuer', () => tokenOf(claims({ sid: 's1', iss: 'https://evil.example' }))],
		['token_audience', () => tokenOf(claims({ sid: 's1', aud: ['other'] }))],
		['token_issued', () => tokenOf(claims({ sid: 's1', iat: undefined }))],
		['token_expired', () => tokenOf(claims({ sid: 's1', exp: 1 }))],
		['token_lifetime', () => tokenOf(claims({ sid: 's1', exp: 99_999_999_999 }))],
		['token_events', () => tokenOf(claims({ sid: 's1', events: {} }))],
		['token_nonce', () => tokenOf(claims({ sid: 's1', nonce: 'n' }))],
		['token_subject', () => tokenOf(claims())],
		['token_id', () => tokenOf(claims({ sid: 's1', jti: undefined }))],
		['token_malformed', () => 'not a token']
	])('is refused: %s (%#)', async (code, token) => {
		const ada = await logIn('ada', at('a', 's1'));
		const response = await sendToken(token());
		expect(response.status).toBe(400);
		expect(response.headers.get('cache-control')).toBe('no-store');
		expect(await response.json()).toEqual({
			error: 'invalid_request',
			error_description: code
		});
		expect(refused).toEqual([code]);
		expect(await userOf(ada)).toBe('ada');
	});

	test('counts once: sent again, it ends no session that began since', async () => {
		const token = tokenOf(claims({ sub: 'a' }));
		const ada = await logIn('ada', at('a', 's1'));
		expect((await sendToken(token)).status).toBe(200);
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10 });
		const again = await logIn('ada', at('a', 's2'));
		expect((await sendToken(token)).status).toBe(400);
		expect(refused).toEqual(['token_replayed']);
		expect([await userOf(ada), await userOf(again)]).toEqual([undefined, 'ada']);
		// Another token is another logout.
		expect((await sendToken(tokenOf(claims({ sub: 'a' })))).status).toBe(200);
		expect(await userOf(again)).toBeUndefined();
	});

	test('that met a failing store ends the sessions when it is sent again', async () => {
		const ada = await logIn('ada', at('a', 's1'));
		const token = tokenOf(claims({ sid: 's1' }));
		// Only the user's list cannot be written, after the receipt of the token was.
		let writes = 0;
		const failing = remote(store);
		const { atomic } = failing;
		const replace = atomic.replace.bind(atomic);
		atomic.replace = async (...call) => {
			if (++writes > 1) throw new Error('no');
			return replace(...call);
		};
		const down = await sendToken(token, { config: { ...options, store: failing } });
		expect(down.status).toBe(400);
		expect(await down.json()).toMatchObject({ error: 'server_error' });
		expect(await userOf(ada)).toBe('ada');
		expect((await sendToken(token)).status).toBe(400);
		expect(refused.at(-1)).toBe('token_replayed');
		expect(await userOf(ada)).toBeUndefined();
	});
});

test('a login that the provider ends meanwhile is refused, and leaves no session', async () => {
	const began = new Date(Date.now() - 1_000);
	await sendToken(tokenOf(claims({ sid: 's1' })));
	const late = logIn('ada', { ...at('a', 's1'), provenAt: began });
	await expect(late).rejects.toBeInstanceOf(LoginOutdatedError);
	expect(await sessions(options).of('ada').list()).toEqual([]);
	// Another session at the provider is not concerned.
	expect(await userOf(await logIn('ada', { ...at('a', 's2'), provenAt: began }))).toBe('ada');
});

test('a login that cannot be listed at its provider fails, and leaves no session', async () => {
	const unreliable = remote(store);
	const { atomic } = unreliable;
	const create = atomic.create.bind(atomic);
	for (const failing of [3, 4]) {
		let writes = 0;
		atomic.create = async (...call) => {
			// The record and the user's list come first, then the lists of the sid and of the sub.
			if (++writes >= failing) throw new Error('no');
			return create(...call);
		};
		await expect(
			logIn(`user ${failing}`, at('a', 's1'), { ...options, store: unreliable })
		).rejects.toThrow();
		atomic.create = create;
		expect(await sessions(options).of(`user ${failing}`).list()).toEqual([]);
	}
});

test('sessions end at once in requests that have them open, and their streams in each process', async () => {
	const cookie = await logIn('ada', at('a', 's1'));
	const elsewhere = { ...options, store: remote(store), recheckAfter: 1 };
	const watch = async (config: SveltekitSessionConfig): Promise<[RequestEvent, AbortSignal]> => {
		const { event } = testEvent(cookie);
		let signal: AbortSignal | undefined;
		await sveltekitSessionHandle(config)({
			event,
			resolve: () => {
				({ signal } = event.locals.session);
				return new Response();
			}
		});
		if (!signal) throw new Error('no signal');
		return [event, signal];
	};
	const [, here] = await watch(options);
	const [, there] = await watch(elsewhere);
	const ended = [here, there].map(
		(signal) =>
			new Promise((resolve) => {
				signal.addEventListener('abort', resolve);
			})
	);
	const { event } = testEvent(cookie);
	await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			expect(event.locals.session.userId).toBe('ada');
			await sendToken(tokenOf(claims({ sid: 's1' })));
			expect(event.locals.session.userId).toBeUndefined();
			return new Response();
		}
	});
	await Promise.all(ended);
});

test('a session that is used for longer than its first lifetime can still be ended', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	options = { ...options, rolling: true, cookie: { maxAge: 3_600 } };
	const cookie = await logIn('ada', at('a', 's1'));
	for (let hours = 0; hours < 5; hours++) {
		vi.setSystemTime(Date.now() + 50 * 60_000);
		const { event } = testEvent(cookie);
		const resolve = (): Response => new Response(event.locals.session.userId);
		const response = await sveltekitSessionHandle(options)({ event, resolve });
		expect(await response.text()).toBe('ada');
	}
	expect((await sendToken(tokenOf(claims({ sid: 's1' })))).status).toBe(200);
	expect(await userOf(cookie)).toBeUndefined();
});

test('records are encrypted, and no name of the provider is in the store', async () => {
	for (const encrypt of [false, true]) {
		const texts: string[] = [];
		const fresh = remote(new MemoryStore());
		options = { ...options, store: fresh, encrypt };
		const { atomic } = fresh;
		const create = atomic.create.bind(atomic);
		atomic.create = async (...call) => {
			texts.push(call.join(' '));
			return create(...call);
		};
		const ada = await logIn('ada', at('the-sub', 'the-sid'));
		expect(texts.length).toBeGreaterThan(2);
		expect(texts.join()).not.toMatch(/the-sub|the-sid|login\.example/);
		expect(texts.join().includes('ada')).toBe(!encrypt);
		expect((await sendToken(tokenOf(claims({ sid: 'the-sid' })))).status).toBe(200);
		expect(await userOf(ada)).toBeUndefined();
	}
});

test.each<[string, string, RequestInit?]>([
	['no token', 'other=1'],
	['two tokens', 'logout_token=a&logout_token=b'],
	['another type', 'logout_token=a', { headers: { 'content-type': 'application/json' } }],
	['a long body', `logout_token=${'a'.repeat(40_000)}`]
])('a request with %s is refused', async (_, body, init) => {
	const response = await send(body, init && { init });
	expect([response.status, refused]).toEqual([400, ['logout_request']]);
});

describe('the keys', () => {
	test('are fetched again for one that is not known, but only twice a minute', async () => {
		let now = 1_000_000;
		vi.spyOn(performance, 'now').mockImplementation(() => now);
		let keys: KeySet = { keys: [] };
		fetched = 0;
		const endpoint = backChannelLogout({
			issuer: ISSUER,
			clientId: 'app',
			jwks: async () => {
				fetched++;
				return keys;
			},
			onRefused: ({ code }) => refused.push(code)
		});
		const token = (): string => tokenOf(claims({ sid: 's1' }));
		await Promise.all(Array.from({ length: 5 }, () => sendToken(token(), { endpoint })));
		await sendToken(token(), { endpoint });
		expect([fetched, new Set(refused)]).toEqual([1, new Set(['token_key'])]);
		// The provider has a new key.
		keys = KEYS;
		expect((await sendToken(token(), { endpoint })).status).toBe(400);
		now += 30_001;
		expect((await sendToken(token(), { endpoint })).status).toBe(200);
		expect(fetched).toBe(2);
		// A key that the provider has withdrawn ends after an hour.
		keys = { keys: [] };
		expect((await sendToken(token(), { endpoint })).status).toBe(200);
		now += 3_600_001;
		expect((await sendToken(token(), { endpoint })).status).toBe(400);
		expect([fetched, refused.at(-1)]).toEqual([3, 'token_key']);
		vi.restoreAllMocks();
	});

	test('that cannot be fetched refuse the token with a code of their own', async () => {
		const cause = new Error('down');
		const errors: unknown[] = [];
		const endpoint = backChannelLogout({
			issuer: ISSUER,
			clientId: 'app',
			jwks: () => Promise.reject(cause),
			onRefused: (error) => errors.push(error)
		});
		const response = await sendToken(tokenOf(claims({ sid: 's1' })), { endpoint });
		expect(await response.json()).toEqual({
			error: 'server_error',
			error_description: 'keys_unavailable'
		});
		expect(errors).toMatchObject([{ code: 'keys_unavailable', cause }]);
		expect(errors[0]).toBeInstanceOf(LogoutError);
	});

	describe('by default', () => {
		let server: Server;
		let origin: string;
		let metadata: unknown;

		beforeAll(async () => {
			server = createServer((request, response) => {
				const isSet = request.url === '/keys';
				response.end(JSON.stringify(isSet ? KEYS : metadata));
			});
			await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
			origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
		});

		afterAll(() => {
			server.close();
		});

		test.each([
			['of the issuer', (): unknown => ({ issuer: origin, jwks_uri: `${origin}/keys` }), []],
			[
				'of another issuer',
				(): unknown => ({ issuer: 'https://evil.example', jwks_uri: `${origin}/keys` }),
				['keys_unavailable']
			],
			['without keys', (): unknown => ({ issuer: origin }), ['keys_unavailable']],
			[
				'with another answer in place of keys',
				(): unknown => ({ issuer: origin, jwks_uri: origin }),
				['keys_unavailable']
			],
			['of another form', (): unknown => null, ['keys_unavailable']]
		] as const)('are those in the metadata %s', async (_, answer, codes) => {
			metadata = answer();
			const endpoint = backChannelLogout({
				issuer: origin,
				clientId: 'app',
				onRefused: ({ code }) => refused.push(code)
			});
			await sendToken(tokenOf(claims({ sid: 's1', iss: origin })), { endpoint });
			expect(refused).toEqual(codes);
		});
	});
});

describe('front-channel logout', () => {
	const endpoint = frontChannelLogout({
		issuer: ISSUER,
		onRefused: ({ code }) => refused.push(code)
	});
	const visit = (query: Record<string, string> | string): Promise<Response> =>
		send(null, {
			endpoint,
			address: `https://app.example/logout?${new URLSearchParams(query).toString()}`
		});

	test('ends the sessions of its sid, without a cookie, as often as it is sent', async () => {
		const [ada, other] = [await logIn('ada', at('a', 's1')), await logIn('ada', at('a', 's2'))];
		for (let times = 0; times < 2; times++) {
			const response = await visit({ iss: ISSUER, sid: 's1' });
			expect([response.status, response.headers.get('cache-control')]).toEqual([
				200,
				'no-store'
			]);
		}
		expect([await userOf(ada), await userOf(other)]).toEqual([undefined, 'ada']);
	});

	test.each([
		['', 'logout_request'],
		[`iss=${ISSUER}`, 'logout_request'],
		[`iss=${ISSUER}&sid=`, 'logout_request'],
		[`iss=${ISSUER}&sid=s1&sid=s2`, 'logout_request'],
		['sid=s1', 'token_issuer'],
		['iss=https://evil.example&sid=s1', 'token_issuer']
	])('is refused: %s', async (query, code) => {
		const ada = await logIn('ada', at('a', 's1'));
		expect((await visit(query)).status).toBe(400);
		expect(refused).toEqual([code]);
		expect(await userOf(ada)).toBe('ada');
	});
});

test.each([
	[() => backChannelLogout({ issuer: '', clientId: 'app' })],
	[() => backChannelLogout({ issuer: ISSUER, clientId: undefined as unknown as string })],
	[() => backChannelLogout({ issuer: ISSUER, clientId: 'app', client: 'x' } as never)],
	[() => backChannelLogout(null as never)],
	[() => frontChannelLogout({ issuer: ISSUER, jwks: 'x' } as never)]
])('a wrong option is refused at once (%#)', (make) => {
	expect(make).toThrow(ConfigError);
});

test.each([
	[{ iss: ISSUER }],
	[{ iss: ISSUER, sub: '' }],
	[{ sub: 'a' }],
	[{ iss: ISSUER, sub: 'a', sid: 7 }],
	[{ iss: ISSUER, sub: 'a', sid: '' }],
	['a']
])('claims by which a provider could end nothing are refused: %j', async (provider) => {
	await expect(logIn('ada', { provider: provider as never })).rejects.toBeInstanceOf(ConfigError);
});

test('a request without the handle is a mistake of the application', async () => {
	const { event } = testEvent();
	await expect(logout(event)).rejects.toThrow(/sveltekitSessionHandle/);
});
