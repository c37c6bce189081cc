import { orThrow } from './errors.js';
import {
	Core as Bindings,
	isExpressRecord,
	type CookieStep,
	type Operation,
	type Stage,
	type StoreStep
} from './generated/vestiary.js';
import type {
	CookieSerializeOptions,
	SessionCookieOptions,
	SessionStoreData,
	SveltekitSessionConfig
} from './types.js';
import { memory } from './wasm/instance.js';

const encoder = new TextEncoder();

/** What to do, and where that leaves the session (`vestiary::decide::Plan`). */
export interface Plan {
	store: StoreStep;
	cookie: CookieStep;
	stage: Stage;
}

/** What the Rust core needs to know of the options. */
export interface CoreOptions extends Pick<
	SveltekitSessionConfig,
	'name' | 'rolling' | 'saveUninitialized' | 'autoSave' | 'touchAfter' | 'format'
> {
	cookie: CookieSerializeOptions;
	/** Absent only while building, when the secret may not exist. */
	secrets: string[] | undefined;
	production: boolean;
}

/**
 * The core, spoken to in JavaScript's types. Short text passes through a buffer in linear memory,
 * which costs a fraction of an ordinary string argument.
 */
export class Core {
	readonly name: string;
	/** What the options say of `Secure`; undefined leaves it to SvelteKit. */
	readonly secure: boolean | undefined;
	/** Milliseconds in which a rolling session is touched at most once. */
	readonly touchAfter: number;
	readonly #bindings: Bindings;
	#input: Uint8Array<ArrayBuffer> = new Uint8Array();
	#output: Uint8Array<ArrayBuffer> = new Uint8Array();

	constructor(options: CoreOptions) {
		const { cookie, secrets, production } = options;
		const { maxAge, expires, sameSite, ...attributes } = cookie;
		const express = options.format === 'express';
		const recorded = { ...attributes, sameSite, ...(!express && { maxAge, expires }) };
		this.#bindings = orThrow(
			() =>
				new Bindings(
					options.name ?? '',
					cookie.domain ?? '',
					expires?.getTime(),
					cookie.httpOnly,
					maxAge,
					cookie.partitioned,
					cookie.path ?? '',
					cookie.priority ?? '',
					typeof sameSite === 'boolean' ? sameSite : undefined,
					typeof sameSite === 'string' ? sameSite : '',
					cookie.secure,
					options.rolling,
					options.saveUninitialized,
					options.autoSave,
					options.touchAfter,
					express,
					JSON.stringify({ ...recorded, encode: undefined }),
					secrets,
					production
				)
		);
		this.name = this.#bindings.name;
		this.secure = this.#bindings.secure;
		this.touchAfter = this.#bindings.touchAfter;
	}

	/**
	 * The IDs that one of our secrets signed, from the `Cookie` header. Undefined if no cookie has
	 * our name, empty if none of them is genuine.
	 */
	readCookies(header: string | null): string[] | undefined {
		if (header === null) return undefined;
		this.#see();
		// The core compares names as bytes and takes ASCII only, so it makes no difference that a
		// byte beyond ASCII becomes two here.
		const { read, written } = encoder.encodeInto(header, this.#input);
		const length =
			read === header.length
				? this.#bindings.readCookies(written)
				: this.#bindings.readLongCookies(header);
		if (length < 0) return undefined;
		return length === 0 ? [] : this.#read(length - 1).split('\n');
	}

	/** A new session ID. */
	newId(): string {
		this.#see();
		crypto.getRandomValues(this.#input.subarray(0, 24));
		return this.#read(this.#bindings.newId());
	}

	/** The cookie value of an ID. */
	sign(id: string): string {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		return this.#read(this.#bindings.sign(written));
	}

	/** The `Set-Cookie` header of a value, `encoded` if the application's encoder made it. */
	setCookie(value: string, encoded: boolean, secureHere: boolean): string {
		return orThrow(() => this.#bindings.setCookie(value, encoded, secureHere));
	}

	/** The `Set-Cookie` header that removes the cookie. */
	removeCookie(secureHere: boolean): string {
		return this.#bindings.removeCookie(secureHere);
	}

	/** Milliseconds that a record saved at `now` may live. */
	ttl(now: number = Date.now()): number {
		return this.#bindings.ttl(now);
	}

	decide(stage: Stage, operation: Operation, known: number): Plan {
		const plan = this.#bindings.decide(stage, operation, known);
		return {
			store: plan & 0xff,
			cookie: (plan >> 8) & 0xff,
			stage: (plan >> 16) & 0xff
		};
	}

	/** The text of a record with this data (JSON text). */
	encode(data: string, created: number | undefined, now: number): string {
		this.#see();
		crypto.getRandomValues(this.#input.subarray(0, 12));
		return orThrow(() => this.#bindings.encode(data, created, now));
	}

	/** Linear memory may have grown since, and then the old views of it are empty. */
	#see(): void {
		if (this.#input.byteLength > 0) return;
		const { input, inputSize, output, outputSize } = this.#bindings;
		this.#input = new Uint8Array(memory.buffer, input, inputSize);
		this.#output = new Uint8Array(memory.buffer, output, outputSize);
	}

	#read(length: number): string {
		this.#see();
		return String.fromCharCode(...this.#output.subarray(0, length));
	}
}

/**
 * What a store keeps, read out of its text: in our shape, also if express-session wrote it.
 * @throws DataError if it cannot be used
 */
export function readRecord(text: string): SessionStoreData {
	const express = orThrow(() => isExpressRecord(text));
	const record = JSON.parse(text) as SessionStoreData & ExpressRecord;
	if (!express) return record;
	const { cookie, ...data } = record;
	const { v, meta, ...attributes } = cookie;
	return {
		...(v !== undefined && { v }),
		cookie: attributes,
		data: data,
		...(meta && { meta })
	};
}

/** A flat record: what is not `cookie` is the session's data. */
interface ExpressRecord {
	cookie: SessionCookieOptions & Pick<SessionStoreData, 'v' | 'meta'>;
}
