import { expect } from 'vitest';

import type { AtomicOperations } from '../../src/index.js';

/** Creates, reads, replaces and removes twenty records. Some of the creations also remove what has expired. */
export async function eachOperation(atomic: AtomicOperations | undefined): Promise<void> {
	const writeId = 'A'.repeat(16);
	const record = `{"v":"${writeId}","cookie":{},"data":{}}`;
	for (let n = 0; n < 20; n++) {
		expect(await atomic?.create(`new-${n}`, record, 60_000, false)).toBe(true);
		expect(await atomic?.readTwo?.(`new-${n}`, 'none')).toEqual([record, null]);
		expect(await atomic?.replace(`new-${n}`, writeId, record, 60_000)).toBe('done');
		expect(await atomic?.remove(`new-${n}`, writeId)).toBe('done');
	}
}
