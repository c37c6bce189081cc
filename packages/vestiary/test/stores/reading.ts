import { expect } from 'vitest';

import type { Store } from '../../src/index.js';

/** The text of a record. */
const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';

/**
 * Checks that two records are read in one round trip, and that an unreadable one does not hide the other.
 * @param roundTrips The number of times that the client has waited for a reply
 * @param put Stores a value that is no record under an ID
 */
export async function readsTwoAtOnce(
	store: Store,
	roundTrips: () => number,
	put: (id: string) => Promise<unknown>
): Promise<void> {
	const { atomic } = store;
	if (!atomic?.readTwo) throw new Error('the store has no `readTwo`');
	const [one, other, odd] = ['one', 'other', 'odd'].map((id) => `${id}-${Math.random()}`);
	if (one === undefined || other === undefined || odd === undefined) throw new Error();
	for (const id of [one, other]) await atomic.create(id, RECORD, 60_000, false);
	await put(odd);
	const before = roundTrips();
	expect(await atomic.readTwo(one, other)).toEqual([RECORD, RECORD]);
	expect(roundTrips() - before).toBe(1);
	expect(await atomic.readTwo(one, 'no-record')).toEqual([RECORD, null]);
	expect(await atomic.readTwo(one, odd)).toEqual([RECORD, expect.any(Error)]);
	expect(await atomic.readTwo(odd, one)).toEqual([expect.any(Error), RECORD]);
}
