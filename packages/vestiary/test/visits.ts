import type { RequestEvent } from '@sveltejs/kit';

import {
	sveltekitSessionHandle,
	type AtomicOperations,
	type MemoryStore,
	type Session,
	type SessionData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

export interface Data extends SessionData {
	n?: number;
	m?: number;
	cart?: string[];
}

export type Visited = Session & { data: Data };

/** A request and its results. */
export interface Visit {
	/** Name and value of each cookie that the response sets. */
	cookies: string[];
	setCookie: string[];
	session: Visited;
	event: RequestEvent;
}

/** The store in another process: it shares the stored records, and nothing else. */
export function remote(store: MemoryStore): Store & { atomic: AtomicOperations } {
	return {
		get: async (id) => store.get(id),
		set: async (id, data, ttl) => store.set(id, data, ttl),
		destroy: async (id) => store.destroy(id),
		touch: async (id, ttl) => store.touch(id, ttl),
		atomic: { ...operationsOf(store) }
	};
}

/** The operations of an atomic store, to be disturbed. */
export function operationsOf(store: Store): AtomicOperations {
	if (!store.atomic) throw new Error('the store is not atomic');
	return store.atomic;
}

/** A request through a handle with these options. */
export async function visit(
	options: SveltekitSessionConfig,
	app: (session: Visited) => unknown,
	cookie?: string
): Promise<Visit> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await app(event.locals.session);
			return new Response();
		}
	});
	const setCookie = response.headers.getSetCookie();
	const cookies = setCookie.map((one) => one.split(';', 1)[0] ?? '');
	return { cookies, setCookie, session: event.locals.session, event };
}

/** The data of a request with this `Cookie` header; undefined without a session. */
export async function dataOf(options: SveltekitSessionConfig, cookie: string): Promise<unknown> {
	const { session } = await visit(options, () => undefined, cookie);
	return session.isNew ? undefined : session.data;
}

/** The cookie of a visitor whose session holds this. */
export async function visitor(options: SveltekitSessionConfig, data: Data): Promise<string> {
	const { cookies } = await visit(options, async (session) => {
		await session.setData(data);
		await session.save();
	});
	return cookies[0] ?? '';
}

/** The cookie of a user. */
export async function loggedIn(options: SveltekitSessionConfig, user = 'ada'): Promise<string> {
	const { cookies } = await visit(options, async (session) => session.login(user));
	return cookies[0] ?? '';
}
