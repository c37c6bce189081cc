import { expect, test } from 'vitest';

import { StoreError, sveltekitSessionHandle, type SveltekitSessionConfig } from '../src/index.js';
import { countedVisits, SECRET } from './counted-visits.js';
import { CountingStore, testEvent, type TestEvent } from './event.js';

/** A request whose session the store cannot give, and its error. */
async function failed(
	options: SveltekitSessionConfig
): Promise<TestEvent & { store: CountingStore; error: unknown }> {
	const store = new CountingStore();
	const { saved } = countedVisits(() => ({ store, options: { ...options, store } }));
	const { cookie } = await saved({ user: 'ada' });
	store.failure = new Error('down');
	const made = testEvent(cookie);
	const handle = sveltekitSessionHandle({ ...options, store });
	const resolve = (): Response => new Response();
	const error: unknown = await handle({ event: made.event, resolve }).catch(
		(thrown: unknown) => thrown
	);
	store.failure = undefined;
	return { ...made, store, error };
}

test.each([
	{},
	{ autoSave: true },
	{ saveUninitialized: true },
	{ rolling: true, cookie: { maxAge: 60 } }
])(
	'`handleError` finds an empty session, which is unavailable and writes nothing: %o',
	async (options) => {
		const { event, cookies, store, error } = await failed({ secret: SECRET, ...options });
		expect(error).toBeInstanceOf(StoreError);
		const { session } = event.locals;
		expect(session.isUnavailable).toBe(true);
		expect(session.data).toEqual({});
		expect([session.isNew, session.userId, session.expires]).toEqual([true, undefined, null]);
		store.calls.length = 0;
		await session.setData({ n: 1 }).catch(() => undefined);
		await expect(session.save()).rejects.toBeInstanceOf(StoreError);
		await expect(session.update((data) => data)).rejects.toBeInstanceOf(StoreError);
		await expect(session.isAlive()).rejects.toBeInstanceOf(StoreError);
		expect(store.calls).toEqual([]);
		expect([...store.records.values()].map(({ data }) => data)).toEqual([{ user: 'ada' }]);
		expect(cookies).toEqual([]);
	}
);

test('a session that is anonymous because the store fails says so, and others do not', async () => {
	const { event, error } = await failed({ secret: SECRET, onStoreError: 'anonymous' });
	expect(error).toBeInstanceOf(Response);
	expect(event.locals.session.isUnavailable).toBe(true);

	const store = new CountingStore();
	const { saved, opened } = countedVisits(() => ({ store, options: { secret: SECRET, store } }));
	const { cookie } = await saved({ user: 'ada' });
	for (const one of [cookie, 'connect.sid=forged', undefined])
		expect((await opened(one)).session.isUnavailable).toBe(false);
});
