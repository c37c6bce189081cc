import { readFileSync } from 'node:fs';

import { sequence } from '@sveltejs/kit/hooks';
import type { RequestEvent } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Session, SessionData, SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';

let warnings: string[];
let vestiary: typeof import('../src/index.js');
let options: SveltekitSessionConfig;

beforeEach(async () => {
	vi.resetModules();
	vi.stubEnv('NODE_ENV', 'development');
	warnings = [];
	vi.spyOn(console, 'warn').mockImplementation((text: string) => {
		warnings.push(text);
	});
	vestiary = await import('../src/index.js');
	options = { secret: SECRET, store: new vestiary.MemoryStore() };
});

afterEach(() => {
	vi.unstubAllEnvs();
	vi.restoreAllMocks();
});

type Handle = Parameters<typeof sequence>[0];

/** Internal modules of SvelteKit, without types. */
const INTERNAL = '@sveltejs/kit/internal/server';
const { with_request_store } = (await import(/* @vite-ignore */ INTERNAL)) as {
	with_request_store: <T>(store: object, run: () => T) => T;
};

/** Runs a function within a request of SvelteKit, without its tracing. */
async function withinKit<T>(event: RequestEvent, run: () => Promise<T>): Promise<T> {
	const span = { setAttributes: () => undefined };
	const record_span = async ({ fn }: { fn: (span: unknown) => unknown }): Promise<unknown> =>
		fn(span);
	const tracing = { enabled: false, root: span, current: span, record_span };
	return with_request_store({ event: { ...event, tracing }, state: { tracing } }, run);
}

type Work = (session: Session, event: RequestEvent) => unknown;

/** Runs one request; gives the cookie for the next one. */
async function request(
	work: Work,
	cookie?: string,
	more: Partial<SveltekitSessionConfig> = {}
): Promise<string | undefined> {
	const { event } = testEvent(cookie, 'http://localhost/');
	const response = await vestiary.sveltekitSessionHandle({ ...options, ...more })({
		event,
		resolve: async () => {
			await work(event.locals.session, event);
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
}

const data = (value: object): SessionData => value;

async function save(session: Session, value: object): Promise<void> {
	await session.setData(data(value));
	await session.save();
}

test.each<[string, Work, string]>([
	[
		'setData without save',
		(s) => s.setData(data({ cart: [1] })),
		'`session.data.cart` was changed and not saved'
	],
	[
		'a change in place',
		(s) => void Object.assign(s.data, { n: 1 }),
		'`session.data.n` was changed and not saved'
	],
	[
		'an attribute of the cookie without save',
		(s) => {
			s.cookie.maxAge = 60;
		},
		'`session.cookie` was changed and not saved'
	],
	[
		'save without await',
		async (s) => {
			await s.setData(data({ n: 1 }));
			void s.save();
		},
		'`session.save()` is not awaited'
	],
	[
		'regenerate without await',
		(s) => void s.regenerate(),
		'`session.regenerate()` is not awaited'
	],
	['confirm without await', (s) => void s.confirm(), '`session.confirm()` is not awaited'],
	[
		'a change beside a confirmation',
		async (s) => {
			Object.assign(s.data, { n: 1 });
			await s.confirm();
		},
		'`session.data.n` was changed and not saved'
	],
	[
		'a change by the function of once',
		(s) => s.once('work', () => void Object.assign(s.data, { n: 1 }), { lease: 10 }),
		'`session.data.n` was changed and not saved'
	],
	[
		'another value in locals',
		(_, e) => void Object.assign(e.locals, { session: { user: 1 } }),
		'another hook'
	]
])('%s: one hint, once', async (_, work, text) => {
	await request(work);
	await request(work);
	expect(warnings).toEqual([expect.stringContaining(text)]);
});

test('a login on the old ID is hinted at, and one with a new ID is not', async () => {
	const cookie = await request((s) => save(s, { cart: 1 }));
	await request((s) => save(s, { cart: 1, note: 'x' }), cookie);
	await request(async (s) => save(await s.regenerate(), { userId: '7' }), cookie);
	await request((s) => save(s, { userId: '7' }));
	expect(warnings).toEqual([]);
	const again = await request((s) => save(s, { cart: 1 }));
	await request((s) => save(s, { cart: 1, userId: '7' }), again);
	expect(warnings).toEqual([expect.stringContaining('`session.data.userId` is new')]);
});

test.each<[string, Partial<SveltekitSessionConfig>, Work]>([
	['by autoSave', { autoSave: true }, (s) => s.setData(data({ userId: '7' }))],
	['by an update', {}, (s) => s.update((d) => Object.assign(d, { userId: '7' }))]
])('a login on the old ID %s is hinted at', async (_, more, work) => {
	const cookie = await request((s) => save(s, { cart: 1 }));
	await request(work, cookie, more);
	expect(warnings).toEqual([expect.stringContaining('`session.data.userId` is new')]);
});

test('data that throws when it is read fails no request that does not store it', async () => {
	const { proxy, revoke } = Proxy.revocable({}, {});
	revoke();
	for (const odd of [proxy, Object.create({ constructor: null }) as object])
		await request((s) => s.setData(data({ odd })));
	await request((s) => s.setData(null as never));
});

test('saving, explicitly or automatically, gives no hint', async () => {
	const cookie = await request((s) => save(s, { n: 1, list: [{ a: null }], gone: undefined }));
	await request((s) => s.update((d) => Object.assign(d, { n: 2 })), cookie);
	await request((s) => s.setData(data({ n: 3 })), cookie, { autoSave: true });
	await request(async (s) => await s.login('ada', { data: data({ user: 'Ada' }) }), cookie);
	await request((s) => s.destroy(), cookie);
	await request((s) => s.data);
	expect(warnings).toEqual([]);
});

test('changes that once() stores, or reads, give no hint', async () => {
	const cookie = await request((s) => save(s, { n: 1 }));
	await request(async (s) => {
		Object.assign(s.data, { n: 2 });
		await s.once('one', () => 1, { lease: 10 });
	}, cookie);
	await request(async (s) => {
		expect(s.data).toEqual({ n: 2 });
		const save = async (other: Session): Promise<unknown> =>
			other.once('two', () => other.update((d) => Object.assign(d, { n: 3 })), { lease: 10 });
		await request(save, cookie);
		await s.once('two', () => expect.unreachable(), { lease: 10 });
		expect(s.data).toEqual({ n: 3 });
	}, cookie);
	expect(warnings).toEqual([]);
});

test('a request that does not look at the session still says nothing about it', async () => {
	const { event } = testEvent(undefined, 'http://localhost/');
	const handle = vestiary.sveltekitSessionHandle(options);
	const response = await handle({ event, resolve: () => new Response() });
	expect(response.headers.get('vary')).toBeNull();
});

test('a hook of the application before the session is hinted at, and one after it is not', async () => {
	const session = vestiary.sveltekitSessionHandle(options);
	const mine: typeof session = async ({ event, resolve }) => resolve(event);
	const run = async (handle: typeof session): Promise<void> => {
		const { event } = testEvent(undefined, 'http://localhost/');
		await handle({ event, resolve: () => new Response() });
	};
	// SvelteKit's own, within a request as SvelteKit has it.
	const inSequence = (...handles: (typeof session)[]): typeof session => {
		const inOrder = sequence(...(handles as Handle[]));
		return async (input) =>
			withinKit(input.event, async () => inOrder(input as Parameters<Handle>[0]));
	};
	await run(session);
	await run(inSequence(session, mine));
	expect(warnings).toEqual([]);
	await run(inSequence(mine, session));
	await run(inSequence(mine, session));
	expect(warnings).toEqual([expect.stringContaining('runs before `sveltekitSessionHandle`')]);
});

test('a cookie that the secret has not signed is hinted at the third time', async () => {
	const foreign = `connect.sid=${'A'.repeat(32)}.${'B'.repeat(43)}`;
	await request(() => undefined, foreign);
	await request(() => undefined, foreign);
	expect(warnings).toEqual([]);
	for (let twice = 0; twice < 2; twice++) await request(() => undefined, foreign);
	expect(warnings).toEqual([expect.stringContaining('another app on this host')]);
});

test('an `expires` that two requests share is hinted at', async () => {
	const expires = new Date(Date.now() + 60_000);
	const handle = vestiary.sveltekitSessionHandle({ ...options, cookie: { expires } });
	const run = async (): Promise<Response> =>
		handle({
			event: testEvent(undefined, 'http://localhost/').event,
			resolve: () => new Response()
		});
	await run();
	expect(warnings).toEqual([]);
	await run();
	expect(warnings).toEqual([expect.stringContaining('`cookie.expires` is one fixed moment')]);
});

test('production watches nothing', async () => {
	vi.resetModules();
	vi.stubEnv('NODE_ENV', 'production');
	vestiary = await import('../src/index.js');
	options = { secret: SECRET, store: new vestiary.MemoryStore() };
	await request((s) => {
		expect(Object.hasOwn(s, 'save')).toBe(false);
		return s.setData(data({ at: new Date() }));
	});
	expect(warnings).toEqual([]);
});

/** The functions of SvelteKit that call a `load` while a page is rendered. */
async function load_server_data<T>(load: () => T): Promise<T> {
	return load();
}

describe('while SvelteKit prerenders', () => {
	beforeEach(async () => {
		vi.resetModules();
		vi.stubEnv('NODE_ENV', 'production');
		vi.stubEnv('SVELTEKIT_FORK', 'true');
		vestiary = await import('../src/index.js');
	});

	const prerender = async (work: (event: RequestEvent) => unknown): Promise<void> => {
		const { event } = testEvent(undefined, 'http://sveltekit-prerender/about');
		await vestiary.sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await work(event);
				return new Response();
			}
		});
	};

	test('a load that reads the session is hinted at once, with its page', async () => {
		const source = new URL(
			'../../../node_modules/@sveltejs/kit/src/runtime/server/page/load_data.js',
			import.meta.url
		);
		expect(readFileSync(source, 'utf8')).toContain('function load_server_data(');
		const reads = async ({ locals }: RequestEvent): Promise<void> =>
			load_server_data(() => {
				expect(locals.session.data).toEqual({});
			});
		await prerender(reads);
		await prerender(reads);
		expect(warnings).toEqual([expect.stringContaining('a `load` of /about reads the session')]);
	});

	test('a hook that reads it for each request, and a load that does not, give no hint', async () => {
		await prerender(({ locals }) => locals.session.data);
		await prerender(async ({ locals }) => load_server_data(() => locals.session));
		expect(warnings).toEqual([]);
	});
});
