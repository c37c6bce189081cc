import { assertOnce, equal, expiry, inTime, same, sleep } from './testing-checks.js';
import { testFeed } from './testing-feed.js';
import type { AtomicOperations, AtomicOutcome, SessionStoreData, Store } from './types.js';

/** The functions of a test runner, such as vitest, jest, mocha or `node:test`. */
export interface Runner {
	/** Groups tests. */
	describe: (name: string, define: () => void) => unknown;
	/** Defines a test. */
	test: (name: string, run: (...context: unknown[]) => Promise<void>) => unknown;
}

/** Options of the conformance suites. */
export interface StoreTestOptions {
	/** The shortest TTL that the store supports, in milliseconds. Default: 300. */
	shortestTtl?: number | undefined;
	/** The test runner. Default: the global `describe` and `test`. */
	runner?: Runner | undefined;
}

/**
 * Defines tests of a store: its units, its expiry, and how it treats missing and unusual records.
 * Every store of this package passes it.
 *
 * ```ts
 * import { describe, test } from 'vitest';
 * import { MemoryStore } from 'vestiary';
 * import { testStore } from 'vestiary/testing';
 *
 * testStore('MemoryStore', () => new MemoryStore(), { runner: { describe, test } });
 * ```
 *
 * @param name The name of the store, for the titles of the tests
 * @param factory Creates the store of a test. Each call may return a new store on the same records
 */
export function testStore(
	name: string,
	factory: () => Store | Promise<Store>,
	{ shortestTtl = 300, runner = globalRunner() }: StoreTestOptions = {}
): void {
	const { describe, test } = runner;
	const check = (title: string, run: (store: Store, id: string) => Promise<void>): unknown =>
		test(title, async (...context) => {
			await run(await factory(), `test-${crypto.randomUUID()}`);
			assertOnce(context);
		});

	describe(`${name} is a store`, () => {
		check('returns null for an unknown session', async (store, id) => {
			equal((await store.get(id)) ?? null, null);
		});

		check('returns the stored record', async (store, id) => {
			await store.set(id, RECORD, 60_000);
			same(await store.get(id), RECORD);
			await store.destroy(id);
		});

		check('replaces a stored record', async (store, id) => {
			await store.set(id, RECORD, 60_000);
			const changed = record({ user: 'grace' });
			await store.set(id, changed, 60_000);
			same(await store.get(id), changed);
			await store.destroy(id);
		});

		check('keeps sessions apart', async (store, id) => {
			const other = record({ user: 'grace' });
			await store.set(id, RECORD, 60_000);
			await store.set(`${id}x`, other, 60_000);
			same(await store.get(id), RECORD);
			same(await store.get(`${id}x`), other);
			await store.destroy(id);
			same(await store.get(`${id}x`), other);
			await store.destroy(`${id}x`);
		});

		check(
			'removes a destroyed record, and accepts the removal of a missing one',
			async (store, id) => {
				await store.set(id, RECORD, 60_000);
				await store.destroy(id);
				equal((await store.get(id)) ?? null, null);
				await store.destroy(id);
			}
		);

		check('keeps a record whose ttl is Infinity', async (store, id) => {
			await store.set(id, RECORD, Infinity);
			await store.touch(id, Infinity);
			same(await store.get(id), RECORD);
			await store.destroy(id);
		});

		check('returns every character unchanged', async (store, id) => {
			const odd = record({ text: 'é ü 秘密 🧥 \u0000 \u2028 " \\ </script> %00 \ud83e' });
			await store.set(id, odd, 60_000);
			same(await store.get(id), odd);
			await store.destroy(id);
		});

		check('keeps 60 KiB', async (store, id) => {
			const large = record({ text: 'x'.repeat(60 << 10) });
			await store.set(id, large, 60_000);
			same(await store.get(id), large);
			await store.destroy(id);
		});

		check('does not create a record by touching it', async (store, id) => {
			await store.touch(id, 60_000);
			equal((await store.get(id)) ?? null, null);
		});

		check('lets a record expire after ttl milliseconds', async (store, id) => {
			await store.set(id, RECORD, shortestTtl);
			await expiry(async () => store.get(id), shortestTtl);
		});

		check('shortens a TTL by touching, in milliseconds', async (store, id) => {
			await store.set(id, RECORD, 100 * shortestTtl);
			await store.touch(id, shortestTtl);
			await expiry(async () => store.get(id), shortestTtl);
		});

		check('prolongs a TTL by touching, and keeps the data', async (store, id) => {
			await inTime(5 * shortestTtl, async (ttl) => {
				await store.set(id, RECORD, ttl);
				await store.touch(id, 1_000 * ttl);
				if (!(await store.get(id))) return false;
				await sleep(1.2 * ttl);
				same(await store.get(id), RECORD);
				await store.destroy(id);
				return true;
			});
		});

		check('answers a hundred concurrent calls', async (store, id) => {
			const ids = Array.from({ length: 100 }, (_, n) => `${id}-${n}`);
			await Promise.all(ids.map((one, n) => store.set(one, record({ n }), 60_000)));
			const found = await Promise.all(ids.map((one) => store.get(one)));
			equal(
				found.map((one) => one?.data),
				ids.map((_, n) => ({ n }))
			);
			await Promise.all(ids.map((one) => store.destroy(one)));
		});
	});
}

/**
 * Defines tests of a store's atomic operations: a write that expects another record does nothing, only `create` creates,
 * of many concurrent writes exactly one succeeds, and random operations behave as in a model.
 *
 * ```ts
 * import { describe, test } from 'vitest';
 * import { MemoryStore } from 'vestiary';
 * import { testAtomicStore } from 'vestiary/testing';
 *
 * testAtomicStore('MemoryStore', () => new MemoryStore(), { runner: { describe, test } });
 * ```
 *
 * @param name The name of the store, for the titles of the tests
 * @param factory Creates the store of a test. Each call may return a new store on the same records
 */
export function testAtomicStore(
	name: string,
	factory: () => Store | Promise<Store>,
	{ shortestTtl = 300, runner = globalRunner() }: StoreTestOptions = {}
): void {
	const { describe, test } = runner;
	const check = (
		title: string,
		run: (store: AtomicOperations, id: string, whole: Store) => Promise<void>
	): unknown =>
		test(title, async (...context) => {
			const store = await factory();
			if (!store.atomic) throw new Error('the store has no `atomic`');
			await run(store.atomic, `test-${crypto.randomUUID()}`, store);
			assertOnce(context);
		});

	describe(`${name} is an atomic store`, () => {
		check('finds nothing for an unknown session', async (store, id) => {
			equal(await store.read(id), null);
			equal(await store.replace(id, A, text(B), 60_000), 'gone');
			equal(await store.replace(id, null, text(B), 60_000), 'gone');
			equal(await store.remove(id, A), 'gone');
			equal(await store.touch(id, 60_000), false);
			equal(await store.read(id), null);
		});

		check('creates a record only once', async (store, id) => {
			equal(await store.create(id, text(A), 60_000, false), true);
			equal(await store.create(id, text(B), 60_000, true), false);
			equal(await store.read(id), text(A));
			equal(await store.remove(id, A), 'done');
			equal(await store.create(id, text(B), 60_000, true), true);
			equal(await store.remove(id, B), 'done');
		});

		check('reads two records at once', async (store, id) => {
			// Other stores read the records one by one.
			if (!store.readTwo) return;
			const keys = ['a', 'b', 'c'].map((letter) => id + letter);
			const [a = '', b = ''] = keys;
			await store.create(a, text(A), 60_000, false);
			await store.create(b, text(B), 60_000, false);
			for (const one of keys)
				for (const other of keys)
					equal(await store.readTwo(one, other), [
						await store.read(one),
						await store.read(other)
					]);
			equal(await store.remove(a, A), 'done');
			equal(await store.remove(b, B), 'done');
		});

		check(
			'compares write IDs, in records of both formats and in those without one',
			async (store, id) => {
				const express = `{"cookie":{"v":"${B}","meta":{},"originalMaxAge":null},"n":1}`;
				const withoutWriteId = '{"cookie":{"path":"/"},"data":{"v":"CCCCCCCCCCCCCCCC"}}';
				const late = `{"data":{},"v":"${A}"}`;
				const steps: [string | null, string][] = [
					[A, text(A)],
					[B, express],
					[null, withoutWriteId],
					[null, late],
					[B, text(B)]
				];
				await store.create(id, text(A), 60_000, false);
				for (const [i, [writeId, present]] of steps.entries()) {
					equal(await store.read(id), present);
					for (const wrong of [A, B, null, 'CCCCCCCCCCCCCCCC']) {
						if (wrong === writeId) continue;
						equal(await store.replace(id, wrong, '{}', 60_000), 'conflict');
						equal(await store.remove(id, wrong), 'conflict');
					}
					const next = steps[i + 1];
					if (next) equal(await store.replace(id, writeId, next[1], 60_000), 'done');
				}
				equal(await store.remove(id, B), 'done');
				equal(await store.remove(id, B), 'gone');
			}
		);

		check('touches only the record with the expected write ID', async (store, id) => {
			// With other stores, the record is read first.
			if (!store.touchCompares) return;
			equal(await store.touch(id, 60_000, A), 'gone');
			equal(await store.touch(id, 60_000, null), 'gone');
			await store.create(id, text(A), 60_000, false);
			await store.create(`${id}x`, '{"data":{}}', 60_000, false);
			for (const wrong of [B, null]) equal(await store.touch(id, 60_000, wrong), 'conflict');
			equal(await store.touch(`${id}x`, 60_000, A), 'conflict');
			equal(await store.read(id), text(A));
			equal(await store.touch(id, 60_000, A), 'done');
			equal(await store.touch(`${id}x`, 60_000, null), 'done');
			equal(await store.touch(id, 60_000), true);
			equal(await store.remove(id, A), 'done');
			equal(await store.remove(`${id}x`, null), 'done');
		});

		check('dates a text that replaces one that begins alike', async (store, id) => {
			// With other stores, the record is read first.
			if (!store.stamp) return;
			const undated = (writeId: string): string => `{"v":"${writeId}","sessions":{},"after":`;
			const began = await store.now?.(id);
			const [first, before] = (await store.stamp(id, undated(A), 60_000)) ?? [NaN];
			const ended = await store.now?.(id);
			equal(before, null);
			equal(first >= (began ?? first) && first <= (ended ?? first), true);
			equal(await store.read(id), `${undated(A)}${first}}`);
			const [second = NaN, replaced] = (await store.stamp(id, undated(B), 60_000)) ?? [];
			equal(replaced, `${undated(A)}${first}}`);
			equal(await store.read(id), `${undated(B)}${second}}`);
			equal(await store.remove(id, B), 'done');
			for (const other of [text(A), '{}', `{"v":"${A}","sealed":"AQIDBAUGBwgJ"}`]) {
				await store.create(id, other, 60_000, false);
				equal(await store.stamp(id, undated(B), 60_000), null);
				equal(await store.read(id), other);
				await store.remove(id, other === '{}' ? null : A);
			}
			await store.stamp(id, undated(A), shortestTtl);
			await expiry(async () => store.read(id), shortestTtl);
			const [, late] = (await store.stamp(id, undated(B), 60_000)) ?? [];
			equal(late, null);
			equal(await store.remove(id, B), 'done');
		});

		check(
			'lets each of twenty concurrent dated writes replace another one',
			async (store, id) => {
				if (!store.stamp) return;
				const twenty = Array.from({ length: 20 }, (_, n) => n);
				const found = await Promise.all(
					twenty.map(async (n) => {
						const undated = `{"v":"${writeId(n)}","sessions":{},"after":`;
						return (await store.stamp?.(id, undated, 60_000))?.[1];
					})
				);
				const last = await store.read(id);
				equal(new Set([...found, last]).size, 21);
				await store.remove(id, (JSON.parse(last ?? '') as Identified).v);
			}
		);

		check('returns the text exactly as it was stored', async (store, id) => {
			const odd = text(A, { text: 'é ü 秘密 🧥 \u0000 \u2028 " \\ </script> %00' });
			await store.create(id, odd, 60_000, false);
			equal(await store.read(id), odd);
			const large = text(B, { text: 'x'.repeat(60 << 10) });
			equal(await store.replace(id, A, large, 60_000), 'done');
			equal(await store.read(id), large);
			await store.remove(id, B);
		});

		check('lets records expire, and treats expired ones as missing', async (store, id) => {
			const ids = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => id + letter);
			const [a = '', b = '', c = '', d = '', e = '', f = ''] = ids;
			await store.create(a, text(A), shortestTtl, false);
			await store.create(b, text(A), 60_000, false);
			await store.replace(b, A, text(B), shortestTtl);
			await store.create(c, text(A), 60_000, false);
			equal(await store.touch(c, shortestTtl), true);
			await inTime(shortestTtl, async (ttl) => {
				await store.create(d, text(A), ttl, false);
				return store.touch(d, 60_000);
			});
			await store.create(e, text(A), 60_000, false);
			if (store.touchCompares) {
				equal(await store.touch(e, shortestTtl, B), 'conflict');
				await store.create(f, text(A), 60_000, false);
				equal(await store.touch(f, shortestTtl, A), 'done');
			}
			for (const one of [a, b, c, f]) await expiry(async () => store.read(one), shortestTtl);
			equal(await store.replace(a, A, text(B), 60_000), 'gone');
			equal(await store.remove(b, B), 'gone');
			equal(await store.touch(c, 60_000), false);
			equal(await store.create(a, text(B), 60_000, false), true);
			equal(await store.read(a), text(B));
			equal(await store.read(d), text(A));
			equal(await store.read(e), text(A));
			await Promise.all([store.remove(a, B), store.remove(d, A), store.remove(e, A)]);
		});

		check('keeps a record whose ttl is Infinity', async (store, id) => {
			await store.create(id, text(A), Infinity, false);
			equal(await store.replace(id, A, text(B), Infinity), 'done');
			equal(await store.touch(id, Infinity), true);
			equal(await store.read(id), text(B));
			await store.remove(id, B);
		});

		check('lets exactly one of fifty concurrent writes succeed', async (store, id) => {
			const fifty = Array.from({ length: 50 }, (_, n) => n);
			const done = (outcomes: (AtomicOutcome | boolean)[]): number =>
				outcomes.filter((outcome) => outcome === 'done' || outcome === true).length;
			const all = async <T>(run: (n: number) => Promise<T>): Promise<T[]> =>
				Promise.all(fifty.map(run));
			equal(done(await all(async (n) => store.create(id, text(A, { n }), 60_000, false))), 1);
			equal(done(await all(async (n) => store.replace(id, A, text(B, { n }), 60_000))), 1);
			equal(done(await all(async () => store.remove(id, B))), 1);
			equal(await store.read(id), null);
		});

		check('loses none of fifty concurrent changes', async (store, id) => {
			await store.create(id, text(writeId(0), { n: 0 }), 60_000, false);
			const add = async (): Promise<void> => {
				for (;;) {
					const found = JSON.parse((await store.read(id)) ?? '') as Identified;
					const next = text(writeId(found.data.n + 1), { n: found.data.n + 1 });
					if ((await store.replace(id, found.v, next, 60_000)) === 'done') return;
				}
			};
			await Promise.all(Array.from({ length: 50 }, add));
			equal((JSON.parse((await store.read(id)) ?? '') as Identified).data.n, 50);
			equal(await store.remove(id, writeId(50)), 'done');
		});

		testFeed(check, factory);

		check('returns a tombstone as no session', async (store, id, whole) => {
			for (const tombstone of [
				`{"v":"${A}","cookie":{},"data":{},"meta":{"next":"x"}}`,
				`{"cookie":{"v":"${A}","meta":{"next":"x"},"originalMaxAge":null}}`
			]) {
				await store.create(id, tombstone, 60_000, false);
				equal((await whole.get(id)) ?? null, null);
				await store.remove(id, A);
			}
		});

		check('behaves as a model does in random operations', async (store, id) => {
			const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
			const chance = chanceOf(seed);
			const model = new Map<string, string>();
			const writeIds = [A, B, null];
			const shape = (m: string | null): string => (m === null ? '{"data":{}}' : text(m));
			const trace: string[] = [];
			for (let i = 0; i < 300; i++) {
				const key = `${id}-${chance(3)}`;
				const present = model.get(key);
				const given = writeIds[chance(3)] ?? null;
				const written = writeIds[chance(3)] ?? null;
				const matches = present === shape(given);
				const refused = present === undefined ? 'gone' : 'conflict';
				let actual: unknown;
				let expected: unknown;
				switch (chance(6)) {
					case 0:
						[actual, expected] = [await store.read(key), present ?? null];
						break;
					case 1:
						actual = await store.create(key, shape(written), 60_000, chance(2) === 1);
						expected = present === undefined;
						if (expected) model.set(key, shape(written));
						break;
					case 2:
						actual = await store.replace(key, given, shape(written), 60_000);
						expected = matches ? 'done' : refused;
						if (matches) model.set(key, shape(written));
						break;
					case 3:
						actual = await store.remove(key, given);
						expected = matches ? 'done' : refused;
						if (matches) model.delete(key);
						break;
					case 4:
						if (!store.touchCompares) continue;
						actual = await store.touch(key, 60_000, given);
						expected = matches ? 'done' : refused;
						break;
					default:
						actual = await store.touch(key, 60_000);
						expected = present !== undefined;
				}
				trace.push(String(actual).slice(0, 30));
				if (actual !== expected)
					throw new Error(
						`seed ${seed}, step ${i}: ${String(actual)}, not ${String(expected)}\n${trace.join('\n')}`
					);
			}
			for (const [key, present] of model)
				await store.remove(key, (JSON.parse(present) as Partial<Identified>).v ?? null);
		});
	});
}

interface Identified {
	v: string;
	data: { n: number };
}

const [A, B] = ['A', 'B'].map((letter) => letter.repeat(16)) as [string, string];

function text(writeId: string, data: object = {}): string {
	return `{"v":"${writeId}","cookie":{},"data":${JSON.stringify(data)},"meta":{}}`;
}

function writeId(n: number): string {
	return n.toString().padStart(16, '_');
}

/** A reproducible source of numbers below a limit (mulberry32). */
function chanceOf(seed: number): (limit: number) => number {
	let state = seed;
	return (limit) => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
	};
}

const RECORD = record({ user: 'ada', roles: ['admin', null], nested: { yes: true, n: -1.5e-7 } });

function record(data: object): SessionStoreData {
	return {
		v: 'AAAAAAAAAAAAAAAA',
		cookie: { path: '/', maxAge: 60 },
		data: data,
		meta: { created: 1_700_000_000_000 }
	};
}

function globalRunner(): Runner {
	const { describe, test } = globalThis as Partial<Runner>;
	if (describe && test) return { describe, test };
	throw new TypeError('no global `describe` and `test`: pass them as `runner`');
}
