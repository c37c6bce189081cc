import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sveltekitSessionHandle,
	type AtomicOperations,
	type SessionData,
	type SessionEvent,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { SqliteStore } from '../src/stores/sqlite.js';
import { CountingStore, testEvent, type TestEvent } from './event.js';

/*
 * One test for each published vulnerability that a library of this kind could share, and that this one does not have.
 * docs/explanation/security.md lists them.
 */

const SECRET = '0123456789abcdef0123456789abcdef';

interface Data extends SessionData {
	user?: string;
	admin?: boolean;
}

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: SessionEvent['type'][];

beforeEach(() => {
	store = new MemoryStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

type Opened = TestEvent & { session: Session & { data: Data } };

async function opened(cookie?: string, withOptions = options): Promise<Opened> {
	const made = testEvent(cookie);
	const session = await Session.initialize(made.event, withOptions);
	return { ...made, session };
}

/** The `Cookie` header of a browser after this request. */
function headerOf({ cookies, session }: Opened): string {
	return `${session.cookieName}=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
}

async function visitor(data: Data, withOptions = options): Promise<string> {
	const made = await opened(undefined, withOptions);
	await made.session.setData(data);
	await made.session.save();
	return headerOf(made);
}

async function userOf(cookie: string, withOptions = options): Promise<string | undefined> {
	return (await opened(cookie, withOptions)).session.data.user;
}

function operations(): AtomicOperations {
	if (!store.atomic) throw new Error('a memory store is atomic');
	return store.atomic;
}

/** The handle's response to this request. */
async function answered(
	cookie: string | undefined,
	run: (session: Session & { data: Data }) => unknown,
	respond: () => Response = () => new Response('ok')
): Promise<Response> {
	const { event } = testEvent(cookie);
	return sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await run(event.locals.session as Session & { data: Data });
			return respond();
		}
	});
}

describe('a write that brings a session back', () => {
	const STORES: Record<string, () => Store> = {
		memory: () => new MemoryStore(),
		sqlite: () => new SqliteStore({ database: new DatabaseSync(':memory:') })
	};

	for (const [name, make] of Object.entries(STORES)) {
		test(`CVE-2025-46336, CVE-2025-32441 (Rack), connect-redis #328: a save after a logout writes nothing (${name})`, async () => {
			options = { ...options, store: make() };
			const cookie = await visitor({ user: 'ada' });
			const late = await opened(cookie);
			await (await opened(cookie)).session.destroy();
			late.session.data.admin = true;
			await late.session.save();
			expect(await userOf(cookie)).toBeUndefined();
		});
	}

	test('actix-session: nor under a fresh ID, which would log the visitor in again', async () => {
		const cookie = await visitor({ user: 'ada' });
		const late = await opened(cookie);
		await (await opened(cookie)).session.destroy();
		late.session.data.admin = true;
		await late.session.save();
		expect(late.cookies).toEqual([]);
		expect(store.size).toBe(0);
	});

	test('CVE-2024-31999 (@fastify/secure-session): a cookie from before the logout is worthless', async () => {
		const cookie = await visitor({ user: 'ada' });
		await (await opened(cookie)).session.destroy();
		expect(await userOf(cookie)).toBeUndefined();
		expect(events).toContain('unknown');
	});

	test('CVE-2023-20862 (Spring Security): a logout that the store did not confirm is an error', async () => {
		const cookie = await visitor({ user: 'ada' });
		const { session, cookies } = await opened(cookie);
		for (const operation of ['remove', 'read'] as const)
			vi.spyOn(operations(), operation).mockRejectedValue(new Error('down'));
		await expect(session.destroy()).rejects.toMatchObject({ code: 'store_failed' });
		expect(cookies.at(-1)?.method).toBe('delete');
	});

	test('CVE-2021-34428 (Jetty): a listener that throws does not stop a logout', async () => {
		const cookie = await visitor({ user: 'ada' });
		options.onEvent = () => {
			throw new Error('listener');
		};
		await (await opened(cookie)).session.destroy();
		expect(store.size).toBe(0);
	});
});

describe('an ID that should not be used', () => {
	test('CVE-2022-25896 (passport): a login changes the ID, and the old one has nothing', async () => {
		const planted = await visitor({});
		const victim = await opened(planted);
		await victim.session.login('ada', { data: { user: 'ada' } });
		expect(await userOf(planted)).toBeUndefined();
		expect(await userOf(headerOf(victim))).toBe('ada');
	});

	test('CVE-2022-24895 (Symfony), CVE-2022-35943 (CodeIgniter): what was set before the login stays there', async () => {
		const before = await opened(await visitor({ csrf: 'planted' } as Data));
		await before.session.login('ada');
		expect((await opened(headerOf(before))).session.data).toEqual({});
	});

	test('CVE-2024-38513 (Fiber): an ID that the store does not know is never adopted', async () => {
		const cookie = await visitor({});
		await store.destroy(decodeURIComponent(cookie).split(/[=.]/)[2] ?? '');
		const made = await opened(cookie);
		await made.session.save();
		expect(headerOf(made)).not.toBe(cookie);
	});

	test('tower-sessions 0.12.0: a new ID that exists already overwrites no session', async () => {
		const victim = await visitor({ user: 'ada' });
		const taken = (await opened(victim)).session.id;
		const ids = [taken, 'an-id-that-is-unused'];
		const genid = (): string => ids.shift() ?? '';
		await (await opened(undefined, { ...options, genid })).session.save();
		expect(await userOf(victim)).toBe('ada');
	});

	test('CVE-2015-3982 (Django): after a logout no empty key is usable', async () => {
		const cookie = await visitor({ user: 'ada' });
		const made = await opened(cookie);
		await made.session.destroy();
		expect(made.session.id).toMatch(/^[\w-]{32}$/);
		for (const empty of ['connect.sid=', 'connect.sid=.', 'connect.sid=""'])
			expect((await opened(empty)).session.data).toEqual({});
	});

	test('CVE-2011-4136, CVE-2011-0698 (Django), CVE-2025-61686 (React Router): only what we signed becomes a key', async () => {
		const seen = new CountingStore();
		for (const id of ['../../etc/passwd', 'user:abc', 'sess:1', '%2e%2e%2f', 'x'.repeat(300)]) {
			const cookie = `connect.sid=${id}.${'A'.repeat(43)}`;
			await opened(cookie, { ...options, store: seen });
		}
		expect(seen.calls).toEqual([]);
	});

	test('RUSTSEC-2024-0343 (nano-id): every character appears at every place of an ID', async () => {
		const ids = await Promise.all(
			Array.from({ length: 4_000 }, async () => (await opened()).session.id)
		);
		expect(new Set(ids).size).toBe(4_000);
		for (let place = 0; place < 32; place++)
			expect(new Set(ids.map((id) => id[place])).size).toBe(64);
	});

	test('no random numbers, no session: an ID is never made of anything else', async () => {
		vi.spyOn(crypto, 'getRandomValues').mockImplementation(() => {
			throw new Error('no entropy');
		});
		const { session, cookies } = await opened();
		await expect(session.save()).rejects.toThrow('no entropy');
		expect(cookies).toEqual([]);
	});
});

describe('cookies', () => {
	test('CVE-2020-8184 (Rack), CVE-2026-39410 (Hono): no other name is taken for __Host-id', async () => {
		options = { ...options, name: '__Host-id' };
		const valid = (await visitor({ user: 'ada' })).slice('__Host-id='.length);
		const evil = (await visitor({ user: 'eve' })).slice('__Host-id='.length);
		for (const name of [
			'%5F%5FHost-id',
			'__host-id',
			'\u00a0__Host-id',
			'\u2000__Host-id',
			'__Host-id\u00a0',
			'"__Host-id"',
			'__Host-id '
		]) {
			const own = `__Host-id=${valid}`;
			const tossed = `${name}=${evil}`;
			// The bytes as they are, and as UTF-8: `Headers` have one character for each.
			const forms = [tossed, Buffer.from(tossed, 'utf8').toString('latin1')];
			for (const form of forms.filter((one) => !/[^\0-\xff]/.test(one))) {
				if (name !== '__Host-id ') expect(await userOf(form), name).toBeUndefined();
				expect(await userOf(`${own}; ${form}`), name).toBe('ada');
				if (name !== '__Host-id ')
					expect(await userOf(`${form}; ${own}`), name).toBe('ada');
			}
		}
	});

	test('cookie tossing: a forged cookie of the same name hides no session', async () => {
		const valid = await visitor({ user: 'ada' });
		const forged = 'connect.sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.forged';
		expect(await userOf(`${forged}; ${valid}`)).toBe('ada');
		expect(await userOf(`${valid}; ${forged}`)).toBe('ada');
	});

	test('CVE-2024-47764 (cookie), GHSA-5pq2-9x2x-5p6w (Hono): no option can add an attribute or a header', () => {
		for (const bad of [
			{ name: 'sid; Domain=evil.example' },
			{ name: 'sid\r\nset-cookie: a=b' },
			{ name: 'sid=a' },
			{ cookie: { path: '/; Domain=evil.example' } },
			{ cookie: { path: '/\r\nset-cookie: a=b' } },
			{ cookie: { domain: 'a.example; Secure' } },
			{ cookie: { sameSite: 'lax; Path=/x' as never } },
			{ cookie: { priority: 'high; x' as never } }
		]) {
			expect(() => sveltekitSessionHandle({ ...options, ...bad })).toThrow();
		}
	});

	test('CVE-2025-7339 (on-headers): the cookies of others on the response stay as they are', async () => {
		const response = await answered(
			undefined,
			async (session) => session.save(),
			() =>
				new Response('ok', {
					headers: [
						['set-cookie', 'a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT'],
						['set-cookie', 'b=2; Path=/']
					]
				})
		);
		const [a, b, own, ...rest] = response.headers.getSetCookie();
		expect([a, b]).toEqual(['a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT', 'b=2; Path=/']);
		expect(own).toMatch(/^connect\.sid=/);
		expect(rest).toEqual([]);
	});

	test('CVE-2016-1000236 (cookie-signature): signatures are compared in constant time', () => {
		const source = readFileSync('../../crates/vestiary/src/crypto/key.rs', 'utf8');
		const part = (begin: string, end: string): string =>
			source.slice(source.indexOf(begin), source.indexOf(end, source.indexOf(begin)));
		const [verifying, comparing] = [
			part('fn signed_by_one', '\n    }\n'),
			part('fn is_same', '\n}\n')
		];
		expect(verifying).toContain('is_same(expected, presented)');
		expect(comparing).toContain('.ct_eq(');
		expect(verifying + comparing).not.toMatch(/==|!=|return|break/);
	});

	test('CVE-2025-47278 (Flask): the first secret signs, not the oldest', async () => {
		const cookie = await visitor(
			{ user: 'ada' },
			{ ...options, secret: ['n'.repeat(32), SECRET] }
		);
		expect(await userOf(cookie, { ...options, secret: 'n'.repeat(32) })).toBe('ada');
		expect(await userOf(cookie)).toBeUndefined();
	});

	test('CVE-2022-46170 (CodeIgniter), CVE-2023-48309 (Auth.js): what is meant for one purpose is nothing for another', async () => {
		const [admin, shop] = ['admin', 'shop'].map((namespace) => ({ ...options, namespace }));
		const cookie = await visitor({ user: 'ada' }, shop);
		expect(await userOf(cookie, shop)).toBe('ada');
		expect(await userOf(cookie, admin)).toBeUndefined();
	});
});

describe('caches', () => {
	/** A shared cache that follows its instructions (RFC 9111). */
	class Cache {
		readonly #kept = new Map<string, { vary: string; cookie: string; body: string }>();

		async get(cookie: string, fetch: () => Promise<Response>): Promise<string> {
			const kept = this.#kept.get('/');
			if (kept && (kept.vary !== 'cookie' || kept.cookie === cookie)) return kept.body;
			const response = await fetch();
			const body = await response.text();
			if (!(response.headers.get('cache-control') ?? '').includes('no-store')) {
				const vary = (response.headers.get('vary') ?? '').toLowerCase();
				this.#kept.set('/', { vary, cookie, body });
			}
			return body;
		}
	}

	const LOOKS: Record<string, (session: Session & { data: Data }) => unknown> = {
		data: (session) => session.data.user,
		keys: (session) => Object.keys(session.data),
		isNew: (session) => session.isNew,
		id: (session) => session.id,
		userId: (session) => session.userId,
		save: async (session) => session.save(),
		touch: async (session) => session.touch()
	};

	for (const [form, look] of Object.entries(LOOKS)) {
		test(`CVE-2023-30861, CVE-2026-27205 (Flask), CVE-2026-35192 (Django), CVE-2024-26144 (Rails): no visitor gets another one's page (${form})`, async () => {
			const cache = new Cache();
			for (const user of ['ada', 'eve']) {
				const cookie = await visitor({ user });
				const page = async (): Promise<Response> => {
					let body = '';
					return answered(
						cookie,
						async (session) => {
							await look(session);
							body = (await opened(cookie)).session.data.user ?? '';
						},
						() =>
							new Response(body, {
								headers: { 'cache-control': 'public, max-age=60' }
							})
					);
				};
				expect(await cache.get(cookie, page)).toBe(user);
			}
		});
	}

	test('nor by a cookie that only rolls, a 304, immutable headers or a stream', async () => {
		options = { ...options, rolling: true, cookie: { maxAge: 60 } };
		const cookie = await visitor({ user: 'ada' });
		const rolled = await answered(cookie, () => undefined);
		expect(rolled.headers.get('cache-control')).toContain('no-store');
		options = { ...options, rolling: false };
		const look = (session: Session): unknown => session.data;
		for (const respond of [
			() => new Response(null, { status: 304 }),
			() => Response.redirect('https://app.example/'),
			() =>
				new Response(
					new ReadableStream({
						start: (controller) => {
							controller.close();
						}
					})
				)
		]) {
			const response = await answered(cookie, look, respond);
			expect(response.headers.get('vary')).toBe('Cookie');
		}
		// Of a page that did not look at the session, every visitor may have the same.
		const plain = await answered(cookie, () => undefined);
		expect(plain.headers.get('vary')).toBeNull();
	});
});

describe('what is stored', () => {
	test('CVE-2015-5143, -5963, -5964 (Django), CVE-2018-11386 (Symfony): who only looks, or logs out, leaves nothing', async () => {
		for (let i = 0; i < 2_000; i++) {
			const response = await answered(undefined, async (session) => {
				expect([session.data, session.isNew]).toEqual([{}, true]);
				await session.touch().catch(() => undefined);
				if (i % 2) await session.destroy();
			});
			if (i % 2 && response.headers.getSetCookie().length > 0) expect.fail('a cookie');
		}
		expect(store.size).toBe(0);
	});

	test('CVE-2024-35220 (@fastify/session), tower-sessions 0.4.3: an expired session is not accepted, whatever the store keeps', async () => {
		vi.useFakeTimers();
		const kept = new CountingStore();
		options = {
			...options,
			store: kept,
			absoluteTimeout: 60,
			cookie: { maxAge: 60 },
			rolling: true
		};
		const cookie = await visitor({ user: 'ada' });
		for (let i = 0; i < 59; i++) {
			vi.advanceTimersByTime(1_000);
			expect(await userOf(cookie)).toBe('ada');
		}
		vi.advanceTimersByTime(1_000);
		expect(await userOf(cookie)).toBeUndefined();
	});

	test('CVE-2026-39324 (rack-session): what cannot be decrypted is no session, not one by another decoder', async () => {
		const kept = new CountingStore();
		options = { ...options, store: kept, encrypt: true };
		const cookie = await visitor({ user: 'ada' });
		const [id = ''] = kept.records.keys();
		const forged = { cookie: { path: '/' }, data: { user: 'eve' } };
		const sealed = kept.records.get(id) as unknown as { v: string; sealed: string };
		for (const record of [
			forged,
			{ ...forged, v: sealed.v },
			{ ...sealed, ...forged, sealed: undefined },
			{ ...sealed, sealed: sealed.sealed.slice(0, -4) },
			{ ...sealed, v: 'AAAAAAAAAAAAAAAA' }
		]) {
			kept.records.set(id, JSON.parse(JSON.stringify(record)) as never);
			expect(await userOf(cookie)).toBeUndefined();
		}
		expect(new Set(events)).toEqual(new Set(['created', 'unreadable']));
		kept.records.set(id, sealed as never);
		expect(await userOf(cookie)).toBe('ada');
	});

	test('CVE-2019-16782 (Rack), CVE-2019-25025 (activerecord-session_store): a store that hashes IDs looks none up', async () => {
		const seen: string[] = [];
		const kept = new CountingStore();
		kept.get = async (id) => {
			seen.push(id);
			return kept.records.get(id) ?? null;
		};
		const hashing = { ...options, store: kept, hashIds: true };
		const made = await opened(await visitor({ user: 'ada' }, hashing), hashing);
		expect(made.session.data.user).toBe('ada');
		expect(seen).toHaveLength(1);
		expect(seen[0]).not.toContain(made.session.id);
	});

	test('CVE-2020-5224 (django-user-sessions): a list of sessions shows no ID and no key', async () => {
		const { sessions } = await import('../src/index.js');
		const made = await opened();
		await made.session.login('ada');
		const current = made.event.locals.session;
		const list = JSON.stringify(await sessions(options).of('ada').list(current));
		expect(list).not.toContain(current.id);
		expect(list).toContain('"current":true');
	});

	test('CVE-2025-57820 (devalue), CVE-2023-26136 (tough-cookie): no key becomes a prototype, written or read', async () => {
		const kept = new CountingStore();
		options = { ...options, store: kept };
		const made = await opened();
		await made.session.setData(JSON.parse('{"__proto__":{"admin":true}}') as Data);
		await expect(made.session.save()).rejects.toMatchObject({ code: 'forbidden_key' });
		const cookie = await visitor({});
		const [id = ''] = kept.records.keys();
		const record = '{"cookie":{"path":"/"},"data":{"a":{"__proto__":{"admin":true}}}}';
		kept.records.set(id, JSON.parse(record) as never);
		expect((await opened(cookie)).session.data.admin).toBeUndefined();
		expect(events).toContain('unreadable');
		expect(({} as Data).admin).toBeUndefined();
	});

	test('CVE-2023-20866 (Spring Session): no ID, secret or value is printed, thrown or in an event', async () => {
		const printed: string[] = [];
		for (const stream of ['stdout', 'stderr'] as const) {
			vi.spyOn(process[stream], 'write').mockImplementation((text) => {
				printed.push(String(text));
				return true;
			});
		}
		for (const method of ['log', 'warn', 'error', 'info', 'debug'] as const) {
			vi.spyOn(console, method).mockImplementation((...all) => {
				printed.push(all.map(String).join(' '));
			});
		}
		const told: unknown[] = [];
		options.onEvent = (event) => told.push(event);
		const ids: string[] = [];
		const cookie = await visitor({ user: 'canary-value' });
		const made = await opened(cookie);
		ids.push(made.session.id);
		await made.session.renew();
		ids.push(made.session.id);
		await made.session.login('canary-user', {
			label: 'canary-label',
			device: { browser: 'canary-browser', address: '198.51.100.77' }
		});
		ids.push(made.event.locals.session.id);
		const broken = vi.spyOn(operations(), 'read').mockRejectedValue(new Error('down'));
		const failed = await opened(headerOf(made)).catch((error: unknown) => error as Error);
		broken.mockRestore();
		const refused = await (
			await opened(headerOf(made))
		).session
			.setData({ constructor: 'canary-value' })
			.then(async () => made.event.locals.session.setData({ prototype: 'canary-value' }))
			.then(async () => made.event.locals.session.save())
			.catch((error: unknown) => error as Error);
		await made.event.locals.session.destroy();
		const errors = [failed, refused].map(
			(error) => `${(error as Error).message} ${(error as Error).stack}`
		);
		const all = [...printed, ...errors, JSON.stringify(told)].join('\n');
		vi.restoreAllMocks();
		expect(errors.join()).toContain('prototype');
		for (const secret of [
			...ids,
			SECRET,
			'canary-value',
			'canary-user',
			'canary-label',
			'canary-browser',
			'198.51.100'
		])
			expect(all).not.toContain(secret);
	});
});

describe('what drives loops', () => {
	test('GHSA-q5pr-72pq-83v3 (h3), RUSTSEC-2024-0012, RUSTSEC-2017-0006: neither numbers nor depth in a request or a record', async () => {
		const header = [
			'connect.sid.__chunked__=999999999',
			...Array.from({ length: 5_000 }, (_, i) => `connect.sid=${i}.${'A'.repeat(43)}`)
		].join('; ');
		const seen = new CountingStore();
		expect((await opened(header, { ...options, store: seen })).session.data).toEqual({});
		expect(seen.calls).toEqual([]);
		const kept = new CountingStore();
		const cookie = await visitor({}, { ...options, store: kept });
		const [id = ''] = kept.records.keys();
		let deep: unknown = 1;
		for (let i = 0; i < 2_000; i++) deep = [deep];
		kept.records.set(id, { cookie: { path: '/' }, data: { deep } });
		expect((await opened(cookie, { ...options, store: kept })).session.isNew).toBe(true);
		expect(events).toContain('unreadable');
	});

	test('RUSTSEC-2017-0005 (cookie): no maxAge overflows', async () => {
		for (const maxAge of [1e15, 2 ** 53, Number.MAX_VALUE]) {
			try {
				const made = await opened(undefined, { ...options, cookie: { maxAge } });
				await made.session.save();
			} catch (error) {
				expect(error).toMatchObject({ code: 'cookie_option' });
			}
		}
	});
});

test('IDs are taken from the cookie alone: not from the URL, a header or a body', async () => {
	const cookie = await visitor({ user: 'ada' });
	const value = cookie.slice('connect.sid='.length);
	const { event } = testEvent(
		undefined,
		`https://app.example/?connect.sid=${value}&sid=${value}`
	);
	event.request.headers.set('authorization', `Bearer ${value}`);
	event.request.headers.set('connect.sid', value);
	event.request.headers.set('x-session-id', value);
	expect((await Session.initialize(event, options)).data).toEqual({});
});

test('nothing random but the platform’s own source makes anything in the package', () => {
	for (const file of ['session', 'core', 'records', 'users', 'scope', 'runtime', 'memory-store'])
		expect(readFileSync(`src/${file}.ts`, 'utf8')).not.toMatch(/Math\.random|randomUUID/);
});
