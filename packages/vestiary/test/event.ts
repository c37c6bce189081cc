import type { RequestEvent } from '@sveltejs/kit';

import type { SessionStoreData, Store } from '../src/index.js';

/** A call of SvelteKit's cookie jar. */
export interface CookieCall {
	method: 'set' | 'delete';
	name: string;
	value?: string;
	options: Record<string, unknown>;
}

export interface TestEvent {
	event: RequestEvent;
	cookies: CookieCall[];
	/** Closes the cookie jar, as SvelteKit does once it has made the response. */
	close: () => void;
}

/**
 * The part of a request event that a session uses, with a cookie jar that records calls. SvelteKit's own jar is tested
 * in `runtimes/`.
 */
export function testEvent(cookie?: string, url = 'https://app.example/'): TestEvent {
	const calls: CookieCall[] = [];
	const request = new Request(url);
	const headers = new Headers(cookie === undefined ? {} : { cookie });
	const cookies = {
		set: (name: string, value: string, options: Record<string, unknown>): void => {
			calls.push({ method: 'set', name, value, options });
		},
		delete: (name: string, options: Record<string, unknown>): void => {
			calls.push({ method: 'delete', name, options });
		},
		serialize: () => (url.startsWith('https:') ? 'sample=; Path=/; Secure' : 'sample=; Path=/')
	};
	const event = {
		url: new URL(url),
		request: { headers, method: request.method },
		locals: {},
		cookies
	};
	return {
		event: event as unknown as RequestEvent,
		cookies: calls,
		close: () => {
			cookies.set = cookies.delete = () => {
				throw new Error(
					'Cannot use `cookies.set(...)` after the response has been generated'
				);
			};
		}
	};
}

/** A store with the interface of svelte-kit-sessions that counts its calls. */
export class CountingStore implements Store {
	readonly records = new Map<string, SessionStoreData>();
	readonly calls: string[] = [];
	/** The error that it throws, if it is to fail. */
	failure: Error | undefined;
	lastTtl: number | undefined;

	async get(id: string): Promise<SessionStoreData | null> {
		this.#called('get');
		return this.records.get(id) ?? null;
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		this.#called('set');
		this.records.set(id, storeData);
		this.lastTtl = ttl;
	}

	async destroy(id: string): Promise<void> {
		this.#called('destroy');
		this.records.delete(id);
	}

	async touch(_id: string, ttl: number): Promise<void> {
		this.#called('touch');
		this.lastTtl = ttl;
	}

	#called(method: string): void {
		this.calls.push(method);
		if (this.failure) throw this.failure;
	}
}
