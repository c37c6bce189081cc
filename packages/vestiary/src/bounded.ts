/** A cache that creates missing values, and evicts the least recently used ones beyond a limit. */
export class Cache<K, V> {
	readonly #limit: number;
	readonly #values = new Map<K, V>();

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** The value of a key. If `make` throws, nothing is cached. */
	get(key: K, make: () => V): V {
		const known = this.#values.get(key);
		const value = known ?? make();
		// A map iterates in the order of insertion, so the first key is the least recently used.
		if (known !== undefined) this.#values.delete(key);
		this.#values.set(key, value);
		if (this.#values.size > this.#limit) {
			const [oldest] = this.#values.keys();
			this.#values.delete(oldest as K);
		}
		return value;
	}
}

/** Remembers names for a limited time, and evicts the oldest ones beyond a limit. */
export class Recent {
	readonly #limit: number;
	/** The expiry of each name, in milliseconds since the epoch. */
	readonly #names = new Map<string, number>();

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** Remembers a name for `lifetime` milliseconds. */
	add(name: string, lifetime: number, now: number): void {
		this.#names.delete(name);
		this.#names.set(name, now + lifetime);
		// The oldest come first. Only a few are freed per call, so that no call is slow.
		let looked = 0;
		for (const [oldest, until] of this.#names) {
			if (this.#names.size <= this.#limit && (until > now || ++looked > SWEEP)) return;
			this.#names.delete(oldest);
		}
	}

	/** Whether a name is remembered. */
	has(name: string, now: number): boolean {
		const until = this.#names.get(name);
		if (until === undefined) return false;
		if (until > now) return true;
		this.#names.delete(name);
		return false;
	}

	/** Forgets a name. */
	remove(name: string): void {
		this.#names.delete(name);
	}

	/** The number of names, including expired ones that are not freed yet. */
	get size(): number {
		return this.#names.size;
	}
}

const SWEEP = 8;
