import { expect, test } from 'vitest';

import { Latency } from '../src/latency.ts';
import { measure, type Candidate } from '../src/measure.ts';

/** A candidate that notes when it is measured. */
function noted(name: string, notes: string[], base?: Candidate): Candidate {
	return {
		...(base && { base }),
		prepare: async (runs) => () => {
			notes.push(`${name} ${runs}`);
		}
	};
}

test('in each round every candidate is measured once, with the same number of runs', async () => {
	const notes: string[] = [];
	const base = noted('base', notes);
	const candidate = noted('candidate', notes, base);
	const plan = { rounds: 4, slice: 0, multiple: 3 };
	const times = await measure([base, candidate], plan);
	expect(notes.toSorted()).toEqual([
		...Array<string>(4).fill('base 3'),
		...Array<string>(4).fill('candidate 3')
	]);
	for (let round = 0; round < 4; round++)
		expect(new Set(notes.slice(round * 2, round * 2 + 2)).size).toBe(2);
	expect(times.get(candidate)?.over).toHaveLength(4);
	expect(times.get(base)?.over).toHaveLength(0);
});

test('a store answers its calls in the order in which they came, and they are counted', async () => {
	const latency = new Latency();
	const order: number[] = [];
	await Promise.all([1, 2, 3].map((n) => latency.wait().then(() => order.push(n))));
	expect(order).toEqual([1, 2, 3]);
	expect(latency.calls).toBe(3);
});
