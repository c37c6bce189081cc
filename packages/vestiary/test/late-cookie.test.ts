import { beforeEach, describe, expect, test } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type Session,
	type SessionData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

/*
 * A slow request in one process, and a faster one of the same visitor in another. Each process has its own store
 * object, so they share the stored records and nothing else.
 */

interface Data extends SessionData {
	n?: number;
}

type App = (session: Session & { data: Data }) => unknown;

let memory: MemoryStore;
let failing: boolean;
let reads: number;
let events: string[];
let common: SveltekitSessionConfig;

beforeEach(() => {
	memory = new MemoryStore();
	failing = false;
	reads = 0;
	events = [];
	common = {
		secret: '0123456789abcdef0123456789abcdef',
		cookie: { maxAge: 600 },
		onEvent: ({ type }) => events.push(type)
	};
});

/** The store of another process. */
function process(): Store {
	const { atomic } = memory;
	if (!atomic) throw new Error('a memory store is atomic');
	const operations: AtomicOperations = {
		...atomic,
		read: async (id) => {
			reads++;
			if (failing) throw new Error('down');
			return atomic.read(id);
		}
	};
	return {
		get: async (id) => memory.get(id),
		set: async (id, data, ttl) => memory.set(id, data, ttl),
		destroy: async (id) => memory.destroy(id),
		touch: async (id, ttl) => memory.touch(id, ttl),
		atomic: operations
	};
}

/** A request in a process of its own. Returns the cookies that its response sets. */
async function request(
	app: App,
	cookie?: string,
	options: Partial<SveltekitSessionConfig> = {}
): Promise<string[]> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle({ ...common, store: process(), ...options })({
		event,
		resolve: async () => {
			await app(event.locals.session);
			return new Response();
		}
	});
	return response.headers.getSetCookie().map((one) => one.split(';')[0] ?? '');
}

async function visitor(options?: Partial<SveltekitSessionConfig>): Promise<string> {
	const [cookie = ''] = await request(
		async (session) => {
			await session.setData({ n: 1 });
			await session.save();
		},
		undefined,
		options
	);
	events.length = 0;
	reads = 0;
	return cookie;
}

const FASTER: [string, App][] = [
	['login', async (session) => session.login('ada')],
	[
		'regenerate',
		async (session) => {
			await (await session.regenerate()).save();
		}
	],
	['logout', async (session) => session.destroy()]
];

const SLOW: [string, Partial<SveltekitSessionConfig>, App][] = [
	['rolls', { rolling: true }, () => undefined],
	['rolls and is touched', { rolling: true, touchAfter: 0 }, () => undefined],
	['was touched', {}, async (session) => session.touch()],
	['was saved', {}, async (session) => session.save()],
	['was changed', {}, async (session) => session.update(() => ({ n: 2 }))],
	['was renewed', {}, async (session) => session.renew()]
];

describe.each(FASTER)('a %s in another process, while the page is made', (_, faster) => {
	test.each(SLOW)('of a session that %s: no cookie', async (__, options, slow) => {
		const cookie = await visitor(options);
		let newer: string[] = [];
		const late = await request(
			async (session) => {
				await slow(session);
				newer = await request(faster, cookie);
			},
			cookie,
			options
		);
		expect(newer).toHaveLength(1);
		expect(late).toEqual([]);
	});

	test('by an old ID that still leads to a renewed session: no cookie', async () => {
		const old = await visitor();
		await request(async (session) => session.renew(), old);
		const late = await request(async () => {
			await request(faster, old);
		}, old);
		expect(late).toEqual([]);
	});
});

test.each(SLOW)(
	'a user ends all sessions and logs in again, in another process, while a page %s: no cookie',
	async (_, options, slow) => {
		const [cookie = ''] = await request(async (session) => session.login('ada'), undefined);
		let newer: string[] = [];
		const late = await request(
			async (session) => {
				await slow(session);
				const store = process();
				newer = await request(
					async (other) => {
						await sessions({ ...common, store })
							.of('ada')
							.revokeAll();
						await other.login('ada');
					},
					cookie,
					{ store }
				);
			},
			cookie,
			options
		);
		expect(newer).toHaveLength(1);
		expect(late).toEqual([]);
	}
);

test('a renewal in another process: the old ID does not replace the new one', async () => {
	const cookie = await visitor({ rolling: true });
	let newer: string[] = [];
	const late = await request(
		async () => {
			newer = await request(async (session) => session.renew(), cookie);
		},
		cookie,
		{ rolling: true }
	);
	expect(newer).toHaveLength(1);
	expect(newer[0]).not.toBe(cookie);
	expect(late).toEqual([]);
});

test('a late regenerate() removes no cookie that a login in another process has set', async () => {
	const cookie = await visitor();
	const late = await request(async (session) => {
		await request(async (other) => other.login('ada'), cookie);
		await session.regenerate();
	}, cookie);
	expect(late).toEqual([]);
});

test.each([
	['another process', process],
	['this process', () => undefined]
])('thrown redirects carry no such cookie either: a login in %s', async (_, storeOfLogin) => {
	const store = process();
	const cookie = await visitor();
	const { event, cookies } = testEvent(cookie);
	const handled = sveltekitSessionHandle({ ...common, store, rolling: true })({
		event,
		resolve: async () => {
			const login = async (session: Session): Promise<unknown> => session.login('ada');
			await request(login, cookie, { store: storeOfLogin() ?? store });
			throw new Error('a redirect');
		}
	});
	await expect(handled).rejects.toThrow('a redirect');
	expect(cookies).toEqual([]);
});

describe('the store is asked', () => {
	test('once more for a cookie of a session that others can end, and not for one that they cannot', async () => {
		const cookie = await visitor();
		for (const [app, sent, expected, options] of [
			[() => undefined, cookie, 1, {}],
			[() => undefined, cookie, 2, { rolling: true }],
			[async (session: Session) => session.save(), cookie, 2, {}],
			[async (session: Session) => session.save(), undefined, 0, {}]
		] as const) {
			reads = 0;
			await request(app, sent, options);
			expect(reads).toBe(expected);
		}
	});

	test('not if autoSave has just written the session', async () => {
		const cookie = await visitor();
		reads = 0;
		const options = { autoSave: true, rolling: true };
		const set = await request((session) => (session.data.n = 2), cookie, options);
		expect(set).toEqual([cookie]);
		expect(reads).toBe(1);
	});

	test('and that it fails then fails no page: a cookie that the browser has is not set again', async () => {
		const cookie = await visitor();
		const fail = (): void => {
			failing = true;
		};
		expect(await request(fail, cookie, { rolling: true })).toEqual([]);
		expect(events).toEqual(['store_failed']);
		failing = false;
		// A new ID is: without it the visitor would lose the session.
		const renewed = await request(async (session) => {
			await session.renew();
			fail();
		}, cookie);
		expect(renewed).toHaveLength(1);
	});
});

test('a store that is not atomic is asked, too', async () => {
	const records = new CountingStore();
	const options = (): Partial<SveltekitSessionConfig> => ({
		rolling: true,
		store: {
			get: async (id) => records.get(id),
			set: async (id, data, ttl) => records.set(id, data, ttl),
			destroy: async (id) => records.destroy(id),
			touch: async (id, ttl) => records.touch(id, ttl)
		}
	});
	const cookie = await visitor(options());
	const late = await request(
		async () => {
			await request(async (session) => session.destroy(), cookie, options());
		},
		cookie,
		options()
	);
	expect(late).toEqual([]);
});

test.each([
	['renewed', (session: Session) => session.renew()],
	['ended', (session: Session) => session.destroy()]
])(
	'a logout that the store did not confirm takes the cookie away, also where autoSave finds the session %s',
	async (_, faster) => {
		const [login = ''] = await request(async (session) => {
			await session.setData({ n: 1 });
			await session.save();
		});
		const cookie = login.split(';')[0];
		const store = process();
		const { atomic } = store;
		if (!atomic) throw new Error('it is atomic');
		const remove = async (): Promise<never> => Promise.reject(new Error('down'));
		const options = { autoSave: true, store: { ...store, atomic: { ...atomic, remove } } };
		const slow = await request(
			async (session) => {
				session.data.n = 2;
				await expect(session.destroy()).rejects.toThrow();
				await request(faster, cookie);
			},
			cookie,
			options
		);
		expect(slow).toEqual(['connect.sid=']);
	}
);
