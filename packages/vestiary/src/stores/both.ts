import type { AtomicRead } from '../types.js';

/** Reads two records concurrently. If one read fails, its error takes the place of its record. */
export async function readBoth(
	read: (id: string) => Promise<string | null>,
	one: string,
	other: string
): Promise<readonly [AtomicRead, AtomicRead]> {
	return Promise.all([settled(read(one)), settled(read(other))]);
}

async function settled(answer: Promise<string | null>): Promise<AtomicRead> {
	try {
		return await answer;
	} catch (error) {
		return error instanceof Error ? error : new Error('it failed', { cause: error });
	}
}
