import { unref, type Feed } from './feed.js';
import { Constant, constant, NearCache as Texts, Step } from './generated/vestiary.js';
import type { Ended, Ticket } from './progress.js';

/** A read that is in progress. */
interface Reading {
	readonly key: string;
	/** The record's name in the feed, or its key without one. */
	readonly name: string;
	/** The changes of the record before the read, as the core counts them. */
	readonly changes: number;
	readonly now: number;
	readonly elapsed: number;
}

/** The result of an opening that may be used again. */
interface Opened {
	/** The core, and the arguments with which it was opened. */
	readonly core: object;
	readonly flags: number;
	readonly facts: number;
	readonly ended: Ended;
	readonly ticket: Ticket;
}

/**
 * The texts that this process has recently read from one store. The core decides which of them still answer. The feed of
 * the store is connected while one of them may.
 */
export class NearCache {
	readonly #most: number | undefined;
	readonly #feedNow: () => Feed | undefined;
	/** The feed that is connected for this cache. */
	#feed: Feed | undefined;
	#made: Texts | undefined;
	/** The results of openings from the texts, by the `Cookie` header. The core says which of them still hold. */
	readonly #opened = new Map<string, Opened>();
	/** When a text was last added, by the monotonic clock. */
	#added = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;

	/** @param feed The feed of the store, if it has one by now */
	constructor(most: number | undefined, feed: () => Feed | undefined) {
		this.#most = most;
		this.#feedNow = feed;
	}

	/** The texts, for the core. Created with the first read, since not every runtime frees linear memory by itself. */
	get texts(): Texts {
		return (this.#made ??= new Texts(this.#most));
	}

	/**
	 * Begins the reads of a store call; none if it reads nothing. Call it before the store is asked.
	 * @param other The key of the list that the store is asked for at the same time
	 */
	async begin(step: Step, key: string, other: string): Promise<readonly (Reading | undefined)[]> {
		if (!READS.has(step)) return [];
		return Promise.all(
			(step === Step.LoadTwo ? [key, other] : [key]).map((one) => this.#read(one))
		);
	}

	/** Keeps the texts that the store has returned, unless they may have changed meanwhile. */
	keep(readings: readonly (Reading | undefined)[], texts: readonly (string | undefined)[]): void {
		this.#stayConnected();
		for (const [place, reading] of readings.entries()) {
			const text = texts[place];
			if (!reading || text === undefined) continue;
			const { key, name, changes, now, elapsed } = reading;
			this.texts.put(key, name, changes, text, now, elapsed);
		}
	}

	/** Called after this process may have changed a record. */
	wrote(step: Step, key: string): void {
		if (CHANGES.has(step)) this.changed(key);
	}

	/** A record has changed, by its key or its name in the feed. */
	changed(name: string): void {
		this.#made?.changed(name);
	}

	/** Earlier changes may have been missed. */
	connected(): void {
		this.#made?.clear();
	}

	/**
	 * The result of an earlier opening of the same core with the same arguments, if it still holds. The core need not run
	 * then, because it would answer the same.
	 */
	openedBefore(core: object, header: string, flags: number, facts: number): Ended | undefined {
		const opened = this.#opened.get(header);
		if (opened?.core !== core || opened.flags !== flags || opened.facts !== facts)
			return undefined;
		return this.#holds(opened) ? opened.ended : undefined;
	}

	/** Keeps the result of an opening, if the core has given it a ticket. */
	opened(core: object, header: string, flags: number, facts: number, ended: Ended): void {
		const { ticket, texts } = ended;
		const size = texts.reduce((sum, text) => sum + text.length, header.length);
		if (!ticket || size > LONGEST) return;
		this.#opened.delete(header);
		this.#opened.set(header, { core, flags, facts, ended, ticket });
		if (this.#opened.size <= Math.min(MOST, this.#most ?? MOST)) return;
		const [oldest] = this.#opened.keys();
		if (oldest !== undefined) this.#opened.delete(oldest);
	}

	#holds({ ticket: { left, stamp, slots, since, began } }: Opened): boolean {
		// By index: each request comes here, and a pattern would iterate.
		const { 0: own, 1: name, 2: list, 3: listName } = slots;
		const age = Date.now() - since;
		const elapsed = performance.now() - began;
		return this.texts.holds(left, stamp, own, name, list, listName, age, elapsed);
	}

	async #read(key: string): Promise<Reading | undefined> {
		let name: string;
		try {
			name = (await this.#feedNow()?.nameOf(key)) ?? key;
		} catch {
			// No message would drop it.
			return undefined;
		}
		const changes = this.texts.reading(key, name);
		return { key, name, changes, now: Date.now(), elapsed: performance.now() };
	}

	/** Connects the feed, until no text has been added for a while. */
	#stayConnected(): void {
		this.#added = performance.now();
		if (this.#timer !== undefined) return;
		this.#feed = this.#feedNow();
		if (!this.#feed) return;
		this.#feed.open(this);
		this.#arm(WARM);
	}

	#arm(wait: number): void {
		this.#timer = setTimeout(() => {
			const left = this.#added + WARM - performance.now();
			this.#timer = undefined;
			if (left > 0) this.#arm(left);
			else this.#feed?.close(this);
		}, wait);
		unref(this.#timer);
	}
}

/** The steps whose replies are texts. */
const READS: ReadonlySet<Step> = new Set([Step.Load, Step.LoadTwo, Step.LoadTimed]);

/** The steps that may change a text. */
const CHANGES: ReadonlySet<Step> = new Set([Step.Create, Step.Replace, Step.Remove, Step.Stamp]);

/** The maximum number of results of openings. */
const MOST = 1_024;

/** The maximum number of characters of such a result and its header, so that all together are bounded. */
const LONGEST = 4_096;

/** The time after the last text for which the feed stays connected, in milliseconds: as long as a text may answer. */
const WARM = constant(Constant.LongestStale);
