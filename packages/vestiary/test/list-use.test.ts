import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

/** The use of a session is written in its user's list now and then, while the page is made. */

const SECRET = '0123456789abcdef0123456789abcdef';
const STALE = 6 * 60_000;

let store: Store & { atomic: AtomicOperations };
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	store = remote();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
});

/** The store in another process: requests there do not learn of revocations at once. */
function remote(of: Store = new MemoryStore()): Store & { atomic: AtomicOperations } {
	if (!of.atomic) throw new Error('a memory store is atomic');
	return {
		get: async (id) => of.get(id),
		set: async (id, data, ttl) => of.set(id, data, ttl),
		destroy: async (id) => of.destroy(id),
		touch: async (id, ttl) => of.touch(id, ttl),
		atomic: { ...of.atomic }
	};
}

async function loggedIn(): Promise<{ id: string; cookie: string }> {
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, options);
	await session.login('ada');
	vi.setSystemTime(Date.now() + STALE);
	events.length = 0;
	const value = encodeURIComponent(cookies.at(-1)?.value ?? '');
	return { id: session.id, cookie: `connect.sid=${value}` };
}

/** Holds the next write of the list back. */
function held(): { reached: Promise<void>; open: () => void } {
	const replace = store.atomic.replace.bind(store.atomic);
	let open = (): void => undefined;
	let reach = (): void => undefined;
	const gate = new Promise<void>((resolve) => (open = resolve));
	const reached = new Promise<void>((resolve) => (reach = resolve));
	store.atomic.replace = async (id, ...rest) => {
		if (id.startsWith('user:')) {
			reach();
			await gate;
		}
		return replace(id, ...rest);
	};
	return { reached, open };
}

test('a page does not wait for it, and a session that was revoked meanwhile has ended', async () => {
	const { id, cookie } = await loggedIn();
	const elsewhere = { secret: SECRET, store: remote(store) };
	const { reached, open } = held();
	const { event } = testEvent(cookie);
	let user: string | undefined;
	const response = await sveltekitSessionHandle({
		...options,
		rolling: true,
		cookie: { maxAge: 86_400 }
	})({
		event,
		resolve: async () => {
			await reached;
			user = event.locals.session.userId;
			await sessions(elsewhere).of('ada').revokeAll();
			open();
			return new Response('page');
		}
	});
	expect(user).toBe('ada');
	expect(events).toEqual(['revoked']);
	expect(response.headers.getSetCookie()).toEqual([]);
	expect(event.locals.session.userId).toBeUndefined();
	expect(await store.atomic.read(id)).toBeNull();
});

test('a store that fails is no reason to refuse the session', async () => {
	const { cookie } = await loggedIn();
	store.atomic.replace = async () => Promise.reject(new Error('OOM command not allowed'));
	const session = await Session.initialize(testEvent(cookie).event, options);
	expect(session.userId).toBe('ada');
	expect(events).toEqual(['store_failed']);
});

test('the use of a long request is recorded, too, or the list would drop a session in use', async () => {
	const { cookie } = await loggedIn();
	const { session } = { session: await Session.initialize(testEvent(cookie).event, options) };
	for (let hours = 0; hours < 60; hours += 12) {
		vi.setSystemTime(Date.now() + 12 * 3_600_000);
		await session.touch();
	}
	expect(session.userId).toBe('ada');
	expect(await sessions(options).of('ada').list()).toHaveLength(1);
});

test('reading where no cookie can leave, as in a WebSocket upgrade, writes nothing there', async () => {
	const { cookie } = await loggedIn();
	vi.setSystemTime(Date.now() + 12 * 3_600_000);
	const before = await sessions(options).of('ada').list();
	const { headers } = testEvent(cookie).event.request;
	const upgrade = { request: { headers } } as never;
	const session = await Session.initialize(upgrade, options);
	expect(session.userId).toBe('ada');
	expect(await sessions(options).of('ada').list()).toEqual(before);
});
