import { describe, expect, test } from 'vitest';

import { SessionEndedError } from '../src/index.js';
import { ending, endingStream } from '../src/until.js';

/** A session that ends when the test says so. */
class Ends {
	readonly waiting = new Set<() => void>();
	isOver = false;

	readonly listen = (ended: () => void): (() => void) => {
		if (this.isOver) ended();
		else this.waiting.add(ended);
		return () => this.waiting.delete(ended);
	};

	end(): void {
		this.isOver = true;
		for (const ended of [...this.waiting]) ended();
	}
}

/** A source whose values the test gives. */
class Source<T> implements AsyncIterableIterator<T> {
	readonly calls: string[] = [];
	#give: ((result: IteratorResult<T>) => void) | undefined;

	[Symbol.asyncIterator](): this {
		return this;
	}

	async next(): Promise<IteratorResult<T>> {
		this.calls.push('next');
		return new Promise((resolve) => {
			this.#give = resolve;
		});
	}

	async return(): Promise<IteratorResult<T>> {
		this.calls.push('return');
		return { done: true, value: undefined };
	}

	give(value: T): void {
		this.#give?.({ done: false, value });
	}
}

async function* counting(log: string[]): AsyncGenerator<number> {
	try {
		for (let n = 1; ; n++) yield n;
	} finally {
		log.push('finally');
	}
}

const DONE = { done: true, value: undefined };

describe('an iterable', () => {
	test('has the values of its source, and its end', async () => {
		const ends = new Ends();
		const seen: number[] = [];
		const source = async function* (): AsyncGenerator<number> {
			yield 1;
			yield 2;
		};
		const values = ending(source(), ends.listen);
		expect(ends.waiting.size).toBe(0);
		for await (const value of values) {
			expect(ends.waiting.size).toBe(1);
			seen.push(value);
		}
		expect(seen).toEqual([1, 2]);
		expect(ends.waiting.size).toBe(0);
	});

	test('ends with the session, and its source is closed', async () => {
		const ends = new Ends();
		const log: string[] = [];
		const seen: number[] = [];
		for await (const value of ending(counting(log), ends.listen)) {
			seen.push(value);
			if (value === 3) ends.end();
		}
		expect(seen).toEqual([1, 2, 3]);
		expect(log).toEqual(['finally']);
		expect(ends.waiting.size).toBe(0);
	});

	test('awaits no pending value, and drops it when it comes', async () => {
		const ends = new Ends();
		const source = new Source<string>();
		const values = ending(source, ends.listen);
		const [one, other] = [values.next(), values.next()];
		await Promise.resolve();
		ends.end();
		expect(await one).toEqual(DONE);
		expect(await other).toEqual(DONE);
		source.give('late');
		expect(await values.next()).toEqual(DONE);
		expect(source.calls).toEqual(['next', 'next', 'return']);
	});

	test('asks its source for nothing, if the session has ended before', async () => {
		const ends = new Ends();
		ends.end();
		const source = new Source<string>();
		expect(await ending(source, ends.listen).next()).toEqual(DONE);
		expect(source.calls).toEqual([]);
	});

	test('watches no more when its consumer leaves, or its source fails', async () => {
		const ends = new Ends();
		const log: string[] = [];
		for await (const value of ending(counting(log), ends.listen)) if (value === 2) break;
		expect(log).toEqual(['finally']);
		expect(ends.waiting.size).toBe(0);

		const failing = async function* (): AsyncGenerator<number> {
			yield 1;
			throw new Error('the source has failed');
		};
		const values = ending(failing(), ends.listen);
		expect(await values.next()).toEqual({ done: false, value: 1 });
		await expect(values.next()).rejects.toThrow('the source has failed');
		expect(ends.waiting.size).toBe(0);
		expect(await values.next()).toEqual(DONE);
	});

	test('returns at once when its consumer leaves while a value is pending', async () => {
		const ends = new Ends();
		const endless = async function* (): AsyncGenerator<number> {
			await new Promise(() => undefined);
			yield 1;
		};
		const values = ending(endless(), ends.listen);
		const pending = values.next();
		expect(await values.return?.('left')).toEqual({ done: true, value: 'left' });
		expect(await pending).toEqual(DONE);
		expect(ends.waiting.size).toBe(0);
	});
});

describe('a stream', () => {
	/** A source whose chunks the test gives. */
	function source(): {
		stream: ReadableStream<string>;
		controller: ReadableStreamDefaultController<string>;
		cancelled: unknown[];
	} {
		const cancelled: unknown[] = [];
		let controller: ReadableStreamDefaultController<string> | undefined;
		const stream = new ReadableStream<string>({
			start: (given) => {
				controller = given;
			},
			cancel: (reason) => {
				cancelled.push(reason);
			}
		});
		if (!controller) throw new Error('the stream has not started');
		return { stream, controller, cancelled };
	}

	test('has the chunks of its source, and its end', async () => {
		const ends = new Ends();
		const { stream, controller } = source();
		controller.enqueue('a');
		controller.enqueue('b');
		controller.close();
		const until = endingStream(stream, ends.listen);
		expect(ends.waiting.size).toBe(0);
		expect(await new Response(until.pipeThrough(new TextEncoderStream())).text()).toBe('ab');
		expect(ends.waiting.size).toBe(0);
	});

	test('ends with the session: no chunk leaves, not even one that was there', async () => {
		const ends = new Ends();
		const { stream, controller, cancelled } = source();
		const reader = endingStream(stream, ends.listen).getReader();
		controller.enqueue('a');
		expect(await reader.read()).toEqual({ done: false, value: 'a' });
		controller.enqueue('b');
		ends.end();
		expect(await reader.read()).toEqual(DONE);
		expect(cancelled).toEqual([expect.any(SessionEndedError)]);
		expect(ends.waiting.size).toBe(0);
	});

	test('awaits no pending chunk', async () => {
		const ends = new Ends();
		const { stream, cancelled } = source();
		const reader = endingStream(stream, ends.listen).getReader();
		const pending = reader.read();
		await Promise.resolve();
		ends.end();
		expect(await pending).toEqual(DONE);
		expect(cancelled.length).toBe(1);
	});

	test('drops a chunk that its source gives up only after the end', async () => {
		const ends = new Ends();
		let give = (_: string): void => undefined;
		const stream = new ReadableStream<string>(
			{
				pull: async (controller) => {
					controller.enqueue(
						await new Promise<string>((resolve) => {
							give = resolve;
						})
					);
				}
			},
			{ highWaterMark: 0 }
		);
		const reader = endingStream(stream, ends.listen).getReader();
		const pending = reader.read();
		await new Promise((resolve) => setImmediate(resolve));
		ends.end();
		give('late');
		expect(await pending).toEqual(DONE);
	});

	test('watches no more when its reader leaves, or its source fails', async () => {
		const ends = new Ends();
		const { stream, controller, cancelled } = source();
		const until = endingStream(stream, ends.listen);
		const reader = until.getReader();
		controller.enqueue('a');
		await reader.read();
		expect(ends.waiting.size).toBe(1);
		await reader.cancel('left');
		expect(cancelled).toEqual(['left']);
		expect(ends.waiting.size).toBe(0);

		const failing = source();
		const failed = endingStream(failing.stream, ends.listen).getReader();
		failing.controller.error(new Error('the source has failed'));
		await expect(failed.read()).rejects.toThrow('the source has failed');
		expect(ends.waiting.size).toBe(0);
	});

	test('reads nothing, if the session has ended before', async () => {
		const ends = new Ends();
		ends.end();
		const { stream, controller, cancelled } = source();
		controller.enqueue('a');
		expect(await endingStream(stream, ends.listen).getReader().read()).toEqual(DONE);
		expect(cancelled.length).toBe(1);
	});
});
