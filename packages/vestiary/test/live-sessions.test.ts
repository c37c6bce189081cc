import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Asking, Living } from '../src/live-session.js';
import { LiveSessions } from '../src/live-sessions.js';
import type { AtomicOperations, ChangeListener } from '../src/index.js';

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

/** Lets everything run that waits for no timer. */
const settled = async (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

interface Question {
	id: string;
	answer: (living: Living | undefined) => Promise<unknown>;
	fail: () => Promise<unknown>;
}

/** A store whose replies the test gives. */
class Questions implements Asking {
	recheckAfter = 10_000;
	/** The keys of the records on which a session depends, by its ID. */
	readonly keys = new Map<string, string[]>();
	readonly open: Question[] = [];
	count = 0;

	async alive(id: string, reading: (key: string) => Promise<void>): Promise<Living | undefined> {
		this.count++;
		for (const key of this.keys.get(id) ?? [id]) await reading(key);
		return new Promise((resolve, reject) => {
			this.open.push({
				id,
				answer: async (living) => {
					resolve(living);
					return settled();
				},
				fail: async () => {
					reject(new Error('the store is down'));
					return settled();
				}
			});
		});
	}

	/** The only open question. */
	async one(): Promise<Question> {
		await settled();
		const [question, ...others] = this.open.splice(0);
		expect(others).toEqual([]);
		if (!question) throw new Error('the store is not asked');
		return question;
	}

	/** Answers the only open question: the session lives, until `end`. */
	async lives(end?: number): Promise<void> {
		const question = await this.one();
		await question.answer({ id: question.id, end });
	}

	async none(): Promise<void> {
		await settled();
		expect(this.open).toEqual([]);
	}
}

let questions: Questions;
let live: LiveSessions;
let ended: string[];

beforeEach(() => {
	questions = new Questions();
	live = new LiveSessions();
	ended = [];
});

/** Watches a session, and returns a function that leaves it. */
function watch(id: string, name = id, asking = questions): () => void {
	const listener = { ended: () => ended.push(name) };
	const watched = live.watch(id, asking, listener);
	return () => {
		watched.leave(listener);
	};
}

describe('the store is asked about a session', () => {
	test('when it is entered, and again at the latest after `recheckAfter`', async () => {
		watch('a');
		await questions.lives();
		for (let round = 0; round < 20; round++) {
			const before = Date.now();
			while (questions.open.length === 0) await vi.advanceTimersByTimeAsync(10);
			expect(Date.now() - before).toBeGreaterThan(7_800);
			expect(Date.now() - before).toBeLessThanOrEqual(10_010);
			await questions.lives();
		}
		expect(ended).toEqual([]);
	});

	test('after a write of its record or its list, and of no other', async () => {
		questions.keys.set('a', ['record', 'list']);
		watch('a');
		await questions.lives();
		live.wrote('other');
		await questions.none();
		for (const key of ['record', 'list']) {
			live.wrote(key);
			await questions.lives();
		}
	});

	test('once more after a hint that comes while it is asked, however many come', async () => {
		watch('a');
		const question = await questions.one();
		for (let n = 0; n < 5; n++) live.wrote('a');
		await questions.none();
		// The store has read the record before the logout.
		await question.answer({ id: 'a', end: undefined });
		const again = await questions.one();
		await again.answer(undefined);
		expect(ended).toEqual(['a']);
		await questions.none();
	});

	test('when it should expire', async () => {
		watch('a');
		await questions.lives(Date.now() + 3_000);
		await vi.advanceTimersByTimeAsync(2_900);
		await questions.none();
		await vi.advanceTimersByTimeAsync(300);
		// It was used meanwhile.
		await questions.lives(Date.now() + 3_000);
		expect(ended).toEqual([]);
		await vi.advanceTimersByTimeAsync(3_200);
		// The record outlives the cookie.
		await questions.lives(Date.now() - 1);
		expect(ended).toEqual(['a']);
	});

	test('by the records of its next ID, once it was renewed', async () => {
		questions.keys.set('a', ['a', 'b', 'list']);
		questions.keys.set('b', ['b', 'list']);
		watch('a');
		await (await questions.one()).answer({ id: 'b', end: undefined });
		live.wrote('list');
		const next = await questions.one();
		expect(next.id).toBe('b');
		await next.answer({ id: 'b', end: undefined });
		live.wrote('a');
		await questions.none();
		live.wrote('b');
		await (await questions.one()).answer(undefined);
		expect(ended).toEqual(['a']);
	});

	test('by each of the records that its last question has read', async () => {
		const followed = ['a', 'b', 'c', 'list'];
		questions.keys.set('a', followed);
		watch('a');
		await (await questions.one()).answer({ id: 'a', end: undefined });
		for (const key of followed) {
			live.wrote(key);
			await questions.lives();
		}
		// A question that fails has not found that the session depends on others now.
		questions.keys.set('a', ['d']);
		live.wrote('a');
		await (await questions.one()).fail();
		for (const key of ['list', 'd']) {
			live.wrote(key);
			await (await questions.one()).fail();
		}
		live.wrote('d');
		await questions.lives();
		live.wrote('list');
		await questions.none();
	});

	test('together with the other sessions of its user, until it leaves', async () => {
		const asked = async (...ids: string[]): Promise<void> => {
			await settled();
			expect(questions.open.map(({ id }) => id).sort()).toEqual(ids);
			for (const { id, answer } of questions.open.splice(0))
				await answer({ id, end: undefined });
		};
		for (const id of ['a', 'b', 'c']) questions.keys.set(id, [id, 'list']);
		const [a, b, c] = [watch('a'), watch('b'), watch('c')];
		await asked('a', 'b', 'c');
		live.wrote('list');
		await asked('a', 'b', 'c');
		live.wrote('b');
		await asked('b');
		a();
		live.wrote('list');
		await asked('b', 'c');
		b();
		live.wrote('list');
		await asked('c');
		c();
		live.wrote('list');
		await asked();
	});

	test('once with a stream that was opened with its next ID', async () => {
		questions.keys.set('a', ['a', 'b']);
		watch('a');
		await (await questions.one()).answer({ id: 'b', end: undefined });
		watch('b', 'second');
		expect(live.size).toBe(1);
		await questions.none();
		// The old ID is another session, until the store says that it leads to the same.
		watch('a', 'late');
		expect(live.size).toBe(2);
		await (await questions.one()).answer({ id: 'b', end: undefined });
		live.wrote('b');
		await settled();
		for (const { answer } of questions.open.splice(0)) await answer(undefined);
		expect(ended.sort()).toEqual(['a', 'late', 'second']);
		expect(live.size).toBe(0);
	});

	test('as often as the handle says that asks most often', async () => {
		watch('a');
		await questions.lives();
		const often = Object.assign(new Questions(), { recheckAfter: 2_000 });
		watch('a', 'often', often);
		await often.lives();
		await vi.advanceTimersByTimeAsync(2_000);
		await (await often.one()).answer(undefined);
		expect(ended).toEqual(['a', 'often']);
	});

	test('at most 64 at a time, and first after a hint', async () => {
		for (let n = 0; n < 100; n++) watch(`${n}`);
		await settled();
		expect(questions.count).toBe(64);
		const living = async (): Promise<void> => {
			for (const { id, answer } of questions.open.splice(0))
				await answer({ id, end: undefined });
		};
		await living();
		await living();
		expect(questions.count).toBe(100);
		// All are due, and one has a hint.
		questions.count = 0;
		await vi.advanceTimersByTimeAsync(10_000);
		const asked = new Set(questions.open.map(({ id }) => id));
		const waiting = [...Array(100).keys()].map(String).filter((id) => !asked.has(id));
		expect(waiting.length).toBe(36);
		const hinted = waiting.slice(10, 12);
		for (const id of hinted) live.wrote(id);
		for (const { id, answer } of questions.open.splice(0, 2))
			await answer({ id, end: undefined });
		expect(questions.open.slice(-2).map(({ id }) => id)).toEqual(hinted);
	});
});

describe('a session ends', () => {
	test('by the reply of the store, and is forgotten', async () => {
		watch('a');
		await (await questions.one()).answer(undefined);
		expect(ended).toEqual(['a']);
		expect(live.size).toBe(0);
		expect(vi.getTimerCount()).toBe(0);
		live.wrote('a');
		await questions.none();
	});

	test('for all its streams, which ask once', async () => {
		watch('a');
		watch('a', 'second');
		const leave = watch('a', 'third');
		await questions.lives();
		expect(live.size).toBe(1);
		leave();
		live.wrote('a');
		await (await questions.one()).answer(undefined);
		expect(ended).toEqual(['a', 'second']);
	});

	test('not by a hint, nor by a store that fails: it is asked again, after pauses that grow', async () => {
		watch('a');
		await questions.lives();
		live.wrote('a');
		await (await questions.one()).fail();
		const pauses: number[] = [];
		for (let n = 0; n < 9; n++) {
			const before = Date.now();
			while (questions.open.length === 0) await vi.advanceTimersByTimeAsync(50);
			pauses.push(Date.now() - before);
			await (await questions.one()).fail();
		}
		expect(pauses[0]).toBeLessThan(400);
		expect(pauses[8]).toBeGreaterThan(4_000);
		expect(Math.max(...pauses)).toBeLessThanOrEqual(10_200);
		expect(ended).toEqual([]);
		// The store is back.
		await vi.advanceTimersByTimeAsync(10_000);
		await questions.lives();
		live.wrote('a');
		await (await questions.one()).answer(undefined);
		expect(ended).toEqual(['a']);
	});
});

describe('a session that is left', () => {
	test('is not asked about any more, and no timer runs', async () => {
		const leave = watch('a');
		await questions.lives();
		leave();
		expect(live.size).toBe(0);
		expect(vi.getTimerCount()).toBe(0);
		live.wrote('a');
		await questions.none();
		leave();
		expect(live.size).toBe(0);
	});

	test('by one of its streams, is watched for the others', async () => {
		const [first, second] = [watch('a', 'first'), watch('a', 'second')];
		await questions.lives();
		first();
		first();
		live.wrote('a');
		await questions.lives();
		second();
		live.wrote('a');
		await questions.none();
		expect(live.size).toBe(0);
	});

	test('while the store is asked, leaves nothing', async () => {
		const leave = watch('a');
		const question = await questions.one();
		leave();
		await question.answer(undefined);
		expect(ended).toEqual([]);
		expect(vi.getTimerCount()).toBe(0);
		live.wrote('a');
		await questions.none();
	});

	test('before its turn comes, is skipped', async () => {
		for (let n = 0; n < 64; n++) watch(`${n}`);
		watch('a')();
		await settled();
		for (const { id, answer } of questions.open.splice(0)) await answer({ id, end: undefined });
		await questions.none();
		expect(live.size).toBe(64);
	});
});

describe('the feed of a store', () => {
	/** A store with a feed that the test controls. */
	class FedStore {
		readonly opened: ChangeListener[] = [];
		closed = 0;
		fails = false;
		readonly atomic = {
			nameOf: async (key: string) => `name of ${key}`,
			watch: async (listener: ChangeListener) => {
				if (this.fails) throw new Error('no connection');
				this.opened.push(listener);
				return () => {
					this.closed++;
				};
			}
		} as unknown as AtomicOperations;
	}

	let store: FedStore;

	beforeEach(() => {
		store = new FedStore();
		live = new LiveSessions(store.atomic);
	});

	test('is connected while a session is watched, once', async () => {
		expect(store.opened.length).toBe(0);
		const leaves = [watch('a'), watch('b')];
		await settled();
		for (const { answer, id } of questions.open.splice(0)) await answer({ id, end: undefined });
		expect(store.opened.length).toBe(1);
		for (const leave of leaves) leave();
		// A visitor goes to the next page.
		const leave = watch('c');
		await vi.advanceTimersByTimeAsync(2_000);
		expect(store.closed).toBe(0);
		leave();
		await vi.advanceTimersByTimeAsync(2_000);
		expect([store.opened.length, store.closed]).toEqual([1, 1]);
		expect(vi.getTimerCount()).toBe(0);
		watch('d');
		await settled();
		expect(store.opened.length).toBe(2);
	});

	test('hints at records by their names, and so do the writes of this process', async () => {
		watch('a');
		await settled();
		questions.open.splice(0);
		live = new LiveSessions(store.atomic);
		watch('a');
		await questions.lives();
		// From the connection on nothing is missed, so it was asked once more.
		const listener = store.opened.at(-1);
		listener?.changed('name of b');
		await questions.none();
		listener?.changed('name of a');
		await questions.lives();
		live.wrote('a');
		await questions.lives();
		live.wrote('name of a');
		await questions.none();
	});

	test('a store that fails to name its records is asked after the time of the options', async () => {
		store.atomic.nameOf = async () => Promise.reject(new Error('no name'));
		watch('a');
		await questions.lives();
		live.wrote('a');
		await questions.none();
		await vi.advanceTimersByTimeAsync(10_000);
		const question = await questions.one();
		await question.answer(undefined);
		expect(ended).toEqual(['a']);
	});

	test('is connected again after it was lost, and all sessions are asked about', async () => {
		watch('a');
		watch('b');
		await settled();
		for (let rounds = 0; rounds < 2; rounds++)
			for (const { answer, id } of questions.open.splice(0))
				await answer({ id, end: undefined });
		store.fails = true;
		store.opened[0]?.lost();
		await vi.advanceTimersByTimeAsync(1_500);
		await questions.none();
		store.fails = false;
		await vi.advanceTimersByTimeAsync(5_000);
		expect(store.opened.length).toBe(2);
		expect(questions.open.map(({ id }) => id).sort()).toEqual(['a', 'b']);
		expect(ended).toEqual([]);
	});
});
