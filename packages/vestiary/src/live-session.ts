/** A session that the store has. */
export interface Living {
	/** Its current ID. */
	readonly id: string;
	/** When it ends unless it is used, in milliseconds since the epoch; undefined if never. */
	readonly end: number | undefined;
}

/** Asks a store about sessions. */
export interface Asking {
	/** The maximum time between two questions about a session, in milliseconds. */
	readonly recheckAfter: number;
	/**
	 * Asks whether a session is still valid. Undefined if it is not.
	 * @param reading Called before the store reads a record on which the answer depends, with its key
	 */
	alive(id: string, reading: (key: string) => Promise<void>): Promise<Living | undefined>;
}

/** Code that wants to know when a session has ended. */
export interface Listener {
	/** Called once. */
	ended(): void;
}

/** A session that is watched. */
export interface Watched {
	/** Stops watching it for a listener. */
	leave(listener: Listener): void;
}

/**
 * Where a session is: it waits for its next question (`idle`), is in a queue (`due`, or `urgent` after a hint), the store is
 * asked (`asked`), a hint has come meanwhile (`again`), or it is not watched any more (`over`).
 */
export type Phase = 'idle' | 'due' | 'urgent' | 'asked' | 'again' | 'over';

/**
 * The name of a record: its key if the store is polled, and otherwise a number for its name in the feed or for its key. Two
 * records with one number cost no more than a question.
 */
export type Name = number | string;

/** The questions about the sessions of one handle. One object for all of them takes less memory than its parts in each. */
export interface Questions {
	readonly asking: Asking;
	readonly of: { forget(live: LiveSession): void };
}

/** A record on which a session depends, with a number for its write ID when the store was polled. */
interface Dependency {
	readonly name: Name;
	digest: number;
}

/** A session and its listeners. Applications have many of them, so it has no part that is not needed. */
export class LiveSession implements Watched {
	id: string;
	questions: Questions;
	phase: Phase = 'idle';
	/** The tick at which the store is to be asked. */
	due: number = NEVER;
	/** The number of questions in succession that have failed. */
	failures = 0;
	/** The first two of the records on which it depends, with the digests of their write IDs, and the others, if there are any. */
	#record: Name = NONE;
	#recordDigest = UNKNOWN;
	#list: Name = NONE;
	#listDigest = UNKNOWN;
	#others: readonly Dependency[] | undefined;
	/** Mostly there is one, and a set would be larger than all the rest. */
	#listeners: Listener | Set<Listener>;

	constructor(id: string, questions: Questions, listener: Listener) {
		this.id = id;
		this.questions = questions;
		this.#listeners = listener;
	}

	get asking(): Asking {
		return this.questions.asking;
	}

	/** The names of the records on which it depends. */
	get depends(): Name[] {
		return this.#dependencies().map(({ name }) => name);
	}

	set depends(names: readonly Name[]) {
		const known = this.#dependencies();
		const [record = NO_RECORD, list = NO_RECORD, ...others] = names.map(
			(name) => known.find((one) => one.name === name) ?? { name, digest: UNKNOWN }
		);
		({ name: this.#record, digest: this.#recordDigest } = record);
		({ name: this.#list, digest: this.#listDigest } = list);
		this.#others = others.length > 0 ? others : undefined;
	}

	/** Notes the digest of a record on which it depends. Returns whether it had another one. */
	notes(name: Name, digest: number): boolean {
		let before: number | undefined;
		if (name === this.#record) [before, this.#recordDigest] = [this.#recordDigest, digest];
		else if (name === this.#list) [before, this.#listDigest] = [this.#listDigest, digest];
		else {
			const other = this.#others?.find((one) => one.name === name);
			before = other?.digest;
			if (other) other.digest = digest;
		}
		return before !== digest;
	}

	#dependencies(): Dependency[] {
		const all = [
			{ name: this.#record, digest: this.#recordDigest },
			{ name: this.#list, digest: this.#listDigest },
			...(this.#others ?? [])
		];
		return all.filter(({ name }) => name !== NONE);
	}

	enter(listener: Listener): void {
		if (this.#listeners instanceof Set) this.#listeners.add(listener);
		else this.#listeners = new Set([this.#listeners, listener]);
	}

	leave(listener: Listener): void {
		if (this.#listeners instanceof Set) {
			this.#listeners.delete(listener);
			if (this.#listeners.size > 0) return;
		} else if (this.#listeners !== listener) return;
		this.questions.of.forget(this);
	}

	end(): void {
		const all = this.#listeners instanceof Set ? [...this.#listeners] : [this.#listeners];
		for (const listener of all) listener.ended();
	}
}

/** A function, because it changes while the store is asked. */
export function isOver(live: LiveSession): boolean {
	return live.phase === 'over';
}

/** No tick. */
export const NEVER = -1;

/** No name of a record. */
const NONE = -1;

/** The digest of a record that was not polled yet. */
const UNKNOWN = -1;

const NO_RECORD = { name: NONE, digest: UNKNOWN };
