import { hint } from './hints.js';
import { developing } from './environment.js';
import type { AtomicOperations } from './types.js';

/** The operations of a store that has a feed of changes. */
export type FeedSource = Required<Pick<AtomicOperations, 'watch' | 'nameOf'>>;

/** The recipient of the hints of a feed. */
export interface FeedListener {
	/** A record has changed. */
	changed(name: string): void;
	/** From now on no change is missed. Any earlier one may have been. */
	connected(): void;
}

/** The operations of a store, if they have a feed. */
export function feedOf(atomic: AtomicOperations | undefined): FeedSource | undefined {
	return atomic?.watch && atomic.nameOf ? (atomic as FeedSource) : undefined;
}

/**
 * The feed of a store, connected while a listener wants it. A lost connection is opened again, after a pause that grows. Its
 * failures reach no request: without it, sessions are only asked about less often.
 */
export class Feed {
	readonly #source: FeedSource;
	/** The listeners that want it. */
	readonly #listeners = new Set<FeedListener>();
	/** Whether a connection is open, or to be opened. */
	#running = false;
	/** Closes the connection. */
	#stop: (() => void) | undefined;
	/** Ends the connection when it has not been wanted for a while. */
	#linger: ReturnType<typeof setTimeout> | undefined;

	constructor(source: FeedSource) {
		this.#source = source;
	}

	/** The name of a key in the feed. */
	async nameOf(key: string): Promise<string> {
		return this.#source.nameOf(key);
	}

	/** Connects, unless it is connected. A listener that joins others may have missed changes. */
	open(listener: FeedListener): void {
		const isLate = this.#stop !== undefined && !this.#listeners.has(listener);
		this.#listeners.add(listener);
		clearTimeout(this.#linger);
		if (!this.#running) void this.#run();
		else if (isLate) listener.connected();
	}

	/** Disconnects, unless it is opened again at once, as when a visitor goes to the next page. */
	close(listener: FeedListener): void {
		this.#listeners.delete(listener);
		if (this.#isWanted()) return;
		clearTimeout(this.#linger);
		this.#linger = setTimeout(() => {
			if (!this.#isWanted()) this.#stop?.();
		}, LINGER);
	}

	async #run(): Promise<void> {
		this.#running = true;
		let pause = SHORTEST_PAUSE;
		while (this.#isWanted()) {
			try {
				await this.#connection(() => {
					pause = SHORTEST_PAUSE;
				});
			} catch {
				if (developing) lost();
			}
			if (!this.#isWanted()) break;
			await unreferenced(pause * (0.5 + Math.random() / 2));
			pause = Math.min(pause * 2, LONGEST_PAUSE);
		}
		this.#running = false;
	}

	/** Opens a connection, and waits until it is lost. */
	async #connection(opened: () => void): Promise<void> {
		let lose = (): void => undefined;
		const lost = new Promise<void>((resolve) => {
			lose = resolve;
		});
		const stop = await this.#source.watch({
			changed: (name) => {
				for (const listener of this.#listeners) listener.changed(name);
			},
			lost: lose
		});
		this.#stop = () => {
			lose();
			stop();
		};
		opened();
		// It may not be wanted any more. A connection that took long to open need not linger.
		if (!this.#isWanted()) this.#stop();
		for (const listener of this.#listeners) listener.connected();
		await lost;
		this.#stop = undefined;
	}

	/** A function, because it changes while the connection is awaited. */
	#isWanted(): boolean {
		return this.#listeners.size > 0;
	}
}

/** The time for which a connection stays that is not wanted, in milliseconds. */
const LINGER = 1_000;

/** The pauses before a lost connection is opened again, in milliseconds. */
const SHORTEST_PAUSE = 100;
export const LONGEST_PAUSE = 5_000;

/** Hints at a feed that fails. */
export function lost(): void {
	hint(
		'the feed of the session store cannot be reached: streams of ended sessions end after `recheckAfter`'
	);
}

/** Waits, without keeping the process alive. */
async function unreferenced(milliseconds: number): Promise<void> {
	return new Promise((resolve) => {
		unref(setTimeout(resolve, milliseconds));
	});
}

/** Lets the process end while a timer runs, where it has an end. */
export function unref(timer: unknown): void {
	(timer as { unref?: () => void }).unref?.();
}
