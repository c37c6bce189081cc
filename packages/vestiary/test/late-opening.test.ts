import { afterEach, describe, expect, test, vi } from 'vitest';

import { Core } from '../src/generated/vestiary.js';
import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type Session,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

/* Sessions that are opened when the application looks at them. */

const SECRET = '0123456789abcdef0123456789abcdef';

afterEach(() => {
	vi.restoreAllMocks();
});

/** Handles a request in which the application does this. */
async function visit(
	options: SveltekitSessionConfig,
	cookie: string | undefined,
	does: (session: Session) => unknown
): Promise<{ response: Response; session: Session; begun: number; cookie: string | undefined }> {
	const begins = [vi.spyOn(Core.prototype, 'begin'), vi.spyOn(Core.prototype, 'open')];
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await does(event.locals.session);
			return new Response('ok');
		}
	});
	const begun = begins.flatMap(({ mock }) => mock.calls as unknown[]).length;
	for (const spy of begins) spy.mockRestore();
	const set = response.headers.getSetCookie().at(-1)?.split(';')[0];
	return { response, session: event.locals.session, begun, cookie: set };
}

async function visitor(options: SveltekitSessionConfig): Promise<string> {
	const { cookie = '' } = await visit(options, undefined, async (session) =>
		session.login('ada')
	);
	return cookie;
}

/** The number of sessions of the user. */
async function listed(store: Store): Promise<number> {
	return (await sessions({ secret: SECRET, store }).of('ada').list()).length;
}

describe('with a MemoryStore', () => {
	test('a page that does not look at the session opens none, and one that does opens it once', async () => {
		const options = { secret: SECRET, store: new MemoryStore() };
		const cookie = await visitor(options);
		const unseen = await visit(options, cookie, () => undefined);
		expect(unseen.begun).toBe(0);
		expect(unseen.response.headers.get('vary')).toBeNull();
		const seen = await visit(options, cookie, (session) => [session.userId, session.data]);
		expect(seen.begun).toBe(1);
		expect(seen.response.headers.get('vary')).toBe('Cookie');
		// A cookie that is not valid, too.
		expect((await visit(options, `${cookie}x`, () => undefined)).begun).toBe(0);
	});

	test.each<[string, Partial<SveltekitSessionConfig>]>([
		['rolling', { rolling: true }],
		['renewAfter', { renewAfter: 60 }],
		['idleTimeout', { idleTimeout: 60 }],
		['saveUninitialized', { saveUninitialized: true }],
		['onEvent', { onEvent: () => undefined }]
	])('%s is asked of each session, so each is opened', async (_, more) => {
		const options = { secret: SECRET, store: new MemoryStore(), ...more };
		const cookie = await visitor(options);
		expect((await visit(options, cookie, () => undefined)).begun).toBeGreaterThan(0);
	});

	test.each<[string, unknown, (session: Session) => unknown]>([
		['the data', { n: 1 }, (session) => session.data],
		['whether it is new', false, (session) => session.isNew],
		['the user', 'ada', (session) => session.userId],
		['the cookie', 60, (session) => session.cookie.maxAge],
		['a save', { n: 1 }, async (session) => session.save().then(() => session.data)],
		['a touch', false, async (session) => session.touch().then(() => session.isNew)],
		['an update', true, async (session) => session.update((data) => data)],
		['a renewal', { n: 1 }, async (session) => session.renew().then(() => session.data)],
		['a logout', 0, async (session) => session.destroy().then(() => listed(session.store))],
		['a login', 1, async (session) => session.login('ada').then(() => listed(session.store))]
	])('%s opens it first', async (_, expected, look) => {
		const options = { secret: SECRET, store: new MemoryStore() };
		const { cookie } = await visit(options, undefined, async (session) => {
			await session.login('ada', { data: { n: 1 } });
			session.cookie.maxAge = 60;
			await session.save();
		});
		let found: unknown;
		await visit(options, cookie, async (session) => {
			found = await look(session);
		});
		expect(found).toEqual(expected);
	});

	test('a stream that looks first when the response has left finds the session as it is then, and leaves nothing behind', async () => {
		const store = new MemoryStore();
		const options = { secret: SECRET, store };
		const cookie = await visitor(options);
		const { session } = await visit(options, cookie, () => undefined);
		await visit(options, cookie, async (other) => {
			await other.setData({ n: 2 });
			await other.save();
		});
		expect(session.data).toEqual({ n: 2 });
		const again = (await visit(options, cookie, () => undefined)).session;
		await sessions(options).of('ada').revokeAll();
		expect(again.isNew).toBe(true);
		expect(again.userId).toBeUndefined();
	});

	test('a request that ends all sessions of its user without a look at its own has its cookie removed', async () => {
		const options = { secret: SECRET, store: new MemoryStore() };
		const revoked = await visit(options, await visitor(options), async () =>
			sessions(options).of('ada').revokeAll()
		);
		expect(revoked.response.headers.getSetCookie()).toEqual([
			expect.stringMatching(/^connect\.sid=;.*Max-Age=0/i)
		]);
	});

	test('an application that replaces functions of the store opens each session', async () => {
		const store = new MemoryStore();
		const options = { secret: SECRET, store };
		const cookie = await visitor(options);
		const { atomic } = store;
		if (!atomic) throw new Error('the store is not atomic');
		const read = vi.spyOn(atomic, 'readTwo');
		await visit(options, cookie, () => undefined);
		expect(read).toHaveBeenCalledTimes(1);
	});
});
