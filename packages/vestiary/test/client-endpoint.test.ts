import { describe, expect, test, vi } from 'vitest';

import type { ClientAnswer } from '../src/client-session.js';
import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type SessionEvent,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { loggedIn, visit, visitor } from './visits.js';
import { SECRET, WatchedStore } from './watched-store.js';

const options = (more: Partial<SveltekitSessionConfig> = {}): SveltekitSessionConfig => ({
	secret: SECRET,
	store: new MemoryStore(),
	client: true,
	...more
});

interface Asking {
	path?: string;
	method?: string;
	cookie?: string | undefined;
	headers?: Record<string, string>;
	signal?: AbortSignal;
}

const STREAM = { accept: 'text/event-stream' };
const EXTEND = { method: 'POST', headers: { 'x-vestiary': '1', 'sec-fetch-site': 'same-origin' } };

/** A request of the client; 404 is the application's answer. */
async function ask(config: SveltekitSessionConfig, asking: Asking = {}): Promise<Response> {
	const { path = '/_session', method = 'GET', cookie, headers = {}, signal } = asking;
	const { event } = testEvent(cookie, `https://app.example${path}`);
	for (const [name, value] of Object.entries(headers)) event.request.headers.set(name, value);
	Object.assign(event.request, { method, signal });
	return sveltekitSessionHandle(config)({
		event,
		resolve: () => new Response(null, { status: 404 })
	});
}

async function answer(response: Response): Promise<ClientAnswer> {
	expect(response.status).toBe(200);
	expect(response.headers.get('cache-control')).toBe('no-store');
	return (await response.json()) as ClientAnswer;
}

describe('the path of `useSession()`', () => {
	test('is served only if the options ask for it', async () => {
		expect((await ask({ ...options(), client: undefined })).status).toBe(404);
		expect((await ask(options({ client: false }))).status).toBe(404);
		expect((await ask(options())).status).toBe(200);
		expect((await ask(options(), { path: '/_session/' })).status).toBe(404);
		const admin = options({ as: 'admin' });
		expect((await ask(admin)).status).toBe(404);
		expect((await ask(admin, { path: '/_admin' })).status).toBe(200);
		const own = options({ client: { path: '/shop/session' } });
		expect((await ask(own, { path: '/shop/session' })).status).toBe(200);
		expect((await ask(options({ skip: () => true }))).status).toBe(404);
	});

	test.each([
		{ path: 'session' },
		{ path: '' },
		{ path: '//evil' },
		{ path: '/a?b' },
		{},
		{ pth: '/' }
	])('%j is refused', (client) => {
		expect(() => sveltekitSessionHandle(options({ client: client as never }))).toThrow(
			/`client/
		);
	});

	test('answers no page of another site, and no request to extend without the header', async () => {
		const config = options();
		const cookie = await loggedIn(config);
		for (const site of ['cross-site', 'same-site', 'none'])
			for (const method of ['GET', 'POST']) {
				const headers = { 'sec-fetch-site': site, 'x-vestiary': '1' };
				const response = await ask(config, { method, cookie, headers });
				expect(response.status).toBe(403);
				expect(await response.text()).toBe('');
			}
		expect((await ask(config, { method: 'POST', cookie })).status).toBe(403);
		expect((await ask(config, { ...EXTEND, cookie })).status).toBe(200);
		expect((await ask(config, { method: 'DELETE', cookie })).status).toBe(405);
	});
});

describe('a question', () => {
	test('is answered with the name of the session and its ends, and nothing else', async () => {
		const config = options({ idleTimeout: 900, public: () => ({ name: 'Ada' }) });
		const cookie = await loggedIn(config);
		const response = await ask(config, { cookie });
		const text = await response.clone().text();
		const { at, expires, idleUntil, key, signedIn, ...rest } = await answer(response);
		expect(rest).toEqual({});
		expect(signedIn).toBe(true);
		expect(key).toHaveLength(16);
		expect(expires).toBe(idleUntil);
		expect((expires ?? 0) - at).toBeGreaterThan(800_000);
		const [id] = decodeURIComponent(cookie.split('=')[1] ?? '').split('.');
		expect(text).not.toContain(id);
		expect(text).not.toContain('ada');
		// The session of another visitor has another name.
		const other = await answer(await ask(config, { cookie: await loggedIn(config) }));
		expect(other.key).not.toBe(key);
	});

	test('of a visitor without a session says that there is none', async () => {
		const { at, ...rest } = await answer(await ask(options()));
		expect(at).toBeGreaterThan(0);
		expect(rest).toEqual({ signedIn: false, expires: null, idleUntil: null });
	});

	test('does not count as use of the session', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const store = new WatchedStore();
		const config = options({
			store,
			idleTimeout: 900,
			rolling: true,
			cookie: { maxAge: 3_600 },
			renewAfter: 60
		});
		const cookie = await loggedIn(config);
		const before = (await answer(await ask(config, { cookie }))).expires;
		store.calls.length = 0;
		vi.advanceTimersByTime(800_000);
		const response = await ask(config, { cookie });
		expect(response.headers.getSetCookie()).toEqual([]);
		expect((await answer(response)).expires).toBe(before);
		expect(store.calls.filter((call) => call !== 'read')).toEqual([]);
		vi.useRealTimers();
	});

	// The removal could arrive after the cookie of a login that is under way.
	test('about an expired, ended or replaced session sets no cookie', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const config = options({ idleTimeout: 900 });
		const [expired, ended, replaced] = [
			await loggedIn(config, 'bob'),
			await loggedIn(config),
			await loggedIn(config)
		];
		await visit(config, async (session) => session.destroy(), ended);
		await visit(config, async (session) => session.login('ada'), replaced);
		const answers: ClientAnswer[] = [];
		for (const [cookie, wait] of [
			[ended, 0],
			[replaced, 0],
			[expired, 1_000_000]
		] as const) {
			vi.advanceTimersByTime(wait);
			for (const headers of [{}, STREAM]) {
				const response = await ask(config, { cookie, headers });
				expect(response.headers.getSetCookie()).toEqual([]);
				if (headers === STREAM) expect(response.status).toBe(204);
				else answers.push(await answer(response));
			}
		}
		expect(answers.map(({ key, replaced: is }) => [key, is])).toEqual([
			[undefined, undefined],
			[undefined, true],
			[undefined, undefined]
		]);
		// Any other request of the application removes the cookie of an expired session.
		expect((await visit(config, (session) => session.data, expired)).cookies).toEqual([
			'connect.sid='
		]);
		vi.useRealTimers();
	});

	test('is answered with 503 while the store cannot be read, so that no page takes its session for ended', async () => {
		const store = new WatchedStore();
		const events: SessionEvent['type'][] = [];
		for (const onStoreError of ['throw', 'anonymous'] as const) {
			const config = options({
				store,
				onStoreError,
				onEvent: ({ type }) => events.push(type)
			});
			const cookie = await loggedIn(config);
			store.before = () => {
				throw new Error('down');
			};
			for (const headers of [{}, STREAM])
				expect((await ask(config, { cookie, headers })).status).toBe(503);
			store.before = undefined;
		}
		expect(events.filter((type) => type === 'store_failed').length).toBeGreaterThanOrEqual(4);
	});
});

describe('a request to extend', () => {
	test('counts as use, and tells the new end', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const config = options({ idleTimeout: 900, rolling: true, cookie: { maxAge: 3_600 } });
		const cookie = await loggedIn(config);
		vi.advanceTimersByTime(800_000);
		const response = await ask(config, { ...EXTEND, cookie });
		expect(response.headers.getSetCookie()[0]).toContain('Max-Age=3600');
		const extended = await answer(response);
		expect((extended.expires ?? 0) - extended.at).toBeGreaterThanOrEqual(900_000);
		vi.advanceTimersByTime(200_000);
		expect(await answer(await ask(config, { cookie }))).toMatchObject({
			key: extended.key,
			expires: extended.expires
		});
		vi.useRealTimers();
	});

	test('revives no session that has ended', async () => {
		const config = options({ idleTimeout: 900 });
		const cookie = await loggedIn(config);
		await sessions(config).of('ada').revokeAll();
		const { key, signedIn } = await answer(await ask(config, { ...EXTEND, cookie }));
		expect([key, signedIn]).toEqual([undefined, false]);
	});
});

describe('a stream', () => {
	test('says nothing, and ends with its session', async () => {
		const config = options();
		const cookie = await loggedIn(config);
		const other = await loggedIn(config, 'bob');
		const [mine, theirs] = [
			await ask(config, { cookie, headers: STREAM }),
			await ask(config, { cookie: other, headers: STREAM })
		];
		expect(mine.headers.get('content-type')).toBe('text/event-stream');
		expect(mine.headers.get('cache-control')).toBe('no-store');
		const [reader, another] = [mine.body?.getReader(), theirs.body?.getReader()];
		const text = (chunk: { value?: Uint8Array | undefined } | undefined): string =>
			new TextDecoder().decode(chunk?.value);
		expect(text(await reader?.read())).toBe(':\n\n');
		expect(text(await another?.read())).toBe(':\n\n');
		const ending = reader?.read();
		await sessions(config).of('ada').revokeAll();
		expect((await ending)?.done).toBe(true);
		const pending = another?.read();
		expect(
			await Promise.race([pending, new Promise((resolve) => setTimeout(resolve, 20))])
		).toBe(undefined);
		await another?.cancel();
	});

	test('of a visitor without a session is refused with a status after which no browser asks again', async () => {
		expect((await ask(options(), { headers: STREAM })).status).toBe(204);
	});

	test('beats, and stops when the visitor leaves', async () => {
		vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
		const config = options();
		const cookie = await visitor(config, { n: 1 });
		const connection = new AbortController();
		const { body } = await ask(config, { cookie, headers: STREAM, signal: connection.signal });
		const reader = body?.getReader();
		await reader?.read();
		const next = reader?.read();
		vi.advanceTimersByTime(20_000);
		expect((await next)?.done).toBe(false);
		expect(vi.getTimerCount()).toBe(1);
		await reader?.cancel();
		expect(vi.getTimerCount()).toBe(0);
		vi.useRealTimers();
	});

	test('ends when a signal asks the process to stop, if a server listens for that; the next one opens as ever', async () => {
		const config = options();
		const cookie = await loggedIn(config);
		const open = async (): Promise<ReadableStreamDefaultReader<Uint8Array> | undefined> => {
			const reader = (await ask(config, { cookie, headers: STREAM })).body?.getReader();
			await reader?.read();
			return reader;
		};
		const before = process.listenerCount('SIGTERM');
		const server = vi.fn();
		process.on('SIGTERM', server);
		const listeners = (): number => process.listenerCount('SIGTERM') - before;
		try {
			const [one, other] = [await open(), await open()];
			// One for both, beside that of the server.
			expect(listeners()).toBe(2);
			const pending = [one?.read(), other?.read()];
			process.emit('SIGTERM');
			for (const read of pending) expect((await read)?.done).toBe(true);
			expect(server).toHaveBeenCalledOnce();
			expect(listeners()).toBe(1);
			// The session goes on, for the page that asks.
			expect((await answer(await ask(config, { cookie }))).signedIn).toBe(true);
			const [again, last] = [await open(), await open()];
			await again?.cancel();
			expect(listeners()).toBe(2);
			await last?.cancel();
			expect(listeners()).toBe(1);
		} finally {
			process.off('SIGTERM', server);
		}
	});

	test('listens to no signal that no server handles: it would keep the process alive', async () => {
		const config = options();
		const cookie = await loggedIn(config);
		const others = process.listeners('SIGINT');
		process.removeAllListeners('SIGINT');
		const { body } = await ask(config, { cookie, headers: STREAM });
		const reader = body?.getReader();
		await reader?.read();
		expect(process.listenerCount('SIGINT')).toBe(0);
		await reader?.cancel();
		for (const other of others) process.on('SIGINT', other);
	});
});
