/** The common interface of the libraries: an app that keeps a user in a session. */

/** The app's work with the session of a request. */
export type Work = 'nothing' | 'read' | 'save' | 'login';

/** One request, created before the measurement. */
export interface Exchange {
	/** The cookie that the browser sent. */
	readonly cookie: string | undefined;
	run: () => Promise<void>;
	/** The cookies that the response sets, after the request. */
	setCookies: () => string[];
	/** The data that the app read or left. */
	readonly seen: Partial<Data> | undefined;
}

export interface App {
	exchange: (cookie: string | undefined, work: Work) => Exchange;
}

export interface Options {
	/** The first signs, all verify. */
	secrets: string[];
	data: Data;
	rolling?: boolean;
	hashIds?: boolean;
	encrypt?: boolean;
}

export interface Data {
	userId: string;
	visits: number;
	cart?: string;
}

/** The delay of every store call. */
export type Wait = () => Promise<void>;

export interface Peer<Store = unknown> {
	name: string;
	/** The npm package. */
	package: string;
	/** Which of the two bare handlers is its baseline. */
	base: 'kit' | 'node';
	/** Whether all data is in the cookie. */
	stateless?: true;
	/** Whether a save leaves the browser's cookie alone. */
	keeps?: true;
	/** Whether reading replaces a cookie of a previous secret. */
	renews?: true;
	/** Optional capabilities. */
	can?: ('hashIds' | 'encrypt')[];
	/** Its own memory store, with a delay before every call. */
	store: (wait?: Wait) => Store;
	app: (options: Options, store: Store) => App;
}

/** Data whose JSON has this many bytes. */
export function dataOf(bytes: number): Data {
	const small = { userId: 'u-8f14e45fceea167a', visits: 1 };
	const missing = bytes - JSON.stringify({ ...small, cart: '' }).length;
	return missing <= 0
		? small
		: { ...small, cart: '0123456789abcdef'.repeat(missing).slice(0, missing) };
}

export const MAX_AGE = 3_600;
