/** Bindings of workerd, for a test outside of it: each operation is a request to a Worker of the test. */
import type { D1Binding, D1Statement } from '../../src/stores/d1.ts';
import type { SessionNamespace, SessionStub } from '../../src/stores/durable-objects.ts';

/** A D1 database. `ask` sends a statement to the Worker, and resolves to the answer of D1. */
export function d1Of(ask: (request: object) => Promise<unknown>): D1Binding {
	const statement = (sql: string, values: unknown[]): D1Statement => {
		const run = async (method: 'all' | 'run'): Promise<never> =>
			(await ask({ sql, values, method })) as never;
		return {
			bind: (...bound) => statement(sql, bound),
			all: async () => run('all'),
			run: async () => run('run')
		};
	};
	return { prepare: (sql) => statement(sql, []) };
}

/** A namespace of Durable Objects. `ask` sends a call to the Worker, and resolves to the answer of the object. */
export function objectsOf(ask: (request: object) => Promise<unknown>): SessionNamespace {
	return {
		idFromName: (name) => ({ name }),
		get: (id) =>
			new Proxy({} as SessionStub, {
				get: (_, method) =>
					// A promise has a member of this name, and a stub has not.
					method === 'then'
						? undefined
						: async (...args: unknown[]) =>
								ask({ name: nameOf(id), method: String(method), args })
			})
	};
}

/** The name in the ID of an object of {@link objectsOf}. */
export function nameOf(id: object): string {
	return (id as { name: string }).name;
}
