import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sveltekitSessionHandle,
	type SessionData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent, type TestEvent } from './event.js';

/*
 * Requirements of docs/explanation/security.md that no published vulnerability stands for: those are in
 * vulnerabilities.test.ts.
 */

const SECRET = '0123456789abcdef0123456789abcdef';

interface Data extends SessionData {
	user?: string;
}

type Opened = TestEvent & { session: Session & { data: Data } };

let store: CountingStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	store = new CountingStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
});

async function opened(cookie?: string, withOptions = options): Promise<Opened> {
	const made = testEvent(cookie);
	const session = await Session.initialize(made.event, withOptions);
	return { ...made, session };
}

/** The `Cookie` header of a visitor whose session has this. */
async function visitor(data: Data, withOptions = options): Promise<string> {
	const { session, cookies } = await opened(undefined, withOptions);
	await session.setData(data);
	await session.save();
	return `${session.cookieName}=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
}

describe('the Cookie header', () => {
	test('has at most four cookies of the name that are tried, wherever they stand', async () => {
		const valid = await visitor({ user: 'ada' });
		const user = async (header: string): Promise<string | undefined> => {
			store.calls.length = 0;
			return (await opened(header)).session.data.user;
		};
		// Signed, but unknown to the store.
		const elsewhere = { ...options, store: new CountingStore() };
		const unknown = await Promise.all(
			Array.from({ length: 20 }, async () => visitor({}, elsewhere))
		);
		for (const before of [0, 1, 2, 3]) {
			const header = [...unknown.slice(0, before), valid].join('; ');
			expect(await user(header), String(before)).toBe('ada');
			expect(store.calls).toHaveLength(before + 1);
		}
		expect(await user([...unknown, valid].join('; '))).toBeUndefined();
		expect(store.calls).toHaveLength(4);
	});
});

describe('the Set-Cookie header', () => {
	/** The header that a handle with these options sets for a new session. */
	async function setCookie(withOptions: SveltekitSessionConfig): Promise<string> {
		const { event } = testEvent();
		const response = await sveltekitSessionHandle(withOptions)({
			event,
			resolve: async () => {
				await event.locals.session.save();
				return new Response();
			}
		});
		return response.headers.getSetCookie().join('\n');
	}

	test('is as strict as it can be without options', async () => {
		expect(await setCookie(options)).toMatch(
			/^connect\.sid=[\w-]{32}\.[\w%]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/
		);
	});

	test.each([
		{ name: '__Host-id', cookie: { secure: false } },
		{ name: '__Host-id', cookie: { path: '/app' } },
		{ name: '__Host-id', cookie: { domain: 'example.com' } },
		{ name: '__Secure-id', cookie: { secure: false } },
		{ name: '__host-id', cookie: { path: '/app' } }
	])('contradicts no prefix: %j', (bad) => {
		expect(() => sveltekitSessionHandle({ ...options, ...bad })).toThrow(
			expect.objectContaining({ code: 'cookie_prefix' }) as Error
		);
	});

	test.each([
		{ cookie: { sameSite: 'none' as const } },
		{ cookie: { partitioned: true } },
		{ name: '__Host-id' },
		{ name: '__Secure-id' }
	])('is Secure where a browser would drop it otherwise: %j', async (needs) => {
		const { event } = testEvent(undefined, 'http://localhost/');
		const response = await sveltekitSessionHandle({ ...options, ...needs })({
			event,
			resolve: async () => {
				await event.locals.session.save();
				return new Response();
			}
		});
		expect(response.headers.getSetCookie()[0]).toContain('; Secure');
	});

	test('is Secure or not as SvelteKit has it for the origin of each request', async () => {
		const handle = sveltekitSessionHandle(options);
		for (const url of ['https://app.example/', 'http://localhost/', 'https://app.example/']) {
			const { event } = testEvent(undefined, url);
			const response = await handle({
				event,
				resolve: async () => {
					await event.locals.session.save();
					return new Response();
				}
			});
			const [cookie = ''] = response.headers.getSetCookie();
			expect(cookie.includes('; Secure'), url).toBe(url.startsWith('https:'));
		}
	});

	test('is no longer than a browser keeps', async () => {
		const path = (length: number): SveltekitSessionConfig => ({
			...options,
			cookie: { path: `/${'x'.repeat(length - 1)}` }
		});
		expect(await setCookie(path(1_024))).toContain('; Path=/xxx');
		expect(() => sveltekitSessionHandle(path(1_025))).toThrow(
			expect.objectContaining({ code: 'cookie_option' }) as Error
		);
		let long = false;
		const encode = (value: string): string => (long ? 'x'.repeat(4_096) : value);
		const handle = { ...options, cookie: { encode } };
		expect(await setCookie(handle)).toContain('connect.sid=');
		long = true;
		await expect(setCookie(handle)).rejects.toMatchObject({ code: 'cookie_option' });
	});
});

describe('data', () => {
	test('that is too large or too deep is refused before the store is asked', async () => {
		let deep: unknown = 1;
		for (let i = 0; i < 40; i++) deep = [deep];
		for (const [code, data] of [
			['too_large', { text: 'x'.repeat(70_000) }],
			['too_deep', { deep }]
		] as const) {
			for (const withOptions of [options, { ...options, store: new MemoryStore() }]) {
				const cookie = await visitor({ user: 'ada' }, withOptions);
				for (const header of [undefined, cookie]) {
					const { session, cookies } = await opened(header, withOptions);
					store.calls.length = 0;
					await session.setData(data);
					await expect(session.save()).rejects.toMatchObject({ code });
					expect(store.calls).toEqual([]);
					expect(cookies).toEqual([]);
				}
				expect((await opened(cookie, withOptions)).session.data).toEqual({ user: 'ada' });
			}
		}
	});

	test('is not metadata, whatever its keys are called', async () => {
		const user = { user: 'eve', handle: 'AAAAAAAAAAAAAAAA' };
		const data = { ...user, v: 'AAAA', meta: user, cookie: { maxAge: 1e9 }, next: 'x' };
		for (const withOptions of [options, { ...options, store: new MemoryStore() }]) {
			const { session } = await opened(await visitor(data, withOptions), withOptions);
			expect(session.userId).toBeUndefined();
			expect(session.data).toEqual(data);
		}
		expect(events).toEqual(['created', 'created']);
	});

	test('of a record that cannot be read is no session, and the visitor gets another one', async () => {
		const cookie = await visitor({ user: 'ada' });
		const [id = ''] = store.records.keys();
		for (const record of [
			[],
			'text',
			{},
			{ cookie: { path: '/' }, data: 'user' },
			{ data: {}, meta: { user: 5, handle: 'AAAAAAAAAAAAAAAA' } }
		]) {
			events.length = 0;
			store.records.set(id, record as never);
			const { session, cookies } = await opened(cookie);
			expect(session.isNew, JSON.stringify(record)).toBe(true);
			expect(events).toEqual(['unreadable']);
			await session.save();
			expect(cookies).toHaveLength(1);
			expect(session.id).not.toBe(id);
			expect(store.records.get(id)).toEqual(record);
		}
	});
});

test('deadlines count although the store keeps the record', async () => {
	vi.useFakeTimers();
	for (const kept of [new CountingStore(), new MemoryStore()]) {
		// Written by an instance that has no timeouts yet.
		const cookie = await visitor({ user: 'ada' }, { ...options, store: kept });
		const ends = { ...options, store: kept, absoluteTimeout: 60 };
		vi.advanceTimersByTime(59_999);
		expect((await opened(cookie, ends)).session.data).toEqual({ user: 'ada' });
		events.length = 0;
		vi.advanceTimersByTime(1);
		expect((await opened(cookie, ends)).session.isNew).toBe(true);
		expect(events).toEqual(['expired']);
	}
});

test('without a handle, initialize waits until the store knows that the session is used', async () => {
	const rolling = { ...options, rolling: true, touchAfter: 0, cookie: { maxAge: 60 } };
	const cookie = await visitor({ user: 'ada' }, rolling);
	let answer = (): void => undefined;
	const touched = new Promise<void>((resolve) => (answer = resolve));
	let done = false;
	store.touch = async () => touched;
	const opening = opened(cookie, rolling).then(() => (done = true));
	await new Promise((resolve) => setTimeout(resolve));
	expect(done).toBe(false);
	answer();
	await opening;
});

test('a clock that steps back revives no session', async () => {
	vi.useFakeTimers();
	const memory = { ...options, store: new MemoryStore(), cookie: { maxAge: 60 } };
	const cookie = await visitor({ user: 'ada' }, memory);
	const began = Date.now();
	vi.setSystemTime(began + 60_000);
	expect((await opened(cookie, memory)).session.isNew).toBe(true);
	vi.setSystemTime(began + 1);
	expect((await opened(cookie, memory)).session.isNew).toBe(true);
});

test('a chain of renewals is followed only so far', async () => {
	const memory = { ...options, store: new MemoryStore() };
	const first = await visitor({ user: 'ada' }, memory);
	let cookie = first;
	for (let renewals = 1; renewals <= 12; renewals++) {
		const made = await opened(cookie, memory);
		await made.session.renew();
		cookie = `connect.sid=${encodeURIComponent(made.cookies.at(-1)?.value ?? '')}`;
		const { session } = await opened(first, memory);
		expect(session.isNew, String(renewals)).toBe(renewals > 4);
	}
	expect((await opened(cookie, memory)).session.data.user).toBe('ada');
});

test('a store that fails is asked twice, and not again', async () => {
	const memory = new MemoryStore();
	const atomic = memory.atomic;
	if (!atomic) throw new Error('a memory store is atomic');
	const watched = { ...options, store: memory };
	const calls: string[] = [];
	const cookie = await visitor({ user: 'ada' }, watched);
	const { session } = await opened(cookie, watched);
	const another = await opened(cookie, watched);
	const user = await opened(undefined, watched);
	for (const name of ['read', 'create', 'replace', 'touch', 'remove'] as const) {
		vi.spyOn(atomic, name).mockImplementation(async () => {
			calls.push(name);
			throw new Error('down');
		});
	}
	// With telemetry, the store's functions are called, wherever its records are.
	const telemetry = {
		event: () => undefined,
		store: async <T>(_: string, ask: () => Promise<T>) => ask()
	};
	const failing: [string, () => Promise<unknown>][] = [
		['save', async () => session.save()],
		['update', async () => session.update((data) => data)],
		['touch', async () => session.touch()],
		['login', async () => user.session.login('ada')],
		['destroy', async () => another.session.destroy()],
		['open', async () => opened(cookie, { ...watched, telemetry })]
	];
	for (const [what, run] of failing) {
		calls.length = 0;
		await expect(run(), what).rejects.toMatchObject({ code: 'store_failed' });
		expect(calls.length, `${what}: ${calls.join()}`).toBeLessThanOrEqual(2);
	}
	vi.restoreAllMocks();
});
