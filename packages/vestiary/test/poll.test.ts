import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Asking, Living } from '../src/live-session.js';
import { LiveSessions } from '../src/live-sessions.js';
import {
	ConfigError,
	type AtomicOperations,
	type ChangeListener,
	type Polling,
	type Store
} from '../src/index.js';
import { sharedBy } from '../src/shared.js';
import { MySqlStore } from '../src/stores/mysql.js';
import { RedisStore } from '../src/stores/redis.js';
import { SqliteStore } from '../src/stores/sqlite.js';

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

const settled = async (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

/** A store that is polled, as the test has filled it: write IDs by keys. */
class PolledStore implements Polling, Asking {
	readonly every = 500;
	most = 3;
	readonly recheckAfter = 300_000;
	readonly records = new Map<string, string>();
	/** The keys of each question. */
	readonly rounds: string[][] = [];
	/** The number of questions about single sessions. */
	asked: string[] = [];
	fails = false;
	hangs = false;
	writes: number | undefined;

	writeIds = async (ids: readonly string[]): Promise<Map<string, string>> => {
		this.rounds.push([...ids]);
		if (this.fails) throw new Error('the store is down');
		if (this.hangs) await new Promise(() => undefined);
		return new Map([...this.records].filter(([id]) => ids.includes(id)));
	};

	state = async (): Promise<string | undefined> => this.writes?.toString();

	/** A session depends on its record, and on the list of its user, the first letter of its ID. */
	async alive(id: string, reading: (key: string) => Promise<void>): Promise<Living | undefined> {
		this.asked.push(id);
		const keys = [id, `list of ${id.slice(0, 1)}`];
		for (const key of keys) await reading(key);
		return keys.every((key) => this.records.has(key)) ? { id, end: undefined } : undefined;
	}

	store(...ids: string[]): void {
		for (const id of ids) {
			this.records.set(id, `written ${id}`);
			this.records.set(`list of ${id.slice(0, 1)}`, 'first');
		}
	}

	get atomic(): AtomicOperations {
		return { polling: this } as unknown as AtomicOperations;
	}
}

let store: PolledStore;
let live: LiveSessions;
let ended: string[];

beforeEach(() => {
	store = new PolledStore();
	live = new LiveSessions(store.atomic);
	ended = [];
});

function watch(id: string): () => void {
	const listener = { ended: () => ended.push(id) };
	const watched = live.watch(id, store, listener);
	return () => {
		watched.leave(listener);
	};
}

/** Watches sessions, and waits until the first poll has seen them. */
async function watched(...ids: string[]): Promise<(() => void)[]> {
	store.store(...ids);
	const leaves = ids.map(watch);
	await vi.advanceTimersByTimeAsync(1_000);
	Object.assign(store, { asked: [] });
	store.rounds.length = 0;
	return leaves;
}

describe('a store that is polled', () => {
	test('is asked for the write IDs of all watched records, in questions of a limited size', async () => {
		await watched('a1', 'a2', 'b1');
		expect(store.rounds).toEqual([]);
		await vi.advanceTimersByTimeAsync(600);
		expect(store.rounds.map(({ length }) => length)).toEqual([3, 2]);
		expect(store.rounds.flat().sort()).toEqual(['a1', 'a2', 'b1', 'list of a', 'list of b']);
		// Nothing has changed.
		expect(store.asked).toEqual([]);
	});

	test('ends the sessions whose record or list another process has removed or replaced', async () => {
		await watched('a1', 'a2', 'b1', 'b2', 'c1');
		store.records.delete('a1');
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['a1']);
		expect(store.asked).toEqual(['a1']);
		// A revocation of all sessions of a user.
		store.records.set('list of b', 'second');
		for (const id of ['b1', 'b2']) store.records.delete(id);
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['a1', 'b1', 'b2']);
		// A save of another process ends nothing.
		store.records.set('c1', 'saved');
		store.asked = [];
		await vi.advanceTimersByTimeAsync(1_200);
		expect(store.asked).toEqual(['c1']);
		expect(ended.length).toBe(3);
		expect(live.size).toBe(2);
	});

	test('is asked once more about a session that was entered since the last poll', async () => {
		store.store('a1');
		watch('a1');
		await settled();
		expect(store.asked).toEqual(['a1']);
		// Between the question and the first poll.
		store.records.delete('a1');
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['a1']);
	});

	test('is not asked about records while its state is the same', async () => {
		store.writes = 1;
		const [leave] = await watched('a1', 'b1');
		await vi.advanceTimersByTimeAsync(5_000);
		expect(store.rounds).toEqual([]);
		store.records.delete('a1');
		store.writes = 2;
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['a1']);
		// After a question that has failed, the state says nothing.
		store.records.delete('b1');
		store.writes = 3;
		store.fails = true;
		await vi.advanceTimersByTimeAsync(600);
		store.fails = false;
		await vi.advanceTimersByTimeAsync(1_200);
		expect(ended).toEqual(['a1', 'b1']);
		leave?.();
	});

	test('is asked less often while it fails or is silent, and ends nothing', async () => {
		await watched('a1');
		store.fails = true;
		await vi.advanceTimersByTimeAsync(60_000);
		expect(store.rounds.length).toBeGreaterThan(10);
		expect(store.rounds.length).toBeLessThan(20);
		store.fails = false;
		store.hangs = true;
		await vi.advanceTimersByTimeAsync(60_000);
		expect(store.rounds.length).toBeLessThan(35);
		expect(ended).toEqual([]);
		store.hangs = false;
		store.records.delete('a1');
		await vi.advanceTimersByTimeAsync(11_000);
		expect(ended).toEqual(['a1']);
	});

	test('is left alone while nothing is watched, and no timer runs', async () => {
		await vi.advanceTimersByTimeAsync(5_000);
		expect(vi.getTimerCount()).toBe(0);
		const [one, two] = await watched('a1', 'a2');
		one?.();
		two?.();
		await settled();
		expect(vi.getTimerCount()).toBe(0);
		await vi.advanceTimersByTimeAsync(5_000);
		expect(store.rounds).toEqual([]);
		// And again when there is one.
		await watched('b1');
		store.records.delete('b1');
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['b1']);
	});

	test('follows a session to its next ID', async () => {
		await watched('a1');
		store.alive = async (_, reading) => {
			for (const key of ['a1', 'a2', 'list of a']) await reading(key);
			return { id: 'a2', end: undefined };
		};
		store.store('a1', 'a2');
		store.records.set('a1', 'a tombstone');
		await vi.advanceTimersByTimeAsync(1_200);
		store.rounds.length = 0;
		await vi.advanceTimersByTimeAsync(600);
		expect([...new Set(store.rounds.flat())].sort()).toEqual(['a1', 'a2', 'list of a']);
		store.alive = async () => Promise.resolve(undefined);
		store.records.set('list of a', 'second');
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['a1']);
	});
});

describe('the option `feed` of stores that are polled', () => {
	const client = { query: vi.fn(), escapeId: vi.fn() };
	const database = { prepare: vi.fn(), exec: vi.fn(), close: vi.fn() };
	const STORES: [string, (feed: unknown, serializer?: unknown) => Store][] = [
		[
			'SqliteStore',
			(feed, serializer) => new SqliteStore({ database, ...({ feed, serializer } as object) })
		],
		[
			'MySqlStore',
			(feed, serializer) => new MySqlStore({ client, ...({ feed, serializer } as object) })
		]
	];

	test.each(STORES)('of %s', (name, made) => {
		expect(made(undefined).atomic?.polling).toBeUndefined();
		expect(made(false).atomic?.polling).toBeUndefined();
		expect(made(true).atomic?.polling).toMatchObject({ every: 500, most: 500 });
		expect(made({}).atomic?.polling?.every).toBe(500);
		expect(made({ every: 100 }).atomic?.polling?.every).toBe(100);
		for (const [feed, message] of [
			[{ every: 99 }, '`feed.every` must be a number of milliseconds, at least 100'],
			[{ every: '500' }, '`feed.every` must be a number'],
			[{ each: 500 }, `\`feed.each\` is not an option of \`${name}\``],
			[500, 'must be an object']
		] as const) {
			expect(() => made(feed)).toThrow(ConfigError);
			expect(() => made(feed)).toThrow(message);
		}
		const serializer = { parse: vi.fn(), stringify: vi.fn() };
		expect(made(false, serializer).atomic).toBeUndefined();
		expect(() => made(true, serializer)).toThrow('needs the default `serializer`');
	});
});

describe('of stores that share their sessions in a process', () => {
	test('a later one may bring the feed', async () => {
		live = new LiveSessions();
		await watched('a1', 'b1');
		live.follow(undefined);
		live.follow({} as AtomicOperations);
		live.follow(store.atomic);
		await vi.advanceTimersByTimeAsync(1_200);
		expect(store.rounds.flat()).toContain('a1');
		store.records.delete('a1');
		await vi.advanceTimersByTimeAsync(600);
		expect(ended).toEqual(['a1']);
		// The writes of this process count by the new names.
		store.records.delete('b1');
		live.wrote('list of b');
		await settled();
		expect(ended).toEqual(['a1', 'b1']);
	});

	test('each handle gets the feed of a client, whichever of its stores has it', async () => {
		let listener: ChangeListener | undefined;
		const client = { get: vi.fn(), set: vi.fn(), del: vi.fn(), duplicate: vi.fn() };
		const made = (feed: boolean): RedisStore => {
			const one = new RedisStore({ client, feed } as unknown as {
				client: RedisStore['client'];
			});
			if (one.atomic && feed)
				one.atomic.watch = async (given) => {
					listener = given;
					return Promise.resolve(() => undefined);
				};
			return one;
		};
		const owner = { secrets: 1_234, name: 'sid', namespace: undefined };
		const [without, withIt] = [false, true].map((feed) => sharedBy(owner, made(feed)).sessions);
		expect(withIt?.live).toBe(without?.live);
		const watched = without?.live.watch('a1', store, { ended: () => ended.push('a1') });
		await settled();
		expect(watched).toBeDefined();
		expect(listener).toBeDefined();
	});
});
