/** The options of the sessions, which `streams-mixed.ts` gives to this app by the environment. */
import { env } from 'node:process';

import { Redis } from 'ioredis6';
import { SqliteStore } from 'vestiary/sqlite';
import { RedisStore } from 'vestiary/redis';
import type { Store, SveltekitSessionConfig } from 'vestiary';

let made: SveltekitSessionConfig | undefined;

/** One store for all requests. Not at the start of the module, because a build has no environment. */
export const options = (): SveltekitSessionConfig =>
	(made ??= {
		name: env.SESSION_COOKIE ?? '',
		secret: env.SESSION_SECRET ?? '',
		store: storeOf(env.STREAM_ADDRESS ?? ''),
		recheckAfter: Number(env.RECHECK_AFTER)
	});

function storeOf(address: string): Store {
	if (env.STREAM_STORE === 'SQLite') return new SqliteStore({ database: address, feed: true });
	const client = new Redis(Number(address), '127.0.0.1', { retryStrategy: () => 50 });
	client.on('error', () => undefined);
	return new RedisStore({ client, feed: true });
}
