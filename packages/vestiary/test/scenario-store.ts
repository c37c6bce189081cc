import type { AtomicOperations, AtomicOutcome, Store } from '../src/index.js';
import { STORE_OPERATIONS, type Fault, type StoreOperation } from './scenario.js';

interface Entry {
	text: string;
	/** Milliseconds since the epoch. */
	until: number;
}

/** The store that all instances of a scenario share, with a clock of its own and faults on demand. */
export class Shelf {
	readonly entries = new Map<string, Entry>();
	readonly #faults = new Map<StoreOperation, Fault>();
	#waiting: (() => void)[] = [];
	/** How often it was asked. */
	asked: Partial<Record<StoreOperation, number>> = {};
	readonly #now: () => number;

	constructor(now: () => number) {
		this.#now = now;
	}

	/** Sets the faults from now on. Waiting operations continue. */
	fail(faults: Partial<Record<StoreOperation, Fault>>): void {
		this.#faults.clear();
		for (const operation of STORE_OPERATIONS) {
			const fault = faults[operation];
			if (fault) this.#faults.set(operation, fault);
		}
		for (const goOn of this.#waiting.splice(0)) goOn();
	}

	/** The text under a key that has not expired. */
	text(key: string): string | undefined {
		const entry = this.entries.get(key);
		return entry && entry.until > this.#now() ? entry.text : undefined;
	}

	/** The store of one instance: an object of its own, as in a process of its own. */
	store(): Store {
		const unused = async (): Promise<never> => Promise.reject(new Error('it is atomic'));
		return {
			get: unused,
			set: unused,
			destroy: unused,
			touch: unused,
			atomic: this.#atomic()
		};
	}

	#atomic(): AtomicOperations {
		return {
			resends: false,
			touchCompares: true,
			now: async () => this.#now(),
			read: async (key) => this.#ask('read', () => this.text(key) ?? null),
			create: async (key, text, ttl) =>
				this.#ask('create', () => {
					if (this.text(key) !== undefined) return false;
					this.#put(key, text, ttl);
					return true;
				}),
			replace: async (key, writeId, text, ttl) =>
				this.#ask('replace', () =>
					this.#where(key, writeId, () => {
						this.#put(key, text, ttl);
					})
				),
			touch: async (key, ttl, writeId) =>
				this.#ask('touch', () =>
					this.#where(key, writeId ?? null, (text) => {
						this.#put(key, text, ttl);
					})
				),
			remove: async (key, writeId) =>
				this.#ask('remove', () =>
					this.#where(key, writeId, () => void this.entries.delete(key))
				)
		};
	}

	#where(key: string, writeId: string | null, run: (text: string) => void): AtomicOutcome {
		const text = this.text(key);
		if (text === undefined) return 'gone';
		if (writeIdOf(text) !== writeId) return 'conflict';
		run(text);
		return 'done';
	}

	#put(key: string, text: string, ttl: number): void {
		const life = ttl === Infinity ? 86_400_000 : ttl;
		this.entries.set(key, { text, until: this.#now() + life });
	}

	async #ask<T>(operation: StoreOperation, run: () => T): Promise<T> {
		this.asked[operation] = (this.asked[operation] ?? 0) + 1;
		while (this.#faults.get(operation) === 'waits')
			await new Promise<void>((resolve) => this.#waiting.push(resolve));
		const fault = this.#faults.get(operation);
		if (fault === 'fails') throw new Error('down');
		if (fault === 'refuses') throw Object.assign(new Error('no'), { refused: true });
		if (fault === 'full') throw Object.assign(new Error('full'), { refused: true, full: true });
		const answer = run();
		if (fault === 'loses') {
			this.#faults.delete(operation);
			throw new Error('connection reset');
		}
		return answer;
	}
}

function writeIdOf(text: string): string | null {
	return /^\{(?:"cookie":\{)?"v":"([^"]{16})"/.exec(text)?.[1] ?? null;
}
