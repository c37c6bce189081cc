import type { RequestEvent } from '@sveltejs/kit';

import type { Runtime } from './runtime.js';
import type { Scope } from './scope.js';

/**
 * SvelteKit answers `event.fetch('/api')` by running the hooks again, with another event. Both speak
 * for the same visitor, so the sub-request gets the page's session: one read of the store, and what
 * one of them changes, the other sees. They find each other by a random mark in a header, which only
 * requests to this app carry, and which counts only in what SvelteKit says is a sub-request.
 *
 * Requests to other servers of this host, or below it, get the cookie that this request has set.
 */
export function markSubRequests(event: RequestEvent, scope: Scope): void {
	const { requests } = scope.runtime;
	const { fetch, url } = event;

	const marked: typeof fetch = (input, init) => {
		const target = new URL(input instanceof Request ? input.url : input, url);
		const headers = new Headers(
			init?.headers ?? (input instanceof Request ? input.headers : undefined)
		);
		const credentials =
			init?.credentials ?? (input instanceof Request ? input.credentials : undefined);
		// Somebody who names the cookies, or wants none, wants another visitor.
		const another = credentials === 'omit' || headers.has('cookie');
		const ours = target.origin === url.origin;
		if (another || (!ours && !isBelow(target, url))) return fetch(input, init);
		if (ours) {
			scope.mark ??= crypto.randomUUID();
			requests.set(scope.mark, scope);
			headers.set(headerOf(scope.runtime), scope.mark);
		} else {
			const cookie = scope.cookieHeader;
			if (cookie === undefined) return fetch(input, init);
			headers.set('cookie', cookie);
		}
		return input instanceof Request
			? fetch(new Request(input, { ...init, headers }))
			: fetch(input, { ...init, headers });
	};
	// Read-only by its type; SvelteKit hands this very object on to `load`, actions and endpoints.
	(event as { fetch: typeof fetch }).fetch = marked;
}

/** Once it is answered, nothing is a part of it any more. */
export function unmark({ mark, runtime }: Scope): void {
	if (mark !== undefined) runtime.requests.delete(mark);
}

/** The request that this one is a part of. */
export function parentOf(event: RequestEvent, runtime: Runtime): Scope | undefined {
	if (!event.isSubRequest) return undefined;
	const mark = event.request.headers.get(headerOf(runtime));
	return mark === null ? undefined : runtime.requests.get(mark);
}

/** The hosts that SvelteKit sends the visitor's cookies to; it merges them with those of a header. */
function isBelow(target: URL, url: URL): boolean {
	return `.${target.hostname}`.endsWith(`.${url.hostname}`);
}

/** Two handles in one app have different cookies, and so different marks. */
function headerOf(runtime: Runtime): string {
	return `x-vestiary-${runtime.core.name}`;
}
