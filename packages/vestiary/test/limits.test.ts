import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	sveltekitSessionHandle,
	type SessionData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

type Data = SessionData & { text?: string; n?: number };

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
});

async function request(
	cookie: string | undefined,
	act: (session: Session & { data: Data }) => unknown = () => undefined,
	config = options
): Promise<string | undefined> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await act(event.locals.session as Session & { data: Data });
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0]?.split(';', 1)[0];
}

/** A session whose data has this many bytes as JSON. */
async function visitor(bytes: number, config = options): Promise<string> {
	const cookie = await request(
		undefined,
		async (session) => {
			session.data.text = 'x'.repeat(bytes - '{"text":""}'.length);
			await session.save();
		},
		config
	);
	return cookie ?? '';
}

describe('the size of session data', () => {
	test('is that of the data alone: what was saved once is accepted again and again', async () => {
		const cookie = await visitor(65_536);
		for (let i = 0; i < 12; i++) await request(cookie, (session) => session.save());
		await request(cookie, async (session) => {
			session.data.text = `${session.data.text}x`;
			await expect(session.save()).rejects.toMatchObject({ code: 'too_large' });
		});
		await expect(visitor(65_537)).rejects.toMatchObject({ code: 'too_large' });
	});

	test('may be more or less, by maxBytes', async () => {
		for (const maxBytes of [2_000, 200_000, 3_000_000]) {
			const sized = { ...options, maxBytes };
			const cookie = await visitor(maxBytes, sized);
			await request(
				cookie,
				async (session) => {
					expect(session.data.text).toHaveLength(maxBytes - 11);
					await session.save();
				},
				sized
			);
			await expect(visitor(maxBytes + 1, sized)).rejects.toMatchObject({ code: 'too_large' });
		}
	});

	test.each([0, -1, 1_023, 1_024.5, NaN, Infinity, 2 ** 32])('%d is no maxBytes', (maxBytes) => {
		expect(() => sveltekitSessionHandle({ ...options, maxBytes })).toThrow(ConfigError);
		expect(() => sveltekitSessionHandle({ ...options, maxBytes })).toThrow('maxBytes');
	});

	test('counts in no store that is not atomic either', async () => {
		const plain = { ...options, store: new CountingStore() };
		const cookie = await visitor(65_536, plain);
		await request(cookie, (session) => session.save(), plain);
	});
});

describe('data that was stored already stops nothing that the application did not ask for', () => {
	const large = (): SveltekitSessionConfig => ({ ...options, maxBytes: 100_000 });

	test('a renewal', async () => {
		const cookie = await visitor(70_000, large());
		vi.setSystemTime(Date.now() + 100_000);
		const renewed = await request(cookie, () => undefined, { ...options, renewAfter: 60 });
		expect(renewed).toBeDefined();
		await request(renewed, (session) => {
			expect(session.data.text).toHaveLength(69_989);
		});
	});

	test('a renewal that cannot be done leaves the session under its ID, and is an event', async () => {
		const cookie = await visitor(100);
		vi.setSystemTime(Date.now() + 100_000);
		const broken = { ...options, renewAfter: 60, genid: () => 'short' };
		const set = await request(
			cookie,
			(session) => {
				expect(session.isNew).toBe(false);
			},
			broken
		);
		expect(set).toBeUndefined();
		expect(events.at(-1)).toBe('store_failed');
	});

	test('an idle deadline: it is written, and the session ends', async () => {
		const cookie = await visitor(70_000, large());
		const idle = { ...options, idleTimeout: 60 };
		await request(
			cookie,
			(session) => {
				expect(session.isNew).toBe(false);
			},
			idle
		);
		vi.setSystemTime(Date.now() + 66_000);
		await request(
			cookie,
			(session) => {
				expect(session.isNew).toBe(true);
			},
			idle
		);
		expect(events.at(-1)).toBe('expired');
	});

	test('a save without a change, a touch, a login, a logout', async () => {
		const acts: ((session: Session) => unknown)[] = [
			(session) => session.save(),
			(session) => session.touch(),
			(session) => session.update(() => undefined),
			(session) => session.login('ada'),
			(session) => session.regenerate(),
			(session) => session.destroy()
		];
		for (const act of acts) {
			const cookie = await visitor(70_000, large());
			await request(cookie, act);
		}
		expect(events).not.toContain('store_failed');
	});
});
