import { MemoryStore, sveltekitSessionHandle, type Session } from 'svelte-kit-sessions';

import type { Handle, Kit } from '../kit-request.ts';
import { KitApp, type Endpoint } from './kit-app.ts';
import { MAX_AGE, type Data, type Options, type Peer, type Wait } from './peer.ts';

declare module 'svelte-kit-sessions' {
	// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- merging is how it is typed
	interface SessionData extends Data {}
}

export type Store = Pick<MemoryStore, 'get' | 'set' | 'destroy' | 'touch'>;

export function svelteKitSessions(kit: Kit): Peer<Store> {
	return {
		name: 'svelte-kit-sessions',
		package: 'svelte-kit-sessions',
		base: 'kit',
		store: (wait) => {
			const store = new MemoryStore();
			return wait ? waiting(store, wait) : store;
		},
		app: (options, store) => new KitApp(kit, handleOf(options, store), endpointOf(options.data))
	};
}

export function handleOf(options: Options, store: Store): Handle {
	const [first, ...others] = options.secrets;
	return sveltekitSessionHandle({
		secret: others.length === 0 ? (first ?? '') : options.secrets,
		store,
		...(options.rolling && { rolling: true, cookie: { maxAge: MAX_AGE } })
	}) as Handle;
}

export function endpointOf(data: Data): Endpoint {
	return async ({ locals }, work) => {
		const session = locals.session as unknown as Session;
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
		}
	};
}
