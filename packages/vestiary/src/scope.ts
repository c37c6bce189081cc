import type { RequestEvent } from '@sveltejs/kit';

import { ResponseSentError, VestiaryError } from './errors.js';
import { cacheControl, vary } from './generated/vestiary.js';
import { hint } from './hints.js';
import { developing, type Runtime } from './runtime.js';
import type { Session } from './session.js';
import type { SessionEvent } from './types.js';

/** What is to become of the cookie in this response: a value, or null to remove it. */
interface Outgoing {
	value: string | null;
	/** The ID in it. */
	id: string | undefined;
}

type Cookies = RequestEvent['cookies'];

/** SvelteKit's options, whose types differ between its versions in what may be undefined. */
type KitCookieOptions = Parameters<Cookies['set']>[2];

/** One request: its event, its current session, and the cookie that has to go out with it. */
export class Scope {
	readonly event: RequestEvent;
	readonly runtime: Runtime;
	/** The handle will finish this request, and put the cookie on the response if SvelteKit did not. */
	readonly finishes: boolean;
	/** The session that `event.locals.session` is, or would be. */
	session: Session | undefined;
	/** The browser sent a cookie of our name, or was sent one in this request. */
	cookieOut = false;
	/** The head of the response has left. */
	left = false;
	/** The application has looked at the session, so the response may depend on it. */
	looked = false;
	/** When the request began, in milliseconds since the epoch. */
	readonly began: number = Date.now();
	/** What the store is asked while the page is made. */
	refreshed: Promise<void> | undefined;
	/** What its sub-requests are known by, once there is one. */
	mark: string | undefined;
	#sent: Outgoing | undefined;
	/** SvelteKit puts another function in its place once the response is made. */
	readonly #setInJar: Cookies['set'];

	constructor(event: RequestEvent, runtime: Runtime, finishes: boolean) {
		this.event = event;
		this.runtime = runtime;
		this.finishes = finishes;
		this.#setInJar = event.cookies.set;
	}

	/**
	 * Sets the cookie to a signed value, or removes it.
	 *
	 * A handle does that itself, with {@link seal}: from its cookie jar SvelteKit would put the cookie
	 * on every response, and fails where an endpoint returned one with immutable headers, as `fetch()`
	 * and `Response.redirect()` make them. Without a handle the jar is all there is.
	 *
	 * A cookie whose ID is taken out of use before the response leaves, by a request that was faster, stays
	 * here: it could overwrite the newer one.
	 */
	send(id: string | null): void {
		const value = id === null ? null : this.runtime.core.sign(id);
		if (!this.finishes) {
			const { cookies } = this.event;
			const options = this.#jarOptions(value);
			try {
				if (value === null) cookies.delete(this.runtime.core.name, options);
				else cookies.set(this.runtime.core.name, value, options);
			} catch (cause) {
				// The jar is closed once SvelteKit has made the response.
				throw new ResponseSentError({ cause });
			}
		}
		this.#sent = { value, id: id ?? undefined };
		this.cookieOut = true;
	}

	get #outgoing(): Outgoing | undefined {
		const id = this.#sent?.id;
		return id !== undefined && this.runtime.records.isRetired(id) ? undefined : this.#sent;
	}

	/**
	 * Puts the cookie where SvelteKit looks for it when a hook throws a redirect, and the handle never
	 * sees a response.
	 */
	hand(): void {
		const outgoing = this.#outgoing;
		if (!outgoing) return;
		const { value } = outgoing;
		const options = { ...this.#jarOptions(value), ...(value === null && { maxAge: 0 }) };
		this.#setInJar(this.runtime.core.name, value ?? '', options);
	}

	/** What a request to our own host has to carry, where its cookie is not the browser's any more. */
	get cookieHeader(): string | undefined {
		const outgoing = this.#outgoing;
		return outgoing && this.#header(outgoing).split(';', 1)[0];
	}

	/** Tells the application what happened. What it throws then must not stop a logout. */
	tell(happened: SessionEvent): void {
		try {
			this.runtime.options.telemetry?.event(happened.type);
			this.runtime.options.onEvent?.(happened, this.event);
		} catch (error) {
			if (developing) hint(`\`onEvent\` has thrown: ${String(error)}`);
		}
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
	 */
	seal(response: Response): Response {
		const outgoing = this.#outgoing;
		if (!outgoing && !this.looked) return response;
		const header = outgoing && this.#header(outgoing);
		try {
			return this.#put(response, header);
		} catch {
			// Immutable headers, such as those of `Response.redirect()` and of `fetch()`.
			return this.#put(new Response(response.body, response), header);
		}
	}

	#put(response: Response, header: string | undefined): Response {
		const { headers } = response;
		const present = headers.get('vary');
		const varies = present === null ? this.runtime.core.vary : vary(present);
		if (varies !== undefined) headers.set('vary', varies);
		if (header === undefined) return response;
		const others = headers.getSetCookie().filter((other) => !this.#isOurs(other));
		headers.delete('set-cookie');
		for (const other of others) headers.append('set-cookie', other);
		headers.append('set-cookie', header);
		const control = cacheControl(headers.get('cache-control') ?? undefined);
		if (control !== undefined) headers.set('cache-control', control);
		return response;
	}

	#jarOptions(value: string | null): KitCookieOptions {
		const { core, cookie } = this.runtime;
		return {
			...cookie,
			...(core.secure !== undefined && { secure: core.secure }),
			...(cookie.maxAge !== undefined && { maxAge: Math.floor(cookie.maxAge) }),
			...(cookie.expires && value === null && { expires: new Date(0) })
		} as KitCookieOptions;
	}

	#isOurs(setCookie: string): boolean {
		return setCookie.startsWith(`${this.runtime.core.name}=`);
	}

	#header({ value }: Outgoing): string {
		const { core, cookie } = this.runtime;
		const secureHere = core.secure ?? this.#secureByKit();
		if (value === null) return core.removeCookie(secureHere);
		const encoded = cookie.encode?.(value);
		return core.setCookie(encoded ?? value, encoded !== undefined, secureHere);
	}

	/**
	 * SvelteKit decides by version, mode and origin, so it is asked for a sample; the next request is mostly
	 * to the same origin.
	 */
	#secureByKit(): boolean {
		const { url, cookies } = this.event;
		const { runtime } = this;
		if (runtime.secureAt?.origin !== url.origin) {
			const sample = cookies.serialize('sample', '', { path: '/' });
			runtime.secureAt = { origin: url.origin, secure: /;\s*secure\s*(;|$)/i.test(sample) };
		}
		return runtime.secureAt.secure;
	}
}
