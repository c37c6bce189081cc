import type { RequestEvent } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	ResponseSentError,
	Session,
	sessions,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

let options: SveltekitSessionConfig & { store: MemoryStore };

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store: new MemoryStore(),
		cookie: { maxAge: 3_600 }
	};
});

afterEach(() => {
	vi.useRealTimers();
});

/** The signed value of a visitor's cookie. */
async function visitor(): Promise<string> {
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, options);
	await session.setData({ n: 1 });
	await session.save();
	return cookies.at(-1)?.value ?? '';
}

function only(parts: object): RequestEvent {
	return parts as RequestEvent;
}

/** The readable part of SvelteKit's cookie jar, with this cookie in it. */
function jar(value?: string): object {
	const set = vi.fn((name: string, given: string, attributes: object) => [
		name,
		given,
		attributes
	]);
	return {
		set,
		delete: set,
		get: (name: string) => (name === 'connect.sid' ? value : undefined)
	};
}

describe('an event with nothing but', () => {
	test('`cookies`', async () => {
		const event = only({ cookies: jar(await visitor()) });
		const session = await Session.initialize(event, options);
		expect(session.data).toEqual({ n: 1 });
		await session.regenerate();
		await session.save();
		expect(session.isNew).toBe(false);
		const empty = new Session(only({ cookies: jar() }), options);
		expect(empty.data).toEqual({});
		await empty.save();
		expect(empty.isNew).toBe(false);
	});

	test('`cookies`, through a handle', async () => {
		const event = only({ cookies: jar(await visitor()), locals: {} });
		const response = await sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await event.locals.session.save();
				return new Response();
			}
		});
		expect(event.locals.session.data).toEqual({ n: 1 });
		expect(response.headers.getSetCookie()).toHaveLength(1);
	});

	test('`request`', async () => {
		const headers = new Headers({ cookie: `connect.sid=${await visitor()}` });
		const session = await Session.initialize(only({ request: { headers } }), options);
		expect(session.data).toEqual({ n: 1 });
		await session.setData({ n: 2 });
		await session.save();
		await session.destroy();
		expect(options.store.size).toBe(0);
		await expect(session.save()).rejects.toBeInstanceOf(ResponseSentError);
	});

	test('a request of node:http, whose headers are a plain object: the jar is read, or an error says what to pass', async () => {
		const value = await visitor();
		const request = { headers: { cookie: `connect.sid=${value}` } };
		const read = await Session.initialize(only({ request, cookies: jar(value) }), options);
		expect(read.data).toEqual({ n: 1 });
		const refused = Session.initialize(only({ request }), options);
		await expect(refused).rejects.toThrow(/`headers`, such as `new Headers\(\)`/);
	});

	test.each([undefined, null, 'event'])('%o, which is no event', async (event) => {
		const none = event as unknown as RequestEvent;
		const resolve = (): Response => new Response();
		await expect(Session.initialize(none, options)).rejects.toBeInstanceOf(ConfigError);
		expect(() => new Session(none, options)).toThrow(ConfigError);
		const handled = sveltekitSessionHandle(options)({ event: none, resolve });
		await expect(handled).rejects.toBeInstanceOf(ConfigError);
	});

	test('neither: an error says which is missing', async () => {
		const initialized = Session.initialize(only({ locals: {} }), options);
		await expect(initialized).rejects.toBeInstanceOf(ConfigError);
		await expect(initialized).rejects.toThrow(/`request`.*`cookies`/);
	});
});

describe('after the response, reading changes nothing', () => {
	const JARS: [string, (cookie: string) => RequestEvent][] = [
		[
			'after the response has left',
			(cookie) => {
				const { event, close } = testEvent(cookie);
				close();
				return event;
			}
		],
		[
			'in a WebSocket upgrade',
			(cookie) => only({ request: { headers: new Headers({ cookie }) } })
		]
	];

	test.each(JARS)('%s', async (_, event) => {
		options = {
			...options,
			renewAfter: 60,
			idleTimeout: 1_000,
			rolling: true,
			touchAfter: 0,
			saveUninitialized: true
		};
		const value = await visitor();
		const id = value.split('.')[0] ?? '';
		const before = await options.store.get(id);
		vi.setSystemTime(Date.now() + 500_000);
		const session = await Session.initialize(event(`connect.sid=${value}`), options);
		expect(session.data).toEqual({ n: 1 });
		expect(session.id).toBe(id);
		expect((await options.store.get(id))?.v).toBe(before?.v);
		// Nor is the session of a new visitor stored.
		expect((await Session.initialize(event('a=1'), options)).isNew).toBe(true);
		expect(options.store.size).toBe(1);
		// A logout is a logout.
		await session.destroy();
		expect(options.store.size).toBe(0);
	});

	test.each(JARS)('%s: not even the user’s session list', async (_, event) => {
		const { event: first, cookies } = testEvent();
		await (await Session.initialize(first, options)).login('ada');
		const value = cookies.at(-1)?.value ?? '';
		vi.setSystemTime(Date.now() + 3_000_000);
		const session = await Session.initialize(event(`connect.sid=${value}`), options);
		expect(session.userId).toBe('ada');
		// A request that can send a cookie finds the use of the session to be written, and writes it.
		const later = Date.now() + 1_000;
		vi.setSystemTime(later);
		await Session.initialize(testEvent(`connect.sid=${value}`).event, options);
		await vi.waitFor(async () => {
			const [one] = await sessions(options).of('ada').list();
			expect(one?.lastSeen.getTime()).toBeGreaterThanOrEqual(later);
		});
	});
});
