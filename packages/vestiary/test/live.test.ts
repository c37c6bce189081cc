import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
	MemoryStore,
	SessionEndedError,
	sessions,
	sveltekitSessionHandle,
	type Session,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { loggedIn, remote, visit, visitor } from './visits.js';
import { SECRET } from './watched-store.js';

let store: MemoryStore;
let options: SveltekitSessionConfig;
/** The options of another process, which shares the store. */
let elsewhere: SveltekitSessionConfig;

beforeEach(() => {
	store = new MemoryStore();
	options = { secret: SECRET, name: 'sid', store };
	elsewhere = { ...options, store: remote(store) };
});

afterEach(() => {
	vi.useRealTimers();
});

/** A request that has a stream, and whose response has left. */
interface Streaming {
	session: Session;
	/** Ends the connection, as the visitor does. */
	leave: () => void;
	signal: AbortSignal;
}

async function streaming(cookie: string, config = options): Promise<Streaming> {
	const { event } = testEvent(cookie);
	const connection = new AbortController();
	Object.assign(event.request, { signal: connection.signal });
	let signal: AbortSignal | undefined;
	await sveltekitSessionHandle(config)({
		event,
		resolve: () => {
			signal = event.locals.session.signal;
			return new Response();
		}
	});
	if (!signal) throw new Error('the application did not run');
	const leave = (): void => {
		connection.abort();
	};
	return { session: event.locals.session, leave, signal };
}

/** Waits until a signal aborts; the test fails by its time limit if it does not. */
async function aborted(signal: AbortSignal): Promise<unknown> {
	if (!signal.aborted)
		await new Promise((resolve) => {
			signal.addEventListener('abort', resolve, { once: true });
		});
	return signal.reason;
}

/** Lets the store answer the question of a session that was just entered. */
const asked = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

const ENDINGS: Record<string, (cookie: string, config: SveltekitSessionConfig) => unknown> = {
	'its logout': async (cookie, config) =>
		visit(config, async (session) => session.destroy(), cookie),
	'`regenerate()`': async (cookie, config) =>
		visit(config, async (session) => session.regenerate(), cookie),
	'another login': async (cookie, config) =>
		visit(config, async (session) => session.login('bea'), cookie),
	'`revokeAll()`': async (_, config) => sessions(config).of('ada').revokeAll(),
	'`revoke()`': async (_, config) => {
		const [device] = await sessions(config).of('ada').list();
		await sessions(config)
			.of('ada')
			.revoke(device?.handle ?? '');
	},
	'a login beyond the limit': async (_, config) => loggedIn({ ...config, sessionsPerUser: 1 })
};

describe.each(Object.entries(ENDINGS))('the signal of a session aborts after %s', (_, end) => {
	test('in another request', async () => {
		const cookie = await loggedIn(options);
		const other = await loggedIn(options, 'cleo');
		const { signal } = await streaming(cookie);
		const untouched = await streaming(other);
		await asked();
		await end(cookie, options);
		expect(await aborted(signal)).toBeInstanceOf(SessionEndedError);
		expect(signal.reason).toMatchObject({ code: 'session_ended' });
		expect(untouched.signal.aborted).toBe(false);
		untouched.leave();
	});

	test('in another process, within `recheckAfter`', async () => {
		const cookie = await loggedIn(options);
		const config = { ...options, recheckAfter: 3 };
		vi.useFakeTimers();
		const { signal } = await streaming(cookie, config);
		await vi.advanceTimersByTimeAsync(10);
		const ended = end(cookie, elsewhere);
		await vi.advanceTimersByTimeAsync(10);
		await ended;
		expect(signal.aborted).toBe(false);
		await vi.advanceTimersByTimeAsync(3_000);
		expect(signal.reason).toBeInstanceOf(SessionEndedError);
		expect(vi.getTimerCount()).toBe(0);
	});
});

test('all sessions of a user end with `revokeAll()`, and those of another user go on', async () => {
	const streams = [];
	for (const user of ['ada', 'ada', 'ada', 'bea'])
		streams.push(await streaming(await loggedIn(options, user)));
	await asked();
	await sessions(options).of('ada').revokeAll();
	const [other] = streams.splice(3);
	for (const { signal } of streams) await aborted(signal);
	await asked();
	expect(other?.signal.aborted).toBe(false);
	other?.leave();
});

describe('the signal of a session', () => {
	test('aborts before the operation of the same request has ended', async () => {
		for (const end of [
			async (session: Session) => session.destroy(),
			async (session: Session) => session.regenerate(),
			async (session: Session) => session.login('bea')
		]) {
			const cookie = await loggedIn(options);
			await visit(
				options,
				async (session) => {
					const { signal } = session;
					expect(session.signal).toBe(signal);
					await end(session);
					expect(signal.reason).toBeInstanceOf(SessionEndedError);
					// The session that takes its place has another one.
					expect(session.signal.aborted).toBe(false);
				},
				cookie
			);
		}
	});

	test('goes on with the session over saves and renewals', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { signal, session } = await streaming(cookie);
		await asked();
		const { cookies } = await visit(
			options,
			async (one) => {
				await one.update((data) => ({ ...data, n: 2 }));
				await one.renew();
			},
			cookie
		);
		await asked();
		expect(signal.aborted).toBe(false);
		await visit(options, async (one) => one.destroy(), cookies[0]);
		await aborted(signal);
		expect(session.signal).toBe(signal);
	});

	test('of an anonymous visitor aborts once the session was stored and has ended', async () => {
		let signal: AbortSignal | undefined;
		const { cookies } = await visit(options, async (session) => {
			({ signal } = session);
			await session.setData({ n: 1 });
			await session.save();
			expect(session.signal).toBe(signal);
		});
		if (!signal) throw new Error('the application did not run');
		await asked();
		expect(signal.aborted).toBe(false);
		await visit(options, async (session) => session.destroy(), cookies[0]);
		await aborted(signal);
	});

	test('is there without a session, and asks no store', async () => {
		const read = vi.fn(async () => null);
		const config = { ...options, store: { ...remote(store), atomic: undefined, get: read } };
		await visit(config, (session) => {
			expect(session.signal.aborted).toBe(false);
		});
		expect(read).not.toHaveBeenCalled();
	});

	test('aborts when the session was ended before it was first used', async () => {
		const cookie = await loggedIn(options);
		const { event } = testEvent(cookie);
		await sveltekitSessionHandle(elsewhere)({ event, resolve: () => new Response() });
		// The stream begins after the logout, with the session as its request has read it.
		expect(event.locals.session.userId).toBe('ada');
		await visit(options, async (session) => session.destroy(), cookie);
		await aborted(event.locals.session.signal);
	});

	test('of a read-only session aborts as well', async () => {
		const cookie = await loggedIn(options);
		const read = await sessions(options).read(cookie);
		if (!read) throw new Error('there is no session');
		expect(Object.keys(read)).not.toContain('signal');
		const { signal } = read;
		expect(read.signal).toBe(signal);
		const values = read.until(endless());
		expect(await values.next()).toEqual({ done: false, value: 1 });
		await sessions(options).of('ada').revokeAll();
		await aborted(signal);
		expect(await values.next()).toEqual({ done: true, value: undefined });
	});
});

async function* endless(): AsyncGenerator<number> {
	for (let n = 1; ; n++) yield n;
}

/** Counts the reads of a store. */
function counting(config: SveltekitSessionConfig): () => number {
	const { atomic } = config.store ?? {};
	if (!atomic?.readTwo) throw new Error('the store cannot read two records');
	const reads = vi.spyOn(atomic, 'readTwo');
	return () => reads.mock.calls.length;
}

describe('a session is watched no more', () => {
	let cookie: string;

	beforeEach(async () => {
		cookie = await loggedIn(options);
		elsewhere = { ...elsewhere, recheckAfter: 1 };
		vi.useFakeTimers();
	});

	test('when the connection ends, and its signal then stays', async () => {
		const { signal, leave } = await streaming(cookie, elsewhere);
		await vi.advanceTimersByTimeAsync(0);
		const reads = counting(elsewhere);
		await vi.advanceTimersByTimeAsync(3_100);
		expect(reads()).toBeGreaterThanOrEqual(3);
		leave();
		expect(vi.getTimerCount()).toBe(0);
		const before = reads();
		await vi.advanceTimersByTimeAsync(3_100);
		expect(reads()).toBe(before);
		expect(signal.aborted).toBe(false);
	});

	test('when its stream was read to the end', async () => {
		const session = await opened();
		const source = new Blob(['one']).stream();
		expect(await new Response(session.until(source)).text()).toBe('one');
		expect(vi.getTimerCount()).toBe(0);
	});

	test('when its reader leaves, or was gone before', async () => {
		const session = await opened();
		const reader = session.until(new ReadableStream<string>()).getReader();
		const pending = reader.read();
		await vi.advanceTimersByTimeAsync(0);
		expect(vi.getTimerCount()).toBe(1);
		await reader.cancel();
		await pending;
		expect(vi.getTimerCount()).toBe(0);

		const gone = await streaming(cookie, elsewhere);
		await vi.advanceTimersByTimeAsync(0);
		gone.leave();
		const values = gone.session.until(endless());
		expect(await values.next()).toEqual({ done: true, value: undefined });
		expect(vi.getTimerCount()).toBe(0);
	});

	test('when the connection ends during a pending value', async () => {
		const { session, leave } = await streaming(cookie, elsewhere);
		const never = async function* (): AsyncGenerator<number> {
			await new Promise(() => undefined);
			yield 1;
		};
		const values = session.until(never());
		const pending = values.next();
		await vi.advanceTimersByTimeAsync(0);
		leave();
		expect(await pending).toEqual({ done: true, value: undefined });
		expect(vi.getTimerCount()).toBe(0);
	});

	test('when nothing uses its signal any more', async () => {
		setFlagsFromString('--expose-gc');
		const collect = runInNewContext('gc') as () => void;
		vi.useRealTimers();
		const reads = counting(elsewhere);
		const used = await streaming(cookie, { ...elsewhere, store: options.store ?? store });
		let heard = 0;
		used.signal.addEventListener('abort', () => heard++);
		const { session } = await unused();
		// A question about a session that is not watched would never come.
		let before = NaN;
		while (reads() !== before) {
			collect();
			before = reads();
			await new Promise((resolve) => setTimeout(resolve, 1_500));
		}
		expect(before).toBeGreaterThan(0);
		expect(session.signal.aborted).toBe(false);
		await sessions(options).of('ada').revokeAll();
		await aborted(used.signal);
		expect(heard).toBe(1);
	});

	/** A request whose application has dropped the signal. */
	async function unused(): Promise<{ session: Session }> {
		const { session } = await streaming(cookie, elsewhere);
		return { session };
	}

	async function opened(): Promise<Session> {
		const { session } = await visit(elsewhere, () => undefined, cookie);
		return session;
	}
});

describe('`until()`', () => {
	test('ends a stream of bytes, and a generator that delegates to it', async () => {
		const cookie = await loggedIn(options);
		const { session } = await visit(options, () => undefined, cookie);
		const live = async function* (): AsyncGenerator<string> {
			yield 'begin';
			yield* session.until(ticks());
			yield 'end';
		};
		const chunks = new TransformStream<Uint8Array, Uint8Array>();
		const writer = chunks.writable.getWriter();
		const reader = session.until(chunks.readable).getReader();
		const seen: string[] = [];
		for await (const value of live()) {
			seen.push(value);
			if (value === '2') {
				void writer.write(new Uint8Array([1]));
				expect((await reader.read()).value).toEqual(new Uint8Array([1]));
				await sessions(options).of('ada').revokeAll();
			}
		}
		expect(seen.slice(0, 3)).toEqual(['begin', '1', '2']);
		expect(seen.at(-1)).toBe('end');
		expect(await reader.read()).toEqual({ done: true, value: undefined });
		await expect(writer.closed).rejects.toBeInstanceOf(SessionEndedError);
	});

	test('works without a request, on an event that has only cookies', async () => {
		const cookie = await loggedIn(options);
		const { event } = testEvent(cookie);
		const partial = { cookies: event.cookies, request: { headers: event.request.headers } };
		const { Session } = await import('../src/index.js');
		const session = await Session.initialize(partial, options);
		const { signal } = session;
		await visit(options, async (one) => one.destroy(), cookie);
		await aborted(signal);
	});
});

async function* ticks(): AsyncGenerator<string> {
	for (let n = 1; ; n++) {
		await new Promise((resolve) => setTimeout(resolve, 5));
		yield `${n}`;
	}
}
