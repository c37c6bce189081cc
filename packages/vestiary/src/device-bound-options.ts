/** Sessions that are bound to the visitor's device: Device Bound Session Credentials (DBSC). */
export interface DeviceBoundOptions {
	/**
	 * The lifetime of the bound cookie, in seconds: a whole number from 1 to 86,400. A copied cookie works for at most
	 * this time and `renewGrace`. Less than 180 is for tests only, because Chromium then refreshes the cookie at most
	 * requests. Default: 300.
	 */
	maxAge?: number | undefined;
	/**
	 * The path below which the handle answers the browser, at `/register` and `/refresh`. Two handles need one each, and
	 * `cookie.path` must cover it. Default: `/device-session`, below `cookie.path`.
	 */
	path?: string | undefined;
}

/** The types of its members. */
export const DEVICE_BOUND_TYPES: Record<keyof DeviceBoundOptions, string> = {
	maxAge: 'number',
	path: 'string'
};
