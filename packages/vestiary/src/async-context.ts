/** A value that goes along with the code that runs for it, also over `await`. */
export interface AsyncContext<T> {
	run<R>(value: T, run: () => R): R;
	getStore(): T | undefined;
}

/**
 * A new asynchronous context. Undefined on platforms without `AsyncLocalStorage`: a global there, as in edge
 * runtimes, or in `node:async_hooks`.
 */
export function newContext<T>(): AsyncContext<T> | undefined {
	const { AsyncLocalStorage, process } = globalThis as {
		AsyncLocalStorage?: new () => AsyncContext<T>;
		process?: { getBuiltinModule?: (name: string) => unknown };
	};
	if (AsyncLocalStorage) return new AsyncLocalStorage();
	// Not imported: the root entry has no `node:` import, or bundlers for the edge would refuse it.
	const hooks = process?.getBuiltinModule?.('node:async_hooks') as
		{ AsyncLocalStorage?: new () => AsyncContext<T> } | undefined;
	return hooks?.AsyncLocalStorage && new hooks.AsyncLocalStorage();
}
