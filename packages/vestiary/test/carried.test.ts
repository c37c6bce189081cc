import type { RequestEvent } from '@sveltejs/kit';
import { beforeEach, describe, expect, test } from 'vitest';

import {
	sveltekitSessionHandle,
	type Session,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { CountingStore, testEvent } from './event.js';

/* What `event.fetch` adds to the requests of a page, and which of them are parts of it. */

type Fetch = RequestEvent['fetch'];

let options: SveltekitSessionConfig;
let handle: SessionHandle;

beforeEach(() => {
	options = { secret: '0123456789abcdef0123456789abcdef', store: new CountingStore() };
	handle = sveltekitSessionHandle(options);
});

/** A page with this `fetch` of SvelteKit. */
async function page(
	fetch: Fetch,
	app: (event: RequestEvent) => unknown,
	cookie?: string,
	cookies: { name: string; value: string }[] = []
): Promise<Response> {
	const { event } = testEvent(cookie);
	Object.assign(event, { fetch });
	if (cookies.length > 0) Object.assign(event.cookies, { getAll: () => cookies });
	return handle({
		event,
		resolve: async () => {
			await app(event);
			return new Response();
		}
	});
}

/** The `Cookie` header of one request. */
async function carried(
	request: (fetch: Fetch) => unknown,
	app: (session: Session) => unknown,
	cookie?: string,
	cookies?: { name: string; value: string }[]
): Promise<string | null> {
	let seen: string | null | undefined;
	const fetch: Fetch = async (input, init) => {
		seen = new Request(input, init).headers.get('cookie');
		return new Response();
	};
	await page(
		fetch,
		async (event) => {
			await app(event.locals.session);
			await request(event.fetch);
		},
		cookie,
		cookies
	);
	if (seen === undefined) throw new Error('nothing was requested');
	return seen;
}

const OURS = 'connect\\.sid=[\\w-]{32}\\.[\\w%]{43,}';
const save = async (session: Session): Promise<void> => session.save();

describe('no cookie of ours', () => {
	test('is on a Request that goes elsewhere, or wants none', async () => {
		for (const request of [
			new Request('https://elsewhere.example/api'),
			new Request('https://app.example/api', { credentials: 'omit' })
		])
			expect(await carried((fetch) => fetch(request), save), request.url).toBeNull();
	});

	test('is sent to a host below this one before one is set', async () => {
		// SvelteKit adds the browser's own cookies.
		const request = (fetch: Fetch): unknown => fetch('https://api.app.example/');
		expect(await carried(request, () => undefined, 'theme=dark')).toBeNull();
	});
});

test('cookies whose names begin as ours does stay', async () => {
	const others = 'connect.sid2=1; connect.si=2; connect.side=3';
	const cookie = await carried((fetch) => fetch('/api'), save, others);
	expect(cookie).toMatch(new RegExp(`^${others}; ${OURS}$`));
});

test('cookies that the request has set go along, but those that an encoder could have changed', async () => {
	const cookies = [
		{ name: 'theme', value: 'dark' },
		{ name: 'sent', value: 'a b' },
		{ name: 'set', value: 'plain' },
		{ name: 'encoded', value: 'c d' }
	];
	const request = (fetch: Fetch): unknown => fetch('/api');
	const cookie = await carried(request, save, 'theme=dark; sent=a b', cookies);
	expect(cookie).toMatch(new RegExp(`^theme=dark; sent=a b; set=plain; ${OURS}$`));
});

test('an invalid URL is rejected by SvelteKit, in its own words', async () => {
	const refused = new Error('Invalid URL');
	const seen: unknown[] = [];
	const fetch: Fetch = async (input) => {
		seen.push(input);
		throw refused;
	};
	await page(fetch, async (event) => {
		await expect(event.fetch('http://[')).rejects.toBe(refused);
	});
	expect(seen).toEqual(['http://[']);
});

test('an event without `fetch` gets none', async () => {
	const { event } = testEvent();
	await handle({ event, resolve: () => new Response() });
	expect(event.fetch).toBeUndefined();
});

test('with two pages of one visitor, a sub-request with only the cookie belongs to neither', async () => {
	const { event: login } = testEvent();
	const response = await handle({
		event: login,
		resolve: async () => {
			await login.locals.session.save();
			return new Response();
		}
	});
	const cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? '';

	const pages: Session[] = [];
	const inside: Session[] = [];
	/** Sends another `Request` object, as `handleFetch` may do. */
	const fetch: Fetch = async (input) => {
		const request = new Request(input, { method: 'POST' });
		const { event: sub } = testEvent(request.headers.get('cookie') ?? undefined);
		Object.assign(sub, { request, isSubRequest: true });
		return handle({
			event: sub,
			resolve: () => {
				inside.push(sub.locals.session);
				return new Response();
			}
		});
	};
	await page(
		fetch,
		async (outer) => {
			pages.push(outer.locals.session);
			await outer.fetch('/one');
			await page(
				fetch,
				async (event) => {
					pages.push(event.locals.session);
					await event.fetch('/two');
				},
				cookie
			);
			// The other one has left.
			await outer.fetch('/three');
		},
		cookie
	);
	const [one, two, three] = inside;
	expect(one).toBe(pages[0]);
	expect(pages).not.toContain(two);
	expect(two?.id).toBe(pages[0]?.id);
	expect(three).toBe(pages[0]);
});
