/**
 * A process of an application: it handles the driver's requests, each with an event of its own, with the public API of
 * the built package. It keeps no state, and may be killed at any time.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

import {
	LoginOutdatedError,
	Session,
	sessions,
	StoreError,
	type AtomicOperations,
	type SessionData,
	type Store,
	type SveltekitSessionConfig
} from '../../dist/index.js';
import { testEvent } from '../event.ts';
import { connect } from './connect.ts';
import {
	STORE_TIMEOUT,
	userName,
	type Found,
	type Operation,
	type Outcome,
	type Reply,
	type Request,
	type Setup
} from './messages.ts';

interface Data extends SessionData {
	owner: number;
	serial: number;
	log: number[];
	[key: `key${number}`]: number;
}

const setup = JSON.parse(process.argv[2] ?? '') as Setup;
const trace = new AsyncLocalStorage<string[]>();
const store = watched(await connect(setup.store));
const options: SveltekitSessionConfig = {
	secret: 'a secret of the fault runs, of more than 32 bytes',
	store: setup.plain ? plain(store) : store,
	storeTimeout: setup.storeTimeout ?? STORE_TIMEOUT,
	// Longer than any scenario, so that the validity of a browser's IDs does not depend on the time.
	renewGrace: 600,
	...(setup.sealed && { encrypt: true, hashIds: true })
};

process.on('message', (request: Request) => {
	void answer(request).then((reply) => process.send?.(reply));
});
// The driver is gone.
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function answer(request: Request): Promise<Reply> {
	const steps: string[] = [];
	const { event, cookies } = testEvent(request.cookie);
	const reply: Reply = { number: request.number, outcome: 'unread', steps };
	await trace.run(steps, async () => {
		try {
			const session = await Session.initialize(event, options);
			if (!isOver(session)) reply.found = found(session);
			reply.outcome = 'failed';
			reply.outcome = await act(session, request);
		} catch (error) {
			if (error instanceof LoginOutdatedError) reply.outcome = 'outdated';
			else if (isRefusal(error, request.operation)) reply.outcome = 'refused';
			else if (!(error instanceof StoreError)) reply.outcome = 'broken';
			reply.error =
				error instanceof StoreError ? error.code : String((error as Error).stack ?? error);
		}
	});
	// Also if an error was thrown: the error page carries the cookie.
	const last = cookies.at(-1);
	if (last) {
		reply.cookie =
			last.method === 'set' ? `${last.name}=${encodeURIComponent(last.value ?? '')}` : null;
	}
	return reply;
}

async function act(session: Session, request: Request): Promise<Outcome> {
	const { operation, user, serial = 0, value = 0, key = '' } = request;
	const fresh: Data = { owner: user, serial, log: [] };
	if (operation === 'create') {
		await session.setData(fresh);
		await session.save();
		return isOver(session) ? 'gone' : 'done';
	}
	if (operation === 'login') {
		if (!setup.plain) await session.login(userName(user), { data: fresh });
		else {
			const next = await session.regenerate();
			await next.setData(fresh);
			await next.save();
		}
		return isOver(session) ? 'gone' : 'done';
	}
	if (operation === 'logout') {
		await session.destroy();
		return 'done';
	}
	// An application admits only users who are logged in here.
	if (isOver(session)) return 'anonymous';
	if (request.renews === true) await session.renew();
	if (isOver(session)) return 'gone';
	switch (operation) {
		case 'read':
		case 'renew':
			return 'done';
		case 'update': {
			const written = await session.update((data) => {
				(data as Data).log.push(value);
				return undefined;
			});
			return written ? 'done' : 'gone';
		}
		case 'save':
			Object.assign(session.data, { [key]: value });
			await session.save();
			return isOver(session) ? 'gone' : 'done';
		case 'everywhere':
			await sessions(options).of(userName(user)).revokeAll();
			return 'done';
	}
}

/** Whether there is no session; a function, since that changes with each call. */
function isOver(session: Session): boolean {
	return session.isNew;
}

/** Whether the error says that nothing was done. */
function isRefusal(error: unknown, operation: Operation): boolean {
	const writes = operation === 'update' || operation === 'save';
	return writes && error instanceof StoreError && error.code === 'store_busy';
}

function found(session: Session): Found {
	const { owner, serial, log, ...keys } = session.data as Data;
	const { userId } = session;
	// Copied, because the request changes it afterwards.
	return { owner, serial, log: [...log], keys, ...(userId !== undefined && { userId }) };
}

/** Records the store calls of each request. */
function watched(inner: Store): Store {
	const { atomic } = inner;
	// The control: nothing to watch, and nothing to hide.
	if (!atomic) return inner;
	const noted = async <T>(asked: string, answer: Promise<T>): Promise<T> => {
		const steps = trace.getStore();
		try {
			const said = await answer;
			steps?.push(`${asked} -> ${[said].flat().map(shown).join(' and ')}`);
			return said;
		} catch (error) {
			steps?.push(`${asked} -> ${error instanceof Error ? error.message : 'failed'}`);
			throw error;
		}
	};
	const readTwo = atomic.readTwo?.bind(atomic);
	const stamp = atomic.stamp?.bind(atomic);
	const operations: AtomicOperations = {
		// Everything that the store can do, as the library uses it.
		...atomic,
		read: async (id) => noted(`read ${short(id)}`, atomic.read(id)),
		create: async (id, text, ttl, owned) =>
			noted(`create ${short(id)} ${writeIdOf(text)}`, atomic.create(id, text, ttl, owned)),
		replace: async (id, writeId, text, ttl) =>
			noted(
				`replace ${short(id)} ${short(writeId ?? '')} by ${writeIdOf(text)}`,
				atomic.replace(id, writeId, text, ttl)
			),
		touch: async (id, ttl, writeId) =>
			noted(
				`touch ${short(id)} ${short(writeId ?? '')}`,
				Promise.resolve(atomic.touch(id, ttl, writeId))
			),
		remove: async (id, writeId) =>
			noted(`remove ${short(id)} ${short(writeId ?? '')}`, atomic.remove(id, writeId)),
		...(readTwo && {
			readTwo: async (one, other) =>
				noted(`read ${short(one)} and ${short(other)}`, readTwo(one, other))
		}),
		...(stamp && {
			stamp: async (id, text, ttl) =>
				noted(`stamp ${short(id)} ${writeIdOf(text)}`, stamp(id, text, ttl))
		})
	};
	return { ...plain(inner), atomic: operations };
}

/** A store with the interface of svelte-kit-sessions, where the last of two writes wins. */
function plain(inner: Store): Store {
	return {
		get: async (id) => inner.get(id),
		set: async (id, data, ttl) => inner.set(id, data, ttl),
		destroy: async (id) => inner.destroy(id),
		touch: async (id, ttl) => inner.touch(id, ttl)
	};
}

/** The reply of a store, in a trace: of a record, its write ID. */
function shown(said: unknown): string {
	if (typeof said === 'string') return said.length > 8 ? writeIdOf(said) : said;
	return typeof said === 'object' && said !== null ? 'done' : String(said);
}

/** Enough of an ID or a write ID to tell it from others in a trace, and not enough to use it. */
function short(id: string): string {
	return id.slice(0, id.startsWith('user:') ? 11 : 6);
}

function writeIdOf(text: string): string {
	return /^\{"v":"([\w-]+)"/.exec(text)?.[1]?.slice(0, 6) ?? 'text';
}
