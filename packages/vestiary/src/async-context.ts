/** A value that follows asynchronous code, across `await`. */
export interface AsyncContext<T> {
	run<R>(value: T, run: () => R): R;
	getStore(): T | undefined;
}

/**
 * Creates an asynchronous context. Undefined on platforms without `AsyncLocalStorage`, which edge runtimes have as
 * a global and others in `node:async_hooks`.
 */
export function newContext<T>(): AsyncContext<T> | undefined {
	const { AsyncLocalStorage, process } = globalThis as {
		AsyncLocalStorage?: new () => AsyncContext<T>;
		process?: { getBuiltinModule?: (name: string) => unknown };
	};
	if (AsyncLocalStorage) return new AsyncLocalStorage();
	// Not imported: the root entry must have no `node:` import, which bundlers for the edge refuse.
	const hooks = process?.getBuiltinModule?.('node:async_hooks') as
		{ AsyncLocalStorage?: new () => AsyncContext<T> } | undefined;
	return hooks?.AsyncLocalStorage && new hooks.AsyncLocalStorage();
}
