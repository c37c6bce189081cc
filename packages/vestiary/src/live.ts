import { SCOPE } from './inside.js';
import type { Scope } from './scope.js';

/** The end of a session, for code that outlives its request: a base class of `Session`. */
export abstract class Live {
	/** @internal */
	abstract get [SCOPE](): Scope;

	/**
	 * Aborts when the session has ended, in any request or process, with a {@link SessionEndedError} as its reason. For
	 * code that outlives its request, such as a socket or a long query. For a stream, use `until()`.
	 *
	 * It belongs to the session that the visitor has now: a login, `regenerate()` and `destroy()` abort it. A new session
	 * is watched as soon as it is stored.
	 *
	 * The session is watched until it ends, the signal of the request aborts, or nothing uses this signal any more.
	 *
	 * ```ts
	 * const answer = await fetch(url, { signal: locals.session.signal });
	 * ```
	 */
	get signal(): AbortSignal {
		return this[SCOPE].life.signal;
	}

	/**
	 * The same stream, until the session ends, in any request or process. Then it ends, too, without an error, and
	 * delivers nothing more. The source is cancelled, or its `return()` is called, without waiting for a pending read.
	 *
	 * ```ts
	 * return new Response(locals.session.until(events()), {
	 *   headers: { 'content-type': 'text/event-stream' }
	 * });
	 * ```
	 *
	 * @param source A stream, or an async iterable, such as that of an async generator
	 */
	until<T>(source: ReadableStream<T>): ReadableStream<T>;
	until<T>(source: AsyncIterable<T>): AsyncIterableIterator<T>;
	until<T>(
		source: ReadableStream<T> | AsyncIterable<T>
	): ReadableStream<T> | AsyncIterableIterator<T> {
		return this[SCOPE].life.until(source);
	}
}
