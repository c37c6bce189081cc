import { MemoryStore, sveltekitSessionHandle, type AtomicOperations, type Store } from 'vestiary';

import type { Handle, Kit } from '../kit-request.ts';
import { KitApp, type Endpoint } from './kit-app.ts';
import { MAX_AGE, type Data, type Options, type Peer, type Wait } from './peer.ts';

declare module 'vestiary' {
	// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- merging is how it is typed
	interface SessionData extends Data {}
}

export function vestiary(kit: Kit): Peer<Store> {
	return {
		name: 'vestiary',
		package: 'vestiary',
		base: 'kit',
		can: ['hashIds', 'encrypt'],
		store: (wait) => {
			// More than the benchmarks store; the default limits are meant for applications.
			const store = new MemoryStore({ maxEntries: 10_000_000, maxBytes: 2 ** 31 });
			return wait ? waiting(store, wait) : store;
		},
		app: (options, store) => new KitApp(kit, handleOf(options, store), endpointOf(options.data))
	};
}

export function handleOf(options: Options, store: Store): Handle {
	return sveltekitSessionHandle({
		secret: options.secrets,
		store,
		...(options.rolling && { rolling: true, cookie: { maxAge: MAX_AGE } }),
		hashIds: options.hashIds,
		encrypt: options.encrypt
	});
}

export function endpointOf(data: Data): Endpoint {
	return async ({ locals }, work) => {
		const { session } = locals;
		if (work === 'save') {
			await session.setData({ ...data, visits: session.data.visits + 1 });
			await session.save();
		} else if (work === 'login') {
			const next = await session.regenerate();
			await next.setData(data);
			await next.save();
			return next.data;
		}
		return session.data;
	};
}

function waiting(store: MemoryStore, wait: Wait): Store {
	const { atomic } = store;
	if (!atomic) throw new Error('the memory store is atomic');
	const operations: AtomicOperations = {
		resends: false,
		read: async (id) => {
			await wait();
			return atomic.read(id);
		},
		create: async (id, text, ttl, owned) => {
			await wait();
			return atomic.create(id, text, ttl, owned);
		},
		replace: async (id, writeId, text, ttl) => {
			await wait();
			return atomic.replace(id, writeId, text, ttl);
		},
		touch: async (id, ttl) => {
			await wait();
			return atomic.touch(id, ttl);
		},
		remove: async (id, writeId) => {
			await wait();
			return atomic.remove(id, writeId);
		}
	};
	return {
		get: async (id) => {
			await wait();
			return store.get(id);
		},
		set: async (id, record, ttl) => {
			await wait();
			await store.set(id, record, ttl);
		},
		destroy: async (id) => {
			await wait();
			await store.destroy(id);
		},
		touch: async (id, ttl) => {
			await wait();
			await store.touch(id, ttl);
		},
		atomic: operations
	};
}
