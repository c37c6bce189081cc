import type { RequestEvent } from '@sveltejs/kit';

import { SessionEndedError } from './errors.js';
import type { Listener, Watched } from './live-session.js';
import { ending, endingStream } from './until.js';

/** The parts of a request that the life of its session needs. */
export interface Lived {
	readonly event: RequestEvent;
	readonly runtime: {
		readonly records: { watch(id: string, listener: Listener): Watched };
	};
	readonly visit: { readonly storedId: string | undefined };
}

/** Code of the application that lasts as long as a session. */
interface Lasting extends Listener {
	/** Called once, when the visitor has left. */
	left?(): void;
}

/** The life of one session as one request has it, and the code of the application that lasts as long. */
export class Life implements Listener {
	readonly #scope: Lived;
	#isOver = false;
	#signal: { deref(): AbortSignal | undefined } | undefined;
	readonly #lasting = new Set<Lasting>();
	#watched: Watched | undefined;
	/** Stops listening to the signal of the request. */
	#stay: (() => void) | undefined;

	constructor(scope: Lived) {
		this.#scope = scope;
	}

	get signal(): AbortSignal {
		const known = this.#signal?.deref();
		if (known) return known;
		const signal = this.#newSignal();
		this.#signal =
			typeof WeakRef === 'function' ? new WeakRef(signal) : { deref: () => signal };
		return signal;
	}

	until<T>(
		source: ReadableStream<T> | AsyncIterable<T>
	): ReadableStream<T> | AsyncIterableIterator<T> {
		const listen = (ended: () => void): (() => void) => this.#enter({ ended, left: ended });
		return 'getReader' in source ? endingStream(source, listen) : ending(source, listen);
	}

	/** Called when the session is stored for the first time. */
	begin(): void {
		if (this.#lasting.size > 0) this.#watch();
	}

	/** Called when the session has ended. */
	ended(): void {
		this.#isOver = true;
		this.#release();
		const lasting = [...this.#lasting];
		this.#lasting.clear();
		for (const one of lasting) one.ended();
	}

	#newSignal(): AbortSignal {
		const controller = new AbortController();
		const leave = this.#enter({
			ended: () => {
				controller.abort(new SessionEndedError());
			}
		});
		return releasable(controller.signal, leave);
	}

	/** Enters code that lasts as long as the session. Returns a function with which it leaves. */
	#enter(lasting: Lasting): () => void {
		if (this.#isOver) {
			lasting.ended();
			return () => undefined;
		}
		this.#lasting.add(lasting);
		this.#watch();
		return () => {
			this.#lasting.delete(lasting);
			if (this.#lasting.size === 0) this.#release();
		};
	}

	#watch(): void {
		const { event, runtime, visit } = this.#scope;
		if (this.#watched) return;
		// An event of the application may have no request.
		const { signal } = (event as Partial<RequestEvent>).request ?? {};
		if (signal?.aborted) {
			this.#left();
			return;
		}
		const id = visit.storedId;
		if (id === undefined) return;
		this.#watched = runtime.records.watch(id, this);
		const left = (): void => {
			this.#left();
		};
		signal?.addEventListener('abort', left, { once: true });
		this.#stay = () => signal?.removeEventListener('abort', left);
	}

	/** The visitor has left: the session is watched no more. */
	#left(): void {
		this.#release();
		const lasting = [...this.#lasting];
		this.#lasting.clear();
		for (const one of lasting) one.left?.();
	}

	#release(): void {
		this.#watched?.leave(this);
		this.#stay?.();
		this.#watched = this.#stay = undefined;
	}
}

/**
 * A signal that follows another one. When nothing uses it any more, `leave` is called: most requests end without an abort
 * of theirs, and the session would be watched until it ends.
 */
function releasable(signal: AbortSignal, leave: () => void): AbortSignal {
	if (!unused || typeof AbortSignal.any !== 'function') return signal;
	const follower = AbortSignal.any([signal]);
	unused.register(follower, leave);
	return follower;
}

const unused =
	typeof FinalizationRegistry === 'function'
		? new FinalizationRegistry<() => void>((leave) => {
				leave();
			})
		: undefined;
