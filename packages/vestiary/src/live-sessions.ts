import { Feed, feedOf, unref } from './feed.js';
import type { AtomicOperations } from './types.js';

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
 * The sessions of one store that outlive their requests, such as those of open streams.
 *
 * The store is asked about each of them: when it is entered, at the latest after `recheckAfter`, when it should expire, and
 * after each write of a record on which its life depends, by this process or, if the store has a feed, by another one.
 * Only the reply of the store ends a session. So a forged, lost, late or doubled hint does no harm.
 */
export class LiveSessions {
	/** The number of sessions. */
	size = 0;
	/** By their IDs, so that the streams of one session ask once. */
	readonly #sessions = new Map<string, LiveSession>();
	/**
	 * By the numbers of the names of the records on which they depend. Names would take more memory, and two names with one
	 * number cost no more than a question.
	 */
	readonly #index = new Map<number, LiveSession | Set<LiveSession>>();
	/** By the tick at which the store is to be asked. An entry counts if the session names the tick as well. */
	readonly #ticks = new Map<number, LiveSession[]>();
	/** The tick at which the timer runs. */
	#next = Infinity;
	#timer: ReturnType<typeof setTimeout> | undefined;
	readonly #urgent = new Queue<LiveSession>();
	readonly #due = new Queue<LiveSession>();
	/** The number of questions that the store has not answered yet. */
	#asked = 0;
	readonly #feed: Feed | undefined;

	constructor(atomic?: AtomicOperations) {
		const source = feedOf(atomic);
		this.#feed =
			source &&
			new Feed(source, {
				changed: (name) => {
					this.#changed(name);
				},
				connected: () => {
					this.#all();
				}
			});
	}

	/** Watches a session. */
	watch(id: string, asking: Asking, listener: Listener): Watched {
		let live = this.#sessions.get(id);
		if (live) {
			live.enter(listener);
			// Another handle asks more often.
			if (asking.recheckAfter < live.asking.recheckAfter) {
				live.asking = asking;
				this.#ask(live, this.#due);
			}
		} else {
			live = new LiveSession(id, asking, listener, this);
			this.#sessions.set(id, live);
			this.size++;
			this.#feed?.open();
			// Between the request and now it may have ended.
			this.#ask(live, this.#urgent);
		}
		return live;
	}

	/** Called after this process has written a record. */
	wrote(key: string): void {
		if (!this.#feed) this.#changed(key);
		else
			this.#feed.nameOf(key).then(
				(name) => {
					this.#changed(name);
				},
				() => {
					// The store fails to name it, so it may be a record of any session.
					this.#all();
				}
			);
	}

	/** Asks about the sessions that depend on a record. */
	#changed(name: string): void {
		const found = this.#index.get(numberOf(name));
		if (!found) return;
		for (const live of found instanceof Set ? [...found] : [found])
			this.#ask(live, this.#urgent);
	}

	/** Asks about all sessions. The store is not asked about more of them at a time than usual. */
	#all(): void {
		for (const found of this.#index.values())
			for (const live of found instanceof Set ? found : [found]) this.#ask(live, this.#due);
	}

	/** Asks about a session: now or, if a question is under way, once more after it. */
	#ask(live: LiveSession, queue: Queue<LiveSession>): void {
		switch (live.phase) {
			case 'idle':
				live.phase = queue === this.#urgent ? 'urgent' : 'due';
				queue.push(live);
				this.#work();
				break;
			case 'due':
				if (queue !== this.#urgent) break;
				live.phase = 'urgent';
				queue.push(live);
				break;
			case 'asked':
				live.phase = 'again';
				break;
			default:
		}
	}

	/** Asks the next questions. */
	#work(): void {
		while (this.#asked < MOST_QUESTIONS) {
			const live = this.#take(this.#urgent, 'urgent') ?? this.#take(this.#due, 'due');
			if (!live) return;
			this.#asked++;
			void this.#question(live).finally(() => {
				this.#asked--;
				this.#work();
			});
		}
	}

	/** The next session of a queue. One that has left, or is in the other queue, is skipped. */
	#take(queue: Queue<LiveSession>, phase: Phase): LiveSession | undefined {
		for (let live = queue.shift(); live; live = queue.shift())
			if (live.phase === phase) return live;
		return undefined;
	}

	async #question(live: LiveSession): Promise<void> {
		live.phase = 'asked';
		const began = performance.now();
		const keys: number[] = [];
		let found: Living | undefined;
		try {
			found = await live.asking.alive(live.id, (key) => this.#reading(live, key, keys));
		} catch {
			// Nothing is known of the session, so it goes on.
			if (isOver(live)) return;
			live.depends = [...new Set([...live.depends, ...keys])];
			this.#answered(live, began + pauseAfter(live.failures++, live.asking.recheckAfter));
			return;
		}
		if (isOver(live)) return;
		if (!found || (found.end !== undefined && found.end <= Date.now())) {
			this.forget(live);
			live.end();
			return;
		}
		live.failures = 0;
		for (const number of live.depends) if (!keys.includes(number)) this.#leave(live, number);
		live.depends = keys;
		if (found.id !== live.id) this.#rename(live, found.id);
		const { recheckAfter } = live.asking;
		// Spread, so that sessions that were entered together are not asked about together each time.
		const latest = began + recheckAfter * (1 - Math.random() / 5);
		const end = found.end === undefined ? Infinity : found.end - Date.now() + TICK;
		this.#answered(live, Math.min(latest, performance.now() + end));
	}

	/** Schedules the next question. */
	#answered(live: LiveSession, at: number): void {
		const isAgain = live.phase === 'again';
		live.phase = 'idle';
		this.#schedule(live, at);
		if (isAgain) this.#ask(live, this.#urgent);
	}

	/** Enters a session under a record, before the store reads it. So no write after the read is missed. */
	async #reading(live: LiveSession, key: string, keys: number[]): Promise<void> {
		const name = this.#feed ? await this.#feed.nameOf(key).catch(() => undefined) : key;
		// Without its name, the session is asked about after `recheckAfter`.
		if (name === undefined) return;
		const number = numberOf(name);
		if (isOver(live) || keys.includes(number)) return;
		keys.push(number);
		const there = this.#index.get(number);
		if (there instanceof Set) there.add(live);
		else if (there && there !== live) this.#index.set(number, new Set([there, live]));
		else this.#index.set(number, live);
		// Known at once, so that it is left if the session leaves meanwhile.
		if (!live.depends.includes(number)) live.depends = [...live.depends, number];
	}

	#leave(live: LiveSession, number: number): void {
		const there = this.#index.get(number);
		if (there instanceof Set) {
			there.delete(live);
			if (there.size === 0) this.#index.delete(number);
		} else if (there === live) this.#index.delete(number);
	}

	#rename(live: LiveSession, id: string): void {
		this.#unname(live);
		live.id = id;
		// A stream that was opened with the new ID has its own entry.
		if (!this.#sessions.has(id)) this.#sessions.set(id, live);
	}

	#unname(live: LiveSession): void {
		if (this.#sessions.get(live.id) === live) this.#sessions.delete(live.id);
	}

	/** Forgets a session that has no listeners. */
	forget(live: LiveSession): void {
		if (isOver(live)) return;
		live.phase = 'over';
		this.#unname(live);
		for (const number of live.depends) this.#leave(live, number);
		live.due = NEVER;
		if (--this.size > 0) return;
		clearTimeout(this.#timer);
		this.#next = Infinity;
		this.#ticks.clear();
		this.#feed?.close();
	}

	/** Asks about a session at this time, unless it is asked about earlier. */
	#schedule(live: LiveSession, at: number): void {
		const tick = Math.floor(at / TICK);
		if (live.due !== NEVER && live.due <= tick) return;
		live.due = tick;
		const there = this.#ticks.get(tick);
		if (there) there.push(live);
		else this.#ticks.set(tick, [live]);
		if (tick < this.#next) this.#arm(tick);
	}

	#arm(tick: number): void {
		clearTimeout(this.#timer);
		this.#next = tick;
		if (tick === Infinity) return;
		const wait = Math.max(0, tick * TICK - performance.now());
		this.#timer = setTimeout(() => {
			this.#ring();
		}, wait);
		unref(this.#timer);
	}

	/** Asks about the sessions whose time has come. */
	#ring(): void {
		const now = performance.now() / TICK;
		let next = Infinity;
		for (const [tick, sessions] of this.#ticks) {
			if (tick > now) {
				next = Math.min(next, tick);
				continue;
			}
			this.#ticks.delete(tick);
			for (const live of sessions) {
				if (live.due !== tick) continue;
				live.due = NEVER;
				this.#ask(live, this.#due);
			}
		}
		// A timer may run a moment early.
		this.#arm(next);
	}
}

/**
 * Where a session is: it waits for its next question (`idle`), is in a queue (`due`, or `urgent` after a hint), the store is
 * asked (`asked`), a hint has come meanwhile (`again`), or it is not watched any more (`over`).
 */
type Phase = 'idle' | 'due' | 'urgent' | 'asked' | 'again' | 'over';

/** A session and its listeners. Applications have many of them, so it has no part that is not needed. */
class LiveSession implements Watched {
	readonly #all: LiveSessions;
	id: string;
	asking: Asking;
	phase: Phase = 'idle';
	/** The tick at which the store is to be asked. */
	due: number = NEVER;
	/** The number of questions in succession that have failed. */
	failures = 0;
	/** The first two of the numbers of records on which it depends, and the others, if there are any. */
	#record = NONE;
	#list = NONE;
	#others: readonly number[] | undefined;
	/** Mostly there is one, and a set would be larger than all the rest. */
	#listeners: Listener | Set<Listener>;

	constructor(id: string, asking: Asking, listener: Listener, all: LiveSessions) {
		this.id = id;
		this.asking = asking;
		this.#listeners = listener;
		this.#all = all;
	}

	/** The numbers of the records on which it depends. */
	get depends(): number[] {
		return [this.#record, this.#list, ...(this.#others ?? [])].filter((one) => one !== NONE);
	}

	set depends(numbers: readonly number[]) {
		const [record = NONE, list = NONE, ...others] = numbers;
		this.#record = record;
		this.#list = list;
		this.#others = others.length > 0 ? others : undefined;
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
		this.#all.forget(this);
	}

	end(): void {
		const all = this.#listeners instanceof Set ? [...this.#listeners] : [this.#listeners];
		for (const listener of all) listener.ended();
	}
}

/** A function, because it changes while the store is asked. */
function isOver(live: LiveSession): boolean {
	return live.phase === 'over';
}

/** First in, first out. */
class Queue<T> {
	#items: T[] = [];
	#next = 0;

	push(item: T): void {
		this.#items.push(item);
	}

	shift(): T | undefined {
		if (this.#next < this.#items.length) return this.#items[this.#next++];
		this.#items = [];
		this.#next = 0;
		return undefined;
	}
}

/** The unit of the schedule, in milliseconds. */
const TICK = 100;

/** No tick. */
const NEVER = -1;

/** No number of a record. */
const NONE = -1;

/** The maximum number of questions at a time. */
const MOST_QUESTIONS = 64;

/** The pause after a failed question, in milliseconds: longer after each, with jitter. */
function pauseAfter(failures: number, longest: number): number {
	return (
		Math.min(longest, SHORTEST_PAUSE * 2 ** Math.min(failures, 20)) * (0.5 + Math.random() / 2)
	);
}

const SHORTEST_PAUSE = 200;

/** A number of 30 bits for a name, by FNV-1a. JavaScript engines keep it in place of a pointer. */
function numberOf(name: string): number {
	let hash = 0x811c9dc5;
	for (let place = 0; place < name.length; place++)
		hash = Math.imul(hash ^ name.charCodeAt(place), 0x01000193);
	return hash >>> 2;
}
