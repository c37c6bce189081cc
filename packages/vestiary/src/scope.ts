import type { RequestEvent } from '@sveltejs/kit';

import { ResponseSentError } from './errors.js';
import { cacheControl, vary } from './generated/vestiary.js';
import type { Runtime } from './runtime.js';
import type { Session } from './session.js';
import type { SessionEvent } from './types.js';

/** What is to become of the cookie in this response: a value, or null to remove it. */
interface Outgoing {
	value: string | null;
}

/** SvelteKit's options, whose types differ between its versions in what may be undefined. */
type KitCookieOptions = Parameters<RequestEvent['cookies']['set']>[2];

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
	/** The refresh of a rolling session, under way. */
	refreshed: Promise<void> | undefined;
	/** What its sub-requests are known by, once there is one. */
	mark: string | undefined;
	#outgoing: Outgoing | undefined;

	constructor(event: RequestEvent, runtime: Runtime, finishes: boolean) {
		this.event = event;
		this.runtime = runtime;
		this.finishes = finishes;
	}

	/** Sets the cookie to a signed value, or removes it. */
	send(value: string | null): void {
		const { cookies } = this.event;
		const { core, cookie } = this.runtime;
		// SvelteKit's own cookie jar is told too: it serves `event.fetch`, and the redirects and
		// errors that a later hook throws past us.
		const options = {
			...cookie,
			...(core.secure !== undefined && { secure: core.secure }),
			...(cookie.maxAge !== undefined && { maxAge: Math.floor(cookie.maxAge) }),
			...(cookie.expires && value === null && { expires: new Date(0) })
		} as KitCookieOptions;
		try {
			if (value === null) cookies.delete(core.name, options);
			else cookies.set(core.name, value, options);
		} catch (cause) {
			// The jar is closed once SvelteKit has made the response. The handle still holds that
			// response and will put the cookie on it; without a handle nobody can.
			if (!this.finishes) throw new ResponseSentError({ cause });
		}
		this.#outgoing = { value };
		this.cookieOut = true;
	}

	/** Tells the application what happened. */
	tell(happened: SessionEvent): void {
		this.runtime.options.onEvent?.(happened, this.event);
	}

	/** The response as it must leave: with our cookie, and kept by no cache if it carries one. */
	seal(response: Response): Response {
		if (!this.#outgoing) return response;
		const header = this.#header(this.#outgoing);
		try {
			return this.#put(response, header);
		} catch {
			// Immutable headers, such as those of `Response.redirect()` and of `fetch()`.
			return this.#put(new Response(response.body, response), header);
		}
	}

	#put(response: Response, header: string): Response {
		const { headers } = response;
		const others = headers.getSetCookie().filter((other) => !this.#isOurs(other));
		headers.delete('set-cookie');
		for (const other of others) headers.append('set-cookie', other);
		headers.append('set-cookie', header);
		const control = cacheControl(headers.get('cache-control') ?? undefined);
		if (control !== undefined) headers.set('cache-control', control);
		const varies = vary(headers.get('vary') ?? undefined);
		if (varies !== undefined) headers.set('vary', varies);
		return response;
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

	/** SvelteKit decides by version, URL and mode, so it is asked for a sample. */
	#secureByKit(): boolean {
		return /;\s*secure\s*(;|$)/i.test(
			this.event.cookies.serialize('sample', '', { path: '/' })
		);
	}
}
