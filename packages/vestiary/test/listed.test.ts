import { afterEach, describe, expect, test, vi } from 'vitest';

import {
	LoginOutdatedError,
	MemoryStore,
	Session,
	sessions,
	StoreError,
	type AtomicOperations,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const DAY = 86_400_000;
const SECRET = '0123456789abcdef0123456789abcdef';

afterEach(() => {
	vi.useRealTimers();
});

interface Request {
	session: Session;
	cookie: () => string;
}

async function opened(options: SveltekitSessionConfig, cookie?: string): Promise<Request> {
	const { event, cookies } = testEvent(cookie);
	const session = await Session.initialize(event, options);
	return {
		session,
		cookie: () => {
			const last = cookies.at(-1);
			if (!last) return cookie ?? '';
			return last.method === 'set'
				? `${last.name}=${encodeURIComponent(last.value ?? '')}`
				: '';
		}
	};
}

/** A repeatable source of chance. */
function chance(seed: number): (limit: number) => number {
	let state = seed * 2_654_435_761 + 1;
	return (limit) => {
		state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
		return ((state ^ (state >>> 13)) >>> 0) % limit;
	};
}

/** A memory store some of whose calls fail, before or after the operation. */
class FailingStore implements Store {
	readonly memory = new MemoryStore();
	readonly atomic: AtomicOperations;
	/** Whether the next call fails, and how. */
	fate: () => 'done' | 'nothing' | 'lost' = () => 'done';

	constructor() {
		const { atomic: inner } = this.memory;
		if (!inner) throw new Error('a memory store is atomic');
		const call = async <T>(run: () => Promise<T>): Promise<T> => {
			const fate = this.fate();
			if (fate === 'nothing') throw new Error('down');
			const answer = await run();
			if (fate === 'lost') throw new Error('reply lost');
			return answer;
		};
		this.atomic = {
			resends: false,
			ttl: inner.ttl,
			read: async (id) => inner.read(id),
			create: async (id, text, ttl, owned) =>
				call(async () => inner.create(id, text, ttl, owned)),
			replace: async (id, writeId, text, ttl) =>
				call(async () => inner.replace(id, writeId, text, ttl)),
			touch: async (id, ttl) => call(async () => inner.touch(id, ttl)),
			remove: async (id, writeId) => call(async () => inner.remove(id, writeId))
		};
	}

	get = async (id: string): ReturnType<Store['get']> => this.memory.get(id);
	set: Store['set'] = async () => undefined;
	destroy: Store['destroy'] = async () => undefined;
	touch: Store['touch'] = async () => undefined;
}

async function untilDone(logout: () => Promise<void>): Promise<void> {
	for (let tries = 0; tries < 20; tries++) {
		try {
			await logout();
			return;
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
		}
	}
}

/** Requests to sessions, concurrent and sequential, while the store fails now and then. */
async function play(seed: number): Promise<{ listed: string[]; alive: string[] }> {
	const random = chance(seed);
	const store = new FailingStore();
	const options = { secret: SECRET, store, renewGrace: random(2) * 600, storeTimeout: 0 };
	const cookies: string[] = [];
	let sinceFailure = 0;
	store.fate = () => {
		// A single failure is retried. After more, only a logout is repeated until it succeeds.
		if (random(100) >= 12 || sinceFailure++ < 6) return 'done';
		sinceFailure = 0;
		return random(2) === 0 ? 'nothing' : 'lost';
	};
	const act = async (): Promise<void> => {
		const cookie = cookies[random(cookies.length + 1)];
		const { session, cookie: next } = await opened(options, cookie);
		switch (random(7)) {
			case 0:
			case 1:
			case 2:
				await session.login('ada');
				break;
			case 3:
				await untilDone(async () => session.destroy());
				break;
			case 4:
				await session.renew();
				break;
			case 5:
				await session.regenerate();
				break;
			default:
				await session.update((data) => data);
		}
		if (next() !== '') cookies.push(next());
	};
	for (let step = 0; step < 12; step++)
		await Promise.all(
			Array.from({ length: 1 + random(3) }, async () =>
				act().catch((error: unknown) => {
					if (!(error instanceof StoreError)) throw error;
				})
			)
		);
	store.fate = () => 'done';
	const list = sessions(options).of('ada');
	const alive = new Set<string>();
	for (const cookie of cookies) {
		const { session } = await opened(options, cookie);
		if (session.userId === undefined) continue;
		const current = (await list.list(session)).find((one) => one.current);
		if (current) alive.add(current.handle);
	}
	const listed = (await list.list()).map(({ handle }) => handle);
	return { listed: listed.sort(), alive: [...alive].sort() };
}

describe('a session is listed exactly as long as it is alive', () => {
	test('whatever requests do at the same time, with a store that fails now and then', async () => {
		for (let seed = 1; seed <= 150; seed++) {
			const { listed, alive } = await play(seed);
			expect(listed, `seed ${seed}`).toEqual(alive);
		}
	}, 300_000);

	test('with a cookie that has no maxAge: until the store drops its record', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const options = { secret: SECRET, store: new MemoryStore() };
		const list = sessions(options).of('ada');
		for (let day = 0; day < 30; day++) {
			await (await opened(options)).session.login('ada');
			vi.setSystemTime(Date.now() + 86_400_000 + 300_000);
			expect(await list.list()).toEqual([]);
		}
	});

	test.each([
		['idleTimeout', { idleTimeout: 60 }, 73],
		['absoluteTimeout', { absoluteTimeout: 60 }, 60],
		['cookie.maxAge', { cookie: { maxAge: 60 } }, 66]
	])('with %s', async (_, timeouts, seconds) => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const options = { secret: SECRET, store: new MemoryStore(), ...timeouts };
		await (await opened(options)).session.login('ada');
		const list = sessions(options).of('ada');
		vi.setSystemTime(Date.now() + 59_000);
		expect(await list.list()).toHaveLength(1);
		vi.setSystemTime(Date.now() + (seconds - 59) * 1_000);
		expect(await list.list()).toEqual([]);
	});

	test('a logout by an old ID, of a session that was renewed', async () => {
		const options = { secret: SECRET, store: new MemoryStore(), renewGrace: 0 };
		const first = await opened(options);
		await first.session.login('ada');
		const old = first.cookie();
		await (await opened(options, old)).session.renew();
		await (await opened(options, old)).session.destroy();
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test('a logout that is repeated after the list could not be written', async () => {
		const store = new FailingStore();
		const options = { secret: SECRET, store };
		const made = await opened(options);
		await made.session.login('ada');
		const { session } = await opened(options, made.cookie());
		let fails = true;
		const inner = { ...store.atomic };
		store.atomic.replace = async (...args) => {
			if (fails) throw new Error('down');
			return inner.replace(...args);
		};
		await expect(session.destroy()).rejects.toBeInstanceOf(StoreError);
		fails = false;
		await session.destroy();
		expect(await sessions(options).of('ada').list()).toEqual([]);
		expect(store.memory.size).toBe(1);
	});

	test('a login whose record cannot be stored', async () => {
		const store = new FailingStore();
		const options = { secret: SECRET, store };
		const inner = { ...store.atomic };
		const { session } = await opened(options);
		store.atomic.create = async (id, ...rest) => {
			if (!id.startsWith('user:')) throw new Error('down');
			return inner.create(id, ...rest);
		};
		await expect(session.login('ada')).rejects.toBeInstanceOf(StoreError);
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});
});

describe('servers whose clocks are apart, with a store that has its own clock', () => {
	/** A store with a clock of its own, independent of `Date`. */
	function clocked(): { options: SveltekitSessionConfig; pass: (ms: number) => void } {
		const memory = new MemoryStore();
		if (!memory.atomic) throw new Error('a memory store is atomic');
		let time = 1_900_000_000_000;
		const store: Store = {
			get: async (id) => memory.get(id),
			set: async (id, data, ttl) => memory.set(id, data, ttl),
			destroy: async (id) => memory.destroy(id),
			touch: async (id, ttl) => memory.touch(id, ttl),
			atomic: { ...memory.atomic, now: async () => time }
		};
		const options = { secret: SECRET, store };
		return { options, pass: (ms) => (time += ms) };
	}

	test('a login whose proof is older than the list remembers is refused', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		try {
			const options = { secret: SECRET, store: new MemoryStore() };
			const proven = Date.now();
			await sessions(options).of('ada').revokeAll();
			vi.setSystemTime(proven + DAY + 3_600_000);
			const login = async (ago: number): Promise<unknown> => {
				const { event } = testEvent();
				const session = await Session.initialize(event, options);
				return session.login('ada', { provenAt: new Date(Date.now() - ago) });
			};
			await expect(login(DAY + 3_600_001)).rejects.toBeInstanceOf(LoginOutdatedError);
			await expect(login(DAY + 1)).rejects.toBeInstanceOf(LoginOutdatedError);
			await login(DAY);
		} finally {
			vi.useRealTimers();
		}
	});

	test.each([3_000, -3_000])('a login after revokeAll() is let in: %d ms', async (apart) => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const { options, pass } = clocked();
		await sessions(options).of('ada').revokeAll();
		pass(1_000);
		vi.setSystemTime(Date.now() + 1_000 + apart);
		await (await opened(options)).session.login('ada');
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
	});

	test.each([3_000, -3_000])('a login under way is refused: %d ms', async (apart) => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const { options, pass } = clocked();
		const here = Date.now();
		const { session } = await opened(options);
		pass(1_000);
		vi.setSystemTime(here + 1_000 + apart);
		await sessions(options).of('ada').revokeAll();
		pass(1_000);
		vi.setSystemTime(here + 2_000);
		await expect(session.login('ada')).rejects.toBeInstanceOf(LoginOutdatedError);
		await session.login('ada', { provenAt: new Date(here + 1_500) });
	});
});
