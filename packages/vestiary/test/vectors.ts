import { readFileSync } from 'node:fs';

/** A file of `vectors/`, which the Rust tests read as well. */
export function vectors<T>(name: string): T[] {
	const url = new URL(`../../../vectors/${name}.json`, import.meta.url);
	return (JSON.parse(readFileSync(url, 'utf8')) as { cases: T[] }).cases;
}

/** A cookie value and what signed it. */
export interface SignedValue {
	secrets: string[];
	/** The cookie's value. */
	value: string;
	/** The ID in it; null if the value is not valid. */
	id: string | null;
	/** Whether we write this very value for the ID. */
	ours: boolean;
	format?: 'express-session';
}

/** A `Cookie` header, each character one byte, and the values it has under a name. */
export interface CookieHeader {
	name: string;
	header: string;
	values: string[];
}

/** Options of a cookie and the header they make. */
export interface SetCookieHeader {
	name: string;
	value: string;
	cookie: {
		domain?: string;
		/** Milliseconds since the epoch. */
		expires?: number;
		httpOnly?: boolean;
		maxAge?: number;
		partitioned?: boolean;
		path?: string;
		priority?: 'low' | 'medium' | 'high';
		sameSite?: boolean | 'lax' | 'strict' | 'none';
		secure?: boolean;
	};
	/** Null if the options are refused. */
	header: string | null;
	/** Code of the refusal. */
	code?: string;
}

/** The text of a stored record. */
export interface StoredRecord {
	record: string;
	/** The code of the fault; null if there is none. */
	fault: string | null;
	/** The data of a record in the format of express-session. */
	express?: object;
}

/** A record to write. */
export interface WrittenRecord {
	format: 'svelte-kit-sessions' | 'express-session';
	/** `expires` in milliseconds since the epoch. */
	cookie: { path: string; maxAge?: number; expires?: number; httpOnly?: boolean };
	data: unknown;
	created: number;
	now: number;
	/** When the cookie ends, if the record says so. */
	until?: number;
	/** Its text, `<16>` for the write ID. */
	record?: string;
	/** Code of the refusal. */
	fault?: string;
}

/** A row of the decision table. */
export interface Decision {
	policy: ('rolling' | 'saveUninitialized' | 'autoSave')[];
	stage: 'New' | 'Stored';
	operation: 'Open' | 'Change' | 'Save' | 'Touch' | 'Destroy' | 'Finish';
	known: ('CookieOut' | 'Unsaved' | 'Over' | 'Finishes' | 'Left' | 'Touched')[];
	plan: {
		store: 'Keep' | 'Create' | 'Replace' | 'Touch' | 'Take';
		cookie: 'Keep' | 'Set' | 'Clear' | 'Late';
		stage: 'New' | 'Stored';
	};
}

/** The options of a cookie, and the TTL of a record with them. */
export interface Life {
	maxAge?: number;
	/** Milliseconds since the epoch. */
	expires?: number;
	now: number;
	/** Milliseconds; null is for ever. */
	ttl: number | null;
}

/** A record, encrypted. */
export interface Sealed {
	secret: string;
	namespace: string | null;
	id: string;
	/** Its key in the store. */
	key: string;
	/** In hexadecimal digits. */
	nonce: string;
	text: string;
	sealed: string;
}

/** The keys of an ID and a user in a namespace. */
export interface Namespaced {
	secret: string;
	namespace: string | null;
	id: string;
	user: string;
	cookie: string;
	key: string;
	/** The key with `hashIds`. */
	hashed: string;
	userKey: string;
}

/** A tombstone. */
export interface Tombstone {
	id: string;
	record: string;
	next: string;
}
