import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type SessionData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

interface Data extends SessionData {
	n?: number;
	m?: number;
}

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	store = new MemoryStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

interface Opened {
	session: Session & { data: Data };
	cookie: () => string;
}

async function opened(cookie?: string, withOptions = options): Promise<Opened> {
	const { event, cookies } = testEvent(cookie);
	const session = await Session.initialize(event, withOptions);
	const sent = (): string => {
		const last = cookies.at(-1);
		return last ? `connect.sid=${encodeURIComponent(last.value ?? '')}` : (cookie ?? '');
	};
	return { session, cookie: sent };
}

async function visitor(data: Data, withOptions = options): Promise<string> {
	const { session, cookie } = await opened(undefined, withOptions);
	await session.setData(data);
	await session.save();
	events.length = 0;
	return cookie();
}

const dataOf = async (cookie: string, withOptions = options): Promise<Data> =>
	(await opened(cookie, withOptions)).session.data;

function operations(): AtomicOperations {
	const { atomic } = store;
	if (!atomic) throw new Error('a memory store is atomic');
	return atomic;
}

describe('a request that had the session open before it got another ID', () => {
	test('saves and touches under the new ID, even after the grace period', async () => {
		options.renewGrace = 0;
		const cookie = await visitor({ n: 1 });
		const [late, other] = [await opened(cookie), await opened(cookie)];
		const renewing = await opened(cookie);
		await renewing.session.renew();
		late.session.data.m = 2;
		await late.session.save();
		await other.session.touch();
		expect(events).not.toContain('gone');
		expect(await dataOf(renewing.cookie())).toEqual({ n: 1, m: 2 });
	});

	test('touches nothing after a login, and gets the event that the session is gone', async () => {
		const cookie = await visitor({ n: 1 });
		const late = await opened(cookie);
		await (await opened(cookie)).session.login('ada');
		const touch = vi.spyOn(operations(), 'touch');
		await late.session.touch();
		const answers = await Promise.all(
			touch.mock.results.map(async ({ value }) => value as unknown)
		);
		expect(answers).toEqual(['conflict']);
		expect(events).toContain('gone');
		expect(late.session.isNew).toBe(true);
	});

	test('does not take a tombstone that has expired for the end of the session', async () => {
		vi.useFakeTimers();
		const cookie = await visitor({ n: 1 });
		const [out, saving, updating] = [
			await opened(cookie),
			await opened(cookie),
			await opened(cookie)
		];
		const renewing = await opened(cookie);
		await renewing.session.renew();
		vi.setSystemTime(Date.now() + 11 * 60_000);
		const unconfirmed = { name: 'StoreError', code: 'store_unconfirmed' };
		await expect(out.session.destroy()).rejects.toMatchObject(unconfirmed);
		saving.session.data.n = 5;
		await expect(saving.session.save()).rejects.toMatchObject(unconfirmed);
		expect(await updating.session.update((data) => data)).toBe(false);
		expect(await dataOf(renewing.cookie())).toEqual({ n: 1 });
	});

	test('leaves a session in its user’s list whose record may be elsewhere', async () => {
		vi.useFakeTimers();
		const login = await opened();
		await login.session.login('ada', { data: { n: 1 } });
		const [saving, updating] = [await opened(login.cookie()), await opened(login.cookie())];
		const renewing = await opened(login.cookie());
		await renewing.session.renew();
		vi.setSystemTime(Date.now() + 11 * 60_000);
		saving.session.data.n = 5;
		await expect(saving.session.save()).rejects.toMatchObject({ code: 'store_unconfirmed' });
		expect(await updating.session.update((data) => data)).toBe(false);
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
		expect(await dataOf(renewing.cookie())).toEqual({ n: 1 });
	});
});

describe('an update', () => {
	test('that has to begin again waits for no operation of its own request that waits for it', async () => {
		const { atomic } = store;
		if (!atomic) throw new Error('a memory store is atomic');
		const { session } = await opened(await visitor({ n: 1 }));
		const replace = atomic.replace.bind(atomic);
		let writes = 0;
		atomic.replace = async (...write) => (++writes === 1 ? 'conflict' : replace(...write));
		let runs = 0;
		const updated = session.update((data: Data) => {
			data.n = 2;
			runs++;
			return data;
		});
		await Promise.all([session.save(), session.touch()]);
		expect(await updated).toBe(true);
		expect(runs).toBe(2);
		expect(session.data).toEqual({ n: 2 });
	});

	test.each<[string, (data: Data) => unknown]>([
		[
			'throws',
			(data) => {
				data.n = 2;
				throw new Error('of the application');
			}
		],
		['returns what cannot be stored', (data) => Object.assign(data, { n: 2, big: 1n })],
		[
			'returns no object',
			(data) => {
				data.n = 2;
				return 5;
			}
		]
	])('whose function %s changes nothing, in a new session neither', async (_, change) => {
		for (const cookie of [undefined, await visitor({ n: 1 })]) {
			const { session } = await opened(cookie);
			await session.setData(Object.freeze({ n: 1 }));
			await expect(session.update(change as never)).rejects.toThrow();
			expect(session.data).toEqual({ n: 1 });
			expect(await session.update((data) => void Object.assign(data, { m: 3 }))).toBe(true);
			expect(session.data).toEqual({ n: 1, m: 3 });
		}
	});

	test.each([
		['save()', async (session: Session) => session.save()],
		['setData()', async (session: Session) => session.setData({})],
		['update()', async (session: Session) => session.update((data) => data)],
		['touch()', async (session: Session) => session.touch()],
		['destroy()', async (session: Session) => session.destroy()],
		['regenerate()', async (session: Session) => session.regenerate()],
		['login()', async (session: Session) => session.login('ada')]
	])('whose function calls %s fails at once', async (_, call) => {
		for (const withOptions of [options, { ...options, store: new CountingStore() }]) {
			const cookie = await visitor({ n: 1 }, withOptions);
			const { session } = await opened(cookie, withOptions);
			const updated = session.update(async (data) => {
				await call(session);
				return data;
			});
			await expect(updated).rejects.toMatchObject({ code: 'update_nested' });
			expect(await session.update(() => ({ n: 2 }))).toBe(true);
			expect(await dataOf(cookie, withOptions)).toEqual({ n: 2 });
		}
	});

	test('holds up no other request while its function runs', async () => {
		const cookie = await visitor({ n: 1 });
		const [one, other] = [await opened(cookie), await opened(cookie)];
		let open = (): void => undefined;
		const gate = new Promise<void>((resolve) => {
			open = resolve;
		});
		const updated = one.session.update(async (data: Data) => {
			await gate;
			return { ...data, n: 2 };
		});
		other.session.data.m = 3;
		await other.session.save();
		open();
		expect(await updated).toBe(true);
		expect(await dataOf(cookie)).toEqual({ n: 2, m: 3 });
	});

	test('of a store that is not atomic lets others wait for `storeTimeout` at most', async () => {
		const slow = { ...options, store: new CountingStore(), storeTimeout: 50 };
		const cookie = await visitor({ n: 1 }, slow);
		const [one, other] = [await opened(cookie, slow), await opened(cookie, slow)];
		let open = (): void => undefined;
		const gate = new Promise<void>((resolve) => {
			open = resolve;
		});
		const updated = one.session.update(async (data: Data) => {
			await gate;
			return { ...data, n: 2 };
		});
		await expect(other.session.save()).rejects.toMatchObject({ code: 'store_timeout' });
		open();
		expect(await updated).toBe(true);
	});

	test('saves first what was changed before, and is no conflict', async () => {
		const cookie = await visitor({ n: 1 });
		for (const change of [
			async (session: Session) => session.setData({ n: 1, m: 2 }),
			async (session: Session) => {
				(session.data as Data).m = 3;
			}
		]) {
			const { session } = await opened(cookie);
			await change(session);
			await session.update((data: Data) => ({ ...data, n: (data.n ?? 0) + 1 }));
		}
		expect(await dataOf(cookie)).toEqual({ n: 3, m: 3 });
		expect(events).not.toContain('conflict');
	});
});

describe('a store that answers', () => {
	test.each([
		['READONLY You can’t write against a read only replica.', 'store_failed'],
		['MISCONF Errors writing to the AOF file', 'store_failed'],
		['OOM command not allowed when used memory > maxmemory', 'store_full'],
		['Command failed: READONLY You can’t write', 'store_failed']
	])('%s is asked once', async (message, code) => {
		const cookie = await visitor({ n: 1 });
		const { session } = await opened(cookie);
		const asked = (['replace', 'remove', 'touch', 'create'] as const).map((name) =>
			vi.spyOn(operations(), name).mockRejectedValue(new Error(message))
		);
		await expect(session.destroy()).rejects.toMatchObject({ code, refused: true });
		expect(asked.map(({ mock }) => mock.calls.length)).toEqual([0, 1, 0, 0]);
	});

	test('a logout whose record is gone has ended the session, though it takes no other write', async () => {
		const { session, cookie } = await opened();
		await session.login('ada');
		const full = new Error('OOM command not allowed when used memory > maxmemory');
		vi.spyOn(operations(), 'replace').mockRejectedValue(full);
		await (await opened(cookie())).session.destroy();
		expect(events).toContain('destroyed');
		vi.restoreAllMocks();
		expect((await opened(cookie())).session.isNew).toBe(true);
	});

	test.each([undefined, 7, 'yes', {}])('%s where it must not is a StoreError', async (wrong) => {
		const cookie = await visitor({ n: 1 });
		for (const name of ['replace', 'remove', 'touch'] as const) {
			const { session } = await opened(cookie);
			vi.spyOn(operations(), name).mockImplementation(() => wrong as never);
			const call = { replace: 'save', remove: 'destroy', touch: 'touch' } as const;
			const failed = session[call[name]]();
			await expect(failed, name).rejects.toMatchObject({ code: 'store_failed' });
			vi.restoreAllMocks();
		}
	});

	test('by throwing at once, or something that is no Error, is a StoreError', async () => {
		const cookie = await visitor({ n: 1 });
		for (const thrown of ['down', undefined, 5]) {
			vi.spyOn(operations(), 'replace').mockImplementation(() => {
				// eslint-disable-next-line @typescript-eslint/only-throw-error -- as stores may
				throw thrown;
			});
			const { session } = await opened(cookie);
			await expect(session.save()).rejects.toMatchObject({ code: 'store_failed' });
			vi.restoreAllMocks();
		}
	});
});

test('a full store fails no page of a visitor who only looks', async () => {
	store = new MemoryStore({ maxEntries: 1 });
	options = { ...options, store, saveUninitialized: true };
	await visitor({ n: 1 });
	const { event } = testEvent();
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: () => new Response('page')
	});
	expect(response.status).toBe(200);
	expect(response.headers.getSetCookie()).toEqual([]);
	expect(events).toEqual(['store_failed']);
});

test.each([
	['is full', { refused: true, full: true }, 'store_full'],
	['refuses to write', { refused: true }, 'store_failed']
])('a store that %s fails no page of a visitor who only looks', async (_, how, code) => {
	const errors: unknown[] = [];
	options = {
		...options,
		saveUninitialized: true,
		onEvent: (event) => {
			if (event.type === 'store_failed') errors.push(event.error);
		}
	};
	vi.spyOn(operations(), 'create').mockRejectedValue(Object.assign(new Error('no'), how));
	const { session, cookie } = await opened(undefined);
	const error = expect.objectContaining({ code }) as Error;
	expect([session.isNew, cookie(), errors]).toEqual([true, '', [error]]);
	vi.restoreAllMocks();
	// There is no session any more, which is no error.
	await session.save();
	expect(session.isNew).toBe(false);
});
