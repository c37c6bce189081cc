import { beforeEach, describe, expect, test } from 'vitest';

import {
	DataError,
	MemoryStore,
	ResponseSentError,
	sveltekitSessionHandle,
	type Session,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent, type TestEvent } from './event.js';

/* What a handle does to a response, and when it is too late for it. */

let options: SveltekitSessionConfig;

beforeEach(() => {
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store: new CountingStore(),
		cookie: { maxAge: 60 }
	};
});

async function respond(
	app: (session: Session) => Response | Promise<Response>,
	{ event }: TestEvent = testEvent()
): Promise<Response> {
	return sveltekitSessionHandle(options)({
		event,
		resolve: async () => app(event.locals.session)
	});
}

describe('headers that say already what they should', () => {
	test('stay as they are, with a cookie and without', async () => {
		const headers = { 'cache-control': 'private, no-store', vary: 'Accept, Cookie' };
		const looks = (session: Session): Response =>
			new Response(String(session.isNew), { headers });
		const saves = async (session: Session): Promise<Response> => {
			await session.save();
			return new Response('', { headers });
		};
		for (const app of [looks, saves]) {
			const response = await respond(app);
			expect(response.headers.get('vary')).toBe('Accept, Cookie');
			expect(response.headers.get('cache-control')).toBe('private, no-store');
		}
	});
});

test('a private response is kept by no cache, and sets no cookie', async () => {
	const shared = new Response('mine', { headers: { 'cache-control': 'max-age=60', etag: '1' } });
	const response = await respond((session) => {
		session.private();
		return shared;
	});
	expect(Object.fromEntries(response.headers)).toMatchObject({
		'cache-control': 'no-store',
		vary: 'Cookie',
		etag: '1'
	});
	expect(response.headers.getSetCookie()).toEqual([]);
	expect(await response.text()).toBe('mine');
	// Another visitor may get the same object.
	expect(shared.headers.get('cache-control')).toBe('max-age=60');
});

describe('the cookie is Secure if SvelteKit cannot be asked', () => {
	test.each([
		['there is no URL', { url: undefined }],
		['its jar does not serialise', { cookies: { set: () => undefined } }]
	])('for %s', async (_, parts) => {
		const made = testEvent(undefined, 'http://app.example/');
		Object.assign(made.event, parts);
		const response = await respond(async (session) => {
			await session.save();
			return new Response();
		}, made);
		expect(response.headers.getSetCookie()).toEqual([expect.stringContaining('; Secure;')]);
	});
});

test('a hook that hands another event on does not hide the handle before it', async () => {
	const handle = sveltekitSessionHandle(options);
	const { event } = testEvent();
	let outer: Session | undefined;
	let inner: Session | undefined;
	await handle({
		event,
		resolve: async () => {
			outer = event.locals.session;
			const copy = { ...event };
			return handle({
				event: copy,
				resolve: () => {
					inner = copy.locals.session;
					return new Response();
				}
			});
		}
	});
	expect(inner).toBeDefined();
	expect(inner).toBe(outer);
});

describe('after the response has left', () => {
	test('once the request has failed, although nothing could be saved', async () => {
		options = { ...options, autoSave: true };
		const made = testEvent();
		const failing = respond((session) => {
			const cycle: Record<string, unknown> = {};
			cycle.of = cycle;
			Object.assign(session.data, cycle);
			return new Response();
		}, made);
		await expect(failing).rejects.toBeInstanceOf(DataError);
		const { session } = made.event.locals;
		await expect(session.setData({})).rejects.toBeInstanceOf(ResponseSentError);
		await expect(session.save()).rejects.toBeInstanceOf(ResponseSentError);
	});

	test('while the store is asked for the last time whether it may leave', async () => {
		const store = new MemoryStore();
		const { atomic } = store;
		if (!atomic) throw new Error('a memory store is atomic');
		let reads = 0;
		let late: Promise<unknown> | undefined;
		let session: Session | undefined;
		/** A store as in another process, so that it is asked. */
		const remote = {
			get: async (id: string) => store.get(id),
			set: async (...args: Parameters<MemoryStore['set']>) => store.set(...args),
			destroy: async (id: string) => store.destroy(id),
			touch: async (id: string, ttl: number) => store.touch(id, ttl),
			atomic: {
				...atomic,
				read: async (id: string) => {
					if (++reads === 2)
						late = session?.regenerate().catch((error: unknown) => error);
					return atomic.read(id);
				}
			}
		};
		options = { ...options, store: remote, rolling: true };
		const handle: SessionHandle = sveltekitSessionHandle(options);
		const visit = async (cookie?: string): Promise<string> => {
			const { event } = testEvent(cookie);
			const response = await handle({
				event,
				resolve: async () => {
					session = event.locals.session;
					if (cookie === undefined) await session.save();
					return new Response();
				}
			});
			return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
		};
		const cookie = await visit();
		reads = 0;
		expect(await visit(cookie)).toBe(cookie);
		expect(reads).toBeGreaterThan(1);
		expect(await late).toBeInstanceOf(ResponseSentError);
	});
});

test.each([
	['a new session', false],
	['one that is stored', true]
])('autoSave makes JSON of its data once: %s', async (_, isStored) => {
	options = { ...options, store: new MemoryStore(), autoSave: true };
	let read = 0;
	const data = {
		n: 1,
		toJSON: () => ({ n: ++read })
	};
	const first = isStored
		? await respond(async (session) => {
				await session.setData({ n: 0 });
				return new Response();
			})
		: undefined;
	const cookie = first?.headers.getSetCookie()[0]?.split(';')[0];
	const response = await respond(async (session) => {
		await session.setData(data);
		return new Response();
	}, testEvent(cookie));
	expect(response.headers.getSetCookie()).toHaveLength(isStored ? 0 : 1);
	expect(read).toBe(1);
});
