import { SessionEndedError } from './errors.js';

/** Calls a function once, when the session has ended or the visitor has left; perhaps at once. Returns a way to stop. */
export type Listen = (ended: () => void) => () => void;

/**
 * A stream with the chunks of another one, until the session ends. The session is watched from the first read until one of
 * the two streams ends.
 */
export function endingStream<T>(source: ReadableStream<T>, listen: Listen): ReadableStream<T> {
	const reader = source.getReader();
	let isOver = false;
	let stop: (() => void) | undefined;
	const leave = (): void => {
		isOver = true;
		stop?.();
	};
	return new ReadableStream<T>(
		{
			async pull(controller) {
				stop ??= listen(() => {
					if (isOver) return;
					leave();
					controller.close();
					reader.cancel(new SessionEndedError()).catch(() => undefined);
				});
				if (isOver) return;
				let read: ReadableStreamReadResult<T>;
				try {
					read = await reader.read();
				} catch (error) {
					leave();
					throw error;
				}
				// It has changed meanwhile.
				if (isOver as boolean) return;
				if (!read.done) controller.enqueue(read.value);
				else {
					leave();
					controller.close();
				}
			},
			async cancel(reason) {
				leave();
				await reader.cancel(reason);
			}
		},
		// A chunk in a queue could leave after the end.
		{ highWaterMark: 0 }
	);
}

/**
 * The values of an iterable, until the session ends. The session is watched from the first call of `next` until the values
 * end or their consumer leaves.
 */
export function ending<T>(source: AsyncIterable<T>, listen: Listen): AsyncIterableIterator<T> {
	return new Ending(source, listen);
}

class Ending<T> implements AsyncIterableIterator<T> {
	readonly #source: AsyncIterable<T>;
	readonly #listen: Listen;
	#iterator: AsyncIterator<T> | undefined;
	#isOver = false;
	#stop: (() => void) | undefined;
	/** The calls of `next` that wait for a value. */
	readonly #waiting = new Set<(result: IteratorResult<T> | Promise<IteratorResult<T>>) => void>();

	constructor(source: AsyncIterable<T>, listen: Listen) {
		this.#source = source;
		this.#listen = listen;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	async next(): Promise<IteratorResult<T>> {
		this.#stop ??= this.#listen(() => {
			this.#end();
		});
		if (this.#isOver) return done();
		const iterator = (this.#iterator ??= this.#source[Symbol.asyncIterator]());
		// Not a race with a promise of the end, which would keep the results of all calls.
		return new Promise((resolve) => {
			this.#waiting.add(resolve);
			const next = (async (): Promise<IteratorResult<T>> => iterator.next())();
			next.then(
				(result) => {
					if (!this.#waiting.delete(resolve)) return;
					if (result.done) this.#leave();
					resolve(result);
				},
				() => {
					if (!this.#waiting.delete(resolve)) return;
					this.#leave();
					// With its error.
					resolve(next);
				}
			);
		});
	}

	async return(value?: unknown): Promise<IteratorResult<T>> {
		const isPending = this.#waiting.size > 0;
		const wasOver = this.#isOver;
		this.#leave();
		if (wasOver || !this.#iterator?.return) return done(value);
		const returned = this.#iterator.return(value);
		// A generator returns only after its pending call.
		if (!isPending) return returned;
		returned.catch(() => undefined);
		return done(value);
	}

	/** The session has ended. */
	#end(): void {
		if (this.#isOver) return;
		this.#leave();
		const returned = async (): Promise<unknown> => this.#iterator?.return?.();
		returned().catch(() => undefined);
	}

	#leave(): void {
		this.#isOver = true;
		this.#stop?.();
		for (const resolve of this.#waiting) resolve(done());
		this.#waiting.clear();
	}
}

function done<T>(value?: unknown): IteratorResult<T> {
	return { done: true, value };
}
