// First: a handle looks for the test server when it is loaded, as it does in an application.
import '../src/testing-server.js';

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { execFileSync } from 'node:child_process';
import type { RequestEvent } from '@sveltejs/kit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { MemoryStore, sessions, sveltekitSessionHandle } from '../src/index.js';
import { fakeEvent, loginAs, passTime, resetTime } from '../src/testing.js';

const options = {
	secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82',
	store: new MemoryStore(),
	idleTimeout: 900
};

/** The answers of the application itself. */
let answered = 0;
let server: Server;
let url: string;
let clientAddress = '127.0.0.1';

beforeAll(async () => {
	const handle = sveltekitSessionHandle({
		...options,
		skip: ({ url }) => url.pathname === '/skip'
	});
	server = createServer((request, response) => {
		const headers = new Headers(request.headers as Record<string, string>);
		const event = {
			url: new URL(request.url ?? '/', 'http://localhost'),
			request: { headers, method: request.method },
			locals: {},
			getClientAddress: () => clientAddress
		} as unknown as RequestEvent;
		const resolve = async ({ locals }: RequestEvent): Promise<Response> => {
			answered++;
			const { userId, data } = locals.session;
			return Promise.resolve(Response.json({ userId, data }));
		};
		void handle({ event, resolve }).then(async (answer) => {
			response.writeHead(answer.status, [...answer.headers].flat());
			response.end(await answer.text());
		});
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
	server.close();
});

afterEach(async () => {
	clientAddress = '127.0.0.1';
	await resetTime();
});

async function shown(headers?: HeadersInit): Promise<unknown> {
	return (await fetch(url, headers && { headers })).json();
}

describe('a test server', () => {
	test('logs a visitor in, in place of the application', async () => {
		const before = answered;
		const headers = await loginAs(url, 'Ada ☕', { n: 'Émile' });
		expect(answered).toBe(before);
		expect(await shown(headers)).toEqual({ userId: 'Ada ☕', data: { n: 'Émile' } });
		expect(await shown()).toEqual({ data: {} });
	});

	test('sets cookies that no other server accepts, and accepts none of theirs', async () => {
		const { cookie } = await loginAs(url, 'ada');
		expect(await sessions(options).read(cookie)).toMatchObject({ userId: 'ada' });
		// In a process without the module, with the same secret: its handle looks only at the signature.
		const script = `
			const { sveltekitSessionHandle } = await import('vestiary');
			const events = [];
			const handle = sveltekitSessionHandle({ secret: '${options.secret}', onEvent: ({ type }) => events.push(type) });
			const event = { url: new URL('https://x'), locals: {}, request: new Request('https://x', { headers: { cookie: '${cookie}' } }) };
			await handle({ event, resolve: () => new Response() });
			console.log(events.join());`;
		const folder = fileURLToPath(new URL('..', import.meta.url));
		const args = ['--input-type=module', '-e', script];
		expect(execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })).toBe(
			'rejected\n'
		);
	});

	test('answers only tests of the same machine, and says why it refuses', async () => {
		clientAddress = '192.0.2.7';
		await expect(loginAs(url, 'ada')).rejects.toThrow('on the same machine');
		clientAddress = '::1';
		await loginAs(url, 'ada');
		await expect(loginAs(`${url}/skip`, 'ada')).rejects.toThrow('`skip` leaves');
		await expect(loginAs(url, '')).rejects.toThrow('the test server refuses: ');
	});

	test('lets time pass', async () => {
		const headers = await loginAs(url, 'ada');
		await passTime(800, url);
		expect(await shown(headers)).toMatchObject({ userId: 'ada' });
		await passTime(1_000, url);
		expect(await shown(headers)).toEqual({ data: {} });
		await resetTime(url);
		expect(await shown(await loginAs(url, 'ada'))).toMatchObject({ userId: 'ada' });
	});

	test("is asked with the cookies of Playwright's browser", async () => {
		const asked: unknown[] = [];
		const answer = { headers: () => ({ 'x-vestiary-test': 'done' }), text: async () => '' };
		const context = {
			request: {
				post: async (...given: unknown[]) => {
					asked.push(given);
					return Promise.resolve(answer);
				}
			}
		};
		await loginAs(context, 'ada', undefined, { url });
		await passTime(1, context);
		expect(asked).toMatchObject([
			[url, { maxRedirects: 0 }],
			['', { maxRedirects: 0 }]
		]);
		await expect(loginAs({} as never, 'ada')).rejects.toThrow("takes Playwright's `context`");
	});
});

test('a server without the module is no test server', async () => {
	const other = createServer((_, response) => {
		response.end();
	});
	await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
	const at = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
	await expect(loginAs(at, 'ada')).rejects.toThrow('--import vestiary/testing/server');
	other.close();
});

test('a production server does not load the module', () => {
	const folder = fileURLToPath(new URL('..', import.meta.url));
	const env = { ...process.env, NODE_ENV: 'production' };
	const args = ['--import', 'vestiary/testing/server', '-e', ''];
	expect(() => execFileSync(process.execPath, args, { cwd: folder, env, stdio: 'pipe' })).toThrow(
		'must not be loaded with NODE_ENV=production'
	);
});

test('time passes in the process of a test', async () => {
	const event = await fakeEvent({ user: 'ada', options: { idleTimeout: 900 } });
	await event.respond();
	const before = Date.now();
	await passTime(1_000);
	expect(Date.now() - before).toBeGreaterThanOrEqual(1_000_000);
	expect(new Date().getTime() - before).toBeGreaterThanOrEqual(1_000_000);
	expect(new Date(5)).toEqual(new Date('1970-01-01T00:00:00.005Z'));
	expect(new Date() instanceof Date).toBe(true);
	expect(typeof Date()).toBe('string');
	expect((await event.next()).locals.session.userId).toBeUndefined();
	await resetTime();
	expect(Date.now() - before).toBeLessThan(1_000_000);
	await expect(passTime('9' as never)).rejects.toThrow('a number of seconds');
});

test('a part that a fake event would ignore is refused, with the one to use', async () => {
	for (const [part, advice] of [
		[{ request: new Request('http://x') }, 'write `url`, `method`'],
		[{ cookies: { get: () => '' } }, 'must be an object with the values'],
		[{ locals: { session: {} } }, 'write `session: { … }`'],
		[{ userId: 'ada' }, 'write `user`'],
		[{ seession: {} }, 'did you mean `session`?']
	] as const)
		await expect(fakeEvent(part as never)).rejects.toThrow(advice);
	const event = await fakeEvent();
	await expect(event.next({ user: 'ada' } as never)).rejects.toThrow('not a part');
});
