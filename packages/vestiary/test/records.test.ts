import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	DataError,
	MemoryStore,
	ResponseSentError,
	Session,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type SessionData,
	type SessionHandle,
	type SessionStoreData,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent, type TestEvent } from './event.js';

interface Data extends SessionData {
	n?: number;
	user?: string;
}

type Opened = TestEvent & { session: Session & { data: Data } };

const SECRET = '0123456789abcdef0123456789abcdef';

let store: MemoryStore;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	store = new MemoryStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.restoreAllMocks();
});

/** The operations of the store, to be disturbed. */
function operations(): AtomicOperations {
	if (!store.atomic) throw new Error('a memory store is atomic');
	return store.atomic;
}

async function opened(cookie?: string, withOptions = options): Promise<Opened> {
	const made = testEvent(cookie);
	const session = await Session.initialize(made.event, withOptions);
	made.event.locals.session = session;
	return { ...made, session };
}

/** The `Cookie` header of the browser after this request. */
function cookieOf({ cookies, session }: Opened): string {
	return `${session.cookieName}=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
}

async function visitor(data: Data, withOptions = options): Promise<string> {
	const made = await opened(undefined, withOptions);
	await made.session.setData(data);
	await made.session.save();
	return cookieOf(made);
}

async function dataOf(cookie: string, withOptions = options): Promise<Data | undefined> {
	const { session } = await opened(cookie, withOptions);
	return session.isNew ? undefined : session.data;
}

/** The cookies that a handle sets in a request during which something else happens. */
async function during(
	handle: SessionHandle,
	cookie: string,
	meanwhile: () => Promise<unknown>
): Promise<string[]> {
	const { event } = testEvent(cookie);
	const response = await handle({
		event,
		resolve: async () => {
			await meanwhile();
			return new Response();
		}
	});
	return response.headers.getSetCookie();
}

describe('a cookie whose ID is out of use when the response leaves is not set', () => {
	const rolling = { rolling: true, cookie: { maxAge: 60 } };
	const here = (): SveltekitSessionConfig => ({ ...options, ...rolling });
	/** A handle as in another process: handles with other secrets share no state with ours. */
	const elsewhere = (): SveltekitSessionConfig => ({
		...here(),
		secret: [SECRET, 'a previous secret, longer than 32 bytes']
	});

	test('after a logout', async () => {
		const handle = sveltekitSessionHandle(here());
		const cookie = await visitor({ n: 1 }, here());
		const logout = async (): Promise<void> => (await opened(cookie, here())).session.destroy();
		expect(await during(handle, cookie, logout)).toEqual([]);
	});

	test('after a write that found the session under another ID', async () => {
		const handle = sveltekitSessionHandle(here());
		const cookie = await visitor({ n: 1 }, here());
		const cookies = await during(handle, cookie, async () => {
			const late = await opened(cookie, here());
			await (await opened(cookie, elsewhere())).session.renew();
			late.session.data.n = 2;
			await late.session.save();
		});
		expect(cookies.filter((one) => cookie.includes(one.split(/[=;]/)[1] ?? '-'))).toEqual([]);
	});

	test('after a login that shares nothing with this handle but the store', async () => {
		const handle = sveltekitSessionHandle(here());
		const cookie = await visitor({ n: 1 }, here());
		const login = async (): Promise<unknown> =>
			(await opened(cookie, elsewhere())).session.login('ada');
		expect(await during(handle, cookie, login)).toEqual([]);
	});

	test('after a touch that found nothing', async () => {
		const always = { ...here(), touchAfter: 0 };
		const handle = sveltekitSessionHandle(always);
		const cookie = await visitor({ n: 1 }, always);
		const touch = operations().touch.bind(operations());
		vi.spyOn(operations(), 'touch').mockImplementationOnce(async (id, ttl) => {
			await (await opened(cookie, elsewhere())).session.destroy();
			return touch(id, ttl);
		});
		expect(await during(handle, cookie, async () => Promise.resolve())).toEqual([]);
	});
});

test('an ID that the application makes a second time is in use again', async () => {
	const own = { ...options, genid: () => 'an-id-of-the-application' };
	const cookie = await visitor({ n: 1 }, own);
	await (await opened(cookie, own)).session.destroy();
	const { event } = testEvent();
	const response = await sveltekitSessionHandle(own)({
		event,
		resolve: async () => {
			await event.locals.session.setData({ n: 2 });
			await event.locals.session.save();
			return new Response();
		}
	});
	expect(response.headers.getSetCookie()).toHaveLength(1);
	expect(await dataOf(cookie, own)).toEqual({ n: 2 });
});

test('a session that its user has ended leaves the store when its cookie comes', async () => {
	const login = await opened();
	await login.session.login('ada');
	await sessions(options).of('ada').revokeAll();
	const before = store.size;
	expect(await dataOf(cookieOf(login))).toBeUndefined();
	expect(store.size).toBe(before - 1);
});

describe('a store', () => {
	test('that is full is asked once', async () => {
		store = new MemoryStore({ maxEntries: 1 });
		options = { ...options, store };
		await visitor({ n: 1 });
		const create = vi.spyOn(operations(), 'create');
		const { session } = await opened();
		await expect(session.save()).rejects.toMatchObject({ code: 'store_full' });
		expect(create).toHaveBeenCalledTimes(1);
		// Nor is a growing record retried.
		store = new MemoryStore({ maxBytes: 1_000 });
		options = { ...options, store };
		const grows = await opened(await visitor({ n: 1 }));
		const replace = vi.spyOn(operations(), 'replace');
		await grows.session.setData({ text: 'x'.repeat(1_000) });
		await expect(grows.session.save()).rejects.toMatchObject({ code: 'store_full' });
		expect(replace).toHaveBeenCalledTimes(1);
	});

	test('that answers after a failure is asked on', async () => {
		const cookie = await visitor({ n: 1 });
		const { session } = await opened(cookie);
		let asked = 0;
		for (const name of ['read', 'replace'] as const) {
			const operation = operations()[name].bind(operations()) as () => Promise<never>;
			vi.spyOn(operations(), name).mockImplementation(async (...all: unknown[]) => {
				if (++asked === 1 || asked === 3) throw new Error('down');
				return operation(...(all as []));
			});
		}
		expect(await session.update((data: Data) => ({ n: (data.n ?? 0) + 1 }))).toBe(true);
		vi.restoreAllMocks();
		expect(await dataOf(cookie)).toEqual({ n: 2 });
	});

	test('that has a record under the new ID of a login gets another one', async () => {
		const cookie = await visitor({ n: 1 });
		const { session } = await opened(cookie);
		const create = operations().create.bind(operations());
		let refused = 0;
		vi.spyOn(operations(), 'create').mockImplementation(async (id, ...rest) => {
			if (!id.startsWith('user:') && refused++ < 2) return false;
			return create(id, ...rest);
		});
		await session.login('ada', { data: { n: 2 } });
		expect(refused).toBe(3);
		expect(await dataOf(cookie)).toBeUndefined();
	});
});

test('a login that another process forestalls by a renewal each time gives up', async () => {
	let cookie = await visitor({ n: 1 });
	const { session } = await opened(cookie);
	const elsewhere = { ...options, secret: [SECRET, 'a previous secret, longer than 32 bytes'] };
	const replace = operations().replace.bind(operations());
	let renewals = 0;
	let renewing = false;
	vi.spyOn(operations(), 'replace').mockImplementation(async (id, ...rest) => {
		if (!renewing && !id.startsWith('user:') && renewals++ < 30) {
			renewing = true;
			const other = await opened(cookie, elsewhere);
			await other.session.renew();
			cookie = cookieOf(other);
			renewing = false;
		}
		return replace(id, ...rest);
	});
	await expect(session.login('ada')).rejects.toMatchObject({ code: 'store_busy' });
	vi.restoreAllMocks();
	expect(renewals).toBeLessThan(30);
	expect(await dataOf(cookie)).toEqual({ n: 1 });
	expect(await sessions(options).of('ada').list()).toEqual([]);
});

test('an update that makes data which cannot be stored is a DataError', async () => {
	const { session } = await opened(await visitor({ n: 1 }));
	const large = session.update(() => ({ text: 'x'.repeat(70_000) }));
	await expect(large).rejects.toBeInstanceOf(DataError);
	expect(session.data).toEqual({ n: 1 });
});

test('a failed save is tried again by autoSave', async () => {
	const saving = { ...options, autoSave: true };
	const cookie = await visitor({ n: 1 }, saving);
	const { event } = testEvent(cookie);
	await sveltekitSessionHandle(saving)({
		event,
		resolve: async () => {
			await event.locals.session.setData({ n: 2 });
			const down = vi.spyOn(operations(), 'replace').mockRejectedValue(new Error('down'));
			await expect(event.locals.session.save()).rejects.toMatchObject({
				code: 'store_failed'
			});
			down.mockRestore();
			return new Response();
		}
	});
	expect(await dataOf(cookie, saving)).toEqual({ n: 2 });
});

test('a login after the response has left is refused, and leaves nothing', async () => {
	const { event } = testEvent();
	await sveltekitSessionHandle(options)({ event, resolve: () => new Response() });
	await expect(event.locals.session.login('ada')).rejects.toBeInstanceOf(ResponseSentError);
	expect(store.size).toBe(0);
});

test('with two cookies whose IDs are out of use, a logout ends the session of the first', async () => {
	options = { ...options, renewGrace: 0 };
	const [first, second] = await Promise.all([visitor({ n: 1 }), visitor({ n: 2 })]);
	const renewed: Opened[] = [];
	for (const cookie of [first, second]) {
		const made = await opened(cookie);
		await made.session.renew();
		renewed.push(made);
	}
	await (await opened(`${first}; ${second}`)).session.destroy();
	const [one, other] = await Promise.all(renewed.map(async (made) => dataOf(cookieOf(made))));
	expect(one).toBeUndefined();
	expect(other).toEqual({ n: 2 });
});

describe('encryption', () => {
	test('is on, off or migrating: nothing else is taken for one of them', () => {
		for (const encrypt of ['on', 'true', '', 'Migrate', 1, null])
			expect(() => sveltekitSessionHandle({ ...options, encrypt: encrypt as never })).toThrow(
				ConfigError
			);
	});

	test('that migrates takes no record that does not open', async () => {
		const other = { ...options, secret: 'another secret of thirty-two bytes', encrypt: true };
		const { session } = await opened(await visitor({ n: 1 }, other), other);
		const migrating = { ...options, encrypt: 'migrate' as const };
		// The same ID, as these options sign it.
		const taken = await opened(undefined, { ...migrating, genid: () => session.id });
		vi.spyOn(operations(), 'create').mockResolvedValueOnce(true);
		await taken.session.save();
		vi.restoreAllMocks();
		events.length = 0;
		expect(await dataOf(cookieOf(taken), migrating)).toBeUndefined();
		expect(events).toEqual(['unreadable']);
		// Nor by plain members beside a part that cannot be decrypted.
		const sealed = (await store.get(session.id)) as unknown as { v: string; sealed: string };
		await store.set(session.id, { ...sealed, cookie: { path: '/' }, data: { n: 1 } }, Infinity);
		expect(await dataOf(cookieOf(taken), migrating)).toBeUndefined();
		expect(events).toEqual(['unreadable', 'unreadable']);
	});
});

describe('a list of a user’s sessions that is not encrypted where all should be', () => {
	test('admits no session', async () => {
		const sealing = { ...options, encrypt: true };
		const victim = await opened(undefined, sealing);
		await victim.session.login('ada');
		const [sealed] = await sessions(sealing).of('ada').list();
		// The list as a service would have it that does not encrypt.
		const plain = { ...options, store: new MemoryStore() };
		await (await opened(undefined, plain)).session.login('ada');
		const [theirs] = await sessions(plain).of('ada').list();
		const create = vi.spyOn(operations(), 'create');
		await (await opened(undefined, { ...options, namespace: 'probe' })).session.login('ada');
		const key = create.mock.calls.at(-1)?.[0].replace('probe:', '') ?? '';
		create.mockRestore();
		const list = (await plain.store.atomic?.read(key)) ?? '';
		expect(list).toContain(theirs?.handle);
		await store.destroy(key);
		const planted = list.replaceAll(theirs?.handle ?? '', sealed?.handle ?? '');
		await operations().create(key, planted, Infinity, true);
		const found = await opened(cookieOf(victim), sealing).catch(() => undefined);
		expect(found?.session.userId).toBeUndefined();
	});
});

describe('a memory store', () => {
	const record: SessionStoreData = { cookie: { path: '/' }, data: { n: 1 } };

	test('puts its prefix before each ID, whatever it is asked', async () => {
		store = new MemoryStore({ prefix: 'p:' });
		await store.set('id', record, Infinity);
		expect(JSON.parse((await operations().read('id')) ?? '')).toEqual(record);
		expect(await operations().read('p:id')).toBeNull();
		expect(await operations().touch('id', 1_000)).toBe(true);
		expect(await operations().remove('id', null)).toBe('done');
		expect(await store.get('id')).toBeNull();
		await operations().create('new', JSON.stringify(record), Infinity, false);
		expect(await store.get('new')).toEqual(record);
		// And sessions in it are found, by what waits and by what does not.
		options = { ...options, store };
		expect(await dataOf(await visitor({ n: 2 }))).toEqual({ n: 2 });
	});

	test('with a serializer of its own does not claim to be atomic, and is never looked into', async () => {
		const serializer = {
			parse: (text: string) => JSON.parse(atob(text)) as SessionStoreData,
			stringify: (data: SessionStoreData) => btoa(JSON.stringify(data))
		};
		store = new MemoryStore({ serializer });
		expect(store.atomic).toBeUndefined();
		options = { ...options, store };
		const cookie = await visitor({ n: 1 });
		expect(await dataOf(cookie)).toEqual({ n: 1 });
		expect(events).toEqual(['created']);
	});

	test('with a serializer whose text looks like a record is read by the serializer alone', async () => {
		const serializer = {
			parse: (text: string): SessionStoreData => {
				const { data, ...rest } = JSON.parse(text) as SessionStoreData;
				const { hidden } = data as unknown as { hidden: string };
				return { ...rest, data: JSON.parse(atob(hidden)) as Data };
			},
			stringify: ({ data, ...rest }: SessionStoreData) =>
				JSON.stringify({ ...rest, data: { hidden: btoa(JSON.stringify(data)) } })
		};
		store = new MemoryStore({ serializer });
		options = { ...options, store };
		expect(await dataOf(await visitor({ n: 1 }))).toEqual({ n: 1 });
	});

	test('says of a touch whether there is a record', async () => {
		expect(await operations().touch('none', 1_000)).toBe(false);
		expect(await operations().replace('none', null, '{}', 1_000)).toBe('gone');
		expect(await operations().remove('none', null)).toBe('gone');
	});

	test('refuses what was not compared with what is there', async () => {
		await operations().create('id', '{"v":"AAAAAAAAAAAAAAAA"}', Infinity, false);
		const other = '{"v":"BBBBBBBBBBBBBBBB"}';
		for (const writeId of [null, 'BBBBBBBBBBBBBBBB']) {
			expect(await operations().replace('id', writeId, other, Infinity)).toBe('conflict');
			expect(await operations().remove('id', writeId)).toBe('conflict');
		}
		expect(await operations().create('id', other, Infinity, false)).toBe(false);
	});
});

test('a requirement that no store can meet is refused', () => {
	for (const require of [['transactions'], 'atomic', [1]])
		expect(() => sveltekitSessionHandle({ ...options, require: require as never })).toThrow(
			ConfigError
		);
});
