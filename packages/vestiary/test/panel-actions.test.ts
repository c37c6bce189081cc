import type { RequestEvent } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Session, SessionData, SveltekitSessionConfig } from '../src/index.js';
import type { Entry } from '../src/panel/log.js';
import { testEvent } from './event.js';
import { startPanel, type Answered, type Asked, type AskedServer } from './panel-asked.js';

let vestiary: typeof import('../src/index.js');
let options: SveltekitSessionConfig;
let server: AskedServer;
let token: string;

beforeEach(async () => {
	vi.resetModules();
	vi.stubEnv('NODE_ENV', 'development');
	vi.spyOn(console, 'warn').mockImplementation(() => undefined);
	vestiary = await import('../src/index.js');
	options = { secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82', store: new vestiary.MemoryStore() };
	server = await startPanel();
	const { text } = server.ask({ url: '/__vestiary' });
	token = /data-token="([\w-]{36})"/.exec(text)?.[1] ?? '';
});

afterEach(() => {
	vi.unstubAllEnvs();
	vi.restoreAllMocks();
	vi.useRealTimers();
	Reflect.deleteProperty(globalThis, Symbol.for('vestiary.observer'));
});

/** Runs one request; gives the session, and the cookie for the next one. */
async function request(
	work: (session: Session, event: RequestEvent) => unknown,
	cookie?: string
): Promise<{ session: Session; cookie: string }> {
	const { event } = testEvent(cookie, 'http://localhost/');
	const response = await vestiary.sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await work(event.locals.session, event);
			return new Response();
		}
	});
	const sent = response.headers.getSetCookie()[0]?.split(';')[0];
	return { session: event.locals.session, cookie: sent ?? cookie ?? '' };
}

async function logIn(): Promise<string> {
	const data = { n: 1 } as SessionData;
	return (await request((session) => session.login('ada', { data }))).cookie;
}

function entries(): Entry[] {
	return JSON.parse(server.ask().text) as Entry[];
}

/** Presses a button for the session of the last request. */
async function press(action: string, more: Asked = {}): Promise<Answered> {
	const n = entries().at(-1)?.n ?? 0;
	return server.wait({
		url: `/__vestiary/act?n=${n}&do=${action}`,
		method: 'POST',
		headers: { 'x-vestiary-token': token, 'sec-fetch-site': 'same-origin' },
		...more
	});
}

function sentence({ text }: Answered): { text: string; open?: string } {
	return JSON.parse(text) as { text: string; open?: string };
}

test('`Log out` ends the session', async () => {
	const cookie = await logIn();
	expect(sentence(await press('log-out')).text).toContain('has ended');
	expect((await request(() => undefined, cookie)).session.isNew).toBe(true);
});

test('`Expire now` lets the session end by its own time', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const cookie = await logIn();
	expect(sentence(await press('expire')).text).toContain('expires in a second');
	vi.setSystemTime(Date.now() + 1500);
	expect((await request(() => undefined, cookie)).session.isNew).toBe(true);
	expect(['unknown', 'expired']).toContain(entries().at(-1)?.state);
});

test('`Make a conflict` lets the next request meet another write, once, and loses nothing', async () => {
	const cookie = await logIn();
	await press('conflict');
	const save = async (session: Session): Promise<void> => {
		await session.setData({ ...session.data, m: 2 });
		await session.save();
	};
	const { session } = await request(save, cookie);
	expect(session.data).toEqual({ n: 1, m: 2, devPanel: expect.any(Number) as number });
	const said = (entry?: Entry): string => entry?.steps.map(({ text }) => text).join('\n') ?? '';
	expect(said(entries().at(-1))).toContain('both changes were merged');
	await request(save, cookie);
	expect(said(entries().at(-1))).not.toContain('merged');
});

describe('`Steal this cookie`', () => {
	const second = { host: 'second-browser.localhost:5173', 'sec-fetch-site': 'cross-site' };

	test('puts it into a browser with another host, once', async () => {
		const cookie = await logIn();
		const answer = await press('steal');
		const [, value = '-'] = cookie.split('=');
		expect(answer.text).not.toContain(value);
		const open = new URL(sentence(answer).open ?? '');
		expect(open.host).toBe('second-browser.localhost:5173');
		const taken = server.ask({ url: open.pathname, headers: second });
		expect([taken.status, taken.headers.get('location')]).toEqual([303, '/']);
		const stolen = taken.headers.get('set-cookie')?.split(';')[0];
		expect((await request(() => undefined, stolen)).session.userId).toBe('ada');
		expect(server.ask({ url: open.pathname, headers: second }).status).toBe(403);
	});

	test('does so only there, for a minute, and only with the ticket', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		await logIn();
		const ticket = async (): Promise<string> =>
			new URL(sentence(await press('steal')).open ?? '').pathname;
		for (const asked of [
			{ headers: {} },
			{ headers: { host: 'evil.example' } },
			{ headers: second, from: '192.168.1.7' },
			{ headers: second, method: 'POST' }
		])
			expect(server.ask({ url: await ticket(), ...asked }).status).toBe(403);
		const late = await ticket();
		vi.setSystemTime(Date.now() + 61_000);
		expect(server.ask({ url: late, headers: second }).status).toBe(403);
		expect(server.ask({ url: '/__vestiary/take/guessed', headers: second }).status).toBe(403);
	});
});

describe('a button', () => {
	test.each<[string, Asked]>([
		['without the token of the page', { headers: { 'sec-fetch-site': 'same-origin' } }],
		['with another token', { headers: { 'x-vestiary-token': 'guessed' } }]
	])('is refused %s', async (_, asked) => {
		const cookie = await logIn();
		expect((await press('log-out', asked)).status).toBe(403);
		expect((await request(() => undefined, cookie)).session.isNew).toBe(false);
	});

	test.each([
		['of another site', { 'sec-fetch-site': 'cross-site' }],
		['of another port', { 'sec-fetch-site': 'same-site' }],
		['of another name of this machine', { host: 'evil.example' }]
	])('is refused to a page %s, even with the token', async (_, more) => {
		const cookie = await logIn();
		const headers = { 'x-vestiary-token': token, ...more } as Record<string, string>;
		expect((await press('log-out', { headers })).status).toBe(403);
		expect((await request(() => undefined, cookie)).session.isNew).toBe(false);
	});

	test('needs a POST, a known name, and a request with a session', async () => {
		await logIn();
		expect((await press('log-out', { method: 'GET' })).status).toBe(405);
		expect((await press('delete')).status).toBe(404);
		await request(() => undefined);
		expect((await press('log-out')).status).toBe(410);
	});

	test('of a session that has ended says so', async () => {
		await logIn();
		await press('log-out');
		expect(sentence(await press('expire')).text).toContain('has ended already');
	});

	test('whose write fails names the error, and nothing that the store has said', async () => {
		await logIn();
		const { atomic } = options.store as { atomic: { read: unknown } };
		atomic.read = async () => Promise.reject(new Error('hush'));
		const { status, text } = await press('log-out');
		expect([status, text]).toEqual([
			500,
			'The session cannot be written: StoreError store_failed'
		]);
	});
});

test('each request names the session that it has loaded, for the timeline', async () => {
	const first = await request((session) => session.save());
	const second = await request((session) => session.login('ada'), first.cookie);
	await request((session) => session.destroy(), second.cookie);
	const [one, two, three] = entries();
	expect(one?.loaded).toBeUndefined();
	expect(two?.loaded).toBe(one?.session?.logId);
	expect(three?.loaded).toBe(two?.session?.logId);
	expect(three?.session).toBeUndefined();
});

test('Vite prints the address of the panel', async () => {
	expect(server.printed()).toEqual(['Local', '  ➜  Vestiary: http://localhost:5173/__vestiary']);
	expect((await startPanel(false)).printed()).toEqual(['Local']);
});

test('Vite DevTools get the panel as a dock', async () => {
	const { vestiary: plugin } = await import('../src/vite.js');
	const docks: { type: string; url: string }[] = [];
	const tools = {
		docks: { register: (dock: { type: 'iframe'; url: string }) => docks.push(dock) }
	};
	plugin().devtools?.setup(tools);
	expect(docks).toMatchObject([{ type: 'iframe', url: '/__vestiary' }]);
	expect(plugin({ panel: false }).devtools).toBeUndefined();
	const { headers } = server.ask({ url: '/__vestiary' });
	expect(headers.get('content-security-policy')).toContain("frame-ancestors 'self'");
	expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
});
