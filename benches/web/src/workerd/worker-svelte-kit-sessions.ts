import * as jar from 'kit-jar';

import { endpointOf, handleOf, type Store } from '../peers/svelte-kit-sessions.ts';
import { worker } from './worker.ts';

/** Text in a map, without expiry: the package's own memory store sets timers, which end with their request. */
function mapStore(): Store {
	const records = new Map<string, string>();
	return {
		get: async (id) => {
			const text = records.get(id);
			return text === undefined
				? null
				: (JSON.parse(text) as Awaited<ReturnType<Store['get']>>);
		},
		set: async (id, record) => {
			records.set(id, JSON.stringify(record));
		},
		destroy: async (id) => {
			records.delete(id);
		},
		touch: async () => undefined
	};
}

export default worker(jar, (options) => ({
	handle: handleOf(options, mapStore()),
	endpoint: endpointOf(options.data)
}));
