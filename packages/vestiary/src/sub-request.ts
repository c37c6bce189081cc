import type { RequestEvent } from '@sveltejs/kit';

import type { Runtime } from './runtime.js';
import { partial, type Scope } from './scope.js';

/**
 * The requests that `event.fetch` has made, and the pages that they are a part of: of each application one. SvelteKit
 * hands the very object on to the hooks, so nothing has to be written into it that could leave the app.
 */
const parts = new WeakMap<Request, Map<object, Scope>>();

/** Pages under way that have made sub-requests, by the IDs of their sessions. */
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
 * SvelteKit answers `event.fetch('/api')` by running the hooks again, with another event. Both speak
 * for the same visitor, so the sub-request gets the page's session: one read of the store, and what
 * one of them changes, the other sees.
 *
 * They find each other by the `Request` object. If `handleFetch` makes another one of it, the stored session of
 * a page under way is found by its ID.
 *
 * Requests to this app, and to other servers of this host or below it, carry the cookie that this request has set:
 * `handleFetch` may send any of them elsewhere.
 */
export function markSubRequests(event: RequestEvent, scope: Scope): void {
	const { fetch, url } = partial(event);
	if (typeof fetch !== 'function' || !url) return;

	const marked: typeof fetch = async (input, init) => {
		const target = targetOf(input, url);
		if (!target) return fetch(input, init);
		// A handle after this one has been here already.
		const before = input instanceof Request ? parts.get(input) : undefined;
		const headers = new Headers(
			init?.headers ?? (input instanceof Request ? input.headers : undefined)
		);
		const credentials =
			init?.credentials ?? (input instanceof Request ? input.credentials : undefined);
		// An application that names the cookies, or wants none, wants another visitor.
		const another = credentials === 'omit' || (!before && headers.has('cookie'));
		const ours = target.origin === url.origin;
		if (another || (!ours && !isBelow(target, url))) return fetch(input, init);

		const pair = scope.cookiePair;
		// Of its own accord SvelteKit adds cookies only to what it sends itself, and those of the browser.
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
	// Read-only by its type; SvelteKit hands this very object on to `load`, actions and endpoints.
	(event as { fetch: typeof fetch }).fetch = marked;
}

/** The page that this request is a part of. */
export function pageOf(event: RequestEvent, runtime: Runtime): Scope | undefined {
	const { isSubRequest, request } = partial(event);
	if (!isSubRequest || !request) return undefined;
	const parent = parts.get(request)?.get(runtime.application);
	const pages = pagesOf(runtime);
	if (parent || pages.size === 0) return parent;
	for (const id of runtime.core.readCookies(request.headers.get('cookie')) ?? []) {
		const [page, ...others] = pages.get(id) ?? [];
		// Of two pages of one visitor either may be the one.
		if (page && others.length === 0) return page;
	}
	return undefined;
}

/** Lets a sub-request find its page by the session's ID, until the response of the page leaves. */
function register(scope: Scope): void {
	const id = scope.visit.storedId;
	if (scope.left || id === undefined) return;
	const pages = pagesOf(scope.runtime);
	pages.set(id, (pages.get(id) ?? new Set()).add(scope));
	(scope.registered ??= new Set()).add(id);
}

/** Nothing is a part of a request any more whose response leaves. */
export function unmark(scope: Scope): void {
	if (!scope.registered) return;
	const pages = pagesOf(scope.runtime);
	for (const id of scope.registered) {
		const same = pages.get(id);
		same?.delete(scope);
		if (same?.size === 0) pages.delete(id);
	}
	scope.registered = undefined;
}

/** Where a request goes; undefined if that is no URL, which SvelteKit refuses in its own words. */
function targetOf(input: RequestInfo | URL, url: URL): URL | undefined {
	try {
		return new URL(input instanceof Request ? input.url : input, url);
	} catch {
		return undefined;
	}
}

/** The hosts that SvelteKit sends the visitor's cookies to; it merges them with those of a header. */
function isBelow(target: URL, url: URL): boolean {
	return `.${target.hostname}`.endsWith(`.${url.hostname}`);
}

/** A `Cookie` header of the visitor's cookies, with this one in its place. Undefined if that is none at all. */
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
	// SvelteKit would add the browser's cookie again if none of its name were here.
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
 * The visitor's cookies, those included that this request has set. Of these only SvelteKit knows the encoder; those
 * that an encoder could change are left to it.
 */
function pairsOf(event: RequestEvent, sent: string[]): string[] {
	const { cookies } = partial(event);
	if (typeof cookies?.getAll !== 'function') return sent;
	return cookies.getAll({ decode: (value) => value }).flatMap(({ name, value }) => {
		const pair = `${name}=${value}`;
		return sent.includes(pair) || encodeURIComponent(value) === value ? [pair] : [];
	});
}
