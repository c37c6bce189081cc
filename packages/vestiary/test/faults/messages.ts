/** Messages between the driver and its worker processes. */

/** An operation of a request on its visitor's session. */
export type Operation =
	/** Looks only. */
	| 'read'
	/** Appends a number to the list that all requests share: `update()`. */
	| 'update'
	/** Sets a key that no other request sets at the time: `save()`. */
	| 'save'
	/** Begins a session without a user: `save()`. */
	| 'create'
	| 'login'
	| 'renew'
	/** Ends the session: `destroy()`. */
	| 'logout'
	/** Ends all sessions of the user: `revokeAll()`. */
	| 'everywhere';

/** A task for a worker. */
export interface Request {
	number: number;
	operation: Operation;
	/** The `Cookie` header. */
	cookie: string | undefined;
	/** The number of the user. */
	user: number;
	/** The driver's name for a session that begins here. */
	serial?: number;
	/** The value to append, or to set. */
	value?: number;
	/** The key to set. */
	key?: string;
	/** Whether the session gets another ID before. */
	renews?: boolean;
}

/** Its outcome. */
export type Outcome =
	/** The library said that it was done. */
	| 'done'
	/** There was no session. */
	| 'anonymous'
	/** The library said that it was not done, for the session was ended meanwhile. */
	| 'gone'
	/** The library refused it: the session is too busy. */
	| 'refused'
	/** The library refused the login, because all sessions of the user were ended. The one before it may have ended. */
	| 'outdated'
	/** The session could not be read, so nothing was tried. */
	| 'unread'
	/** An error: the operation is in doubt. */
	| 'failed'
	/** The process was killed: the same, and no answer came. */
	| 'died'
	/** An unexpected error of the test or of the library. */
	| 'broken';

export interface Reply {
	number: number;
	outcome: Outcome;
	/** The code of the error, or the broken part. */
	error?: string;
	/** The session that the cookie led to. */
	found?: Found;
	/** The change of the browser's cookie by the response: another `Cookie` header, or null to remove it. */
	cookie?: string | null;
	/** The questions to the store and its answers, for a trace. */
	steps: string[];
}

/** The data of a session: a canary, and what requests have written. */
export interface Found {
	owner: number;
	serial: number;
	log: number[];
	keys: Record<string, number>;
	/** The owner of the session, as the library reports it. */
	userId?: string;
}

/** How a worker reaches the store that all of them share. */
export interface Setup {
	store:
		| { kind: 'redis'; client: 'ioredis' | 'node-redis'; port: number }
		| { kind: 'cluster'; ports: number[] }
		| { kind: 'sqlite'; client: 'node:sqlite' | 'better-sqlite3' | 'libsql'; file: string }
		| { kind: 'postgres'; client: 'pg' | 'postgres.js'; url: string }
		| { kind: 'mysql'; client: 'mysql2' | 'mariadb'; url: string }
		| { kind: 'd1' | 'durable-objects' | 'libsql'; url: string }
		/** `connect-pg-simple`, a store of express-session, which is not atomic. */
		| { kind: 'connect-pg-simple'; url: string };
	/** Whether to hide the store's atomic operations. */
	plain: boolean;
	/** Whether to encrypt records and hash IDs. */
	sealed: boolean;
	/** Milliseconds after which a worker gives up waiting for the store. Default: {@link STORE_TIMEOUT}. */
	storeTimeout?: number;
}

/** The name of a user, as the application calls it. */
export function userName(user: number): string {
	return `user-${user}`;
}

/** Shorter than most faults. */
export const STORE_TIMEOUT = 300;
