import type { SessionStoreData } from './types.js';

/**
 * Runs calls that must finish before a record expires, and retries with a longer TTL if the machine was too busy. Any
 * answer but `true` means that the record was missing.
 */
export async function inTime(ttl: number, run: (ttl: number) => Promise<unknown>): Promise<void> {
	for (const factor of [1, 10, 100]) {
		const began = Date.now();
		if ((await run(factor * ttl)) === true) return;
		if (Date.now() - began < factor * ttl)
			throw new Error('a record was missing before its TTL was over');
	}
	throw new Error(`the store needs more than ${100 * ttl} milliseconds for two calls`);
}

/** Waits until a record has expired. Fails if that takes so long that the store must use another unit. */
export async function expiry(read: () => Promise<unknown>, ttl: number): Promise<void> {
	const began = Date.now();
	for (;;) {
		// Read before the record: a machine that was busy in between proves nothing.
		const late = Date.now() - began > 20 * ttl;
		if (!(await read())) return;
		if (late) break;
		await sleep(ttl / 10);
	}
	throw new Error(
		`the record is still there, long after its ${ttl} milliseconds: is the unit right?`
	);
}

export function sleep(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

export function equal(actual: unknown, expected: unknown): void {
	const [one, other] = [canonical(actual), canonical(expected)];
	if (one !== other)
		throw new Error(`the store returned ${one.slice(0, 200)}, not ${other.slice(0, 200)}`);
}

/** Checks that a store has returned a record. It may add members to the cookie. */
export function same(found: SessionStoreData | null, stored: SessionStoreData): void {
	const names = Object.keys(stored.cookie);
	const cookie = Object.entries(found?.cookie ?? {}).filter(([name]) => names.includes(name));
	equal(found && { ...found, cookie: Object.fromEntries(cookie) }, stored);
}

/** JSON with sorted keys, since a store may change their order. */
function canonical(value: unknown): string {
	return JSON.stringify(value, (_, part: unknown) =>
		part !== null && typeof part === 'object' && !Array.isArray(part)
			? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
			: part
	);
}

/** Satisfies vitest's `requireAssertions`, which counts calls of the `expect` that it passes to a test. */
export function assertOnce([context]: unknown[]): void {
	const { expect } = (context ?? {}) as {
		expect?: (value: unknown) => { toBe(value: unknown): void };
	};
	if (typeof expect === 'function') expect(true).toBe(true);
}
