import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	Session,
	sessions,
	StoreError,
	sveltekitSessionHandle,
	type SessionEvent,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

/* Rules that both products share are in vectors/scenarios.json. */

const SECRET = 'a secret of the tests for sessions without a request';

let options: SveltekitSessionConfig;
let events: SessionEvent['type'][];

beforeEach(() => {
	events = [];
	const onEvent = ({ type }: SessionEvent): number => events.push(type);
	options = { secret: SECRET, name: 'sid', store: new MemoryStore(), onEvent };
});

/** The `Cookie` header of a new session, and the session in a request that has not ended. */
async function visitor(
	use: (session: Session) => unknown,
	config = options
): Promise<{ cookie: string; session: Session }> {
	const { event } = testEvent();
	let opened: Session | undefined;
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await use(event.locals.session);
			opened = event.locals.session;
			return new Response();
		}
	});
	const [cookie = ''] = (response.headers.getSetCookie()[0] ?? '').split(';');
	if (!opened) throw new Error('the handle did not resolve');
	return { cookie, session: opened };
}

const save = async (session: Session): Promise<void> => {
	await session.setData({ theme: 'dark' });
	await session.save();
};

describe('the session of a request without an event', () => {
	test.each([
		[
			'a Request',
			(cookie: string) => new Request('https://app.example', { headers: { cookie } })
		],
		['a request of node:http', (cookie: string) => ({ headers: { cookie } })],
		['an object with Headers', (cookie: string) => ({ headers: new Headers({ cookie }) })]
	])('is found from %s', async (_, requestOf) => {
		const { cookie } = await visitor(save);
		const found = await sessions(options).open(requestOf(cookie));
		expect(found).toMatchObject({
			data: { theme: 'dark' },
			userId: undefined,
			handle: undefined
		});
		expect(await found?.isAlive()).toBe(true);
	});

	test('has the user and the handle, and no ID', async () => {
		const { cookie } = await visitor(async (session) => session.login('ada'));
		const found = await sessions(options).read(cookie);
		const [entry] = await sessions(options).of('ada').list();
		expect(found).toMatchObject({ userId: 'ada', handle: entry?.handle });
		const [id = ''] = decodeURIComponent(cookie.slice('sid='.length)).split('.');
		expect(id.length).toBeGreaterThan(30);
		expect(JSON.stringify(found)).not.toContain(id);
	});

	test('is undefined without a cookie, and asks no store', async () => {
		const store = new CountingStore();
		const read = sessions({ ...options, store });
		for (const header of [undefined, null, '', 'theme=dark', 'sid=\u0000', 'sid=💥\n;;='])
			expect(await read.read(header)).toBeUndefined();
		expect(await read.open({ headers: {} })).toBeUndefined();
		expect(await read.open(new Request('https://app.example'))).toBeUndefined();
		expect(store.calls).toEqual([]);
	});

	test.each([5, {}, ['sid=1']])('cannot be read from %j', async (header) => {
		await expect(sessions(options).read(header as never)).rejects.toThrow('as a string');
	});

	test.each([undefined, null, 'sid=1', {}, { headers: null }])(
		'cannot be opened from %j',
		async (request) => {
			await expect(sessions(options).open(request as never)).rejects.toBeInstanceOf(
				ConfigError
			);
		}
	);

	test('is as it was read, and what the application does to its data is not stored', async () => {
		const { cookie } = await visitor(save);
		const found = await sessions({ ...options, autoSave: true }).read(cookie);
		Object.assign(found?.data ?? {}, { theme: 'light' });
		expect(await found?.isAlive()).toBe(true);
		expect((await sessions(options).read(cookie))?.data).toEqual({ theme: 'dark' });
	});

	test('ends at once when this process revokes it', async () => {
		const { cookie } = await visitor(async (session) => session.login('ada'));
		const found = await sessions(options).read(cookie);
		await sessions(options).of('ada').revokeAll();
		const spy = vi.spyOn(options.store?.atomic ?? { read: async () => null }, 'read');
		expect(await found?.isAlive()).toBe(false);
		expect(spy).not.toHaveBeenCalled();
		expect(found?.userId).toBe('ada');
	});

	test('is read from a store that is not atomic', async () => {
		const store = new CountingStore();
		const config = { ...options, store };
		const { cookie } = await visitor(save, config);
		store.calls.length = 0;
		const found = await sessions(config).read(cookie);
		expect(found?.data).toEqual({ theme: 'dark' });
		expect(await found?.isAlive()).toBe(true);
		store.records.clear();
		expect(await found?.isAlive()).toBe(false);
		expect(new Set(store.calls)).toEqual(new Set(['get']));
		expect(() => sessions(config).of('ada')).toThrow('atomic');
	});

	test('fails with the store, whatever `onStoreError` says', async () => {
		const store = new CountingStore();
		const config = { ...options, store, onStoreError: 'anonymous' } as const;
		const { cookie } = await visitor(save, config);
		const found = await sessions(config).read(cookie);
		store.failure = new Error('the server is gone');
		await expect(sessions(config).read(cookie)).rejects.toBeInstanceOf(StoreError);
		await expect(found?.isAlive()).rejects.toBeInstanceOf(StoreError);
		store.failure = undefined;
		expect(await found?.isAlive()).toBe(true);
	});

	test('keeps a session that cannot be read', async () => {
		const { cookie } = await visitor(save, { ...options, maxBytes: 70_000 });
		events.length = 0;
		const sealed = { ...options, secret: `${SECRET}, of 32 bytes`, encrypt: true } as const;
		const other = { ...sealed, secret: [sealed.secret, SECRET] };
		expect(await sessions(other).read(cookie)).toBeUndefined();
		expect(events).toEqual(['unreadable']);
		expect((await sessions(options).read(cookie))?.data).toEqual({ theme: 'dark' });
	});
});

describe('`isAlive()` of the session of a request', () => {
	test('does not set the cookie, and keeps what the request has changed', async () => {
		const { cookie } = await visitor(save);
		const { event } = testEvent(cookie);
		const response = await sveltekitSessionHandle({ ...options, autoSave: true })({
			event,
			resolve: async () => {
				const { session } = event.locals;
				Object.assign(session.data, { seen: 1 });
				expect(await session.isAlive()).toBe(true);
				expect(session.data).toEqual({ theme: 'dark', seen: 1 });
				return new Response();
			}
		});
		expect(response.headers.getSetCookie()).toEqual([]);
		expect((await sessions(options).read(cookie))?.data).toEqual({ theme: 'dark', seen: 1 });
	});

	test('knows the changes of other requests from the store, and keeps both', async () => {
		const { cookie } = await visitor(save);
		const { event } = testEvent(cookie);
		await sveltekitSessionHandle({ ...options, autoSave: true })({
			event,
			resolve: async () => {
				const { session } = event.locals;
				Object.assign(session.data, { mine: 1 });
				const other = await Session.initialize(
					{ request: { headers: new Headers({ cookie }) } },
					options
				);
				await other.update((data) => ({ ...data, theirs: 2 }));
				expect(await session.isAlive()).toBe(true);
				expect(session.data).toEqual({ theme: 'dark', mine: 1 });
				return new Response();
			}
		});
		const found = await sessions(options).read(cookie);
		expect(found?.data).toEqual({ theme: 'dark', mine: 1, theirs: 2 });
	});

	test('is false after `destroy()`, and fails inside an update', async () => {
		const { session } = await visitor(save);
		expect(await session.isAlive()).toBe(true);
		let inside: unknown;
		await session.update(async () => {
			inside = await session.isAlive().catch((error: unknown) => error);
			return undefined;
		});
		expect(inside).toMatchObject({ code: 'update_nested' });
		await session.destroy();
		expect(await session.isAlive()).toBe(false);
	});
});

test('it tells how long ago the user has proven who they are', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const { cookie } = await visitor(async (session) => session.login('ada'));
	const read = await sessions(options).read(cookie);
	vi.setSystemTime(Date.now() + 60_000);
	expect([read?.isFresh(61), read?.isFresh(60)]).toEqual([true, false]);
	expect(() => read?.isFresh(0)).toThrow(ConfigError);
	const { event } = testEvent(cookie);
	await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await event.locals.session.confirm();
			return new Response();
		}
	});
	expect(read?.isFresh(60)).toBe(false);
	expect(await read?.isAlive()).toBe(true);
	expect(read?.isFresh(60)).toBe(true);
	const anonymous = await sessions(options).read((await visitor(save)).cookie);
	expect(anonymous?.isFresh(60)).toBe(false);
	vi.useRealTimers();
});
