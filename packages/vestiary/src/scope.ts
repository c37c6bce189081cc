import type { RequestEvent } from '@sveltejs/kit';

import type { OwnCookie } from './core.js';
import { ConfigError, ResponseSentError, VestiaryError } from './errors.js';
import { cacheControl, vary } from './generated/vestiary.js';
import { hint, hintForEvent } from './hints.js';
import { STORED_ID, type Inside } from './inside.js';
import type { OwnRequest } from './open-sessions.js';
import { Operations } from './operations.js';
import { cookieWith } from './own-cookie.js';
import { developing, type Runtime } from './runtime.js';
import type { SessionEvent } from './types.js';

/** What is to become of the cookie in this response: a value, or null to remove it. */
interface Outgoing {
	value: string | null;
	/** The ID in it. */
	id: string | undefined;
	/** The ID whose cookie is removed because its session has expired. */
	expired?: string;
	/** The session's own cookie attributes. */
	own: OwnCookie | undefined;
}

type Cookies = RequestEvent['cookies'];

/** SvelteKit's options, whose types differ between its versions in what may be undefined. */
type KitCookieOptions = Parameters<Cookies['set']>[2];

/**
 * A request event as far as a session needs one. SvelteKit's has all of it; one that an application makes, for a
 * WebSocket or in a test, may have only `cookies` or only `request`.
 */
export type PartialEvent = Partial<RequestEvent>;

/**
 * An event of which nothing is certain, whatever its type says.
 * @throws ConfigError if there is none at all
 */
export function partial(event: RequestEvent): PartialEvent {
	if (typeof (event as unknown) === 'object' && (event as unknown) !== null) return event;
	throw new ConfigError('options', 'the event is missing: pass the one of the request');
}

/** One request: its event, its current session, and the cookie that has to go out with it. */
export class Scope {
	readonly event: RequestEvent;
	readonly runtime: Runtime;
	/** The handle will finish this request, and put the cookie on the response if SvelteKit did not. */
	readonly finishes: boolean;
	/** The session that `event.locals.session` is, or would be. */
	session: Inside | undefined;
	/** The browser sent a cookie of our name, or was sent one in this request. */
	cookieOut = false;
	/** No cookie can reach the browser any more: the head of the response has left, or there is none. */
	left: boolean;
	/** The application has made its response. */
	finished = false;
	/** The application has looked at the session, so the response may depend on it. */
	looked = false;
	/** IDs in its cookies whose sessions have expired, or are unknown. */
	readonly lost: string[] = [];
	/** When the request began, in milliseconds since the epoch. */
	readonly began: number = Date.now();
	/** This request, as revocations know it. */
	readonly own: OwnRequest = { ended: new Map() };
	/** Forgets that this request has a session of a user open. */
	unwatch: (() => void) | undefined;
	/** What the store is asked while the page is made. */
	refreshed: Promise<void> | undefined;
	/** A handle before this one that uses the same cookie name. The cookie is its cookie. */
	outer: Scope | undefined;
	/** A handle after this one that uses the same cookie name has set the cookie. */
	takenInside = false;
	/** The IDs under which a sub-request finds this request. */
	readonly registered: Set<string> = new Set<string>();
	/** The IDs that the browser has sent. */
	received: readonly string[] = [];
	/** An ID that this request has created, and that no other request can know. */
	created: string | undefined;
	/** An ID that the store has confirmed after the application had made its response. */
	confirmed: string | undefined;
	#operations: Operations | undefined;
	#sent: Outgoing | undefined;
	/** SvelteKit puts another function in its place once the response is made. */
	readonly #setInJar: Cookies['set'] | undefined;

	constructor(event: RequestEvent, runtime: Runtime, finishes: boolean) {
		const { cookies } = partial(event);
		this.event = event;
		this.runtime = runtime;
		this.finishes = finishes;
		this.#setInJar = cookies?.set;
		this.left = !finishes && typeof cookies?.set !== 'function';
	}

	/** The application's operations on the session. */
	get operations(): Operations {
		return (this.#operations ??= new Operations(this.finishes && !this.finished, (error) => {
			this.tell({ type: 'failed', error: asError(error) });
			if (developing)
				hint(`an operation of the session that was not awaited has failed: ${text(error)}`);
		}));
	}

	/** Whether the application has done anything to the session. */
	get isUsed(): boolean {
		return this.#operations !== undefined;
	}

	/** Whether an operation would begin at once. */
	get isIdle(): boolean {
		return this.#operations?.idle ?? true;
	}

	/**
	 * The `Cookie` header of the request, or one made of SvelteKit's cookie jar if there is no request, or one of
	 * another kind, such as that of `node:http`.
	 * @throws ConfigError if the event has neither
	 */
	get cookieHeader(): string | null {
		const { request, cookies } = partial(this.event);
		const headers = request?.headers as Partial<Headers> | undefined;
		if (typeof headers?.get === 'function') return headers.get('cookie');
		const { name } = this.runtime.core;
		if (typeof cookies?.get === 'function') {
			const value = cookies.get(name, { decode: (encoded) => encoded });
			return value === undefined ? null : `${name}=${value}`;
		}
		throw new ConfigError(
			'options',
			'the session cookie cannot be read: the event has neither `request` (with `headers`, such as `new Headers()`) nor `cookies` (with `get`)'
		);
	}

	/**
	 * Sets the cookie to a signed value, or removes it. Returns the error if no cookie can leave any more: whether
	 * it matters depends on the operation.
	 *
	 * A handle does that itself, with {@link seal}: from its cookie jar SvelteKit would put the cookie
	 * on every response, and fails where an endpoint returned one with immutable headers, as `fetch()`
	 * and `Response.redirect()` make them. Without a handle the jar is all there is.
	 *
	 * A cookie whose ID is taken out of use before the response leaves, by a request that was faster, stays
	 * here: it could overwrite the newer one.
	 */
	send(id: string | null, own: OwnCookie | undefined): VestiaryError | undefined {
		const { outer, refusal } = this;
		if (refusal) return refusal;
		if (outer && id !== null) outer.takenInside = true;
		const value = id === null ? null : this.runtime.core.sign(id);
		// The visitor has another session now: no other response may remove this cookie.
		if (id !== null) for (const lost of this.lost.splice(0)) this.runtime.records.retire(lost);
		if (!this.finishes) {
			const { cookies } = this.event;
			const options = this.#jarOptions(value, own);
			try {
				if (value === null) cookies.delete(this.runtime.core.name, options);
				else cookies.set(this.runtime.core.name, value, options);
			} catch (cause) {
				// The jar is closed once SvelteKit has made the response.
				this.left = true;
				return new ResponseSentError({ cause });
			}
		}
		this.#sent = { value, id: id ?? undefined, own };
		this.cookieOut = true;
		return undefined;
	}

	/** Why no cookie can be set, as far as that is known without trying. */
	get refusal(): VestiaryError | undefined {
		if (this.left) return new ResponseSentError();
		const isTaken = this.takenInside || this.outer?.hasCookie;
		return isTaken ? sameName(this.runtime.core.name) : undefined;
	}

	/**
	 * Whether a cookie can leave, found out before anything is done that needs one. A jar can only be asked by using
	 * it; SvelteKit closes its own by a `set` that takes no arguments.
	 */
	get canSend(): boolean {
		if (this.left) return false;
		return this.finishes || this.event.cookies.set.length > 0;
	}

	/** Whether the browser has a cookie of this request's session, or will be sent one. */
	get hasCookie(): boolean {
		return this.#sent !== undefined || this.session?.[STORED_ID] !== undefined;
	}

	/** Whether the response takes the cookie away, as a logout does, be it one that the store did not confirm. */
	get removesCookie(): boolean {
		return this.#sent?.value === null && this.#sent.expired === undefined;
	}

	/**
	 * Asks the store whether the ID in the cookie is still in use, where another request can have ended the session
	 * or replaced its ID while this one worked. Undefined if there is nothing to wait for.
	 */
	confirm(): Promise<void> | undefined {
		const id = this.#sent?.id;
		if (id === undefined || id === this.created || id === this.confirmed) return undefined;
		const { records } = this.runtime;
		if (records.isRetired(id)) return undefined;
		const current = records.isCurrent(id);
		if (typeof current === 'boolean') {
			if (!current) this.#sent = undefined;
			return undefined;
		}
		return current.then(
			(isCurrent) => {
				if (!isCurrent) this.#sent = undefined;
			},
			(error: unknown) => {
				if (!(error instanceof VestiaryError)) throw error;
				this.tell({ type: 'store_failed', error });
				// The browser does without a refresh, but not without an ID that it does not have yet.
				if (this.received.includes(id)) this.#sent = undefined;
			}
		);
	}

	/**
	 * Removes the cookie of a session that has expired, unless the visitor gets another one. Without a response
	 * that could do it, it stays.
	 */
	removeExpired(expired: string, own: OwnCookie | undefined): void {
		if (!this.canSend || this.send(null, own)) return;
		if (this.#sent) this.#sent.expired = expired;
	}

	get #outgoing(): Outgoing | undefined {
		const id = this.#sent?.id ?? this.#sent?.expired;
		return id !== undefined && this.runtime.records.isRetired(id) ? undefined : this.#sent;
	}

	/**
	 * Puts the cookie where SvelteKit looks for it when a hook throws a redirect, and the handle never
	 * sees a response.
	 */
	hand(): void {
		const outgoing = this.#outgoing;
		if (!outgoing) return;
		const { value, own } = outgoing;
		const options = { ...this.#jarOptions(value, own), ...(value === null && { maxAge: 0 }) };
		this.#setInJar?.(this.runtime.core.name, value ?? '', options);
	}

	/** The cookie that this request sets: a pair for a `Cookie` header. With an empty value if it removes it. */
	get cookiePair(): string | undefined {
		const outgoing = this.#outgoing;
		return outgoing && this.#header(outgoing).split(';', 1)[0];
	}

	/** Emits an event. What a listener throws must not stop a logout. */
	tell(happened: SessionEvent): void {
		const { telemetry, onEvent } = this.runtime.options;
		if (developing) hintForEvent(happened.type, this.runtime.core.name);
		harmless('telemetry', () => telemetry?.event(happened.type));
		harmless('onEvent', () => onEvent?.(happened, this.event));
	}

	/**
	 * Does something while the page is made, after what is being done so already. That the store fails is
	 * told, and otherwise of no consequence.
	 */
	later(run: () => Promise<unknown>): void {
		this.refreshed = (this.refreshed ?? Promise.resolve()).then(run).then(
			() => undefined,
			(error: unknown) => {
				if (!(error instanceof VestiaryError)) throw error;
				this.tell({ type: 'store_failed', error });
			}
		);
		// Whoever waits for it gets it; until then it must not count as unhandled.
		this.refreshed.catch(() => undefined);
	}

	/** Without a handle nobody else would wait. */
	async settled(): Promise<void> {
		if (!this.finishes) await this.refreshed;
	}

	/**
	 * The response as it must leave: with our cookie, and kept by no cache if it carries one; kept for no
	 * other visitor if the session was looked at.
	 *
	 * The application may return one object to every visitor. So the cookie goes onto a copy; `Vary`, which says the
	 * same to all of them, goes onto the object itself, as far as it can be changed.
	 */
	seal(response: Response): Response {
		const outgoing = this.#outgoing;
		const { headers } = response;
		const cookies = headers.getSetCookie();
		const others = cookies.filter((one) => !this.#isOurs(one));
		// A sub-request that has a session of its own leaves its cookie to SvelteKit's jar.
		const carries = outgoing !== undefined || others.length < cookies.length;
		if (!carries && !this.looked) return response;
		const present = headers.get('vary');
		const varies = present === null ? this.runtime.core.vary : vary(present);
		if (!carries) return varies === undefined ? response : varying(response, varies);
		const sealed = new Response(response.body, response);
		if (varies !== undefined) sealed.headers.set('vary', varies);
		if (outgoing) {
			sealed.headers.delete('set-cookie');
			for (const other of others) sealed.headers.append('set-cookie', other);
			sealed.headers.append('set-cookie', this.#header(outgoing));
		}
		const control = cacheControl(headers.get('cache-control') ?? undefined);
		if (control !== undefined) sealed.headers.set('cache-control', control);
		return sealed;
	}

	#jarOptions(value: string | null, own: OwnCookie | undefined): KitCookieOptions {
		const { core } = this.runtime;
		const cookie = cookieWith(this.runtime.cookie, own);
		const secure = core.secureOf(own);
		return {
			...cookie,
			...(secure !== undefined && { secure }),
			...(cookie.maxAge !== undefined && { maxAge: Math.floor(cookie.maxAge) }),
			...(cookie.expires && value === null && { expires: new Date(0) })
		} as KitCookieOptions;
	}

	#isOurs(setCookie: string): boolean {
		return setCookie.startsWith(`${this.runtime.core.name}=`);
	}

	#header({ value, own }: Outgoing): string {
		const { core, cookie } = this.runtime;
		const secureHere = core.secureOf(own) ?? this.#secureByKit();
		if (value === null) return core.removeCookie(secureHere, own);
		const encoded = cookie.encode?.(value);
		return core.setCookie(encoded ?? value, encoded !== undefined, secureHere, own);
	}

	/**
	 * SvelteKit decides by version, mode and origin, so it is asked for a sample; the next request is mostly
	 * to the same origin.
	 */
	#secureByKit(): boolean {
		const { url, cookies } = partial(this.event);
		const { runtime } = this;
		if (!url || typeof cookies?.serialize !== 'function') return true;
		if (runtime.secureAt?.origin !== url.origin) {
			const sample = cookies.serialize('sample', '', { path: '/' });
			runtime.secureAt = { origin: url.origin, secure: /;\s*secure\s*(;|$)/i.test(sample) };
		}
		return runtime.secureAt.secure;
	}
}

/** The response with this `Vary` header: a copy where headers cannot be changed, as those that `fetch()` returns. */
function varying(response: Response, varies: string): Response {
	try {
		response.headers.set('vary', varies);
		return response;
	} catch {
		const copy = new Response(response.body, response);
		copy.headers.set('vary', varies);
		return copy;
	}
}

/** `event.locals`, where each handle has a property of its own. */
export function slots(event: RequestEvent): Record<string, unknown> {
	const { locals } = partial(event);
	// Of an event without any, what is written is lost.
	return (locals ?? {}) as unknown as Record<string, unknown>;
}

/** Calls a listener of the application: what it throws, or a promise of it rejects with, is dropped. */
function harmless(name: string, listener: () => unknown): void {
	const failed = (error: unknown): void => {
		if (developing) hint(`\`${name}\` has thrown: ${text(error)}`);
	};
	try {
		const result = listener();
		if (typeof result === 'object' && result !== null) Promise.resolve(result).catch(failed);
	} catch (error) {
		failed(error);
	}
}

/** The text of something that was thrown, which may have none. */
function text(error: unknown): string {
	try {
		return String(error);
	} catch {
		return 'an error without a text';
	}
}

function asError(error: unknown): Error {
	return error instanceof Error ? error : new Error(text(error));
}

function sameName(name: string): ConfigError {
	return new ConfigError(
		'options',
		`two handles use the cookie \`${name}\`, and the visitor has a session of the other one: give one of them another \`name\``
	);
}
