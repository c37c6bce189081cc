import { developing } from './environment.js';
import { LONGEST_PAUSE, lost, unref } from './feed.js';
import type { Polling } from './types.js';

/** The records whose changes a poll looks for. */
export interface PolledRecords {
	/** The keys of all of them. */
	keys(): Iterable<string>;
	/** Called with a number for the write ID that a record has now. */
	found(key: string, digest: number): void;
}

/**
 * Asks a store that has no feed, again and again, which write IDs the watched records have. It does so while it is open.
 * Its failures reach no request: without it, sessions are only asked about less often.
 */
export class Poll {
	readonly #polling: Polling;
	readonly #records: PolledRecords;
	#wanted = false;
	#running = false;
	/** The state of the store before the last complete round. */
	#state: string | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** Ends the pause. */
	#wake: () => void = () => undefined;

	constructor(polling: Polling, records: PolledRecords) {
		this.#polling = polling;
		this.#records = records;
	}

	/** Begins to ask, unless it does already. */
	open(): void {
		this.#wanted = true;
		if (!this.#running) void this.#run();
	}

	/** Stops to ask. No timer is left. */
	close(): void {
		this.#wanted = false;
		clearTimeout(this.#timer);
		this.#wake();
	}

	async #run(): Promise<void> {
		this.#running = true;
		const { every } = this.#polling;
		let failures = 0;
		let took = 0;
		while (this.#wanted) {
			const longer = Math.min(every * 2 ** failures, Math.max(every, LONGEST_PAUSE));
			// With jitter, so that not all processes ask at once.
			await this.#pause(longer * (0.9 + Math.random() / 10) - took);
			if (!this.#isWanted()) break;
			const began = performance.now();
			try {
				await this.#round();
				failures = 0;
			} catch {
				failures++;
				if (developing) lost();
			}
			took = performance.now() - began;
		}
		this.#running = false;
	}

	/** Asks about all records, in questions of a limited size. Between them it leaves the store alone for as long as they took. */
	async #round(): Promise<void> {
		// Before the records: what is written meanwhile shows in the next round.
		const state = await within(this.#polling.state?.());
		if (state !== undefined && state === this.#state) return;
		this.#state = undefined;
		let keys: string[] = [];
		for (const key of this.#records.keys()) {
			keys.push(key);
			if (keys.length < this.#polling.most) continue;
			await this.#pause(await this.#question(keys));
			if (!this.#isWanted()) return;
			keys = [];
		}
		if (keys.length > 0) await this.#question(keys);
		this.#state = state;
	}

	/** Asks about some records. Returns the milliseconds that it took. */
	async #question(keys: readonly string[]): Promise<number> {
		const began = performance.now();
		const writeIds = await within(this.#polling.writeIds(keys));
		const took = performance.now() - began;
		for (const key of keys) this.#records.found(key, digestOf(writeIds?.get(key)));
		return took;
	}

	async #pause(milliseconds: number): Promise<void> {
		await new Promise<void>((resolve) => {
			this.#wake = resolve;
			this.#timer = setTimeout(resolve, Math.max(0, milliseconds));
			unref(this.#timer);
		});
	}

	/** A function, because it changes while an answer is awaited. */
	#isWanted(): boolean {
		return this.#wanted;
	}
}

/** The time after which a question counts as failed, in milliseconds. */
const PATIENCE = 5_000;

/** Waits for an answer of a store, and throws if it takes too long. */
export async function within<T>(answer: PromiseLike<T> | undefined): Promise<T | undefined> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => {
			reject(new Error('the store did not answer'));
		}, PATIENCE);
		unref(timer);
	});
	try {
		return await Promise.race([answer, late]);
	} finally {
		clearTimeout(timer);
	}
}

/** The digest of a record that does not exist. */
const ABSENT = -2;

/** A number for a write ID. One of a billion changes goes unnoticed. */
function digestOf(writeId: string | undefined): number {
	return writeId === undefined ? ABSENT : numberOf(writeId);
}

/** A number of 30 bits for a text, by FNV-1a. JavaScript engines keep it in place of a pointer. */
export function numberOf(text: string): number {
	let hash = 0x811c9dc5;
	for (let place = 0; place < text.length; place++)
		hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193);
	return hash >>> 2;
}
