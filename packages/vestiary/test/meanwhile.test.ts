import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { MemoryStore, Session, type SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';
import {
	loggedIn,
	operationsOf,
	remote,
	visit,
	visitor,
	type Data,
	type Visited
} from './visits.js';

/* What happens to a session while code of the application runs: the function of an update, and a listener. */

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	store = new MemoryStore();
	options = { secret: SECRET, store };
});

/** An update whose function ends when the test says so. */
function beginUpdate(session: Visited): { updated: Promise<boolean>; go: () => void } {
	let go = (): void => undefined;
	const gate = new Promise<void>((resolve) => (go = resolve));
	const updated = session.update(async (data: Data) => {
		await gate;
		return { ...data, m: 2 };
	});
	return { updated, go };
}

test('an update whose session a login replaces meanwhile has written nothing', async () => {
	const cookie = await visitor(options, { n: 1 });
	const { cookies } = await visit(
		options,
		async (session) => {
			const { updated, go } = beginUpdate(session);
			await session.login('ada');
			go();
			expect(await updated).toBe(false);
			expect([session.userId, session.data]).toEqual(['ada', {}]);
		},
		cookie
	);
	const { session } = await visit(options, () => undefined, cookies[0]);
	expect([session.userId, session.data]).toEqual(['ada', {}]);
});

test.each([
	['nothing else', async () => undefined],
	['a touch', async (session: Visited) => session.touch()],
	['a save', async (session: Visited) => session.save()],
	['a renewal', async (session: Visited) => session.renew()]
])('an update finds that its session was ended elsewhere, after %s', async (_, operation) => {
	const cookie = await loggedIn(options);
	await visit(
		options,
		async (session) => {
			const { updated, go } = beginUpdate(session);
			await operation(session);
			const elsewhere = { ...options, store: remote(store) };
			await visit(elsewhere, async (other) => other.destroy(), cookie);
			go();
			expect(await updated).toBe(false);
			expect([session.isNew, session.userId, session.data]).toEqual([true, undefined, {}]);
		},
		cookie
	);
});

test('an update that fails takes nothing back that was done meanwhile', async () => {
	const cookie = await visitor(options, { n: 1 });
	const { cookies } = await visit(
		options,
		async (session) => {
			let fail = (): void => undefined;
			const gate = new Promise<void>((_, reject) => {
				fail = () => {
					reject(new Error('no'));
				};
			});
			const updated = session.update(async (data) => {
				await gate;
				return data;
			});
			await session.renew();
			const { id } = session;
			fail();
			await expect(updated).rejects.toThrow('no');
			expect(session.id).toBe(id);
		},
		cookie
	);
	expect(cookies).toHaveLength(1);
	expect(cookies).not.toEqual([cookie]);
});

test('data that is set after an update was called takes the place of its result', async () => {
	const config = { ...options, autoSave: true };
	const cookie = await visitor(config, { n: 1 });
	await visit(
		config,
		async (session) => {
			const { updated, go } = beginUpdate(session);
			await session.setData({ n: 5 });
			expect(session.data).toEqual({ n: 5 });
			go();
			expect(await updated).toBe(true);
			expect(session.data).toEqual({ n: 5 });
		},
		cookie
	);
	const { session } = await visit(config, () => undefined, cookie);
	expect(session.data).toEqual({ n: 5 });
});

test('operations wait for an update of a session that is not stored yet', async () => {
	const { cookies } = await visit(options, async (session) => {
		const { updated, go } = beginUpdate(session);
		const others = [session.update((data) => ({ ...data, n: 1 })), session.save()];
		setTimeout(go, 50);
		await Promise.all([updated, ...others]);
	});
	const { session } = await visit(options, () => undefined, cookies[0]);
	expect(session.data).toEqual({ m: 2, n: 1 });
	expect(store.size).toBe(1);
});

test('a login stays, after an update of a session that is not stored yet', async () => {
	const { cookies } = await visit(options, async (session) => {
		const { updated, go } = beginUpdate(session);
		const login = session.login('ada');
		setTimeout(go, 50);
		await Promise.all([updated, login]);
	});
	const { session } = await visit(options, () => undefined, cookies[0]);
	expect(session.userId).toBe('ada');
});

test('a listener that opens another session does not mix it with this one', async () => {
	const cookies = [await visitor(options, { n: 0 }), await visitor(options, { n: 1 })];
	const other = await visitor(options, { n: 2 });
	const { session: damaged } = await visit(options, () => undefined, cookies[0]);
	await store.destroy(damaged.id);
	await operationsOf(store).create(damaged.id, 'no record', 60_000, false);
	const heard: Promise<Session>[] = [];
	const onEvent: SveltekitSessionConfig['onEvent'] = ({ type }) => {
		if (type === 'unreadable') heard.push(Session.initialize(testEvent(other).event, options));
	};
	const { session } = await visit({ ...options, onEvent }, () => undefined, cookies.join('; '));
	expect(session.data).toEqual({ n: 1 });
	expect((await heard[0])?.data).toEqual({ n: 2 });
});

describe('while the handle waits for the store, with the response ready', () => {
	/** A visitor whose session is being refreshed, and the application's operations before that has ended. */
	async function late(app: (session: Visited) => Promise<unknown>): Promise<Data> {
		vi.useFakeTimers({ toFake: ['Date'] });
		const config = { ...options, autoSave: true, rolling: true, cookie: { maxAge: 600 } };
		const cookie = await visitor(config, { n: 1 });
		vi.setSystemTime(Date.now() + 300_000);
		const elsewhere = remote(store);
		let open = (): void => undefined;
		const gate = new Promise<void>((resolve) => (open = resolve));
		vi.spyOn(elsewhere.atomic, 'touch').mockImplementation(async () => {
			await gate;
			return 'done';
		});
		let rest: Promise<unknown> = Promise.resolve();
		const { cookies } = await visit(
			{ ...config, store: elsewhere },
			(session) => {
				session.data.n = 2;
				setImmediate(() => {
					rest = app(session);
					setImmediate(open);
				});
			},
			cookie
		);
		await rest;
		const { session } = await visit(config, () => undefined, cookies.at(-1) ?? cookie);
		return session.data;
	}

	afterEach(() => {
		vi.useRealTimers();
		vi.restoreAllMocks();
	});

	test('a save that the application calls is not overwritten by what it had changed before', async () => {
		const data = await late(async (session) => {
			session.data.n = 3;
			await session.save();
		});
		expect(data).toEqual({ n: 3 });
	});

	test('nothing of the session before a login gets into the one after it', async () => {
		const data = await late(async (session) => session.login('ada', { data: { m: 1 } }));
		expect(data).toEqual({ m: 1 });
	});
});
