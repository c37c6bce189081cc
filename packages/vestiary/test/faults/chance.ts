/** A repeatable source of chance (xoshiro128**, begun by SplitMix32). */
export class Chance {
	readonly #state: Uint32Array;

	constructor(seed: number) {
		let next = seed >>> 0;
		this.#state = Uint32Array.from({ length: 4 }, () => {
			next = (next + 0x9e3779b9) >>> 0;
			let mixed = Math.imul(next ^ (next >>> 16), 0x21f0aaad);
			mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
			return mixed ^ (mixed >>> 15);
		});
	}

	/** An integer from 0 to one less than the limit; 0 if that is 0. */
	below(limit: number): number {
		return Math.floor((this.#next() / 2 ** 32) * limit);
	}

	percent(percent: number): boolean {
		return this.below(100) < percent;
	}

	/** One of these names, each as often as its weight says. */
	weighted<T extends string>(weights: Record<T, number>): T {
		const entries = Object.entries(weights) as [T, number][];
		let at = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
		for (const [name, weight] of entries) {
			if (at < weight) return name;
			at -= weight;
		}
		throw new Error('there is nothing to choose from');
	}

	/** An independent source, for code that runs concurrently. */
	split(): Chance {
		return new Chance(this.#next());
	}

	#next(): number {
		const [a = 0, b = 0, c = 0, d = 0] = this.#state;
		const turned = Math.imul(b, 5);
		const result = Math.imul((turned << 7) | (turned >>> 25), 9) >>> 0;
		const third = c ^ a;
		const fourth = d ^ b;
		this.#state[1] = b ^ third;
		this.#state[0] = a ^ fourth;
		this.#state[2] = third ^ (b << 9);
		this.#state[3] = (fourth << 11) | (fourth >>> 21);
		return result;
	}
}
