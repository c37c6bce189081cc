import { connect, createServer, type AddressInfo, type Server } from 'node:net';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { CountingProxy } from '../src/counting-proxy.ts';

let redis: Server;
let proxy: CountingProxy;

/** How many bytes the server waits for before it answers. */
let patience: number;

beforeEach(async () => {
	patience = 0;
	let received = 0;
	redis = createServer((socket) =>
		socket.on('data', (chunk) => {
			received += chunk.length;
			if (received >= patience) socket.write('+OK\r\n');
		})
	);
	await new Promise<void>((resolve) => redis.listen(0, '127.0.0.1', resolve));
	proxy = await CountingProxy.launch((redis.address() as AddressInfo).port);
});

afterEach(async () => {
	await proxy.stop();
	redis.close();
});

const GET = '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n';
const SET = '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7\r\n*1\r\n$1\r\n\r\n';

/** Sends each of them, and waits for an answer after each. */
async function send(...parts: string[]): Promise<void> {
	const socket = connect(proxy.port, '127.0.0.1');
	for (const part of parts) {
		const answer = new Promise((resolve) => socket.once('data', resolve));
		socket.write(part);
		await answer;
	}
	socket.destroy();
}

test('a command after the answer to another is another round trip', async () => {
	await send(GET, SET);
	expect(proxy).toMatchObject({ commands: 2, roundTrips: 2 });
});

test('commands that are sent together are one round trip', async () => {
	await send(GET + SET + GET);
	expect(proxy).toMatchObject({ commands: 3, roundTrips: 1 });
});

test('a command is counted when it is complete, even if a value looks like a command', async () => {
	await send(SET.slice(0, 31));
	expect(proxy.commands).toBe(0);
	await send(SET.slice(0, 31), SET.slice(31));
	expect(proxy.commands).toBe(1);
});

test('a command that comes in pieces is one round trip', async () => {
	patience = SET.length;
	const socket = connect(proxy.port, '127.0.0.1');
	const answer = new Promise((resolve) => socket.once('data', resolve));
	socket.write(SET.slice(0, 12));
	while (proxy.roundTrips === 0) await new Promise(setImmediate);
	socket.write(SET.slice(12));
	await answer;
	socket.destroy();
	expect(proxy).toMatchObject({ commands: 1, roundTrips: 1 });
});
