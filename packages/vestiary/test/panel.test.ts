import type { RequestEvent } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Session, SessionData, SveltekitSessionConfig } from '../src/index.js';
import type { Entry } from '../src/panel/log.js';
import { BoundBrowser } from './bound-browser.js';
import { testEvent } from './event.js';
import { startPanel, type Answered, type Asked, type AskedServer } from './panel-asked.js';
import { remote } from './visits.js';

const SECRET = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';

type Work = (session: Session, event: RequestEvent) => unknown;

let vestiary: typeof import('../src/index.js');
let options: SveltekitSessionConfig;
let server: AskedServer;

const data = (value: object): SessionData => value;

async function save(session: Session, value: object = { n: 1 }): Promise<void> {
	await session.setData(data(value));
	await session.save();
}

beforeEach(async () => {
	vi.resetModules();
	vi.stubEnv('NODE_ENV', 'development');
	vi.spyOn(console, 'warn').mockImplementation(() => undefined);
	vestiary = await import('../src/index.js');
	options = { secret: SECRET, store: new vestiary.MemoryStore() };
	server = await startPanel();
});

afterEach(() => {
	vi.unstubAllEnvs();
	vi.restoreAllMocks();
	vi.useRealTimers();
	Reflect.deleteProperty(globalThis, Symbol.for('vestiary.observer'));
});

/** Asks the panel as a browser on this machine does. */
function ask(asked?: Asked): Answered {
	return server.ask(asked);
}

function last(): Entry {
	const entry = (JSON.parse(ask().text) as Entry[]).at(-1);
	if (!entry) throw new Error('the log is empty');
	return entry;
}

interface Request {
	readonly more?: Partial<SveltekitSessionConfig>;
	readonly cookie?: string | undefined;
	readonly url?: string;
	readonly headers?: Record<string, string>;
}

/** Runs one request; gives the cookie for the next one. */
async function request(
	work: Work,
	{ more = {}, cookie, url, headers }: Request = {}
): Promise<string> {
	const { event } = testEvent(cookie, url ?? 'http://localhost/');
	for (const [name, value] of Object.entries(headers ?? {}))
		event.request.headers.set(name, value);
	const response = await vestiary.sveltekitSessionHandle({ ...options, ...more })({
		event,
		resolve: async () => {
			await work(event.locals.session, event);
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie ?? '';
}

/** All that the panel says about a request. */
function said({ cookie, steps, response, hints }: Entry): string {
	return [...[cookie, steps, response].flat().map(({ text }) => text), ...hints].join('\n');
}

const READ: Work = (session) => session.data;

test.each(['svelte-kit-sessions', 'express-session'] as const)(
	'values beside the data are not shown, in the format %s',
	async (format) => {
		const work: Work = async (session) => {
			await session.login('ada', { data: data({ n: 1 }) });
			await session.put('step', 'kept beside the data', { for: 60 });
		};
		await request(work, { more: { format, deviceBound: true } });
		expect(last().session?.data).toEqual({ n: 1 });
	}
);

describe('each row of docs/how-to/troubleshooting.md that a request can have shows its cause', () => {
	const rows: readonly (readonly [string, string, () => Promise<unknown>])[] = [
		[
			'nothing saved',
			'was changed and not saved',
			async () => request((s) => s.setData(data({ n: 1 })))
		],
		[
			'not awaited',
			'is not awaited',
			async () =>
				request((s) => {
					void save(s);
					void s.save();
				})
		],
		[
			'saved after the response',
			'after the response had left',
			async () => {
				let session: Session | undefined;
				await request((s) => {
					session = s;
				});
				await session?.save().catch(() => undefined);
			}
		],
		[
			'a hook that throws',
			'A hook has thrown',
			async () =>
				request(() => {
					throw new Error('teapot');
				}).catch(() => undefined)
		],
		[
			'skip',
			'`skip` has skipped',
			async () => request(() => undefined, { more: { skip: () => true } })
		],
		[
			'Secure over http',
			'`Secure` over http from app.test',
			async () =>
				request((s) => save(s), {
					url: 'http://app.test/',
					more: { cookie: { secure: true } }
				})
		],
		[
			'Domain of another host',
			'`Domain=example.com` is neither',
			async () => request((s) => save(s), { more: { cookie: { domain: 'example.com' } } })
		],
		[
			'a frame of another site',
			'in a frame of another site',
			async () =>
				request((s) => save(s), {
					more: { cookie: { sameSite: 'none' } },
					headers: { 'sec-fetch-dest': 'iframe', 'sec-fetch-site': 'cross-site' }
				})
		],
		[
			'a path that does not cover the page',
			'does not cover /',
			async () => request((s) => save(s), { more: { cookie: { path: '/app' } } })
		],
		[
			'SameSite=None without Secure',
			'`SameSite=None` without `Secure`',
			async () =>
				request((s) => save(s), {
					more: { cookie: { sameSite: 'none', secure: false } }
				})
		],
		[
			'a lifetime that is over',
			'The cookie is removed',
			async () => {
				const cookie = await request((s) => save(s));
				await request(
					async (s) => {
						s.cookie = { ...s.cookie, maxAge: 0 };
						await s.save();
					},
					{ cookie }
				);
			}
		],
		[
			'a fetch to another origin without credentials',
			'a `fetch` to another origin',
			async () =>
				request(READ, {
					headers: { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-site' }
				})
		],
		[
			'a redirect that a hook returns to the client’s router',
			'to the client’s router',
			async () => {
				const { event } = testEvent(undefined, 'http://localhost/');
				await vestiary.sveltekitSessionHandle(options)({
					event: Object.assign(event, { isDataRequest: true }),
					resolve: () => Response.redirect('http://localhost/login', 303)
				});
			}
		],
		[
			'a page outside of the path',
			'only below `/app`',
			async () => request(READ, { more: { cookie: { path: '/app' } } })
		],
		[
			'strict, and a link of another site',
			'`SameSite=strict`',
			async () =>
				request(READ, {
					more: { cookie: { sameSite: 'strict' } },
					headers: { 'sec-fetch-site': 'cross-site' }
				})
		],
		[
			'two hosts',
			'was set at localhost',
			async () => {
				await request((s) => save(s));
				await request(READ, { url: 'http://127.0.0.1/' });
			}
		],
		['another name', 'only: other', async () => request(READ, { cookie: 'other=1' })],
		[
			'another prefix',
			'differs by its prefix',
			async () =>
				request(READ, { cookie: 'connect.sid=x', more: { name: '__Host-connect.sid' } })
		],
		[
			'rejected',
			'another secret has signed it',
			async () => request(READ, { cookie: 'connect.sid=s%3Ax.y' })
		],
		[
			'unknown',
			'the store has no record',
			async () => {
				const cookie = await request((s) => save(s));
				await request(READ, { cookie, more: { store: new vestiary.MemoryStore() } });
			}
		],
		[
			'expired',
			'unused for `idleTimeout`',
			async () => {
				vi.useFakeTimers({ toFake: ['Date'] });
				const more = { idleTimeout: 60 };
				const cookie = await request((s) => save(s), { more });
				vi.setSystemTime(Date.now() + 90_000);
				await request(READ, { cookie, more });
			}
		],
		[
			'revoked',
			'has revoked the session',
			async () => {
				const cookie = await request((s) => s.login('ada'));
				await vestiary.sessions(options).of('ada').revokeAll();
				await request(READ, { cookie });
			}
		],
		[
			'reuse',
			'has replaced this ID',
			async () => {
				const cookie = await request((s) => save(s));
				await request((s) => s.login('ada'), { cookie });
				await request(READ, { cookie });
			}
		],
		[
			'unreadable',
			'The record cannot be read',
			async () => {
				const cookie = await request((s) => save(s));
				await request(READ, { cookie, more: { encrypt: true } }).catch(() => undefined);
			}
		],
		[
			'bound, without its cookie',
			'no valid bound cookie',
			async () => {
				const more = { deviceBound: true, renewGrace: 0 };
				const handle = vestiary.sveltekitSessionHandle({ ...options, ...more });
				const browser = await BoundBrowser.open(handle);
				await browser.bind();
				expect(last()).toMatchObject({ state: 'valid', path: '/device-session/register' });
				expect(said(last())).toContain('has bound the session to its device');
				const thief = await browser.stolen();
				thief.jar.delete('connect.sid.bound');
				await thief.refresh();
				expect(said(last())).toContain('is forged, or made by another browser');
				await thief.visit((session) => session.data);
				expect(last()).toMatchObject({ state: 'not bound', status: 404 });
			}
		],
		[
			'gone',
			'has ended the session',
			async () => {
				const cookie = await request((s) => save(s));
				await request(
					async (s) => {
						await request((other) => other.destroy(), { cookie });
						await save(s, { n: 2 });
					},
					{ cookie }
				);
			}
		]
	];

	test.each(rows)('%s', async (_, cause, provoke) => {
		await provoke();
		const all = (JSON.parse(ask().text) as Entry[]).map(said).join('\n');
		expect(all).toContain(cause);
	});
});

test('a request shows what it loaded, did and sent, and its session as it is then', async () => {
	const cookie = await request((s) => save(s));
	expect(last()).toMatchObject({ state: 'none', status: 200, session: { data: { n: 1 } } });
	expect(said(last())).toContain('A new session was stored');
	await request((s) => save(s, { n: 2, token: 'hidden one' }), { cookie });
	expect(last()).toMatchObject({
		state: 'valid',
		session: { data: { n: 2, token: '(hidden)' } }
	});
	expect(said(last())).toContain('`save()`');
	await request((s) => s.destroy(), { cookie });
	expect(last().session).toBeUndefined();
	expect(said(last())).toMatch(/The cookie is removed. The app has ended the session/);
});

describe('a store that refuses connections', () => {
	const CAUSE =
		'StoreError `store_failed`: the session store could not write the session: no server listens at its address';
	let store: ReturnType<typeof remote>;
	const fail = (): void => {
		const refused = Object.assign(new Error('no'), { code: 'ECONNREFUSED' });
		for (const operation of ['read', 'create', 'replace'] as const)
			vi.spyOn(store.atomic, operation).mockRejectedValue(refused);
	};
	const problems = (): string[] =>
		[...last().cookie, ...last().steps]
			.filter(({ kind }) => kind === 'problem')
			.map(({ text }) => text);

	beforeEach(() => {
		store = remote(new vestiary.MemoryStore());
		options = { ...options, store };
	});

	test('shows at the operation that failed', async () => {
		fail();
		await expect(request((s) => save(s))).rejects.toThrow('no server listens');
		expect(problems()).toEqual([expect.stringContaining(CAUSE)]);
	});

	test('shows once if the session cannot be opened', async () => {
		const cookie = await request((s) => save(s));
		fail();
		await expect(request(READ, { cookie })).rejects.toThrow('no server listens');
		expect(problems()).toEqual([expect.stringContaining(CAUSE.replace('write', 'read'))]);
	});
});

test('what the app throws in an operation shows without its message', async () => {
	const cookie = await request((s) => save(s));
	const secretly = (): never => {
		throw new Error('of a secret');
	};
	await expect(request((s) => s.update(secretly), { cookie })).rejects.toThrow('of a secret');
	expect(said(last())).toContain('It ended with an error of the app.');
	expect(ask().text).not.toContain('of a secret');
});

test('two changes of one session show as merged', async () => {
	const cookie = await request((s) => save(s, { a: 1, b: 1 }));
	await request(
		async (s) => {
			const { a } = s.data as { a: number };
			await request((other) => other.update((d) => ({ ...d, b: 2 })), { cookie });
			await save(s, { ...s.data, a: a + 1 });
		},
		{ cookie }
	);
	const all = (JSON.parse(ask().text) as Entry[]).map(said).join('\n');
	expect(all).toContain('both changes were merged');
});

test('the log has neither a cookie nor an ID nor the query of a page', async () => {
	const cookie = await request((s) => save(s));
	let id = '';
	await request((s) => (id = s.id), { cookie, url: 'http://localhost/?token=hush' });
	await request(READ, { cookie: `${cookie}x` });
	const { text } = ask();
	for (const secret of [SECRET, id, cookie.split('=')[1] ?? '', 'hush'])
		expect(text.includes(secret), secret).toBe(false);
});

describe('the panel', () => {
	test('is a page that runs only its own script', () => {
		const { status, text, headers } = ask({ url: '/__vestiary?x' });
		expect(status).toBe(200);
		const [, nonce = ''] =
			/script-src 'nonce-([\w-]+)'/.exec(headers.get('content-security-policy') ?? '') ?? [];
		expect(text).toContain(`<script nonce="${nonce}"`);
		expect(headers.get('cache-control')).toBe('no-store');
	});

	test.each<[string, Asked]>([
		[
			'a name that points to this machine by DNS rebinding',
			{ headers: { host: 'evil.example:5173' } }
		],
		['a name that begins as a local one', { headers: { host: 'localhost.evil.example' } }],
		['another machine', { from: '192.168.1.7' }],
		['a page of another site', { headers: { 'sec-fetch-site': 'cross-site' } }],
		['a page of another port', { headers: { 'sec-fetch-site': 'same-site' } }]
	])('refuses %s', async (_, asked) => {
		await request((s) => save(s));
		for (const url of ['/__vestiary', '/__vestiary/log']) {
			const { status, text } = ask({ ...asked, url });
			expect(status).toBe(403);
			expect(text).toMatch(/^The dev panel is /);
		}
	});

	test.each(['localhost', 'app.localhost:80', '127.0.0.1:5173', '[::1]:5173'])(
		'answers %s',
		(host) => {
			expect(ask({ headers: { host } }).status).toBe(200);
		}
	);

	test('leaves other pages to Vite, and other methods without an answer', () => {
		expect(ask({ url: '/__vestiaryx' }).status).toBe(-1);
		expect(ask({ url: '/' }).status).toBe(-1);
		expect(ask({ method: 'POST' }).status).toBe(405);
		expect(ask({ url: '/__vestiary/nothing' }).status).toBe(404);
	});

	test('can be turned off', async () => {
		Reflect.deleteProperty(globalThis, Symbol.for('vestiary.observer'));
		expect((await startPanel(false)).isThere).toBe(false);
		expect(Reflect.has(globalThis, Symbol.for('vestiary.observer'))).toBe(false);
	});

	test('keeps the last 200 requests', async () => {
		for (let n = 0; n < 205; n++) await request(() => undefined);
		const entries = JSON.parse(ask().text) as Entry[];
		expect([entries.length, entries[0]?.n]).toEqual([200, 6]);
	});
});

test('sees nothing in production', async () => {
	vi.resetModules();
	vi.stubEnv('NODE_ENV', 'production');
	vestiary = await import('../src/index.js');
	options = { secret: SECRET, store: new vestiary.MemoryStore() };
	await request((s) => save(s));
	expect(JSON.parse(ask().text)).toEqual([]);
});
