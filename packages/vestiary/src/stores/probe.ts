import { unref } from '../feed.js';
import { within } from '../poll.js';

/**
 * Asks again and again whether the connection of a feed is alive, since one that was cut off stays silent. A connection that
 * does not answer is lost after ten seconds at most.
 */
export class Probe {
	readonly #ask: () => PromiseLike<unknown>;
	readonly #lost: () => void;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#isOver = false;

	/**
	 * @param ask Rejects, or does not resolve, if the connection is lost
	 * @param lost Called once, unless it was stopped before
	 */
	constructor(ask: () => PromiseLike<unknown>, lost: () => void) {
		this.#ask = ask;
		this.#lost = lost;
	}

	/** Begins to ask. */
	start(): void {
		if (this.#isOver) return;
		this.#timer = setTimeout(() => void this.#question(), EVERY);
		unref(this.#timer);
	}

	/** Stops to ask. */
	stop(): void {
		this.#isOver = true;
		clearTimeout(this.#timer);
	}

	async #question(): Promise<void> {
		try {
			await within(this.#ask());
		} catch {
			if (!this.#isOver) this.#lost();
			return;
		}
		this.start();
	}
}

/** The time between two questions, in milliseconds. */
const EVERY = 5_000;
