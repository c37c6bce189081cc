import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type Session,
	type SessionData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

/* Which session a request has: of several cookies of one name, and of records that say that there is none. */

type Data = SessionData & { n?: number };
type App = (session: Session & { data: Data }) => unknown;

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	vi.useFakeTimers({ toFake: ['Date'] });
	store = new MemoryStore();
	events = [];
	options = {
		secret: SECRET,
		store,
		encrypt: true,
		absoluteTimeout: 60,
		cookie: { maxAge: 600 },
		onEvent: ({ type }) => events.push(type)
	};
});

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

function atomic(): AtomicOperations {
	if (!store.atomic) throw new Error('a memory store is atomic');
	return store.atomic;
}

/** The cookies that the response to a request sets. */
async function request(
	cookie: string | undefined,
	app: App = () => undefined,
	config = options
): Promise<string[]> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await app(event.locals.session);
			return new Response();
		}
	});
	return response.headers.getSetCookie();
}

async function visitor(n: number, config = options): Promise<string> {
	const [cookie = ''] = await request(
		undefined,
		async (session) => {
			await session.setData({ n });
			await session.save();
		},
		config
	);
	return pairOf(cookie);
}

const pairOf = (header: string): string => header.split(';', 1)[0] ?? '';

const dataOf = async (cookie: string): Promise<Data> => {
	let data: Data = {};
	await request(cookie, (session) => (data = session.data));
	return data;
};

/** A cookie whose ID a login has taken out of use. */
async function outOfUse(): Promise<string> {
	const cookie = await visitor(0);
	await request(cookie, async (session) => session.login('bob'));
	return cookie;
}

/** A cookie of a session that another instance of the application may be able to read: one that does not encrypt. */
async function unreadable(): Promise<string> {
	return visitor(0, { ...options, encrypt: false });
}

async function expired(): Promise<string> {
	const cookie = await visitor(0);
	vi.setSystemTime(Date.now() + 61_000);
	return cookie;
}

describe('two cookies of one name', () => {
	test('the first that leads to a session decides, whatever the other one is', async () => {
		for (const other of [expired, outOfUse, unreadable, async () => visitor(2)]) {
			const second = await other();
			const first = await visitor(1);
			expect(await dataOf(`${first}; ${second}`), other.name).toEqual({ n: 1 });
			events.length = 0;
		}
		const [first, second] = [await outOfUse(), await visitor(2)];
		expect(await dataOf(`${first}; ${second}`)).toEqual({ n: 2 });
	});

	test('one that another instance may be able to read comes before one whose ID is out of use', async () => {
		const [old, long] = [await outOfUse(), await unreadable()];
		for (const cookie of [`${old}; ${long}`, `${long}; ${old}`]) {
			const saving = request(cookie, async (session) => session.save());
			await expect(saving).rejects.toMatchObject({ code: 'not_sealed' });
		}
	});

	test('one whose ID is out of use comes before an expired one: no cookie is removed', async () => {
		const gone = await expired();
		const old = await outOfUse();
		expect(await request(`${gone}; ${old}`)).toEqual([]);
	});

	test('one that cannot be read comes before an expired one: nothing is overwritten', async () => {
		const gone = await expired();
		const long = await unreadable();
		const saving = request(`${gone}; ${long}`, async (session) => session.save());
		await expect(saving).rejects.toMatchObject({ code: 'not_sealed' });
		expect(await request(`${gone}; ${long}`)).toEqual([]);
	});
});

test('a session that is found expired leaves the list of its user', async () => {
	const [login = ''] = await request(undefined, async (session) => session.login('ada'));
	vi.setSystemTime(Date.now() + 61_000);
	const changes = vi.spyOn(atomic(), 'replace');
	await request(pairOf(login));
	expect(events).toContain('expired');
	expect(changes).toHaveBeenCalledTimes(1);
	expect(await sessions(options).of('ada').list()).toEqual([]);
});

test('removing an expired cookie does not remove the session that another request has begun', async () => {
	const cookie = await expired();
	let release = (): void => undefined;
	const gate = new Promise<void>((resolve) => (release = resolve));
	// Neither request removes the record before both have read it.
	const remove = atomic().remove.bind(atomic());
	vi.spyOn(atomic(), 'remove').mockImplementation(async (...args) => {
		await gate;
		return remove(...args);
	});
	let opened = (): void => undefined;
	const isOpen = new Promise<void>((resolve) => (opened = resolve));
	const slow = request(cookie, () => {
		opened();
		return gate;
	});
	await isOpen;
	let saved = (): void => undefined;
	const isSaved = new Promise<void>((resolve) => (saved = resolve));
	const newer = request(cookie, async (session) => {
		await session.setData({ n: 2 });
		await session.save();
		saved();
	});
	await isSaved;
	release();
	expect(await newer).toHaveLength(1);
	expect(await slow).toEqual([]);
});

test('a list that the store does not answer about is a failure, not a session that cannot be read', async () => {
	const [login = ''] = await request(undefined, async (session) => session.login('ada'));
	const read = atomic().read.bind(atomic());
	const down = new Error('down');
	vi.spyOn(atomic(), 'read').mockRejectedValue(down);
	vi.spyOn(atomic(), 'readTwo').mockImplementation(async (id) => [await read(id), down]);
	events.length = 0;
	await expect(request(pairOf(login))).rejects.toMatchObject({ code: 'store_failed' });
	expect(events).not.toContain('unreadable');
});

test('a stored value that is not text is no session, with and without encryption', async () => {
	const [first] = await request(undefined, (session) => session.save());
	const cookie = pairOf(first ?? '');
	vi.spyOn(atomic(), 'read').mockRejectedValueOnce(new SyntaxError('Unexpected token'));
	const [next] = await request(cookie, async (session) => {
		expect(session.isNew).toBe(true);
		await session.save();
	});
	expect(events.filter((type) => type === 'unreadable')).toHaveLength(1);
	expect(next).toBeDefined();
	expect(pairOf(next ?? '')).not.toBe(cookie);
});
