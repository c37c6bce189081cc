import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { RequestEvent } from '@sveltejs/kit';
import { beforeEach, describe, expect, test } from 'vitest';

import {
	MemoryStore,
	ResponseSentError,
	sveltekitSessionHandle,
	type Session,
	type SessionData,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { runtimeOf } from '../src/runtime.js';
import { slots } from '../src/scope.js';
import { pagesOf } from '../src/sub-request.js';
import { CountingStore, testEvent, type TestEvent } from './event.js';

interface Data extends SessionData {
	n?: number;
}

type Visited = Session & { data: Data };

let store: CountingStore;
let options: SveltekitSessionConfig;
let handle: SessionHandle;
/** The headers of the sub-requests so far. */
let sent: Headers[];

beforeEach(() => {
	store = new CountingStore();
	options = { secret: '0123456789abcdef0123456789abcdef', store };
	handle = sveltekitSessionHandle(options);
	sent = [];
});

/** The request that SvelteKit makes of `event.fetch`: the hooks run again, with another event. */
function requestOf(headers: Headers, isSubRequest: boolean): TestEvent {
	const made = testEvent(headers.get('cookie') ?? undefined);
	headers.forEach((value, name) => {
		made.event.request.headers.set(name, value);
	});
	Object.assign(made.event, { isSubRequest });
	return made;
}

function last(): Headers {
	const headers = sent.at(-1);
	if (!headers) throw new Error('there was no sub-request');
	return headers;
}

interface Page {
	response: Response;
	/** The session of each sub-request. */
	inside: Visited[];
}

/** Runs a page whose `event.fetch` is answered by `api`, as SvelteKit does. */
async function page(
	load: (event: RequestEvent, session: Visited) => unknown,
	api: (session: Visited) => unknown = () => undefined,
	cookie?: string
): Promise<Page> {
	const { event } = testEvent(cookie);
	const inside: Visited[] = [];
	const fetch: typeof event.fetch = async (input, init) => {
		// SvelteKit passes on a `Request` unchanged.
		const request =
			input instanceof Request ? input : new Request(new URL(input, event.url), init);
		sent.push(request.headers);
		const { event: sub } = requestOf(request.headers, true);
		Object.assign(sub, { request });
		return handle({
			event: sub,
			resolve: async () => {
				const session = sub.locals.session as Visited;
				inside.push(session);
				await api(session);
				return new Response();
			}
		});
	};
	Object.assign(event, { fetch, isSubRequest: false });
	const response = await handle({
		event,
		resolve: async () => {
			await load(event, event.locals.session as Visited);
			return new Response();
		}
	});
	return { response, inside };
}

/** The session that a request with these headers gets, and the calls to the store. */
async function visit(headers: Headers, isSubRequest: boolean): Promise<Visited> {
	const { event } = requestOf(headers, isSubRequest);
	store.calls.length = 0;
	await handle({ event, resolve: () => new Response() });
	return event.locals.session;
}

async function visitor(data: Data): Promise<string> {
	const { response } = await page(async (_, session) => {
		await session.setData(data);
		await session.save();
	});
	store.calls.length = 0;
	return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

describe('a sub-request', () => {
	test('has the session of its page: one read, and each sees what the other changes', async () => {
		const cookie = await visitor({ n: 1 });
		let seen: number | undefined;
		const { inside } = await page(
			async (event, session) => {
				await session.setData({ n: 2 });
				await event.fetch('/api');
				seen = session.data.n;
			},
			async (session) => {
				expect(session.data.n).toBe(2);
				await session.setData({ n: 3 });
			},
			cookie
		);
		expect(inside).toHaveLength(1);
		expect(seen).toBe(3);
		expect(store.calls).toEqual(['get']);
	});

	test('and what it saves is on the response of the page, and on that alone', async () => {
		const answers: Response[] = [];
		const { response } = await page(
			async (event) => answers.push(await event.fetch('/api')),
			async (session) => session.save()
		);
		expect(response.headers.getSetCookie()).toHaveLength(1);
		expect(answers[0]?.headers.getSetCookie()).toEqual([]);
	});

	test('that makes one itself hands the session on', async () => {
		const cookie = await visitor({ n: 1 });
		const seen: unknown[] = [];
		const visit = async (event: RequestEvent, depth: number): Promise<Response> =>
			handle({
				event,
				resolve: async () => {
					seen.push(event.locals.session.data);
					if (depth === 2) return new Response();
					return event.fetch('/api');
				}
			});
		const begin = (event: RequestEvent, depth: number): Promise<Response> => {
			const fetch: typeof event.fetch = async (input, init) => {
				const request =
					input instanceof Request ? input : new Request(new URL(input, event.url), init);
				const { event: sub } = requestOf(request.headers, true);
				Object.assign(sub, { request });
				return begin(sub, depth + 1);
			};
			Object.assign(event, { fetch, isSubRequest: depth > 0 });
			return visit(event, depth);
		};
		await begin(testEvent(cookie).event, 0);
		expect(seen).toHaveLength(3);
		expect(new Set(seen).size).toBe(1);
		expect(store.calls).toEqual(['get']);
	});

	test('finds the sessions of two handles in a sequence, each its own', async () => {
		const names = ['shop', 'admin'];
		const handles = names.map((name) => sveltekitSessionHandle({ ...options, name }));
		/** Runs both handles and then the application. Returns the session of each. */
		const sequence = async (
			event: RequestEvent,
			resolve: (visits: Visited[]) => unknown
		): Promise<void> => {
			const visits: Visited[] = [];
			const run = async (place: number): Promise<Response> => {
				const next = handles[place];
				if (!next) {
					await resolve(visits);
					return new Response();
				}
				return next({
					event,
					resolve: async () => {
						visits.push(event.locals.session as Visited);
						return run(place + 1);
					}
				});
			};
			await run(0);
		};
		const { event } = testEvent();
		const fetch: typeof event.fetch = async (input, init) => {
			const request =
				input instanceof Request ? input : new Request(new URL(input, event.url), init);
			const { event: sub } = requestOf(request.headers, true);
			Object.assign(sub, { request });
			await sequence(sub, (visits) => {
				expect(visits.map(({ data }) => data)).toEqual([{ n: 0 }, { n: 1 }]);
			});
			return new Response('asked');
		};
		Object.assign(event, { fetch, isSubRequest: false });
		await sequence(event, async (visits) => {
			for (const [n, session] of visits.entries()) await session.setData({ n });
			expect(await (await event.fetch('/api')).text()).toBe('asked');
		});
	});

	test('of another handle in the same app has another session', async () => {
		const other = sveltekitSessionHandle({ ...options, name: 'other' });
		await page(async (event, session) => {
			await session.setData({ n: 1 });
			await event.fetch('/api');
		});
		const { event } = requestOf(last(), true);
		await other({ event, resolve: () => new Response() });
		expect(event.locals.session.data).toEqual({});
	});
});

describe('the session of a page is not handed out', () => {
	test('to a request of a browser, whatever headers it has', async () => {
		let stranger: Visited | undefined;
		await page(async (event, session) => {
			await session.setData({ n: 1 });
			await event.fetch('/api');
			// A request that comes in while the page is made, with all that the sub-request carried.
			stranger = await visit(last(), false);
			expect(stranger).not.toBe(session);
		});
		expect(stranger?.data).toEqual({});
	});

	test('to anything once the page is answered', async () => {
		const { inside } = await page(async (event, session) => {
			await session.setData({ n: 1 });
			await event.fetch('/api');
		});
		expect(inside[0]?.data).toEqual({ n: 1 });
		for (const isSubRequest of [true, false]) {
			const late = await visit(last(), isSubRequest);
			expect(late).not.toBe(inside[0]);
			expect(late.data).toEqual({});
		}
	});

	test('of a visitor who has a cookie neither: each reads what is stored', async () => {
		const cookie = await visitor({ n: 0 });
		let stranger: Visited | undefined;
		const { inside } = await page(
			async (event, session) => {
				await session.setData({ n: 1 });
				await event.fetch('/api');
				stranger = await visit(new Headers({ cookie }), false);
			},
			undefined,
			cookie
		);
		expect(inside[0]?.data).toEqual({ n: 1 });
		expect(stranger?.data).toEqual({ n: 0 });
		expect(store.calls).toEqual(['get']);
		// After the page was answered, its former sub-requests, too.
		const late = await visit(new Headers({ cookie }), true);
		expect(late).not.toBe(inside[0]);
		expect(late.data).toEqual({ n: 0 });
	});

	test('nor if the page was a failure', async () => {
		const failing = page(async (event, session) => {
			await session.setData({ n: 1 });
			await event.fetch('/api');
			throw new Error('a later hook');
		});
		await expect(failing).rejects.toThrow('a later hook');
		expect((await visit(last(), true)).data).toEqual({});
	});

	test('to a request that names other cookies, or wants none', async () => {
		for (const init of [{ credentials: 'omit' as const }, { headers: { cookie: 'a=1' } }]) {
			const { inside } = await page(async (event, session) => {
				await session.setData({ n: 1 });
				await event.fetch('/api', init);
				await event.fetch(new Request('https://app.example/api', init), init);
			});
			expect(inside.map(({ data }) => data)).toEqual([{}, {}]);
		}
	});
});

test('a Request is passed on with all that it has', async () => {
	const bodies: string[] = [];
	const { event } = testEvent();
	const fetch: typeof event.fetch = async (input, init) => {
		const request = new Request(input, init);
		bodies.push(`${request.method} ${request.headers.get('x-own')} ${await request.text()}`);
		return new Response();
	};
	Object.assign(event, { fetch });
	await sveltekitSessionHandle({ ...options, store: new MemoryStore() })({
		event,
		resolve: async () => {
			const init = { method: 'POST', body: 'body', headers: { 'x-own': 'yes' } };
			await event.fetch('https://app.example/api', init);
			await event.fetch(new Request('https://app.example/api', init));
			await event.fetch(new URL('https://app.example/api'), init);
			return new Response();
		}
	});
	expect(bodies).toEqual(Array.from({ length: 3 }, () => 'POST yes body'));
});

test.each<[string, RequestInfo, RequestInit | undefined]>([
	['headers', '/api', { headers: { 'not a name': 'x' } }],
	['a method', '/api', { method: 'not a method' }],
	['a body', '/api', { method: 'GET', body: 'x' }]
])('fetch rejects %s that cannot be, and throws nothing', async (_, input, init) => {
	await page(async (event) => {
		await event.fetch(input, init).then(
			() => expect.unreachable(),
			(error: unknown) => {
				expect(error).toBeInstanceOf(TypeError);
			}
		);
	});
});

describe('once the response of a page has left', () => {
	/** A page that goes on requesting. */
	async function streaming(cookie?: string): Promise<{
		event: RequestEvent;
		seen: { cookie: string | null; session: Session }[];
	}> {
		const { event } = testEvent(cookie);
		const seen: { cookie: string | null; session: Session }[] = [];
		const fetch: typeof event.fetch = async (input, init) => {
			const request = new Request(input, init);
			const { event: sub } = requestOf(request.headers, true);
			Object.assign(sub, { request: input });
			seen.push({ cookie: request.headers.get('cookie'), session: sub.locals.session });
			return handle({
				event: sub,
				resolve: async () => {
					const last = seen.at(-1);
					if (last) last.session = sub.locals.session;
					if (new URL(request.url).pathname === '/login') await sub.locals.session.save();
					return new Response();
				}
			});
		};
		Object.assign(event, { fetch, isSubRequest: false });
		await handle({
			event,
			resolve: async () => {
				await event.locals.session.save();
				await event.fetch('/inside');
				return new Response();
			}
		});
		return { event, seen };
	}

	test('nothing of it is registered, and nothing is kept', async () => {
		const registered = (): number => pagesOf(runtimeOf(options)).size;
		for (const cookie of [undefined, await visitor({ n: 1 })]) {
			const { event } = await streaming(cookie);
			expect(registered()).toBe(0);
			await event.fetch('/late');
			expect(registered()).toBe(0);
		}
		setFlagsFromString('--expose-gc');
		const collect = runInNewContext('gc') as () => void;
		const pages: WeakRef<object>[] = [];
		for (let n = 0; n < 20; n++) {
			const { event } = await streaming();
			await event.fetch('/late');
			pages.push(new WeakRef(event.locals.session), new WeakRef(event));
		}
		await new Promise((resolve) => setTimeout(resolve, 0));
		collect();
		// The last one may still be referenced by a register.
		expect(pages.filter((page) => page.deref()).length).toBeLessThanOrEqual(2);
	});

	test('its sub-requests have the cookie that it has set, and a session of their own', async () => {
		const { event, seen } = await streaming();
		await event.fetch('/late');
		const [inside, late] = seen;
		expect(inside?.session).toBe(event.locals.session);
		expect(late?.cookie).toMatch(/^connect\.sid=[\w-]{32}\.[\w%]+$/);
		expect(late?.session).not.toBe(event.locals.session);
		expect(late?.session.id).toBe(event.locals.session.id);
	});

	test('an operation that needs a cookie is refused there, too: SvelteKit drops the cookie', async () => {
		const { event } = await streaming();
		await event.locals.session.destroy();
		const size = store.records.size;
		await expect(event.fetch('/login')).rejects.toBeInstanceOf(ResponseSentError);
		expect(store.records.size).toBe(size);
	});

	test('changes by a sub-request in progress are stored by it', async () => {
		options = { ...options, autoSave: true };
		handle = sveltekitSessionHandle(options);
		const cookie = await visitor({ n: 1 });
		let release = (): void => undefined;
		const released = new Promise<void>((resolve) => (release = resolve));
		let answer: Promise<Response> | undefined;
		await page(
			(event) => {
				answer = event.fetch('/api');
			},
			async (session) => {
				await released;
				session.data.n = 2;
			},
			cookie
		);
		release();
		await answer;
		expect([...store.records.values()].map(({ data }) => data)).toEqual([{ n: 2 }]);
	});
});

describe('the headers of a request to this app, wherever handleFetch sends it', () => {
	interface Carried {
		names: string[];
		cookie: string | null;
	}

	/** The parts of a sub-request that `handleFetch` is given. */
	async function carried(
		load: (session: Session) => unknown,
		cookie?: string,
		handles: SessionHandle[] = [handle]
	): Promise<Carried> {
		const { event } = testEvent(cookie);
		let seen: Carried | undefined;
		const fetch: typeof event.fetch = async (input, init) => {
			const { headers } = new Request(input, init);
			seen = { names: [...headers.keys()], cookie: headers.get('cookie') };
			return new Response();
		};
		Object.assign(event, { fetch });
		const inner = async (): Promise<Response> => {
			await load(event.locals.session);
			await event.fetch('/backend/me', { headers: { 'x-own': 'yes' } });
			return new Response();
		};
		await handles.reduceRight<() => Promise<Response>>(
			(resolve, one) => async () => one({ event, resolve }),
			inner
		)();
		if (!seen) throw new Error('nothing was requested');
		return seen;
	}

	const OURS = /connect\.sid=[\w-]{32}\.[\w%]{43,}/;

	test('is no header of ours', async () => {
		const cookie = await visitor({ n: 1 });
		expect((await carried(() => undefined)).names).toEqual(['x-own']);
		expect((await carried(() => undefined, cookie)).names).toEqual(['cookie', 'x-own']);
		expect((await carried(async (session) => session.save())).names).toEqual([
			'cookie',
			'x-own'
		]);
	});

	test('is the cookie that the response will set, beside the others of the browser', async () => {
		const old = await visitor({ n: 1 });
		const { cookie } = await carried(
			async (session) => (await session.regenerate()).save(),
			`theme=dark; ${old}; lang=de`
		);
		expect(cookie).toMatch(new RegExp(`^theme=dark; lang=de; ${OURS.source}$`));
		expect(cookie).not.toContain(old);
	});

	test('is that of the browser, if it stays', async () => {
		const cookie = `theme=dark; ${await visitor({ n: 1 })}`;
		expect((await carried(() => undefined, cookie)).cookie).toBe(cookie);
	});

	test('is none after a logout', async () => {
		const cookie = `theme=dark; ${await visitor({ n: 1 })}`;
		const after = await carried(async (session) => session.destroy(), cookie);
		// Without a value, as SvelteKit does it: it would add the browser's cookie again.
		expect(after.cookie).toBe('theme=dark; connect.sid=');
		const fresh = async (session: Session): Promise<void> => {
			await session.save();
			await session.destroy();
		};
		expect((await carried(fresh, 'theme=dark')).cookie).toBe('theme=dark');
		expect((await carried(fresh)).cookie).toBeNull();
	});

	test('is the cookie of each handle, if there are two', async () => {
		const admin = sveltekitSessionHandle({ ...options, name: 'admin', as: 'admin' });
		const { event } = testEvent('theme=dark');
		let cookie: string | null = null;
		const shared: boolean[] = [];
		const fetch: typeof event.fetch = async (input) => {
			const request = input as Request;
			cookie = request.headers.get('cookie');
			const { event: sub } = requestOf(request.headers, true);
			Object.assign(sub, { request });
			return handle({
				event: sub,
				resolve: async () =>
					admin({
						event: sub,
						resolve: () => {
							const [mine, theirs] = [slots(sub), slots(event)];
							shared.push(
								mine.session === theirs.session,
								mine.admin === theirs.admin
							);
							return new Response();
						}
					})
			});
		};
		Object.assign(event, { fetch });
		await handle({
			event,
			resolve: async () =>
				admin({
					event,
					resolve: async () => {
						await event.locals.session.save();
						await (slots(event).admin as Session).save();
						await event.fetch('/api');
						return new Response();
					}
				})
		});
		expect(cookie).toMatch(/^theme=dark; admin=[\w-]{32}\.\S+; connect\.sid=[\w-]{32}\.\S+$/);
		expect(shared).toEqual([true, true]);
	});
});

test('if handleFetch makes another Request, a stored session is found by its cookie', async () => {
	const cookie = await visitor({ n: 1 });
	const { event } = testEvent(cookie);
	let inside: Session | undefined;
	const fetch: typeof event.fetch = async (input) => {
		const request = new Request(input, { method: 'POST' });
		const { event: sub } = requestOf(request.headers, true);
		Object.assign(sub, { request });
		return handle({
			event: sub,
			resolve: () => {
				inside = sub.locals.session;
				return new Response();
			}
		});
	};
	Object.assign(event, { fetch });
	await handle({
		event,
		resolve: async () => {
			await event.fetch('/api');
			return new Response();
		}
	});
	expect(inside).toBe(event.locals.session);
	expect(store.calls).toEqual(['get']);
});
