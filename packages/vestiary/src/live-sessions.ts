import { Feed, feedOf, unref, type FeedListener } from './feed.js';
import {
	isOver,
	LiveSession,
	NEVER,
	type Asking,
	type Listener,
	type Living,
	type Name,
	type Phase,
	type Questions,
	type Watched
} from './live-session.js';
import { numberOf, Poll } from './poll.js';
import type { AtomicOperations } from './types.js';

/**
 * The sessions of one store that outlive their requests, such as those of open streams.
 *
 * The store is asked about each of them when it is entered, when it should expire, and at the latest after
 * `recheckAfter`. It is also asked after each write of a record on which the session depends: by this process or, if
 * the store has a feed, by another one. Only the reply of the store ends a session. So a forged, lost, late or doubled
 * hint does no harm.
 */
export class LiveSessions {
	/** The number of sessions. */
	size = 0;
	/** By their IDs, so that the streams of one session ask once. */
	readonly #sessions = new Map<string, LiveSession>();
	/** By the names of the records on which they depend. */
	readonly #index = new Map<Name, LiveSession | Set<LiveSession>>();
	/** By the tick at which the store is to be asked. An entry counts if the session names the tick as well. */
	readonly #ticks = new Map<number, LiveSession[]>();
	/** The tick at which the timer runs. */
	#next = Infinity;
	#timer: ReturnType<typeof setTimeout> | undefined;
	readonly #urgent = new Queue<LiveSession>();
	readonly #due = new Queue<LiveSession>();
	/** The number of questions that the store has not answered yet. */
	#asked = 0;
	readonly #questions = new WeakMap<Asking, Questions>();
	/** Tells of changes by other processes. */
	#changes: Feed | Poll | undefined;
	readonly #hears: FeedListener = {
		changed: (name) => {
			this.#changed(numberOf(name));
		},
		connected: () => {
			this.#all();
		}
	};

	constructor(atomic?: AtomicOperations) {
		this.follow(atomic);
	}

	/** Follows the changes of a store, if it has a feed or can be polled, and no other one is followed. */
	follow(atomic: AtomicOperations | undefined): void {
		if (this.#changes || !atomic) return;
		this.#changes = this.#changesOf(atomic);
		if (!this.#changes || this.size === 0) return;
		// The records have other names now, under which the questions enter the sessions.
		this.#open();
		this.#all();
	}

	/** The feed of the store, if it has one. */
	get feed(): Feed | undefined {
		return this.#changes instanceof Feed ? this.#changes : undefined;
	}

	#open(): void {
		if (this.#changes instanceof Feed) this.#changes.open(this.#hears);
		else this.#changes?.open();
	}

	#changesOf(atomic: AtomicOperations): Feed | Poll | undefined {
		const source = feedOf(atomic);
		if (source) return new Feed(source);
		if (!atomic.polling) return undefined;
		return new Poll(atomic.polling, {
			keys: () => this.#keys(),
			found: (key, digest) => {
				for (const live of this.#dependents(key))
					if (live.notes(key, digest)) this.#ask(live, this.#urgent);
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
				live.questions = this.#questionsOf(asking);
				this.#ask(live, this.#due);
			}
		} else {
			live = new LiveSession(id, this.#questionsOf(asking), listener);
			this.#sessions.set(id, live);
			this.size++;
			this.#open();
			// Between the request and now it may have ended.
			this.#ask(live, this.#urgent);
		}
		return live;
	}

	#questionsOf(asking: Asking): Questions {
		const questions = this.#questions.get(asking) ?? { asking, of: this };
		this.#questions.set(asking, questions);
		return questions;
	}

	/** Called after this process has written a record. */
	wrote(key: string): void {
		const name = this.#nameOf(key);
		if (!(name instanceof Promise)) this.#changed(name);
		else
			name.then(
				(known) => {
					this.#changed(known);
				},
				() => {
					// The store fails to name it, so it may be a record of any session.
					this.#all();
				}
			);
	}

	/** The name of a record. A store is polled by keys; otherwise a number takes less memory. */
	#nameOf(key: string): Name | Promise<Name> {
		const changes = this.#changes;
		if (changes instanceof Poll) return key;
		return changes ? changes.nameOf(key).then(numberOf) : numberOf(key);
	}

	/** Asks about the sessions that depend on a record. */
	#changed(name: Name): void {
		for (const live of this.#dependents(name)) this.#ask(live, this.#urgent);
	}

	#dependents(name: Name): readonly LiveSession[] {
		const found = this.#index.get(name);
		if (!found) return [];
		return found instanceof Set ? [...found] : [found];
	}

	/** The keys of the records on which sessions depend. */
	*#keys(): Generator<string> {
		for (const name of this.#index.keys()) if (typeof name === 'string') yield name;
	}

	/** Asks about all sessions. The store is not asked about more of them at a time than usual. */
	#all(): void {
		for (const found of this.#index.values())
			for (const live of found instanceof Set ? found : [found]) this.#ask(live, this.#due);
	}

	/** Asks about a session: now or, if a question is in progress, once more after it. */
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
		const keys: Name[] = [];
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
		for (const name of live.depends) if (!keys.includes(name)) this.#leave(live, name);
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
	async #reading(live: LiveSession, key: string, keys: Name[]): Promise<void> {
		let name: Name;
		try {
			name = await this.#nameOf(key);
		} catch {
			// Without its name, the session is asked about after `recheckAfter`.
			return;
		}
		if (isOver(live) || keys.includes(name)) return;
		// One copy of the text for both.
		if (name === live.id) name = live.id;
		keys.push(name);
		const there = this.#index.get(name);
		if (there instanceof Set) there.add(live);
		else if (there && there !== live) this.#index.set(name, new Set([there, live]));
		else this.#index.set(name, live);
		// Known at once, so that it is left if the session leaves meanwhile.
		if (!live.depends.includes(name)) live.depends = [...live.depends, name];
	}

	#leave(live: LiveSession, name: Name): void {
		const there = this.#index.get(name);
		if (there instanceof Set) {
			there.delete(live);
			if (there.size === 0) this.#index.delete(name);
		} else if (there === live) this.#index.delete(name);
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
		for (const name of live.depends) this.#leave(live, name);
		live.due = NEVER;
		if (--this.size > 0) return;
		clearTimeout(this.#timer);
		this.#next = Infinity;
		this.#ticks.clear();
		if (this.#changes instanceof Feed) this.#changes.close(this.#hears);
		else this.#changes?.close();
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

/** The maximum number of questions at a time. */
const MOST_QUESTIONS = 64;

/** The pause after a failed question, in milliseconds: longer after each, with jitter. */
function pauseAfter(failures: number, longest: number): number {
	return (
		Math.min(longest, SHORTEST_PAUSE * 2 ** Math.min(failures, 20)) * (0.5 + Math.random() / 2)
	);
}

const SHORTEST_PAUSE = 200;
