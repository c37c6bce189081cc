import { ConfigError } from './errors.js';
import type { RegisteredData } from './registered.js';
import { moveClock } from './test-clock.js';
import { TEST_REQUEST, type TestRequest } from './test-requests.js';

/** The parts of Playwright's `BrowserContext` or `Page` that tests of logins use. Its requests share the browser's cookies. */
export interface TestedBrowser {
	readonly request: {
		post(
			url: string,
			options: { headers: Record<string, string>; maxRedirects: number }
		): Promise<{ headers(): Record<string, string>; text(): Promise<string> }>;
	};
}

/** The place of the application under test. */
export interface TestedApp {
	/** The address of the application, with its base path. Default for a browser: the `baseURL` of Playwright. */
	readonly url?: string | URL | undefined;
}

/**
 * Logs a visitor in for a test, in one line: the server creates the session by its own options, in its own store.
 *
 * ```ts
 * import { loginAs } from 'vestiary/testing';
 *
 * test('keeps the cart', async ({ page, context }) => {
 *   await loginAs(context, 'ada', { cart: ['Emma'] });
 *   await page.goto('/cart');
 * });
 * ```
 *
 * The server must run on the same machine, started with `node --import vestiary/testing/server`. It signs with a secret
 * that no other server has, so a cookie of a test is worthless in production.
 * @param browser Playwright's `context` or `page`, which gets the cookie
 * @param user The ID of the user
 * @param data The data of the session. Default: `{}`
 * @throws Error if the server is no test server, or refuses the login
 */
export async function loginAs(
	browser: TestedBrowser,
	user: string,
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- made to be merged
	data?: Partial<RegisteredData>,
	app?: TestedApp
): Promise<void>;
/**
 * Logs a visitor in for a test with `fetch`.
 *
 * ```ts
 * const headers = await loginAs('http://localhost:4173', 'ada');
 * const cart = await fetch('http://localhost:4173/api/cart', { headers });
 * ```
 *
 * @returns The header to send: `{ cookie }`
 */
export async function loginAs(
	url: string | URL,
	user: string,
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- made to be merged
	data?: Partial<RegisteredData>
): Promise<{ cookie: string }>;
export async function loginAs(
	at: TestedBrowser | string | URL,
	user: string,
	data?: object,
	app: TestedApp = {}
): Promise<{ cookie: string } | void> {
	const cookies = await ask(at, app, { kind: 'login', user, ...(data && { data }) });
	if (isBrowser(at)) return;
	return { cookie: cookies.map((one) => one.split(';', 1)[0]).join('; ') };
}

/**
 * Lets time pass, without waiting: moves `Date` ahead, for this process or for the server of the application under test.
 * Timers do not move, and neither does the clock of a database or of the browser.
 *
 * ```ts
 * await passTime(15 * 60, context);
 * await page.reload(); // the session has expired
 * ```
 *
 * @param seconds The number of seconds
 * @param at Playwright's `context` or `page`, or the address of the application. Default: this process
 */
export async function passTime(
	seconds: number,
	at?: TestedBrowser | string | URL,
	app: TestedApp = {}
): Promise<void> {
	if (typeof (seconds as unknown) !== 'number' || !Number.isFinite(seconds))
		throw new ConfigError('options', '`passTime()` takes a number of seconds');
	if (at === undefined) moveClock(seconds);
	else await ask(at, app, { kind: 'clock', ahead: seconds });
}

/** Sets the clock that {@link passTime} has moved back to the real time. */
export async function resetTime(
	at?: TestedBrowser | string | URL,
	app: TestedApp = {}
): Promise<void> {
	if (at === undefined) moveClock(undefined);
	else await ask(at, app, { kind: 'clock' });
}

function isBrowser(at: TestedBrowser | string | URL): at is TestedBrowser {
	return typeof at === 'object' && !(at instanceof URL);
}

/** Sends a request of a test, and returns the cookies that it sets. */
async function ask(
	at: TestedBrowser | string | URL,
	{ url }: TestedApp,
	request: TestRequest
): Promise<string[]> {
	// A header holds no other characters than those of ASCII.
	const headers = {
		[TEST_REQUEST]: encodeURIComponent(JSON.stringify(request)),
		// SvelteKit refuses a form that no page of the application has sent.
		'content-type': 'application/json'
	};
	if (isBrowser(at)) {
		if (typeof (at as Partial<TestedBrowser>).request?.post !== 'function')
			throw new ConfigError(
				'options',
				"this takes Playwright's `context` or `page`, or the address of the application"
			);
		const address = url === undefined ? '' : String(url);
		const answer = await at.request.post(address, { headers, maxRedirects: 0 });
		await check(answer.headers()[TEST_REQUEST], () => answer.text());
		return [];
	}
	const answer = await fetch(at, { method: 'POST', headers, redirect: 'manual' });
	await check(answer.headers.get(TEST_REQUEST), () => answer.text());
	return answer.headers.getSetCookie();
}

/** Rejects an answer that a test server did not give. */
async function check(
	answered: string | null | undefined,
	text: () => Promise<string>
): Promise<void> {
	if (answered === 'done') return;
	if (answered === 'refused') throw new Error(`the test server refuses: ${await text()}`);
	throw new Error(
		'the application is no test server: start it with `node --import vestiary/testing/server`, and give its hook `sveltekitSessionHandle` every request'
	);
}
