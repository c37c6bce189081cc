import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type Session,
	type SessionData,
	type SessionEvent,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

/** The same store, but asked by its functions. */
function asked(memory: MemoryStore): Store {
	const { atomic } = memory;
	return {
		get: async (id) => memory.get(id),
		set: async (id, data, ttl) => memory.set(id, data, ttl),
		destroy: async (id) => memory.destroy(id),
		touch: async (id, ttl) => memory.touch(id, ttl),
		atomic
	};
}

interface Seen {
	// It was there before anything was awaited.
	atOnce: boolean;
	data: unknown;
	id: string | undefined;
	isNew: boolean;
	user: string | undefined;
	cookies: string[];
	events: SessionEvent['type'][];
}

/** The state that a request with this cookie sees. */
async function see(options: SveltekitSessionConfig, cookie?: string): Promise<Seen> {
	const events: SessionEvent['type'][] = [];
	const { event } = testEvent(cookie);
	let session: Session | undefined;
	const handled = sveltekitSessionHandle({
		...options,
		onEvent: ({ type }) => events.push(type)
	})({
		event,
		resolve: () => {
			session = event.locals.session;
			return new Response('ok');
		}
	});
	const atOnce = session !== undefined;
	const response = await handled;
	const isNew = session?.isNew ?? true;
	return {
		atOnce,
		data: session?.data,
		id: isNew ? undefined : session?.id,
		isNew,
		user: session?.userId,
		cookies: response.headers.getSetCookie(),
		events
	};
}

/** The cookie of a visitor after this was done. */
async function visitor(
	options: SveltekitSessionConfig,
	does: (session: Session) => Promise<unknown>
): Promise<string> {
	const { event } = testEvent();
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await does(event.locals.session);
			return new Response('ok');
		}
	});
	return response.headers.getSetCookie().at(-1)?.split(';')[0] ?? '';
}

function storing(data: SessionData) {
	return async (session: Session): Promise<void> => {
		await session.setData(data);
		await session.save();
	};
}

const SITUATIONS: {
	what: string;
	options?: Partial<SveltekitSessionConfig>;
	does: (session: Session) => Promise<unknown>;
	/** Changes the cookie. */
	change?: (cookie: string) => string;
	/** Whether something must be awaited. */
	waits?: boolean;
	/** How much later the visitor returns, in seconds. */
	later?: number;
	/** Whether the request changes the situation, so that it cannot be repeated. */
	once?: boolean;
}[] = [
	{ what: 'ASCII', does: storing({ n: 1, text: 'a "quoted" \\ text', list: [{}, []] }) },
	{ what: 'more than ASCII', does: storing({ text: 'é, \u2028 and 😀' }) },
	{ what: 'nothing', does: storing({}) },
	{ what: 'much', does: storing({ text: 'long '.repeat(10_000) }) },
	{ what: 'express records', options: { format: 'express-session' }, does: storing({ n: 1 }) },
	{ what: 'hashed IDs', options: { hashIds: true }, does: storing({ n: 1 }) },
	{ what: 'a namespace', options: { namespace: 'shop' }, does: storing({ n: 1 }) },
	{ what: 'encrypted records', options: { encrypt: true }, does: storing({ n: 1 }), waits: true },
	{ what: 'a user', does: async (session) => session.login('ada é', { label: 'x' }) },
	{
		what: 'another cookie before it',
		does: storing({ n: 1 }),
		change: (cookie) => `theme=därk; ${cookie}; x=y`
	},
	{
		what: 'a forged one of the same name',
		does: storing({ n: 1 }),
		change: (cookie) => `connect.sid=${'x'.repeat(32)}.${'y'.repeat(43)}; ${cookie}`
	},
	{
		what: 'a forged one',
		does: storing({ n: 1 }),
		change: (cookie) => `${cookie.slice(0, -2)}xx`
	},
	{ what: 'no cookie', does: storing({ n: 1 }), change: () => '' },
	{
		what: 'two valid ones',
		does: storing({ n: 1 }),
		change: (cookie) => `${cookie}; ${cookie}`
	},
	{
		what: 'an ended session',
		does: async (session) => {
			await storing({ n: 1 })(session);
			await session.store.destroy(session.id);
		}
	},
	{
		what: 'an unreadable record',
		does: async (session) => {
			await storing({ n: 1 })(session);
			const record = { cookie: { path: '/' }, data: JSON.parse('{"__proto__":1}') as object };
			await session.store.set(session.id, record, 60_000);
		}
	},
	{
		what: 'an idle timeout',
		options: { idleTimeout: 3600, absoluteTimeout: 7200 },
		does: storing({ n: 1 })
	},
	{
		what: 'a session that is over',
		options: { absoluteTimeout: 60, cookie: { maxAge: 600 } },
		does: storing({ n: 1 }),
		later: 61,
		once: true
	},
	{
		what: 'a session that is due for another ID',
		options: { renewAfter: 60 },
		does: storing({ n: 1 }),
		later: 61,
		once: true
	},
	{
		what: 'a user who has ended it',
		does: async (session) => {
			await session.login('ada');
			// As another process does it; in this request itself, the cookie would be removed.
			if (!(session.store instanceof MemoryStore)) return;
			const store = asked(session.store);
			await sessions({ secret: SECRET, store }).of('ada').revokeAll();
		},
		once: true
	}
];

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }));

afterEach(() => vi.useRealTimers());

describe('opening without waiting gives the same result as waiting', () => {
	test.each(SITUATIONS)('$what', async (situation) => {
		const { options, does, waits, once, later = 0 } = situation;
		const change = situation.change ?? ((same: string): string => same);
		const memory = new MemoryStore();
		const common = { secret: SECRET, ...options };
		const cookie = change(await visitor({ ...common, store: memory }, does));
		vi.setSystemTime(Date.now() + later * 1_000);
		const glanced = await see({ ...common, store: memory }, cookie);
		expect(glanced.atOnce).toBe(waits !== true);
		if (once) return;
		const found = await see({ ...common, store: asked(memory) }, cookie);
		expect({ ...glanced, atOnce: false }).toEqual({ ...found, atOnce: false });
	});

	test('a rolling session that was refreshed a moment ago', async () => {
		const options = { secret: SECRET, rolling: true, cookie: { maxAge: 60 } };
		const handle = sveltekitSessionHandle({ ...options, store: new MemoryStore() });
		const visit = async (cookie?: string): Promise<{ atOnce: boolean; cookie: string }> => {
			const { event } = testEvent(cookie);
			let began = false;
			const handled = handle({
				event,
				resolve: async () => {
					began = true;
					if (cookie === undefined) await event.locals.session.save();
					return new Response('ok');
				}
			});
			const atOnce = began;
			const set = (await handled).headers.getSetCookie().join();
			return { atOnce, cookie: set.split(';')[0] ?? '' };
		};
		const { cookie } = await visit();
		expect(await visit(cookie)).toEqual({ atOnce: true, cookie });
	});
});
