import type { RequestEvent } from '@sveltejs/kit';

import type { Runtime } from './runtime.js';
import { partial, type Scope } from './scope.js';

/**
 * The sub-requests made with `event.fetch`, and their pages, one for each application. SvelteKit passes the very object
 * to the hooks, so no header is needed, which could leave the app.
 */
const parts = new WeakMap<Request, Map<object, Scope>>();

/** Pages in progress that have made sub-requests, by the IDs of their sessions. */
type Pages = Map<string, Set<Scope>>;

/** The pages of each application. */
const applications = new WeakMap<object, Pages>();

export function pagesOf({ application }: Runtime): Pages {
	const known = applications.get(application);
	if (known) return known;
	const pages: Pages = new Map();
	applications.set(application, pages);
	return pages;
}

/**
 * Shares a page's session with its sub-requests. SvelteKit answers `event.fetch('/api')` by running the hooks again,
 * with another event for the same visitor. The sub-request gets the page's session: the store is read once, and each
 * sees the other's changes.
 *
 * The sub-request finds its page by the `Request` object. If `handleFetch` creates another object, the page's stored
 * session is found by its ID.
 *
 * Requests to this app, and to other servers of this host or below it, carry the cookie that this request has set.
 * `handleFetch` may redirect any of them.
 */
export function trackSubRequests(event: RequestEvent, scope: Scope): void {
	const { fetch, url } = partial(event);
	if (typeof fetch !== 'function' || !url) return;

	const tracked: typeof fetch = async (input, init) => {
		const target = targetOf(input, url);
		if (!target) return fetch(input, init);
		// A handle that runs after this one has already wrapped it.
		const before = input instanceof Request ? parts.get(input) : undefined;
		const headers = new Headers(
			init?.headers ?? (input instanceof Request ? input.headers : undefined)
		);
		const credentials =
			init?.credentials ?? (input instanceof Request ? input.credentials : undefined);
		// An application that sets the cookies itself, or omits them, wants another visitor.
		const another = credentials === 'omit' || (!before && headers.has('cookie'));
		const ours = target.origin === url.origin;
		if (another || (!ours && !isBelow(target, url))) return fetch(input, init);

		const pair = scope.cookiePair;
		// SvelteKit itself adds cookies only to its own requests, and only the browser's.
		const cookie = ours || pair ? withCookie(headers.get('cookie'), event, pair) : undefined;
		if (cookie !== undefined) headers.set('cookie', cookie);
		const request = new Request(input instanceof Request ? input : target, {
			...init,
			headers
		});
		const of = new Map(before);
		parts.set(request, of);
		if (!ours) return fetch(request);
		of.set(scope.runtime.application, scope);
		register(scope);
		return fetch(request);
	};
	// Read-only by its type. SvelteKit passes this very object to `load`, actions and endpoints.
	(event as { fetch: typeof fetch }).fetch = tracked;
}

/** The page to which this request belongs. */
export function pageOf(event: RequestEvent, runtime: Runtime): Scope | undefined {
	const { isSubRequest, request } = partial(event);
	if (!isSubRequest || !request) return undefined;
	const parent = parts.get(request)?.get(runtime.application);
	const pages = pagesOf(runtime);
	if (parent || pages.size === 0) return parent;
	for (const id of runtime.core.readCookies(request.headers.get('cookie')) ?? []) {
		const [page, ...others] = pages.get(id) ?? [];
		// With two pages of one visitor it is ambiguous.
		if (page && others.length === 0) return page;
	}
	return undefined;
}

/** Lets a sub-request find its page by the session's ID, until the page's response leaves. */
function register(scope: Scope): void {
	const id = scope.visit.storedId;
	if (scope.left || id === undefined) return;
	const pages = pagesOf(scope.runtime);
	pages.set(id, (pages.get(id) ?? new Set()).add(scope));
	(scope.registered ??= new Set()).add(id);
}

/** Unregisters a page whose response leaves: later requests do not belong to it. */
export function untrack(scope: Scope): void {
	if (!scope.registered) return;
	const pages = pagesOf(scope.runtime);
	for (const id of scope.registered) {
		const same = pages.get(id);
		same?.delete(scope);
		if (same?.size === 0) pages.delete(id);
	}
	scope.registered = undefined;
}

/** The URL of a request; undefined if it is invalid, which SvelteKit reports in its own words. */
function targetOf(input: RequestInfo | URL, url: URL): URL | undefined {
	try {
		return new URL(input instanceof Request ? input.url : input, url);
	} catch {
		return undefined;
	}
}

/** Whether SvelteKit sends the visitor's cookies to this host. SvelteKit merges them with those of a header. */
function isBelow(target: URL, url: URL): boolean {
	return `.${target.hostname}`.endsWith(`.${url.hostname}`);
}

/** A `Cookie` header with the visitor's cookies and this one in its place; undefined if there are no cookies. */
function withCookie(
	header: string | null,
	event: RequestEvent,
	pair: string | undefined
): string | undefined {
	const { request } = partial(event);
	const sent = pairsIn(request?.headers.get('cookie') ?? null);
	const pairs = header === null ? pairsOf(event, sent) : pairsIn(header);
	if (pair === undefined) return pairs.length === 0 ? undefined : pairs.join('; ');
	const isOurs = (one: string): boolean => one.startsWith(pair.slice(0, pair.indexOf('=') + 1));
	const others = pairs.filter((one) => !isOurs(one));
	// Without a cookie of this name, SvelteKit would add the browser's again.
	if (!pair.endsWith('=') || sent.some(isOurs)) others.push(pair);
	return others.length === 0 ? undefined : others.join('; ');
}

function pairsIn(header: string | null): string[] {
	return (header ?? '')
		.split(';')
		.map((pair) => pair.trim())
		.filter(Boolean);
}

/**
 * The visitor's cookies, including those that this request has set. Only SvelteKit knows their encoder, so cookies that
 * an encoder could change are left to SvelteKit.
 */
function pairsOf(event: RequestEvent, sent: string[]): string[] {
	const { cookies } = partial(event);
	if (typeof cookies?.getAll !== 'function') return sent;
	return cookies.getAll({ decode: (value) => value }).flatMap(({ name, value }) => {
		const pair = `${name}=${value}`;
		return sent.includes(pair) || encodeURIComponent(value) === value ? [pair] : [];
	});
}
