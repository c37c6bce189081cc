/** Vestiary's own metadata of a session, as JSON. Times are in milliseconds since the epoch. */
export interface SessionMeta {
	/** When the session was created. */
	created?: number;
	/** When the session got its current ID, if that is not the first one. */
	renewed?: number;
	/** The idle deadline. */
	idle?: number;
	/** The absolute deadline. */
	absolute?: number;
	/** When the browser drops the cookie, if the cookie has a `maxAge` and does not roll. */
	until?: number;
	/** The owner of the session, after `session.login()`. */
	user?: string;
	/** The session's handle in its user's session list. */
	handle?: string;
	/** The cookie attributes that differ from the options, because they were assigned to `session.cookie`. */
	cookie?: Record<string, string | number | boolean | null>;
	/** The values of `session.put()`, each with its end. */
	slots?: Record<string, { until: number; value: unknown }>;
	/** The version of the data, if the application numbers them: the option `version`. */
	version?: number;
	/** The write IDs of previous writes. */
	writes?: string[];
	/** Present in a tombstone: the session's new ID, which only the holder of this one can read. */
	next?: string;
	/** The end of the grace period, until which this ID leads to the new one. */
	grace?: number;
}
