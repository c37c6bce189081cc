/** A process of an app with logins and event streams, for the runs with several processes. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';

import { Redis } from 'ioredis6';

import { sessions, sveltekitSessionHandle, type SveltekitSessionConfig } from '../../dist/index.js';
import { RedisStore } from '../../dist/stores/redis.js';
import { testEvent } from '../event.ts';

const [port, recheckAfter] = process.argv.slice(2).map(Number);
const client = new Redis(port ?? 0, '127.0.0.1', { retryStrategy: () => 50 });
client.on('error', () => undefined);
const options: SveltekitSessionConfig = {
	secret: 'a secret of the tests for streams, 32 bytes',
	store: new RedisStore({ client, feed: true }),
	recheckAfter
};
const handle = sveltekitSessionHandle(options);

/** The time of the machine, in milliseconds with fractions. */
const now = (): number => performance.timeOrigin + performance.now();

/** The time, again and again. */
function times(): ReadableStream<Uint8Array> {
	return new ReadableStream({
		pull: async (controller) => {
			controller.enqueue(Buffer.from(`data: ${now()}\n\n`));
			await new Promise((resolve) => setTimeout(resolve, 200));
		}
	});
}

async function answer(request: IncomingMessage): Promise<Response> {
	const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
	const user = searchParams.get('user') ?? '';
	const { event } = testEvent(request.headers.cookie);
	return handle({
		event,
		resolve: async ({ locals }) => {
			switch (pathname) {
				case '/login':
					await locals.session.login(user);
					return new Response();
				case '/revoke':
					await sessions(options).of(user).revokeAll();
					return new Response(`${now()}`);
				default:
					if (locals.session.userId === undefined)
						return new Response(null, { status: 401 });
					return new Response(locals.session.until(times()), {
						headers: { 'content-type': 'text/event-stream' }
					});
			}
		}
	});
}

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
	const answered = await answer(request).catch(() => new Response(null, { status: 503 }));
	response.writeHead(answered.status, Object.fromEntries(answered.headers));
	if (!answered.body) {
		response.end();
		return;
	}
	const body = Readable.fromWeb(answered.body as Parameters<typeof Readable.fromWeb>[0]);
	response.on('close', () => body.destroy());
	body.on('error', () => response.destroy());
	body.pipe(response);
}

const server = createServer((request, response) => {
	void respond(request, response);
});
server.listen(0, '127.0.0.1', () => {
	process.send?.((server.address() as AddressInfo).port);
});
process.on('disconnect', () => process.exit());
