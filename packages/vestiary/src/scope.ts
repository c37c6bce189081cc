import type { RequestEvent } from '@sveltejs/kit';

import type { OwnCookie, User } from './going.js';
import { ConfigError, ResponseSentError, VestiaryError } from './errors.js';
import { cacheControl, Task, vary } from './generated/vestiary.js';
import { hint, hintForEvent } from './hints.js';
import { REVOKED, type Inside } from './inside.js';
import { watch, type OwnRequest } from './open-sessions.js';
import { Operations } from './operations.js';
import { cookieWith } from './own-cookie.js';
import type { Spent } from './records.js';
import { building, developing, userKey, type Runtime } from './runtime.js';
import type { SessionEvent } from './types.js';
import { Visit, type Around, type Cookie } from './visit.js';

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

/** SvelteKit takes `search` away from the URL of a page that it prerenders. */
export function hasVisitor(event: RequestEvent): boolean {
	const { url } = partial(event);
	return !building && !(url && Object.hasOwn(url, 'search'));
}

/** One request: its event, its current session, and the cookie that has to go out with it. */
export class Scope implements Around {
	readonly event: RequestEvent;
	readonly runtime: Runtime;
	/** The handle will finish this request, and put the cookie on the response if SvelteKit did not. */
	readonly finishes: boolean;
	/** The session that `event.locals.session` is, or would be. */
	session: Inside | undefined;
	/** The session, as the core knows it. */
	readonly visit: Visit;
	/** No cookie can reach the browser any more: the head of the response has left, or there is none. */
	left: boolean;
	/** The application has made its response. */
	finished = false;
	/** The handle has returned it. */
	over = false;
	/** The application has looked at the session, so the response may depend on it. */
	looked = false;
	/** When the request began, in milliseconds since the epoch. */
	readonly began: number = Date.now();
	/** This request, as revocations know it. */
	readonly own: OwnRequest = { ended: undefined, visit: undefined };
	/** Forgets that this request has a session of a user open. */
	unwatch: (() => void) | undefined;
	/** What the store is asked while the page is made. */
	refreshed: Promise<void> | undefined;
	/** A handle before this one that uses the same cookie name. The cookie is its cookie. */
	outer: Scope | undefined;
	/** A handle after this one that uses the same cookie name has set the cookie. */
	takenInside = false;
	/** The IDs under which a sub-request finds this request. */
	registered: Set<string> | undefined;
	#operations: Operations | undefined;
	/** A session of this handle is about to begin. */
	#reserved = false;
	/** SvelteKit puts another function in its place once the response is made. */
	readonly #setInJar: Cookies['set'] | undefined;

	constructor(event: RequestEvent, runtime: Runtime, finishes: boolean) {
		const { cookies } = partial(event);
		this.event = event;
		this.runtime = runtime;
		this.finishes = finishes;
		this.#setInJar = cookies?.set;
		this.visit = new Visit(this);
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
		return this.#operations?.isUsed ?? false;
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
	 * Puts the cookie where it can be put at once, without a handle: into SvelteKit's jar.
	 *
	 * A handle does it itself, with {@link seal}: from its cookie jar SvelteKit would put the cookie
	 * on every response, and fails where an endpoint returned one with immutable headers, as `fetch()`
	 * and `Response.redirect()` make them. Without a handle the jar is all there is.
	 * @returns Why it cannot be put there
	 */
	sendByJar(): VestiaryError | undefined {
		if (this.finishes || this.left) return undefined;
		const { cookie } = this.visit;
		if (!cookie) return undefined;
		const { cookies } = this.event;
		const value = this.#valueOf(cookie);
		const options = this.#jarOptions(value, cookie.own);
		try {
			if (value === null) cookies.delete(this.runtime.core.name, options);
			else cookies.set(this.runtime.core.name, value, options);
		} catch (cause) {
			// The jar is closed once SvelteKit has made the response.
			this.left = true;
			return new ResponseSentError({ cause });
		}
		return undefined;
	}

	/** Hears whether a session is about to begin, whose cookie no other handle may take. */
	reserves(is: boolean): void {
		this.#reserved = is;
		if (this.outer) this.outer.takenInside = is || this.visit.cookie?.id !== undefined;
	}

	/** Whether another handle has the cookie. */
	get isTaken(): boolean {
		return this.takenInside || (this.outer?.hasCookie ?? false);
	}

	/** The error for a session whose cookie another handle has. */
	get sameName(): ConfigError {
		return sameName(this.runtime.core.name);
	}

	/**
	 * Whether a cookie can leave, as far as that can be found out before anything is done that needs one. A jar can only
	 * be asked by using it; SvelteKit closes its own by another `set`, which takes no arguments. That of a mock may take
	 * none either.
	 */
	get canSend(): boolean {
		if (this.left || this.finishes) return !this.left;
		const { set } = this.event.cookies;
		return set === this.#setInJar || set.length > 0;
	}

	/**
	 * The same for a renewal, which is not taken back, and for the opening, which leaves everything as it is where no
	 * cookie can leave: a jar that SvelteKit may have closed before this request had a session counts as closed.
	 */
	get canSurelySend(): boolean {
		if (this.left || this.finishes) return !this.left;
		return this.event.cookies.set.length > 0;
	}

	/** Whether the browser has a cookie of this request's session, or will be sent one. */
	get hasCookie(): boolean {
		return this.#reserved || this.visit.hasCookie;
	}

	/**
	 * Asks the store whether the ID in the cookie is still in use, where another request can have ended the session
	 * or replaced its ID while this one worked. Undefined if there is nothing to wait for.
	 */
	confirm(): Promise<void> | undefined {
		return this.visit.isDoubtful ? this.visit.act(Task.Confirm) : undefined;
	}

	/** Lets the session end at once when this process revokes it. */
	watch(user: User): void {
		const { finishes, runtime, session, visit } = this;
		// A session that is looked at for the first time by a stream.
		if (this.over) return;
		const open = {
			handle: user.handle,
			get isOpen() {
				return visit.user?.handle === user.handle;
			},
			revoked: (by: OwnRequest | undefined, wasOpen: boolean) => {
				if (wasOpen || open.isOpen) session?.[REVOKED](user.handle, by);
			}
		};
		this.unwatch?.();
		const key = userKey(runtime.options, user.name);
		this.unwatch = watch(runtime.store, key, open, finishes);
	}

	/** Removes a record that counts for nothing any more, while the page is made. */
	tidy(spent: Spent): void {
		this.later(async () =>
			this.runtime.records.tidy(spent, (event) => {
				this.tell(event);
			})
		);
	}

	/**
	 * Puts the cookie where SvelteKit looks for it when a hook throws a redirect, and the handle never
	 * sees a response.
	 */
	hand(): void {
		const { cookie } = this.visit;
		if (!cookie) return;
		const { own } = cookie;
		const value = this.#valueOf(cookie);
		const options = { ...this.#jarOptions(value, own), ...(value === null && { maxAge: 0 }) };
		this.#setInJar?.(this.runtime.core.name, value ?? '', options);
	}

	/** The cookie that this request sets: a pair for a `Cookie` header. With an empty value if it removes it. */
	get cookiePair(): string | undefined {
		const { cookie } = this.visit;
		return cookie && this.#header(cookie).split(';', 1)[0];
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
		const outgoing = this.visit.cookie;
		const { headers } = response;
		const cookies = headers.getSetCookie();
		if (!outgoing && !this.looked && cookies.length === 0) return response;
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
		const cached = headers.get('cache-control');
		const control = cached === null ? this.runtime.core.cacheControl : cacheControl(cached);
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

	/** The signed ID; null if the cookie is removed. */
	#valueOf({ id }: Cookie): string | null {
		return id === undefined ? null : this.runtime.core.sign(id);
	}

	#header(outgoing: Cookie): string {
		const { core, cookie } = this.runtime;
		const { id, own } = outgoing;
		const secureHere = core.secureOf(own) ?? this.#secureByKit();
		if (id === undefined) return core.removeCookie(secureHere, own);
		const encoded = cookie.encode && (cookie.encode(core.sign(id)) as string | undefined);
		if (encoded === undefined) return core.setId(id, secureHere, own);
		return core.setCookie(encoded, true, secureHere, own);
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
