/**
 * The near cache of a process. A session that another process ends is noticed at the latest after `maxStale` milliseconds,
 * and at once if the store has a feed that is connected. What this process writes counts at once.
 */
export interface CacheOptions {
	/**
	 * The age at which an entry answers no longer, in milliseconds, counted from when the store was asked: a whole number
	 * from 1 to 60,000.
	 */
	maxStale: number;
	/**
	 * The maximum number of entries: a whole number from 1 to 1,000,000. A session takes one, and its user's session list
	 * another one. All entries together take at most 2 KiB for each, and their table takes 3 MiB, or 24 MiB for a million.
	 * Default: 10,000.
	 */
	maxEntries?: number | undefined;
}

/** The types of its members. */
export const CACHE_TYPES: Record<keyof CacheOptions, string> = {
	maxStale: 'number',
	maxEntries: 'number'
};
