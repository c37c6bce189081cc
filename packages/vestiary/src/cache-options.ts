/** The near cache of a process. */
export interface CacheOptions {
	/**
	 * The age at which an entry answers no longer, in milliseconds, counted from when the store was asked: a whole number
	 * from 1 to 60,000.
	 */
	maxStale: number;
	/**
	 * The maximum number of entries: a whole number from 1 to 1,000,000. A session takes one, and its user's session list
	 * another one. All entries together take at most 2 KiB for each. Default: 10,000.
	 */
	maxEntries?: number | undefined;
}

/** The types of its members. */
export const CACHE_TYPES: Record<keyof CacheOptions, string> = {
	maxStale: 'number',
	maxEntries: 'number'
};
