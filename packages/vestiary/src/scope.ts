import type { RequestEvent } from '@sveltejs/kit';

import type { OwnCookie, User } from './progress.js';
import { ConfigError, ResponseSentError, StoreError, VestiaryError } from './errors.js';
import { cacheControl, Given, Task, vary, VisitState } from './generated/vestiary.js';
import { hint, hintForEvent } from './hints.js';
import { REVOKED, type Inside } from './inside.js';
import { Life } from './life.js';
import { watch, type OwnRequest } from './open-sessions.js';
import { Operations } from './operations.js';
import { cookieWith } from './own-cookie.js';
import type { Spent } from './records.js';
import { building, developing, refusePromise, userKey, type Runtime } from './runtime.js';
import type { SessionEvent, SessionRequest } from './types.js';
import { Visit, type Around, type Cookie } from './visit.js';

type Cookies = RequestEvent['cookies'];

/** SvelteKit's cookie options. Their types differ between its versions in the members that may be undefined. */
type KitCookieOptions = Parameters<Cookies['set']>[2];

/**
 * A request event whose members may be missing. SvelteKit's event has all of them; one that an application creates, for
 * a WebSocket or in a test, may have only `cookies` or only `request`.
 */
export type PartialEvent = Partial<RequestEvent>;

/**
 * The event, with a type that says which members may be missing.
 * @throws ConfigError if there is no event
 */
export function partial(event: RequestEvent): PartialEvent {
	if (typeof (event as unknown) === 'object' && (event as unknown) !== null) return event;
	throw new ConfigError('options', 'the event is missing: pass the event of the request');
}

/** Whether a request comes from a visitor. SvelteKit removes `search` from the URL of a page that it prerenders. */
export function hasVisitor(event: RequestEvent): boolean {
	const { url } = partial(event);
	return !building && !(url && Object.hasOwn(url, 'search'));
}

/** One request: its event, its current session, and the cookie of its response. */
export class Scope implements Around {
	readonly event: RequestEvent;
	readonly runtime: Runtime;
	/** Whether a handle finishes this request and sets the cookie on its response. False for `Session.initialize`. */
	readonly finishes: boolean;
	/** The session for `event.locals.session`. */
	session: Inside | undefined;
	/** The core's state of the session. */
	readonly visit: Visit;
	/** Whether no cookie can reach the browser any more: the head of the response has left, or there is no response. */
	left: boolean;
	/** Whether the application has created its response. */
	finished = false;
	/** Whether the handle has returned the response. */
	over = false;
	/** Whether the store is only read, because no request of the visitor is answered. */
	readonly readsOnly: boolean;
	/** Whether the application has looked at the session, so that the response may depend on it. */
	looked = false;
	/** Whether no cache may keep the response: `session.private()`. */
	private = false;
	/** Whether the request brings a browser's proof that it has the key of the session. */
	proves = false;
	/** The header that asks the browser to bind the session, after a login in this request. */
	registration: string | undefined;
	/** Whether that login was in an earlier request, whose response could not have the header. */
	asksLate = false;
	/** When the request began, in milliseconds since the epoch. */
	readonly began: number = Date.now();
	/** The parts of this request that a revocation needs. */
	readonly own: OwnRequest = { ended: undefined, visit: undefined };
	/** Stops tracking that this request has a user's session open. */
	unwatch: (() => void) | undefined;
	/** The work in the background: store calls in parallel with rendering. */
	background: Promise<void> | undefined;
	/** An earlier handle with the same cookie name, which owns the cookie. */
	outer: Scope | undefined;
	/** Whether a later handle with the same cookie name has set the cookie. */
	takenInside = false;
	/** The IDs under which a sub-request finds this request. */
	registered: Set<string> | undefined;
	#operations: Operations | undefined;
	#life: Life | undefined;
	/** Whether a session of this handle is about to begin. */
	#reserved = false;
	/** The function that fills SvelteKit's cookie jar. SvelteKit replaces it once there is a response. */
	readonly #setInJar: Cookies['set'] | undefined;

	constructor(event: RequestEvent, runtime: Runtime, finishes: boolean, readsOnly = false) {
		const { cookies } = partial(event);
		this.event = event;
		this.runtime = runtime;
		this.finishes = finishes;
		this.readsOnly = readsOnly;
		this.#setInJar = cookies?.set;
		this.visit = new Visit(this);
		this.left = !finishes && typeof cookies?.set !== 'function';
	}

	/** The application's operations on the session. */
	get operations(): Operations {
		return (this.#operations ??= new Operations(this.finishes && !this.finished, (error) => {
			this.emit({ type: 'failed', error: asError(error) });
			if (developing)
				hint(`an operation of the session that was not awaited has failed: ${text(error)}`);
		}));
	}

	/** Whether the application has called an operation of the session. */
	get isUsed(): boolean {
		return this.#operations?.isUsed ?? false;
	}

	/** Whether an operation would begin without waiting. */
	get isIdle(): boolean {
		return this.#operations?.idle ?? true;
	}

	/**
	 * The `Cookie` header of the request. If there is no request, or one of another kind such as that of `node:http`, the
	 * header is created from SvelteKit's cookie jar.
	 * @throws ConfigError if the event has neither
	 */
	get cookieHeader(): string | null {
		const { request, cookies } = partial(this.event);
		const headers = request?.headers as Partial<Headers> | undefined;
		if (typeof headers?.get === 'function') return headers.get('cookie');
		const { name, boundName } = this.runtime.core;
		if (typeof cookies?.get === 'function') {
			const pair = (one: string): string | undefined => {
				const value = cookies.get(one, { decode: (encoded) => encoded });
				return value === undefined ? undefined : `${one}=${value}`;
			};
			const bound = boundName === undefined ? undefined : pair(boundName);
			const own = pair(name);
			return own === undefined || bound === undefined ? (own ?? null) : `${own}; ${bound}`;
		}
		throw new ConfigError(
			'options',
			'the session cookie cannot be read: the event has neither `request` (with `headers`, such as `new Headers()`) nor `cookies` (with `get`); in a test, use `fakeEvent()` of `vestiary/testing`'
		);
	}

	/**
	 * Puts the cookie into SvelteKit's jar at once, if there is no handle.
	 *
	 * A handle sets the cookie itself, in {@link finalize}. From its jar SvelteKit would put the cookie onto every response,
	 * and it fails on a response with immutable headers, as `fetch()` and `Response.redirect()` return them. Without a
	 * handle there is only the jar.
	 * @returns The reason why the cookie cannot be set, if there is one
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
			// SvelteKit closes the jar once it has created the response.
			this.left = true;
			return new ResponseSentError({ cause });
		}
		return undefined;
	}

	/** The bits of the core's `Given` with which the session is opened. */
	get openFlags(): number {
		const shared = this.outer ? Given.Shared : 0;
		if (this.readsOnly) return shared | Given.More;
		if (this.proves) return shared | Given.Passive | Given.Proves;
		const passive: unknown = this.runtime.options.passive?.(this.event);
		// A promise would always count as true.
		refusePromise('`passive`', passive);
		return shared | (passive ? Given.Passive : 0);
	}

	/** Records whether a session is about to begin, whose cookie no other handle may take. */
	reserves(is: boolean): void {
		this.#reserved = is;
		if (this.outer) this.outer.takenInside = is || this.visit.cookie?.id !== undefined;
	}

	/** Whether the cookie belongs to another handle. */
	get isTaken(): boolean {
		return this.takenInside || (this.outer?.hasCookie ?? false);
	}

	/** The error for a session whose cookie belongs to another handle. */
	get sameName(): ConfigError {
		return sameName(this.runtime.core.name);
	}

	/**
	 * Whether a cookie can probably reach the browser: checked before an operation that needs one. Only the use of a jar
	 * shows whether it is closed. SvelteKit closes its own by replacing `set` with a function of no arguments; the `set` of
	 * a mock may have none, either.
	 */
	get canSend(): boolean {
		if (this.left || this.finishes) return !this.left;
		const { set } = this.event.cookies;
		return set === this.#setInJar || set.length > 0;
	}

	/**
	 * As {@link canSend}, but a jar that may be closed counts as closed. For a renewal, which is not undone, and for the
	 * opening of a session, which changes nothing if no cookie can reach the browser.
	 */
	get canSurelySend(): boolean {
		if (this.left || this.finishes) return !this.left;
		return this.event.cookies.set.length > 0;
	}

	/** Whether the browser has a cookie of this request's session, or receives one. */
	get hasCookie(): boolean {
		return this.#reserved || this.visit.hasCookie;
	}

	/**
	 * Checks in the store that the ID in the cookie is still in use, if another request can have ended the session or
	 * replaced its ID meanwhile. Undefined if there is nothing to wait for.
	 */
	confirm(): Promise<void> | undefined {
		return this.visit.needsConfirm ? this.visit.act(Task.Confirm) : undefined;
	}

	/** Throws if the session cannot be read. With `onStoreError: 'anonymous'`, a visitor is anonymous while the store fails. */
	checkOpened(): void {
		const { state, fault } = this.visit;
		if (state !== VisitState.Unavailable || !fault) return;
		const { onStoreError } = this.runtime.options;
		if (onStoreError !== 'anonymous' || !(fault instanceof StoreError)) throw fault;
	}

	/** Ensures that the session ends at once when this process revokes it. */
	watch(user: User): void {
		const { finishes, runtime, session, visit } = this;
		// A stream looked at the session for the first time after the response had left.
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

	/** The life of the visitor's current session, for code that lasts as long. */
	get life(): Life {
		return (this.#life ??= new Life(this));
	}

	moved(hasBegun: boolean): void {
		this.registration = undefined;
		this.asksLate = false;
		if (hasBegun) this.#life?.begin();
		else {
			const life = this.#life;
			this.#life = undefined;
			life?.ended();
		}
	}

	/** Removes an invalid record in the background. */
	tidy(spent: Spent): void {
		this.inBackground(async () =>
			this.runtime.records.tidy(spent, (event) => {
				this.emit(event);
			})
		);
	}

	/**
	 * Puts the cookie into SvelteKit's jar, for a hook that throws a redirect: SvelteKit then creates the response, which
	 * does not pass through the handle.
	 */
	sendThrown(): void {
		const { cookie } = this.visit;
		if (!cookie) return;
		const { own } = cookie;
		const value = this.#valueOf(cookie);
		const options = { ...this.#jarOptions(value, own), ...(value === null && { maxAge: 0 }) };
		this.#setInJar?.(this.runtime.core.name, value ?? '', options);
	}

	/** The cookie that this request sets, as a pair for a `Cookie` header. Its value is empty if the cookie is removed. */
	get cookiePair(): string | undefined {
		const { cookie } = this.visit;
		return cookie && this.#header(cookie).split(';', 1)[0];
	}

	/** Emits an event. An exception of a listener is caught, so that it cannot block a logout. */
	emit(happened: SessionEvent): void {
		const { telemetry, onEvent } = this.runtime.options;
		if (developing) hintForEvent(happened.type, this.runtime.core.name);
		harmless('telemetry', () => telemetry?.event(happened.type));
		harmless('onEvent', () => onEvent?.(happened, this.event));
	}

	/**
	 * Runs work in the background, after the work that already runs there. A failure of the store is emitted as an event,
	 * and has no other effect.
	 */
	inBackground(run: () => Promise<unknown>): void {
		this.background = (this.background ?? Promise.resolve()).then(run).then(
			() => undefined,
			(error: unknown) => {
				if (!(error instanceof VestiaryError)) throw error;
				this.emit({ type: 'store_failed', error });
			}
		);
		// The handle rethrows the error when it awaits this promise. Until then the rejection must not count as unhandled.
		this.background.catch(() => undefined);
	}

	/** Waits for the work in the background, if no handle will. */
	async settled(): Promise<void> {
		if (!this.finishes) await this.background;
	}

	/**
	 * Finalizes the response: adds the session cookie, and the headers that caches need. No cache may store a response with
	 * the cookie, or one that the application keeps private; one that depends on the session must not be served to another
	 * visitor.
	 *
	 * The application may return one object to every visitor, so the cookie goes onto a copy. `Vary` is the same for all
	 * visitors, and goes onto the object itself if its headers can be changed.
	 */
	finalize(response: Response): Response {
		const outgoing = this.visit.cookie;
		const { headers } = response;
		const cookies = headers.getSetCookie();
		const { registration } = this;
		const asks = registration !== undefined && (this.asksLate || outgoing?.id !== undefined);
		if (!outgoing && !this.looked && !asks && cookies.length === 0) return response;
		const others = cookies.filter((one) => !this.#isOurs(one));
		// A sub-request that has a session of its own leaves its cookie to SvelteKit's jar.
		const carries = outgoing !== undefined || others.length < cookies.length;
		if (!carries && !this.looked && !asks) return response;
		const hides = carries || this.private || asks;
		const present = headers.get('vary');
		const varies = present === null ? this.runtime.core.vary : vary(present);
		if (!hides) return varies === undefined ? response : varying(response, varies);
		const final = new Response(response.body, response);
		if (varies !== undefined) final.headers.set('vary', varies);
		if (outgoing) {
			final.headers.delete('set-cookie');
			for (const other of others) final.headers.append('set-cookie', other);
			final.headers.append('set-cookie', this.#header(outgoing));
		}
		if (asks) final.headers.append('secure-session-registration', registration);
		const cached = headers.get('cache-control');
		const control = cached === null ? this.runtime.core.cacheControl : cacheControl(cached);
		if (control !== undefined) final.headers.set('cache-control', control);
		return final;
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

	/** The cookie's value, a signed ID; null if the cookie is removed. */
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
	 * Whether SvelteKit makes cookies `Secure`. That depends on its version, its mode and the origin, so it serializes a
	 * sample. The result is kept for the next request, which usually has the same origin.
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

/** Sets the `Vary` header of a response; on a copy if its headers are immutable, as those of `fetch()`. */
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

/** `event.locals`, in which each handle has its own property. */
export function slots(event: RequestEvent): Record<string, unknown> {
	const { locals } = partial(event);
	// An event without `locals` gets an object that is dropped.
	return (locals ?? {}) as unknown as Record<string, unknown>;
}

/** Calls a listener of the application. Its exceptions and rejections are caught. */
export function harmless(name: string, listener: () => unknown): void {
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

/** The text of a thrown value. Its conversion to text may throw, too. */
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
		`two handles use the cookie \`${name}\`, and the visitor has a session of the other handle: give one of them another \`name\``
	);
}

/** An event of which a scope only reads members that exist. */
export function whole(event: SessionRequest): RequestEvent {
	return event as RequestEvent;
}
