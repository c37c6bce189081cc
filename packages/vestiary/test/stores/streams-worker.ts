/** A process of an app with logins and event streams, for the runs with several processes. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';

import { Redis } from 'ioredis6';
import { createPool } from 'mysql2/promise';
import pg from 'pg';

import {
	sessions,
	sveltekitSessionHandle,
	type Store,
	type SveltekitSessionConfig
} from '../../dist/index.js';
import { MySqlStore } from '../../dist/stores/mysql.js';
import { PostgresStore } from '../../dist/stores/postgres.js';
import { RedisStore } from '../../dist/stores/redis.js';
import { SqliteStore } from '../../dist/stores/sqlite.js';
import { testEvent } from '../event.ts';
import { COOKIE, now, SECRET } from './streams.ts';

const [kind = '', address = '', recheckAfter] = process.argv.slice(2);
const options: SveltekitSessionConfig = {
	name: COOKIE,
	secret: SECRET,
	store: storeOf(),
	recheckAfter: Number(recheckAfter)
};
const handle = sveltekitSessionHandle(options);

function storeOf(): Store {
	switch (kind) {
		case 'Postgres': {
			const client = new pg.Pool({ connectionString: address, max: 10 });
			client.on('error', () => undefined);
			return new PostgresStore({ client, feed: true });
		}
		case 'MariaDB':
			return new MySqlStore({
				client: createPool({ uri: address, connectionLimit: 10 }),
				feed: true
			});
		case 'SQLite':
			return new SqliteStore({ database: address, feed: true });
		default: {
			const client = new Redis(Number(address), '127.0.0.1', { retryStrategy: () => 50 });
			client.on('error', () => undefined);
			return new RedisStore({ client, feed: true });
		}
	}
}

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
