import { SESSION_SECRET, SESSION_STORE } from '$app/env/private';
import { Redis } from 'ioredis';
import { sveltekitSessionHandle, type Store } from 'vestiary';
import { RedisStore } from 'vestiary/redis';
import { SqliteStore } from 'vestiary/sqlite';

// These must be the same in api/src/main.rs: the name, the secret, and the store. A function, so that
// the store is opened by the first request and not while the app is built.
export const handle = sveltekitSessionHandle(() => ({
	name: 'session',
	secret: SESSION_SECRET,
	store: store(SESSION_STORE),
	cookie: { maxAge: 24 * 60 * 60 },
	require: ['atomic']
}));

function store(url: string): Store {
	// With the feed, the streams here end soon after the Rust service has logged the visitor out.
	if (/^rediss?:/.test(url)) return new RedisStore({ client: new Redis(url), feed: true });
	return new SqliteStore({ database: url.replace(/^sqlite:/, ''), feed: true });
}
