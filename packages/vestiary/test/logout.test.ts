import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	Session,
	sessions,
	type AtomicOperations,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = 'a secret of the tests, of more than 32 bytes';

let memory: MemoryStore;
/** Operations that the store has been asked for, with the keys. */
let calls: [operation: string, key: string][];
/** Runs an operation, or fails before or after it. */
let fate: <T>(run: () => Promise<T>) => Promise<T>;
let options: SveltekitSessionConfig;
let events: string[];

beforeEach(() => {
	memory = new MemoryStore();
	calls = [];
	fate = async (run) => run();
	events = [];
	options = { secret: SECRET, store: watched(), onEvent: ({ type }) => events.push(type) };
});

afterEach(() => {
	vi.useRealTimers();
});

function atomic(): AtomicOperations {
	if (!memory.atomic) throw new Error('a memory store is atomic');
	return memory.atomic;
}

function watched(): Store {
	const call = async <T>(name: string, key: string, run: () => Promise<T>): Promise<T> => {
		calls.push([name, key]);
		return fate(run);
	};
	const inner = atomic();
	return {
		get: async (id) => memory.get(id),
		set: async () => undefined,
		destroy: async () => undefined,
		touch: async () => undefined,
		atomic: {
			...inner,
			read: async (id) => call('read', id, async () => inner.read(id)),
			create: async (...all) => call('create', all[0], async () => inner.create(...all)),
			replace: async (...all) => call('replace', all[0], async () => inner.replace(...all)),
			touch: async (id, ttl) => call('touch', id, async () => inner.touch(id, ttl)),
			remove: async (...all) => call('remove', all[0], async () => inner.remove(...all))
		}
	};
}

/** A request without a handle, so that only the operation calls the store. */
async function opened(cookie?: string): Promise<{ session: Session; cookie: () => string }> {
	const { event, cookies } = testEvent(cookie);
	const session = await Session.initialize(event, options);
	return {
		session,
		cookie: () => `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`
	};
}

/** A visitor who is logged in. */
async function visitor(): Promise<string> {
	const made = await opened();
	await made.session.login('ada');
	return made.cookie();
}

function isListed(): Promise<boolean> {
	return sessions(options)
		.of('ada')
		.list()
		.then((list) => list.length > 0);
}

/** Whether there is the record of a session, and not only a tombstone. */
async function hasRecord(id: string): Promise<boolean> {
	const text = await atomic().read(id);
	return text !== null && !text.includes('"next"');
}

function idIn(cookie: string): string {
	return decodeURIComponent(cookie).slice('connect.sid='.length).split('.')[0] ?? '';
}

type Ending = [name: string, ends: (session: Session) => Promise<unknown>];
const ENDINGS: Ending[] = [
	['destroy', async (session) => session.destroy()],
	['regenerate', async (session) => session.regenerate()]
];
const FAULTS: [name: string, fails: (run: () => Promise<unknown>) => Promise<never>][] = [
	[
		'before it did anything',
		async () => {
			throw new Error('down');
		}
	],
	[
		'after it was asked',
		async (run) => {
			await run();
			throw new Error('reply lost');
		}
	]
];

describe.each(ENDINGS)('%s takes the session out of the list of its user first', (_, ends) => {
	test.each(FAULTS)('whatever call the store fails at: %s', async (_, fails) => {
		for (const renewed of [false, true]) {
			for (let done = 0; ; done++) {
				const cookie = await visitor();
				const other = await opened(cookie);
				const { session } = await opened(cookie);
				let id = idIn(cookie);
				if (renewed) {
					await other.session.renew();
					id = other.session.id;
				}
				let asked = 0;
				fate = async (run) => (++asked > done ? fails(run) : run());
				const failed = await ends(session).then(
					() => false,
					() => true
				);
				fate = async (run) => run();
				const what = `renewed: ${String(renewed)}, after ${done} calls`;
				// As long as it is listed, the record says whose session it is.
				expect((await hasRecord(id)) || !(await isListed()), what).toBe(true);
				// Repeated, by the same request or by another one.
				if (done % 2 === 0) await session.destroy();
				else await (await opened(cookie)).session.destroy();
				expect(await isListed(), what).toBe(false);
				expect(await hasRecord(id), what).toBe(false);
				if (failed) continue;
				expect(done, what).toBeGreaterThan(2);
				break;
			}
		}
	});

	test('the list is written before the record', async () => {
		const cookie = await visitor();
		const { session } = await opened(cookie);
		const id = idIn(cookie);
		calls = [];
		await ends(session);
		const writes = calls.filter(([name]) => name === 'replace' || name === 'remove');
		expect(writes).toHaveLength(2);
		expect(writes[0]?.[1]).not.toBe(id);
		expect(writes[1]?.[1]).toBe(id);
	});

	test('a list that cannot be read is left alone, and the session ends all the same', async () => {
		const cookie = await visitor();
		const list = calls.findLast(([name]) => name === 'create')?.[1] ?? '';
		const { session } = await opened(cookie);
		const writeId = ((await atomic().read(list)) ?? '').slice('{"v":"'.length).slice(0, 16);
		const broken = '{"v":"AAAAAAAAAAAAAAAA","sessions":';
		expect(await atomic().replace(list, writeId, broken, Infinity)).toBe('done');
		events = [];
		await ends(session);
		expect(events).toContain('store_failed');
		expect(await hasRecord(idIn(cookie))).toBe(false);
		expect(await atomic().read(list)).toBe(broken);
	});
});

test('a session that has left its user’s list is ended, whatever its current ID', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const cookie = await visitor();
	const { session } = await opened(cookie);
	const writeId = ((await atomic().read(idIn(cookie))) ?? '').slice('{"v":"'.length).slice(0, 16);
	await atomic().remove(idIn(cookie), writeId);
	// Long enough ago that a tombstone could have expired.
	vi.setSystemTime(Date.now() + 3_600_000);
	await session.destroy();
	expect(await isListed()).toBe(false);
});
