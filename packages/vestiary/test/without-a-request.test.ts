import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { sessions, sveltekitSessionHandle, type SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';

/* The server of docs/how-to/without-a-request.md, with WebSockets. */

const ORIGIN = 'https://app.example';
const PAGE = new URL('../../../docs/how-to/without-a-request.md', import.meta.url);
const FOLDER = new URL('sockets/generated', import.meta.url).pathname;

let options: SveltekitSessionConfig;
let server: Server;

beforeAll(async () => {
	mkdirSync(FOLDER, { recursive: true });
	const page = readFileSync(PAGE, 'utf8');
	for (const name of ['session.ts', 'sockets.ts']) {
		const code = new RegExp(`^// src/lib/server/${name}\n.*?(?=^\`\`\`)`, 'ms').exec(page)?.[0];
		// The samples import the package by its name, and this test its sources: they share no state.
		writeFileSync(join(FOLDER, name), code?.replaceAll(/'vestiary(\/\w+)?'/g, source) ?? '');
	}
	process.env.SESSION_SECRET = 'a secret of the tests for WebSockets';
	process.env.SESSIONS = join(FOLDER, 'sessions.db');
	({ options } = (await import(join(FOLDER, 'session.ts'))) as {
		options: SveltekitSessionConfig;
	});
	const { acceptSockets } = (await import(join(FOLDER, 'sockets.ts'))) as {
		acceptSockets: (server: Server, origin: string) => void;
	};
	server = createServer();
	acceptSockets(server, ORIGIN);
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
	server.close();
	(options.store as { close?: () => void }).close?.();
	rmSync(FOLDER, { recursive: true });
});

function source(_: string, entry: string | undefined): string {
	return entry === undefined ? `'../../../src/index.js'` : `'../../../src/stores${entry}.js'`;
}

async function logIn(user: string): Promise<string> {
	const { event } = testEvent();
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await event.locals.session.login(user);
			return new Response();
		}
	});
	return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

/** The first message of a socket, or the status with which it is refused; and the code with which it is closed. */
async function connect(
	headers: Record<string, string>
): Promise<{ first: string | number; closed: Promise<number> }> {
	const { port } = server.address() as AddressInfo;
	const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
	const closed = new Promise<number>((resolve) => socket.on('close', resolve));
	const first = await new Promise<string | number>((resolve, reject) => {
		socket.on('message', (message: Buffer) => {
			resolve(message.toString());
		});
		socket.on('unexpected-response', (_, { statusCode = 0 }) => {
			resolve(statusCode);
		});
		socket.on('error', reject);
	});
	return { first, closed };
}

test('a socket is refused without a login, and from another site', async () => {
	const cookie = await logIn('ada');
	expect((await connect({ origin: ORIGIN })).first).toBe(401);
	expect((await connect({ origin: 'https://evil.example', cookie })).first).toBe(403);
});

test('a socket of a logged-in visitor is open until the session is revoked', async () => {
	const cookie = await logIn('ada');
	const { first, closed } = await connect({ origin: ORIGIN, cookie });
	expect(first).toBe('Hello, ada!');
	await sessions(options).of('ada').revokeAll();
	expect(await closed).toBe(4401);
	expect((await connect({ origin: ORIGIN, cookie })).first).toBe(401);
});
