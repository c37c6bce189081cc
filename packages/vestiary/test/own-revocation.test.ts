import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	LoginOutdatedError,
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	events = [];
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store: new MemoryStore(),
		onEvent: ({ type }) => events.push(type)
	};
});

async function visit(
	cookie: string | undefined,
	act: (session: Session) => Promise<unknown>,
	config = options
): Promise<{ cookie: string; setCookie: string[]; session: Session }> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await act(event.locals.session);
			return new Response('ok');
		}
	});
	const setCookie = response.headers.getSetCookie();
	const { session } = event.locals;
	return { setCookie, cookie: setCookie.at(-1)?.split(';')[0] ?? cookie ?? '', session };
}

const loggedIn = async (): Promise<string> =>
	(await visit(undefined, async (session) => session.login('ada', { data: { n: 1 } }))).cookie;

/** The cookie of a session with cookie attributes of its own. */
const loggedInBy = async (own: { path: string }): Promise<string> => {
	const logging = visit(undefined, async (session) => {
		const user = await session.login('ada');
		Object.assign(user.cookie, own);
		await user.save();
	});
	return (await logging).cookie;
};

const ENDS: [string, (session: Session, config: SveltekitSessionConfig) => Promise<void>][] = [
	['revokeAll()', async (_, config) => sessions(config).of('ada').revokeAll()],
	[
		'revoke() of its own handle',
		async (session, config) => {
			const list = sessions(config).of('ada');
			for (const { handle, current } of await list.list(session))
				if (current) await list.revoke(handle);
		}
	]
];

describe.each(ENDS)('%s in the session’s own request', (_, end) => {
	test('ends the session at once and removes the cookie', async () => {
		const cookie = await loggedIn();
		const { setCookie } = await visit(cookie, async (session) => {
			// Also by a handle with other options and the same store.
			await end(session, { ...options, autoSave: true });
			expect([session.userId, session.data, session.isNew]).toEqual([undefined, {}, true]);
			events.length = 0;
			await session.setData({ n: 2 });
			await session.save();
			expect(await session.update((data) => data)).toBe(false);
			await session.touch();
			expect(events).toEqual(['gone', 'gone', 'gone']);
		});
		expect(setCookie).toHaveLength(1);
		expect(setCookie[0]).toContain('Max-Age=0');
	});

	test.each<
		[string, (session: Session, run: () => Promise<void>, cookie: string) => Promise<unknown>]
	>([
		[
			'an update',
			async (session, run) => session.update(async () => run().then(() => undefined))
		],
		[
			'an update whose function takes long',
			async (session, run) =>
				session.update(async () => {
					await run();
					await new Promise((resolve) => setTimeout(resolve, 10));
				})
		],
		[
			'an update, after which a save waits,',
			async (session, run) =>
				Promise.all([
					session.update(async () => run().then(() => undefined)),
					session.save()
				])
		],
		[
			'an update, whose record another request removes,',
			async (session, run, cookie) =>
				session.update(async () => {
					await run();
					await visit(cookie, async () => undefined);
				})
		],
		['a save', async (session, run) => Promise.all([session.save(), run()])],
		['a touch', async (session, run) => Promise.all([run(), session.touch()])]
	])('while %s is under way ends it and removes the cookie', async (__, act) => {
		const cookie = await loggedInBy({ path: '/app' });
		const { setCookie } = await visit(cookie, async (session) => {
			await act(session, async () => end(session, options), cookie);
			expect(session.isNew).toBe(true);
		});
		expect(setCookie).toHaveLength(1);
		expect(setCookie[0]).toContain('Max-Age=0; Path=/app;');
	});

	test('lets the visitor log in again in the same request', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		try {
			const cookie = await loggedIn();
			const again = await visit(cookie, async (session) => {
				vi.setSystemTime(Date.now() + 5_000);
				await end(session, options);
				await session.login('ada');
			});
			expect(again.setCookie).toHaveLength(1);
			await visit(again.cookie, async (session) => {
				expect(session.userId).toBe('ada');
			});
			await visit(cookie, async (session) => {
				expect(session.userId).toBeUndefined();
			});
		} finally {
			vi.useRealTimers();
		}
	});
});

test('a visitor who was anonymous may end all sessions and log in, but not if another request ended them since', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	try {
		const wait = (): unknown => vi.setSystemTime(Date.now() + 10);
		await visit(undefined, async (session) => {
			wait();
			await sessions(options).of('ada').revokeAll();
			wait();
			await sessions(options).of('ada').revokeAll();
			await session.login('ada');
		});
		let revokeElsewhere: (() => Promise<void>) | undefined;
		const other = visit(undefined, async () => {
			await new Promise<void>((leave) => {
				revokeElsewhere = async () => {
					leave();
				};
			});
			await sessions(options).of('ada').revokeAll();
		});
		await visit(undefined, async (session) => {
			wait();
			await revokeElsewhere?.();
			await other;
			wait();
			await sessions(options).of('ada').revokeAll();
			await expect(session.login('ada')).rejects.toBeInstanceOf(LoginOutdatedError);
		});
	} finally {
		vi.useRealTimers();
	}
});

test('another request of the session loses it at once, and sets no cookie at all', async () => {
	const cookie = await loggedIn();
	let leave: (() => void) | undefined;
	let held: Session | undefined;
	const slow = visit(cookie, async (session) => {
		held = session;
		await new Promise<void>((resolve) => (leave = resolve));
	});
	while (!held) await Promise.resolve();
	expect(held.userId).toBe('ada');
	await visit(cookie, async () => sessions(options).of('ada').revokeAll());
	expect([held.userId, held.data]).toEqual([undefined, {}]);
	leave?.();
	expect((await slow).setCookie).toEqual([]);
});

test('a session that is kept, and one of another user or namespace, stays', async () => {
	const shop = { ...options, namespace: 'shop' };
	const eve = await visit(undefined, async (session) => session.login('eve'));
	const there = await visit(undefined, async (session) => session.login('ada'), shop);
	const cookie = await loggedIn();
	await visit(eve.cookie, async (other) => {
		await visit(
			there.cookie,
			async (elsewhere) => {
				await visit(cookie, async (session) => {
					await sessions(options).of('ada').revokeOthers(session);
					expect(session.userId).toBe('ada');
				});
				expect([other.userId, elsewhere.userId]).toEqual(['eve', 'ada']);
			},
			shop
		);
	});
});

test('nothing of a request is kept after its end', async () => {
	const cookie = await loggedIn();
	const { session } = await visit(cookie, async () => undefined);
	await sessions(options).of('ada').revokeAll();
	// No request has it open; a reference that is still held notices it at its next write.
	expect(session.userId).toBe('ada');
	expect(await session.update((data) => data)).toBe(false);
	expect(session.userId).toBeUndefined();
});

test('a stream whose session was revoked writes nothing, and gets an error', async () => {
	const cookie = await loggedIn();
	const { session } = await visit(cookie, async (streaming) => {
		await visit(cookie, async () => sessions(options).of('ada').revokeAll());
		expect(streaming.userId).toBeUndefined();
	});
	events.length = 0;
	expect(await session.update((data) => data)).toBe(false);
	await session.save();
	await session.touch();
	expect(events).toEqual(['gone', 'gone', 'gone']);
	expect(session.isNew).toBe(true);
});
