/**
 * A constant latency for every call of every store: 200 µs, as for a Redis on the same network. Timers of Node.js have
 * a resolution of a millisecond, so the due time is checked in each turn of the event loop. Every call waits equally
 * long, so the first call is also the first that is due.
 */
export class Latency {
	static readonly MICROS = 200;
	/** The number of calls to the store. */
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
