import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sveltekitSessionHandle,
	type SessionData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

type Data = SessionData & { n?: number };

let events: string[];

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	events = [];
});

afterEach(() => {
	vi.useRealTimers();
});

const pass = (seconds: number): void => void vi.setSystemTime(Date.now() + seconds * 1_000);

/** A store with the interface of svelte-kit-sessions, whose records expire. */
class PlainStore extends CountingStore {
	#deadline = Infinity;

	override async get(id: string): ReturnType<CountingStore['get']> {
		return Date.now() < this.#deadline ? super.get(id) : null;
	}

	override async set(...args: Parameters<CountingStore['set']>): Promise<void> {
		await super.set(...args);
		this.#deadline = Date.now() + args[2];
	}

	override async touch(id: string, ttl: number): Promise<void> {
		await super.touch(id, ttl);
		this.#deadline = Date.now() + ttl;
	}
}

function optionsOf(more: Partial<SveltekitSessionConfig>, store: Store = new MemoryStore()) {
	return {
		secret: SECRET,
		store,
		onEvent: ({ type }: { type: string }) => events.push(type),
		...more
	};
}

async function request(
	options: SveltekitSessionConfig,
	cookie?: string,
	act: (session: Session & { data: Data }) => unknown = () => undefined
): Promise<string | undefined> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await act(event.locals.session as Session & { data: Data });
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0];
}

const save = (session: Session & { data: Data }): Promise<void> => {
	session.data.n = 1;
	return session.save();
};
const pairOf = (header: string | undefined): string => header?.split(';', 1)[0] ?? '';

describe('a session whose deadline has passed', () => {
	test.each([
		['idle', { idleTimeout: 60 }, 66],
		['absolute', { absoluteTimeout: 60 }, 60],
		['both', { idleTimeout: 30, absoluteTimeout: 60 }, 61],
		['the life of its cookie, too', { absoluteTimeout: 60, cookie: { maxAge: 60 } }, 60],
		['rolling', { absoluteTimeout: 60, rolling: true, cookie: { maxAge: 60 } }, 65]
	])('has expired, and its cookie is removed: %s', async (_, more, after) => {
		const stores: Store[] = [new MemoryStore()];
		if (!('idleTimeout' in more)) stores.push(new PlainStore());
		for (const store of stores) {
			const options = optionsOf(more, store);
			const cookie = pairOf(await request(options, undefined, save));
			events.length = 0;
			pass(after);
			const header = await request(options, cookie, (session) => {
				expect(session.isNew).toBe(true);
				expect(session.data).toEqual({});
			});
			expect(events).toEqual(['expired']);
			expect(header).toContain('connect.sid=; Max-Age=0;');
		}
	});

	test('keeps the cookie that a login sets in the same request, and one that another has set', async () => {
		const options = optionsOf({ absoluteTimeout: 60 });
		const cookie = pairOf(await request(options, undefined, save));
		pass(61);
		let release = (): void => undefined;
		const gate = new Promise<void>((resolve) => (release = resolve));
		let opened = (): void => undefined;
		const isOpen = new Promise<void>((resolve) => (opened = resolve));
		// Its record is read before the other request removes it.
		const slow = request(options, cookie, async () => {
			opened();
			await gate;
		});
		await isOpen;
		const login = await request(options, cookie, (session) => session.login('ada'));
		expect(login).not.toContain('Max-Age=0');
		release();
		expect((await slow) ?? '').not.toContain('Max-Age=0');
	});

	test('is removed with the attributes that it had of its own', async () => {
		const options = optionsOf({ absoluteTimeout: 60 });
		const cookie = pairOf(
			await request(options, undefined, async (session) => {
				session.cookie.path = '/app';
				await session.save();
			})
		);
		pass(61);
		expect(await request(options, cookie)).toContain('connect.sid=; Max-Age=0; Path=/app;');
	});

	test.each([
		['save', (session: Session) => session.save()],
		['update', (session: Session) => session.update(() => undefined)],
		['touch', (session: Session) => session.touch()],
		['renew', (session: Session) => session.renew()]
	])('is not revived by a request that began before: %s', async (name, act) => {
		for (const store of [new MemoryStore(), new PlainStore()]) {
			if (name === 'renew' && store instanceof PlainStore) continue;
			const options = optionsOf({ absoluteTimeout: 60 }, store);
			const cookie = pairOf(await request(options, undefined, save));
			events.length = 0;
			const header = await request(options, cookie, async (session) => {
				expect(session.isNew).toBe(false);
				pass(61);
				await act(session);
				expect(session.isNew).toBe(true);
			});
			expect(header).toBeUndefined();
			expect(events).toContain('gone');
			await request(options, cookie, (session) => {
				expect(session.isNew).toBe(true);
			});
		}
	});
});

describe('the idle timeout', () => {
	test('is never early, and at most a tenth late', async () => {
		for (let first = 100; first < 10_000; first += 300) {
			const options = optionsOf({ idleTimeout: 10 });
			const cookie = pairOf(await request(options, undefined, save));
			pass(first / 1_000);
			await request(options, cookie, (session) => {
				expect(session.isNew).toBe(false);
			});
			pass(9.999);
			await request(options, cookie, (session) => {
				expect(session.isNew, String(first)).toBe(false);
			});
			pass(11);
			await request(options, cookie, (session) => {
				expect(session.isNew).toBe(true);
			});
		}
	});

	test('begins again with touch(), however long the request takes', async () => {
		const options = optionsOf({ idleTimeout: 10 });
		const cookie = pairOf(await request(options, undefined, save));
		await request(options, cookie, async (session) => {
			for (let i = 0; i < 5; i++) {
				pass(9);
				await session.touch();
			}
		});
		pass(9.9);
		await request(options, cookie, (session) => {
			expect(session.isNew).toBe(false);
		});
	});
});
