import type { RequestEvent } from '@sveltejs/kit';

import { ConfigError } from './errors.js';
import { browserAfter, cookieHeader, FakeCookies, type Browser } from './fake-cookies.js';
import { sveltekitSessionHandle, type SessionHandle } from './handle.js';
import { MemoryStore } from './memory-store.js';
import { checkNames } from './names.js';
import type { RegisteredData } from './registered.js';
import { slots } from './scope.js';
import { Session } from './session.js';
import type { SveltekitSessionConfig } from './types.js';

/** The request of a {@link fakeEvent}. */
export interface FakeRequest {
	/** The address. Default: `http://localhost/`, to which a path such as `/cart?page=2` is relative. */
	readonly url?: string | URL;
	/** Default: `GET`, or `POST` with a `form`, `json` or `body`. */
	readonly method?: string;
	readonly headers?: HeadersInit;
	/** The fields of a form. */
	readonly form?: FormData | Readonly<Record<string, string>>;
	/** A value that is sent as JSON. */
	readonly json?: unknown;
	/** Another body. */
	readonly body?: BodyInit;
	/** The parameters of the route, such as `{ slug: 'books' }`. */
	readonly params?: Readonly<Record<string, string>>;
	/** The ID of the route, such as `/blog/[slug]`. */
	readonly route?: string;
	/** The values that hooks of the application put into `event.locals` beside the session. */
	readonly locals?: Readonly<Record<string, unknown>>;
	readonly platform?: unknown;
	/** Default: `127.0.0.1`. */
	readonly clientAddress?: string;
	/** Replaces `event.fetch`, which otherwise throws an error: a unit test has no server. */
	readonly fetch?: typeof fetch;
	/** The data that `parent()` returns in a load function. */
	readonly parent?: Readonly<Record<string, unknown>>;
}

/** The visitor of a {@link fakeEvent}. */
export interface FakeVisitor {
	/** The data of the session that the visitor has. Without this and `user`, the visitor has no session yet. */
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- made to be merged
	readonly session?: Partial<RegisteredData>;
	/** The ID of the user who is logged in. */
	readonly user?: string;
	/** The other cookies of the browser. */
	readonly cookies?: Readonly<Record<string, string>>;
	/**
	 * The options of the application's handle. Default: a secret that only tests use, and a `MemoryStore` for each visitor.
	 * Visitors with one `store` share it.
	 */
	readonly options?: Partial<SveltekitSessionConfig>;
}

/** An event with a session, for actions, load functions, endpoints and other functions of any route. */
export interface FakeEvent extends Omit<RequestEvent, 'params' | 'route'> {
	/** The parameters of the request. Their type is that of any route. */
	params: never;
	route: { id: never };
	/** As of a load function's event. */
	parent(): Promise<never>;
	depends(): void;
	untrack<T>(run: () => T): T;
	/**
	 * Ends the request as SvelteKit does after the application's code: changes are saved, and the response gets the
	 * cookies. Call it once.
	 * @param response The response of the application. Default: an empty one
	 */
	respond(response?: Response): Promise<Response>;
	/** The next request of the same browser, after {@link FakeEvent.respond}, which this calls unless you have. */
	next(request?: FakeRequest): Promise<FakeEvent>;
}

/**
 * Creates an event for a unit test, with a real session: no server and no SvelteKit runs.
 *
 * ```ts
 * import { fakeEvent } from 'vestiary/testing';
 *
 * const event = await fakeEvent({ user: 'ada', session: { cart: ['book'] }, url: '/cart' });
 * console.log(event.locals.session.userId); // ada
 *
 * const later = await event.next({ url: '/account' });
 * console.log(later.locals.session.data); // { cart: [ 'book' ] }
 * ```
 *
 * @throws `ConfigError` if an option is invalid
 */
export async function fakeEvent(given: FakeRequest & FakeVisitor = {}): Promise<FakeEvent> {
	checkGiven(given);
	const { session, user, cookies = {}, options, ...request } = given;
	const browser = new Map(
		Object.entries(cookies).map(([name, value]) => [name, encodeURIComponent(value)])
	);
	const config: SveltekitSessionConfig = {
		secret: 'a secret that only tests use',
		store: new MemoryStore(),
		...options
	};
	const handle = sveltekitSessionHandle(config);
	const open = async (to: FakeRequest, from: Browser): Promise<FakeEvent> => {
		checkNames(to, REQUEST, PART);
		return opened({ handle, open }, to, from);
	};
	if (session === undefined && user === undefined) return open(request, browser);
	const before = await open({}, browser);
	const visitor = slots(before)[config.as ?? 'session'];
	if (!(visitor instanceof Session))
		throw new ConfigError('options', '`skip` leaves the visitor without a session');
	if (user === undefined) {
		await visitor.setData(session ?? {});
		await visitor.save();
	} else await visitor.login(user, session && { data: session });
	return before.next(request);
}

const REQUEST = [
	...['url', 'method', 'headers', 'form', 'json', 'body', 'params', 'route', 'locals'],
	...['platform', 'clientAddress', 'fetch', 'parent']
];

const PART = { kind: 'a part of a fake event', cure: insteadOf };

/** The advice for a part of SvelteKit's event, which a test would write by hand. */
function insteadOf(part: string): string | undefined {
	if (part === 'request') return 'write `url`, `method`, `headers`, and `form`, `json` or `body`';
	if (part === 'userId') return 'write `user`';
	if (part === 'data') return 'write `session: { … }`';
	if (part === 'getClientAddress') return 'write `clientAddress`';
	return undefined;
}

/** Rejects parts of an event that would be ignored, or that the event makes itself. */
function checkGiven(given: object): void {
	checkNames(given, [...REQUEST, 'session', 'user', 'cookies', 'options'], PART);
	const { cookies, locals } = given as { cookies?: { get?: unknown }; locals?: object };
	if (typeof cookies?.get === 'function')
		throw new ConfigError(
			'options',
			"`cookies` must be an object with the values of the browser's cookies: the event has a jar of its own"
		);
	if (locals && 'session' in locals)
		throw new ConfigError(
			'options',
			'`locals.session` is made by the event: write `session: { … }` for its data, and `user`'
		);
}

/** The application of a fake event. */
interface App {
	readonly handle: SessionHandle;
	open(request: FakeRequest, browser: Browser): Promise<FakeEvent>;
}

/** An event that has come through the handle, which waits for the application's response. */
async function opened(app: App, given: FakeRequest, browser: Browser): Promise<FakeEvent> {
	const url = new URL(given.url ?? '/', 'http://localhost');
	const cookies = new FakeCookies(browser, url);
	const headers = new Headers();
	let answer = (_: Response): void => undefined;
	const answered = new Promise<Response>((resolve) => {
		answer = resolve;
	});
	let responded: Promise<Response> | undefined;
	let after = browser;
	const event = {
		...eventOf(given, url, requestOf(given, url, browser)),
		cookies: cookies.jar,
		setHeaders: (given: Record<string, string>) => {
			for (const [name, value] of Object.entries(given)) headers.set(name, value);
		},
		respond: async (response = new Response()) => {
			responded ??= (async () => {
				answer(new Response(response.body, response));
				const finished = await finishing;
				for (const [name, value] of headers) finished.headers.set(name, value);
				for (const cookie of cookies.close()) finished.headers.append('set-cookie', cookie);
				after = browserAfter(browser, finished.headers.getSetCookie());
				return finished;
			})();
			return responded;
		},
		next: async (request: FakeRequest = {}) => {
			await event.respond();
			return app.open(request, after);
		}
	};
	let finishing = Promise.resolve(new Response());
	await new Promise<void>((resolve, reject) => {
		finishing = app.handle({
			event: event as unknown as RequestEvent,
			resolve: async () => {
				resolve();
				return answered;
			}
		});
		finishing.catch(reject);
	});
	return event as unknown as FakeEvent;
}

/** The parts of the event that SvelteKit would fill in. */
function eventOf(given: FakeRequest, url: URL, request: Request): object {
	const { params = {}, route = null, locals = {}, platform, parent = {} } = given;
	return {
		url,
		request,
		params,
		route: { id: route },
		locals: { ...locals },
		platform,
		isDataRequest: false,
		isSubRequest: false,
		isRemoteRequest: false,
		getClientAddress: () => given.clientAddress ?? '127.0.0.1',
		fetch:
			given.fetch ??
			(async () =>
				Promise.reject(
					new Error('a fake event has no server for `event.fetch`: pass `fetch`')
				)),
		parent: async () => parent,
		depends: () => undefined,
		untrack: <T>(run: () => T) => run()
	};
}

/** The request as the browser sends it. */
function requestOf(given: FakeRequest, url: URL, browser: Browser): Request {
	const headers = new Headers(given.headers);
	const cookie = cookieHeader(browser);
	if (cookie !== undefined && !headers.has('cookie')) headers.set('cookie', cookie);
	const body = bodyOf(given);
	if (given.json !== undefined && !headers.has('content-type'))
		headers.set('content-type', 'application/json');
	const method = given.method ?? (body === undefined ? 'GET' : 'POST');
	return new Request(url, { method, headers, ...(body !== undefined && { body }) });
}

function bodyOf({ form, json, body }: FakeRequest): BodyInit | undefined {
	if (form !== undefined)
		return form instanceof FormData ? form : new URLSearchParams({ ...form });
	return json === undefined ? body : JSON.stringify(json);
}
