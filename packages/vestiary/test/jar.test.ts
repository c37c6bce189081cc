import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	ResponseSentError,
	Session,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';
import { loggedIn } from './visits.js';

/* Calls of SvelteKit's cookie jar if no handle puts the cookie on the response. */

let store: CountingStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	store = new CountingStore();
	events = [];
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store,
		onEvent: ({ type }) => events.push(type)
	};
});

/** The attributes of the cookie that a save sets, and of the one that a logout removes. */
async function attributes(
	cookie: SveltekitSessionConfig['cookie']
): Promise<Record<string, unknown>[]> {
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, { ...options, cookie });
	await session.save();
	await session.destroy();
	expect(cookies.map(({ method }) => method)).toEqual(['set', 'delete']);
	return cookies.map(({ options: given }) => given);
}

test('`secure` is left to SvelteKit, unless the application says it', async () => {
	// Even undefined would override SvelteKit's choice.
	for (const given of await attributes({})) expect(Object.keys(given)).not.toContain('secure');
	for (const secure of [true, false])
		for (const given of await attributes({ secure })) expect(given.secure).toBe(secure);
});

test('a cookie that is removed has expired, and one that is set expires when it should', async () => {
	const expires = new Date(Date.now() + 60_000);
	const [set, removed] = await attributes({ expires });
	expect(set?.expires).toEqual(expires);
	expect(removed?.expires).toEqual(new Date(0));
});

test('once it is closed, a new session is refused before the store is asked', async () => {
	const { event, close } = testEvent();
	const session = await Session.initialize(event, options);
	close();
	await expect(session.save()).rejects.toBeInstanceOf(ResponseSentError);
	expect(store.records.size).toBe(0);
	store.calls.length = 0;
	await expect(session.save()).rejects.toBeInstanceOf(ResponseSentError);
	expect(store.calls).toEqual([]);
});

test('if it is all that there is to read from, a visitor without a cookie has sent none', async () => {
	const { event } = testEvent();
	Object.assign(event, { request: undefined });
	Object.assign(event.cookies, { get: () => undefined });
	const session = await Session.initialize(event, options);
	expect(session.isNew).toBe(true);
	expect(events).toEqual([]);
});

test('a session that is new in this request and ends there removes no cookie', async () => {
	for (const make of [
		async (event: ReturnType<typeof testEvent>['event']) => Session.initialize(event, options),
		async (event: ReturnType<typeof testEvent>['event']) => new Session(event, options)
	]) {
		const { event, cookies } = testEvent();
		await (await make(event)).destroy();
		expect(cookies).toEqual([]);
	}
});

describe('whose `set` takes no arguments, as that of a mock', () => {
	test.each<[string, (session: Session) => Promise<unknown>]>([
		['save', async (session) => session.save()],
		['update', async (session) => session.update((data) => data)],
		['login', async (session) => session.login('bob')]
	])('%s() sets the cookie, of a new session and of one that is stored', async (_, operation) => {
		const config = { ...options, store: new MemoryStore() };
		for (const cookie of [undefined, await loggedIn(config)]) {
			const { event } = testEvent(cookie);
			const set = vi.fn<(...args: unknown[]) => void>();
			Object.assign(event.cookies, { set });
			const session = await Session.initialize(event, config);
			await operation(session);
			expect(set).toHaveBeenCalledOnce();
			expect(session.isNew).toBe(false);
		}
	});

	test('a logout removes the cookie', async () => {
		const config = { ...options, store: new MemoryStore() };
		const { event, cookies } = testEvent(await loggedIn(config));
		Object.assign(event.cookies, { set: vi.fn() });
		const session = await Session.initialize(event, config);
		await session.destroy();
		expect(cookies).toMatchObject([{ method: 'delete' }]);
	});
});

test('if it was closed before there was a session, a login is taken back and nothing is renewed', async () => {
	const config = { ...options, store: new MemoryStore(), renewAfter: 1 };
	vi.useFakeTimers({ toFake: ['Date'] });
	try {
		const cookie = await loggedIn(config);
		vi.setSystemTime(Date.now() + 60_000);
		const { event, close } = testEvent(cookie);
		close();
		events.length = 0;
		const session = await Session.initialize(event, config);
		expect(events).toEqual([]);
		await expect(session.renew()).rejects.toBeInstanceOf(ResponseSentError);
		await expect(session.login('bob')).rejects.toBeInstanceOf(ResponseSentError);
		expect([session.isNew, session.userId]).toEqual([true, undefined]);
	} finally {
		vi.useRealTimers();
	}
});
