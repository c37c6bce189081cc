/** The part of SvelteKit that a handle meets: its own cookie jar, and its code around a hook. */
import type { Cookies, RequestEvent } from '@sveltejs/kit';

export type Handle = (input: {
	event: RequestEvent;
	resolve: (event: RequestEvent) => Response | Promise<Response>;
}) => Response | Promise<Response>;

/** SvelteKit's state of a request, beside the event. */
export interface KitRequest {
	event: RequestEvent;
	/** The page, created before the measurement: it costs the same without sessions. */
	page: Response;
	newCookies: Map<string, unknown>;
}

/** The module of SvelteKit that has the jar. */
export interface Jar {
	get_cookies: (
		request: Request,
		url: URL
	) => {
		cookies: Cookies;
		new_cookies: Map<string, unknown>;
		set_trailing_slash: (trailingSlash: 'never') => void;
	};
	add_cookies_to_headers: (headers: Headers, cookies: Iterable<unknown>) => void;
}

export class Kit {
	readonly #jar: Jar;

	constructor(jar: Jar) {
		this.#jar = jar;
	}

	/** A request as a handle receives it. */
	request(cookie: string | undefined, url = 'https://app.example/account'): KitRequest {
		const headers = cookie === undefined ? HEADERS : { ...HEADERS, cookie };
		const request = new Request(url, { headers });
		const parsed = new URL(url);
		const jar = this.#jar.get_cookies(request, parsed);
		jar.set_trailing_slash('never');
		const event = {
			cookies: jar.cookies,
			fetch: globalThis.fetch,
			getClientAddress: () => '127.0.0.1',
			locals: {},
			params: {},
			platform: undefined,
			request,
			route: { id: '/account' },
			setHeaders: () => undefined,
			url: parsed,
			isDataRequest: false,
			isSubRequest: false,
			isRemoteRequest: false,
			tracing: { enabled: false, root: undefined, current: undefined }
		};
		return {
			event: event as unknown as RequestEvent,
			page: new Response('ok', { headers: { 'content-type': 'text/plain' } }),
			newCookies: jar.new_cookies
		};
	}

	/** SvelteKit's work after an endpoint has answered. */
	finish({ page, newCookies }: KitRequest): Response {
		this.#jar.add_cookies_to_headers(page.headers, newCookies.values());
		return page;
	}
}

/** Other headers that browsers send. */
const HEADERS = {
	accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
	'accept-encoding': 'gzip, deflate, br, zstd',
	'accept-language': 'en',
	'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
};
