import type { SessionStoreData, Store } from './types.js';

/** What a test runner has to offer: that of vitest, jest, mocha or `node:test`. */
export interface Runner {
	describe: (name: string, define: () => void) => unknown;
	test: (name: string, run: () => Promise<void>) => unknown;
}

/** What the suite has to know of a store. */
export interface StoreTestOptions {
	/** The shortest life that the store can give a record, in milliseconds. Default: 300. */
	shortestTtl?: number | undefined;
	/** Default: the `describe` and `test` that are global. */
	runner?: Runner | undefined;
}

/**
 * Tests that a store does what sessions need of it: its units, its expiry, what it does with records
 * that are not there, and with odd ones. Every store of this package runs it.
 *
 * ```ts
 * import { describe, test } from 'vitest';
 * import { MemoryStore } from 'vestiary';
 * import { testStore } from 'vestiary/testing';
 *
 * testStore('MemoryStore', () => new MemoryStore(), { runner: { describe, test } });
 * ```
 *
 * @param factory Makes a store, or several that share what they keep
 */
export function testStore(
	name: string,
	factory: () => Store | Promise<Store>,
	{ shortestTtl = 300, runner = globalRunner() }: StoreTestOptions = {}
): void {
	const { describe, test } = runner;
	const check = (title: string, run: (store: Store, id: string) => Promise<void>): unknown =>
		test(title, async () => run(await factory(), `test-${crypto.randomUUID()}`));

	describe(`${name} is a store`, () => {
		check('returns null for a session that it does not know', async (store, id) => {
			equal((await store.get(id)) ?? null, null);
		});

		check('returns what was stored', async (store, id) => {
			await store.set(id, RECORD, 60_000);
			same(await store.get(id), RECORD);
			await store.destroy(id);
		});

		check('stores over what is there', async (store, id) => {
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

		check('forgets what was destroyed, and destroys what is not there', async (store, id) => {
			await store.set(id, RECORD, 60_000);
			await store.destroy(id);
			equal((await store.get(id)) ?? null, null);
			await store.destroy(id);
		});

		check('keeps a record without an end: its ttl is Infinity', async (store, id) => {
			await store.set(id, RECORD, Infinity);
			await store.touch(id, Infinity);
			same(await store.get(id), RECORD);
			await store.destroy(id);
		});

		check('gives back every character', async (store, id) => {
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
			await gone(store, id, shortestTtl);
		});

		check('shortens a life by touching, in milliseconds', async (store, id) => {
			await store.set(id, RECORD, 100 * shortestTtl);
			await store.touch(id, shortestTtl);
			await gone(store, id, shortestTtl);
		});

		check('prolongs a life by touching, and keeps the data', async (store, id) => {
			await store.set(id, RECORD, 5 * shortestTtl);
			await store.touch(id, 1_000 * shortestTtl);
			await sleep(6 * shortestTtl);
			same(await store.get(id), RECORD);
			await store.destroy(id);
		});

		check('answers a hundred calls at once', async (store, id) => {
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

const RECORD = record({ user: 'ada', roles: ['admin', null], nested: { yes: true, n: -1.5e-7 } });

function record(data: object): SessionStoreData {
	return {
		v: 'AAAAAAAAAAAAAAAA',
		cookie: { path: '/', maxAge: 60 },
		data: data,
		meta: { created: 1_700_000_000_000 }
	};
}

/** Waits until a record has expired; fails if that takes as long as if its unit were wrong. */
async function gone(store: Store, id: string, ttl: number): Promise<void> {
	const until = Date.now() + 20 * ttl;
	while (Date.now() < until) {
		if (!(await store.get(id))) return;
		await sleep(ttl / 10);
	}
	throw new Error(
		`the record is still there, long after its ${ttl} milliseconds: is the unit right?`
	);
}

function sleep(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

function equal(actual: unknown, expected: unknown): void {
	const [one, other] = [canonical(actual), canonical(expected)];
	if (one !== other)
		throw new Error(`the store gave ${one.slice(0, 200)}, not ${other.slice(0, 200)}`);
}

/** Whether a store gave back a record. What it adds to the cookie is its own affair. */
function same(found: SessionStoreData | null, stored: SessionStoreData): void {
	const names = Object.keys(stored.cookie);
	const cookie = Object.entries(found?.cookie ?? {}).filter(([name]) => names.includes(name));
	equal(found && { ...found, cookie: Object.fromEntries(cookie) }, stored);
}

/** JSON with sorted keys: a store may change their order. */
function canonical(value: unknown): string {
	return JSON.stringify(value, (_, part: unknown) =>
		part !== null && typeof part === 'object' && !Array.isArray(part)
			? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
			: part
	);
}

function globalRunner(): Runner {
	const { describe, test } = globalThis as Partial<Runner>;
	if (describe && test) return { describe, test };
	throw new TypeError('no global `describe` and `test`: pass them as `runner`');
}
