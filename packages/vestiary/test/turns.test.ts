import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { MemoryStore, UpdateNestedError, type SveltekitSessionConfig } from '../src/index.js';
import { CountingStore } from './event.js';
import { operationsOf, remote, visit, visitor, type Data } from './visits.js';

/* Writers of one session in this process, and the functions of their updates. */

const SECRET = '0123456789abcdef0123456789abcdef';

let options: SveltekitSessionConfig;

beforeEach(() => {
	options = { secret: SECRET, store: new MemoryStore() };
});

afterEach(() => {
	vi.useRealTimers();
});

/** A store that is not atomic: while a function runs, other writers of the session wait. */
const plain = (): SveltekitSessionConfig => ({
	...options,
	store: new CountingStore(),
	storeTimeout: 1_000
});

const added = (data: Data): Data => ({ ...data, n: (data.n ?? 0) + 1 });

/** Advances the clock, which otherwise stands still, and lets pending code run. */
const wait = async (milliseconds: number): Promise<unknown> =>
	vi.advanceTimersByTimeAsync(milliseconds);

describe('with a store that is not atomic', () => {
	test('a function that has ended holds up no later writer', async () => {
		vi.useFakeTimers();
		const config = plain();
		const cookie = await visitor(config, { n: 0 });
		const slowly = async (data: Data): Promise<Data> => {
			await new Promise((resolve) => setTimeout(resolve, 600));
			return added(data);
		};
		const first = visit(config, async (session) => session.update(slowly), cookie);
		await wait(700);
		await first;
		await wait(2_000);
		// Together they take longer than each of them waits for application code.
		const later = [0, 1].map(async () =>
			visit(config, async (session) => session.update(slowly), cookie)
		);
		await wait(2_000);
		await Promise.all(later);
		const { session } = await visit(config, () => undefined, cookie);
		expect(session.data).toEqual({ n: 3 });
	});

	test('a writer waits for a function no longer than `storeTimeout` from its beginning', async () => {
		vi.useFakeTimers();
		const config = plain();
		const cookie = await visitor(config, { n: 0 });
		let end = (): void => undefined;
		const ended = new Promise<void>((resolve) => (end = resolve));
		const first = visit(
			config,
			async (session) =>
				session.update(async (data) => {
					await ended;
					return added(data);
				}),
			cookie
		);
		await wait(600);
		let failed: unknown;
		const second = visit(config, async (session) => session.update(added), cookie).catch(
			(error: unknown) => (failed = error)
		);
		await wait(300);
		expect(failed).toBeUndefined();
		await wait(300);
		expect(failed).toMatchObject({ code: 'store_timeout' });
		end();
		await wait(10);
		await Promise.all([first, second]);
	});

	test('a writer of another session does not wait', async () => {
		vi.useFakeTimers();
		const config = plain();
		const [cookie, other] = [await visitor(config, { n: 0 }), await visitor(config, { n: 0 })];
		let end = (): void => undefined;
		const ended = new Promise<void>((resolve) => (end = resolve));
		const first = visit(
			config,
			async (session) =>
				session.update(async (data) => {
					await ended;
					return added(data);
				}),
			cookie
		);
		await wait(600);
		const { session } = await visit(config, async (one) => one.update(added), other);
		expect(session.data).toEqual({ n: 1 });
		end();
		await wait(10);
		await first;
	});
});

describe('the function of an update', () => {
	const later = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 40));

	test('may take its time, and return other data', async () => {
		const cookie = await visitor(options, { n: 1 });
		const { session } = await visit(
			options,
			async (one) =>
				one.update(async () => {
					await later();
					return { n: 5 };
				}),
			cookie
		);
		expect(session.data).toEqual({ n: 5 });
		expect((await visit(options, () => undefined, cookie)).session.data).toEqual({ n: 5 });
	});

	test('writes no other request’s session of the same visitor, but that of another one', async () => {
		const [cookie, other] = [
			await visitor(options, { n: 1 }),
			await visitor(options, { n: 1 })
		];
		const save = async (of: string): Promise<unknown> =>
			visit(options, async (session) => session.save(), of).catch((error: unknown) => error);
		await visit(
			options,
			async (session) =>
				session.update(async (data) => {
					expect(await save(cookie)).toBeInstanceOf(UpdateNestedError);
					expect(await save(other)).not.toBeInstanceOf(Error);
					await later();
					expect(await save(cookie)).toBeInstanceOf(UpdateNestedError);
					return added(data);
				}),
			cookie
		);
		expect((await visit(options, () => undefined, cookie)).session.data).toEqual({ n: 2 });
	});

	test.each<[string, (begin: () => void) => Promise<void> | undefined]>([
		[
			'at once',
			(begin: () => void) => {
				begin();
				return undefined;
			}
		],
		[
			'later',
			async (begin: () => void) => {
				await later();
				begin();
			}
		]
	])('may begin what writes the session once it has ended: %s', async (_, run) => {
		const cookie = await visitor(options, { n: 1 });
		let over = (): void => undefined;
		const isOver = new Promise<void>((resolve) => (over = resolve));
		await visit(
			options,
			async (session) => {
				let afterwards: Promise<void> | undefined;
				await session.update((data) => {
					const begun = run(() => {
						afterwards = isOver.then(async () => {
							await session.setData({ n: 7 });
							await session.save();
						});
					});
					const made = added(data);
					return begun ? begun.then(() => made) : made;
				});
				over();
				await afterwards;
			},
			cookie
		);
		expect((await visit(options, () => undefined, cookie)).session.data).toEqual({ n: 7 });
	});
});

test('writers of one session that all take their time lose nothing', async () => {
	for (const store of [new MemoryStore(), new CountingStore()]) {
		// None of them waits until another one times out.
		const config = { ...options, store, storeTimeout: 60_000 };
		const cookie = await visitor(config, { n: 0 });
		await Promise.all(
			Array.from({ length: 5 }, async () =>
				visit(
					config,
					async (session) =>
						session.update(async (data) => {
							await new Promise((resolve) => setTimeout(resolve, 30));
							return added(data);
						}),
					cookie
				)
			)
		);
		expect((await visit(config, () => undefined, cookie)).session.data).toEqual({ n: 5 });
	}
});

describe('writers of one session that have read it at the same time', () => {
	/** Runs the writes of this many requests, which have all read the session before. Returns the store calls of the writes. */
	async function together(many: number, latency = 0): Promise<string[]> {
		const memory = new MemoryStore();
		const store = remote(memory);
		// Otherwise a conflict would be certain, however late its reply is.
		const operations = operationsOf(memory);
		const calls: string[] = [];
		const reply = async (): Promise<unknown> =>
			latency === 0 ? undefined : new Promise((resolve) => setTimeout(resolve, latency));
		store.atomic = {
			...store.atomic,
			resends: true,
			read: async (id) => {
				calls.push('read');
				return operations.read(id);
			},
			replace: async (...write) => {
				const outcome = await operations.replace(...write);
				calls.push(outcome);
				await reply();
				return outcome;
			}
		};
		const config = { ...options, store };
		const cookie = await visitor(config, { n: 0 });
		let [reading, begin] = [many, (): void => undefined];
		const allHaveRead = new Promise<void>((resolve) => (begin = resolve));
		const writers = Array.from({ length: many }, async () =>
			visit(
				config,
				async (session) => {
					expect(session.data).toEqual({ n: 0 });
					if (--reading === 0) {
						calls.length = 0;
						begin();
					}
					await allHaveRead;
					await session.update(added);
				},
				cookie
			)
		);
		if (latency > 0) await wait(many * latency + 1_000);
		await Promise.all(writers);
		const written = [...calls];
		expect((await visit(config, () => undefined, cookie)).session.data).toEqual({ n: many });
		return written;
	}

	test('read it again in their turns, so that no write is in vain', async () => {
		const calls = await together(4);
		expect(calls.filter((call) => call !== 'read')).toEqual(['done', 'done', 'done', 'done']);
		// Three read it again, and each of the four asks the store before its cookie leaves.
		expect(calls.filter((call) => call === 'read')).toHaveLength(3 + 4);
	});

	test('are never in doubt, however late the replies are', async () => {
		vi.useFakeTimers();
		const calls = await together(64, 30);
		expect(calls.filter((call) => call === 'conflict')).toEqual([]);
	});
});
