/** The limit of the number of sessions that a user has at the same time. */
export interface SessionsPerUser {
	/** The maximum number of sessions. Default: 100. */
	most?: number | undefined;
	/**
	 * The effect of a login beyond it: `'evict'` ends the session that has been idle longest, and `'refuse'` throws a
	 * `TooManySessionsError`. Default: `'evict'`.
	 */
	whenFull?: 'evict' | 'refuse' | undefined;
}

/** The types of its members. */
export const LIMIT_TYPES: Record<keyof SessionsPerUser, string> = {
	most: 'number',
	whenFull: 'string'
};
