import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	backChannelLogout,
	MemoryStore,
	sveltekitSessionHandle,
	type BackChannelOptions,
	type KeySet
} from '../src/index.js';
import { testEvent } from './event.js';
import { SECRET } from './watched-store.js';

/* Back-channel logout, while the provider hangs, or a caller sends what no provider does. */

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEYS: KeySet = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }] };

let ids = 0;

/** The form with a valid token. */
function form(iss = 'https://login.example'): string {
	const now = Math.floor(Date.now() / 1_000);
	const events = { [EVENT]: {} };
	const claims = { iss, aud: 'app', iat: now, exp: now + 600, jti: `${ids++}`, sid: 's', events };
	const part = (value: object): string =>
		Buffer.from(JSON.stringify(value)).toString('base64url');
	const text = `${part({ alg: 'ES256', kid: '1' })}.${part(claims)}`;
	const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
	const signature = sign('sha256', Buffer.from(text), key).toString('base64url');
	return `logout_token=${text}.${signature}`;
}

/** An endpoint of an app, and the codes of the refusals. */
function endpoint(more: Partial<BackChannelOptions>): {
	send: (body: BodyInit) => Promise<Response>;
	refused: string[];
} {
	const refused: string[] = [];
	const logout = backChannelLogout({
		issuer: 'https://login.example',
		clientId: 'app',
		onRefused: ({ code }) => refused.push(code),
		...more
	});
	const handle = sveltekitSessionHandle({ secret: SECRET, store: new MemoryStore() });
	const send = async (body: BodyInit): Promise<Response> => {
		const address = 'https://app.example/logout';
		const { event } = testEvent(undefined, address);
		const init = { method: 'POST', body, headers: FORM, duplex: 'half' };
		Object.assign(event, { request: new Request(address, init) });
		return handle({ event, resolve: logout });
	};
	return { send, refused };
}

/** A body that never ends, and the number of bytes that were read of it. */
function endless(): { body: ReadableStream<Uint8Array>; read: () => number } {
	const chunk = new Uint8Array(10_000).fill(0x61);
	let bytes = 0;
	const body = new ReadableStream<Uint8Array>({
		pull(controller) {
			if (bytes > 10_000_000) throw new Error('all of it was read');
			bytes += chunk.length;
			controller.enqueue(chunk);
		}
	});
	return { body, read: () => bytes };
}

test('of a body without a length, no more is read than the longest token has', async () => {
	const { send, refused } = endpoint({ jwks: () => KEYS });
	const { body, read } = endless();
	expect((await send(body)).status).toBe(400);
	expect(refused).toEqual(['logout_request']);
	expect(read()).toBeLessThan(100_000);
});

test('a body that is cut off is refused', async () => {
	const { send, refused } = endpoint({ jwks: () => KEYS });
	const body = new ReadableStream({
		pull(controller) {
			controller.error(new TypeError('the caller has left'));
		}
	});
	expect((await send(body)).status).toBe(400);
	expect(refused).toEqual(['logout_request']);
});

test('a listener that fails changes no answer, and ends no process', async () => {
	const unhandled = vi.fn();
	process.on('unhandledRejection', unhandled);
	const listeners = [
		async (): Promise<never> => Promise.reject(new Error('the log is full')),
		() => {
			throw new Error('the log is full');
		}
	] as (() => void)[];
	for (const onRefused of listeners) {
		const { send } = endpoint({ jwks: () => KEYS, onRefused });
		const response = await send('logout_token=x');
		expect(response.status).toBe(400);
		expect(await response.json()).toMatchObject({ error_description: 'token_malformed' });
	}
	await new Promise((resolve) => setImmediate(resolve));
	expect(unhandled).not.toHaveBeenCalled();
	process.off('unhandledRejection', unhandled);
});

describe('keys that do not come', () => {
	beforeEach(() => {
		vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
	});
	afterEach(() => {
		vi.useRealTimers();
	});

	test('hold back no logout for longer than ten seconds, and are asked for again', async () => {
		const answers: ((keys: KeySet) => void)[] = [];
		const jwks = (): Promise<KeySet> => new Promise((resolve) => answers.push(resolve));
		const { send, refused } = endpoint({ jwks });
		const both = Promise.all([send(form()), send(form())]);
		await vi.advanceTimersByTimeAsync(9_999);
		expect(refused).toEqual([]);
		await vi.advanceTimersByTimeAsync(1);
		await both;
		// Another request does not wait for them once more.
		await send(form());
		expect([answers.length, refused]).toEqual([1, Array(3).fill('keys_unavailable')]);
		await vi.advanceTimersByTimeAsync(30_000);
		const next = send(form());
		await vi.advanceTimersByTimeAsync(0);
		expect(answers).toHaveLength(2);
		answers[1]?.(KEYS);
		expect((await next).status).toBe(200);
		// Those that come at last are older.
		answers[0]?.({ keys: [] });
		expect((await send(form())).status).toBe(200);
		expect(answers).toHaveLength(2);
	});

	test('in time are asked for again, though the request that waits for them was given up', async () => {
		// On Workers, what a request has begun stops when its caller leaves.
		let begun = 0;
		const never = new Promise<KeySet>(() => undefined);
		const { send } = endpoint({ jwks: () => (begun++ === 0 ? never : KEYS) });
		void send(form());
		await vi.advanceTimersByTimeAsync(40_000);
		expect((await send(form())).status).toBe(200);
	});
});

describe('the provider', () => {
	let server: Server;
	let issuer: string;
	let answers: (path: string | undefined) => { status: number; body: string; location?: string };

	beforeEach(async () => {
		server = createServer(({ url }, response) => {
			const { status, body, location } = answers(url);
			response.writeHead(status, location === undefined ? {} : { location });
			response.end(body);
		});
		await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
		issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	});
	afterEach(() => {
		server.close();
	});

	test.each<[string, (path: string | undefined) => ReturnType<typeof answers>]>([
		[
			'that sends the request elsewhere',
			(path) =>
				path === '/elsewhere'
					? { status: 200, body: JSON.stringify(KEYS) }
					: { status: 302, body: '', location: '/elsewhere' }
		],
		['that answers with an error', () => ({ status: 500, body: JSON.stringify(KEYS) })],
		[
			'whose answer is too long',
			() => ({ status: 200, body: JSON.stringify({ ...KEYS, more: 'a'.repeat(300_000) }) })
		]
	])('%s has no keys', async (_, answer) => {
		answers = answer;
		const { send, refused } = endpoint({ issuer, jwks: `${issuer}/keys` });
		expect((await send(form(issuer))).status).toBe(400);
		expect(refused).toEqual(['keys_unavailable']);
	});
});
