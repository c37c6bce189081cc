import { developing } from './environment.js';

/** The number of rounds after which endless operations, as in a stream, are no longer waited for. */
const MOST_ROUNDS = 100;

/** Turns of the microtask queue in which the application continues after an operation that it has awaited. */
const TURNS = 20;

/**
 * The operations of one request on its session, such as `save()`, `login()` and `destroy()`. They run one at a time, in
 * the order of the calls. So the final record and cookie do not depend on the order of the store's replies.
 *
 * An operation that the application does not await still counts: the handle waits for it before the response leaves,
 * and learns whether it failed.
 */
export class Operations {
	readonly #underWay = new Set<Promise<unknown>>();
	readonly #waiting: (() => void)[] = [];
	#busy = false;
	/** The number of the application's operations that wait or run. */
	#calls = 0;
	/** Whether the application has called an operation. */
	isUsed = false;
	#unawaited: Watched<unknown>[] = [];
	/** Called when an operation that is not awaited fails after the response has left. */
	readonly #report: (error: unknown) => void;
	#reports: boolean;

	/** @param finishes Whether a handle calls {@link failure} */
	constructor(finishes: boolean, report: (error: unknown) => void) {
		this.#reports = !finishes;
		this.#report = report;
	}

	/** Whether no operation of the application waits or runs. */
	get idle(): boolean {
		return this.#calls === 0;
	}

	/** Runs an operation after those that were called before it. */
	run<T>(work: () => T | Promise<T>): Promise<T> {
		this.isUsed = true;
		if (this.#busy) return this.#watch((over) => this.#counted(work, over));
		this.#calls++;
		this.#busy = true;
		const result = attempt(work);
		// In development each operation is watched: an application should await also one that has ended at once.
		if (result instanceof Promise || developing)
			return this.#watch((over) => this.#ending(result, over));
		this.#calls--;
		this.#leave();
		return Promise.resolve(result);
	}

	/** Runs an internal operation after those that were called before it. */
	async behind<T>(work: () => T | Promise<T>): Promise<T> {
		return this.#inTurn(work);
	}

	/** Returns an operation that fails at once. */
	refuse(error: Error): Promise<never> {
		this.isUsed = true;
		return this.#watch(async (over) => {
			// The stack of the error is that of the call.
			await Promise.resolve();
			over();
			throw error;
		});
	}

	/**
	 * Watches an operation, which calls its argument at its end. Only then are its promises listened to: an engine shows the
	 * line of the application in the stack of an error only if each promise up to there has one listener.
	 */
	#watch<T>(operation: (over: () => void) => Promise<T>): Promise<T> {
		const running = operation(() => {
			listen();
		});
		const watched = new Watched<T>((resolve) => {
			resolve(running);
		});
		this.#underWay.add(running);
		const listen = (): void => {
			const left = (): boolean => this.#underWay.delete(running);
			void running.then(left, left);
			// Not `watched.then`, which would count as the application's.
			void Promise.prototype.then.call(watched, undefined, (error: unknown) => {
				watched.error = error;
				if (watched.awaited) return;
				if (this.#reports) this.#report(error);
				else this.#unawaited.push(watched);
			});
		};
		return watched;
	}

	/** Runs code of the application within an operation. Other operations do not wait for it. */
	async outside<T>(code: () => T | Promise<T>): Promise<T> {
		const result = code();
		if (!(result instanceof Promise)) return result;
		this.#leave();
		try {
			return await result;
		} finally {
			await this.#enter();
		}
	}

	/** Waits until no operation runs, nor one that the application calls after it. */
	async settled(): Promise<void> {
		for (let rounds = 0; rounds < MOST_ROUNDS; rounds++) {
			for (let turns = 0; turns < TURNS; turns++) await Promise.resolve();
			if (this.#underWay.size === 0) return;
			await Promise.allSettled(this.#underWay);
		}
	}

	/**
	 * The first failure of an operation that the application does not await; the request fails with it. Later failures
	 * are reported instead.
	 */
	failure(): { error: unknown } | undefined {
		this.#reports = true;
		const [first] = this.#unawaited.filter(({ awaited }) => !awaited);
		this.#unawaited = [];
		return first && { error: first.error };
	}

	async #counted<T>(work: () => T | Promise<T>, over: () => void): Promise<T> {
		this.#calls++;
		try {
			return await this.#inTurn(work);
		} finally {
			over();
			this.#calls--;
		}
	}

	/** Waits for the end of an operation that has begun. */
	async #ending<T>(result: T | Promise<T>, over: () => void): Promise<T> {
		try {
			return await result;
		} finally {
			over();
			this.#calls--;
			this.#leave();
		}
	}

	async #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
		// Begins without an `await` if it can, so that `setData` takes effect before the call returns.
		if (this.#busy) await this.#enter();
		this.#busy = true;
		try {
			return await work();
		} finally {
			this.#leave();
		}
	}

	async #enter(): Promise<void> {
		if (this.#busy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
		this.#busy = true;
	}

	#leave(): void {
		const next = this.#waiting.shift();
		// The waiting operation takes over the turn, so that no later call comes between.
		if (next) next();
		else this.#busy = false;
	}
}

/** The result of a function, or a rejected promise if it throws. */
function attempt<T>(work: () => T | Promise<T>): T | Promise<T> {
	try {
		return work();
	} catch (error) {
		return (async () => {
			throw error;
		})();
	}
}

/** The result of an operation, which records whether the application awaits it. */
class Watched<T> extends Promise<T> {
	static override get [Symbol.species](): PromiseConstructor {
		return Promise;
	}

	awaited = false;
	error: unknown;

	override then<A = T, B = never>(
		fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
		rejected?: ((reason: unknown) => B | PromiseLike<B>) | null
	): Promise<A | B> {
		this.awaited = true;
		return super.then(fulfilled, rejected);
	}
}
