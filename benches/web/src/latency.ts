/**
 * A latency that is the same for every call of every store: 200 µs, what a Redis on the same network takes.
 * Timers of Node.js are a millisecond coarse, so the due time is looked at in each turn of the event loop; as
 * every call waits equally long, the first that came is the first that is due.
 */
export class Latency {
	static readonly MICROS = 200;
	/** How often a store was asked. */
	calls = 0;
	#waiting: { due: number; go: () => void }[] = [];
	#looking = false;

	readonly wait = (): Promise<void> => {
		this.calls++;
		return new Promise((go) => {
			this.#waiting.push({ due: performance.now() + Latency.MICROS / 1_000, go });
			if (this.#looking) return;
			this.#looking = true;
			setImmediate(this.#look);
		});
	};

	readonly #look = (): void => {
		const now = performance.now();
		const notYet = this.#waiting.findIndex(({ due }) => due > now);
		const due = this.#waiting.splice(0, notYet === -1 ? this.#waiting.length : notYet);
		for (const { go } of due) go();
		this.#looking = this.#waiting.length > 0;
		if (this.#looking) setImmediate(this.#look);
	};
}
