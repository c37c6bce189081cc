import { beforeEach, describe, expect, test } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

let memory: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	memory = new MemoryStore();
	events = [];
	options = { secret: SECRET, store: memory, onEvent: ({ type }) => events.push(type) };
});

/** The store as another process sees it, which shares no other state. */
function elsewhere(): SveltekitSessionConfig {
	const { atomic } = memory;
	if (!atomic) throw new Error('a memory store is atomic');
	const store: Store = {
		get: async (id) => memory.get(id),
		set: async (id, data, ttl) => memory.set(id, data, ttl),
		destroy: async (id) => memory.destroy(id),
		touch: async (id, ttl) => memory.touch(id, ttl),
		atomic: { ...atomic }
	};
	return { secret: SECRET, store };
}

/** One request; `act` runs while its response is made. */
async function visit(
	cookie: string | undefined,
	act: (session: Session) => Promise<unknown>,
	config = options
): Promise<{ cookie: string; setCookie: string[] }> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await act(event.locals.session);
			return new Response('ok');
		}
	});
	const setCookie = response.headers.getSetCookie();
	return { setCookie, cookie: setCookie.at(-1)?.split(';')[0] ?? cookie ?? '' };
}

async function loggedIn(): Promise<string> {
	const { cookie } = await visit(undefined, async (session) => session.login('ada'));
	events.length = 0;
	return cookie;
}

const ENDS: [string, (session: Session) => Promise<unknown>][] = [
	['revokeAll()', async () => sessions(elsewhere()).of('ada').revokeAll()],
	[
		'revokeOthers()',
		async () => {
			let other: Session | undefined;
			await visit(
				undefined,
				async (session) => (other = await session.login('ada')),
				elsewhere()
			);
			if (other) await sessions(elsewhere()).of('ada').revokeOthers(other);
		}
	],
	[
		'revoke()',
		async () => {
			const list = sessions(elsewhere()).of('ada');
			for (const { handle } of await list.list()) await list.revoke(handle);
		}
	],
	[
		'a login beyond sessionsPerUser',
		async () =>
			visit(undefined, async (session) => session.login('ada'), {
				...elsewhere(),
				sessionsPerUser: 1
			})
	]
];

const WRITES: [string, (session: Session) => Promise<unknown>, SveltekitSessionConfig?][] = [
	['save()', async (session) => session.save()],
	['touch()', async (session) => session.touch()],
	['renew()', async (session) => session.renew()],
	[
		'update()',
		async (session) => {
			expect(await session.update((data) => ({ ...data, n: 1 }))).toBe(false);
		}
	],
	['autoSave', async (session) => session.setData({ n: 1 }), { secret: SECRET, autoSave: true }]
];

describe.each(ENDS)('a session that %s of another process has ended', (_, end) => {
	test.each(WRITES)('is not written by %s', async (__, write, config) => {
		const cookie = await loggedIn();
		const id = decodeURIComponent(cookie).split(/[=.]/)[2] ?? '';
		const { setCookie } = await visit(
			cookie,
			async (session) => {
				expect(session.userId).toBe('ada');
				await end(session);
				const before = await memory.atomic?.read(id);
				await write(session);
				expect(await memory.atomic?.read(id)).toBe(before);
			},
			{ ...options, ...config }
		);
		expect(events).toEqual(['gone']);
		expect(setCookie).toEqual([]);
	});

	test('is not written by what holds it longer than its request', async () => {
		const cookie = await loggedIn();
		let held: Session | undefined;
		await visit(cookie, async (session) => (held = session));
		if (!held) throw new Error('there was no request');
		await end(held);
		expect(await held.update((data) => data)).toBe(false);
		expect([held.userId, held.data, held.isNew]).toEqual([undefined, {}, true]);
		expect(events).toEqual(['gone']);
	});
});

test('a cookie that has rolled before the session was revoked stays here', async () => {
	options = { ...options, rolling: true, cookie: { maxAge: 600 } };
	const cookie = await loggedIn();
	const { setCookie } = await visit(cookie, async (session) => {
		await sessions({ ...elsewhere(), cookie: { maxAge: 600 } })
			.of('ada')
			.revokeAll();
		await session.save();
	});
	expect(setCookie).toEqual([]);
});

test('a write of a session without a user reads no list', async () => {
	const config = elsewhere();
	const reads: string[] = [];
	const store = config.store;
	const { atomic } = memory;
	if (!store || !atomic) throw new Error('a memory store is atomic');
	const read = async (id: string): Promise<string | null> => {
		reads.push(id);
		return atomic.read(id);
	};
	config.store = { ...store, atomic: { ...atomic, read } };
	const { cookie } = await visit(undefined, async (session) => session.save(), config);
	reads.length = 0;
	await visit(cookie, async (session) => session.save(), config);
	expect(reads.filter((key) => key.startsWith('user:'))).toEqual([]);
});

describe('the label of a session', () => {
	test.each([
		['x'.repeat(1_000_000), 'x'.repeat(256)],
		['😀'.repeat(300), '😀'.repeat(256)],
		['Firefox, "old" \\ \n', 'Firefox, "old" \\ \n'],
		['', '']
	])('is cut between two characters', async (label, kept) => {
		await visit(undefined, async (session) => session.login('ada', { label }));
		const [listed] = await sessions(options).of('ada').list();
		expect(listed?.label).toBe(kept);
	});

	test('makes no list larger than a record: the longest unused session makes room', async () => {
		options = { ...options, sessionsPerUser: Infinity };
		const label = '\u0001'.repeat(256);
		let last = '';
		for (let n = 0; n < 60; n++) {
			({ cookie: last } = await visit(undefined, async (session) =>
				session.login('ada', { label })
			));
		}
		const listed = await sessions(options).of('ada').list();
		expect(listed.length).toBeGreaterThan(30);
		expect(listed.length).toBeLessThan(45);
		await visit(last, async (session) => {
			expect(session.userId).toBe('ada');
		});
	});
});

test.each([NaN, 0, -1, 1.5, 2 ** 32, -Infinity])('sessionsPerUser: %d is refused', (most) => {
	expect(() => sveltekitSessionHandle({ ...options, sessionsPerUser: most })).toThrow(
		ConfigError
	);
	expect(() => sessions({ ...options, sessionsPerUser: most })).toThrow(/sessionsPerUser/);
});

test.each([1, 2, Infinity])('sessionsPerUser: %d lets so many stay', async (most) => {
	options = { ...options, sessionsPerUser: most };
	for (let n = 0; n < 3; n++) await loggedIn();
	expect(await sessions(options).of('ada').list()).toHaveLength(Math.min(3, most));
});

const tooLong = 'é'.repeat(513);
test.each(['\ud800', 'ada\udc00', '', tooLong, undefined, 5])('%j is no user', async (name) => {
	await visit(undefined, async (session) => {
		await expect(session.login(name as string)).rejects.toBeInstanceOf(ConfigError);
		expect(session.isNew).toBe(true);
	});
	expect(() => sessions(options).of(name as string)).toThrow(ConfigError);
});

test('labels, secrets and namespaces are well-formed, too', async () => {
	await visit(undefined, async (session) => {
		const label = 'phone \ud83d';
		await expect(session.login('ada', { label })).rejects.toBeInstanceOf(ConfigError);
	});
	expect(await sessions(options).of('ada').list()).toEqual([]);
	for (const wrong of [{ secret: `${SECRET}\ud800` }, { namespace: 'shop\ud800' }])
		expect(() => sveltekitSessionHandle({ ...options, ...wrong })).toThrow(ConfigError);
});
