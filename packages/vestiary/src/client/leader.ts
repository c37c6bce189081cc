/**
 * Holds the stream of the server that ends with the session: in one tab of the browser, which the lock manager chooses. A
 * browser has few connections to a server. Without a lock manager, each tab has its own stream.
 */
export class Leader {
	/** Asks the server whether the session goes on. */
	readonly #ask: () => Promise<boolean | undefined>;
	/** The path of the stream, if there is to be one. */
	#path: string | undefined;
	#isLeader = false;
	#stream: EventSource | undefined;
	#failures = 0;
	#retry: ReturnType<typeof setTimeout> | undefined;
	readonly #over = new AbortController();

	constructor(name: string, ask: () => Promise<boolean | undefined>) {
		this.#ask = ask;
		const { signal } = this.#over;
		const lead = async (): Promise<void> => {
			this.#isLeader = true;
			this.#connect();
			// The lock is held for as long as this takes.
			await new Promise((resolve) => {
				signal.addEventListener('abort', resolve);
			});
		};
		// Not in a page that was loaded without TLS, except from this machine.
		const locks = navigator.locks as LockManager | undefined;
		if (locks) locks.request(name, { signal }, lead).catch(() => undefined);
		else void lead();
	}

	/** Follows another session. */
	follow(path: string | undefined): void {
		this.#path = path;
		this.#failures = 0;
		this.#connect();
	}

	stop(): void {
		this.follow(undefined);
		this.#over.abort();
	}

	#connect(): void {
		clearTimeout(this.#retry);
		this.#stream?.close();
		this.#stream = undefined;
		if (!this.#isLeader || this.#path === undefined) return;
		const stream = (this.#stream = new EventSource(this.#path));
		let opened: number | undefined;
		stream.onopen = () => {
			opened = Date.now();
		};
		stream.onerror = () => {
			// The browser would connect again by itself, without a question and without back-off.
			stream.close();
			if (opened !== undefined && Date.now() - opened > STABLE) this.#failures = 0;
			void this.#lost(stream);
		};
	}

	/** The stream has ended, or the connection is lost. */
	async #lost(stream: EventSource): Promise<void> {
		const goesOn = await this.#ask();
		if (goesOn === false || stream !== this.#stream) return;
		const pause = Math.min(1_000 * 2 ** this.#failures++, LONGEST_PAUSE);
		this.#retry = setTimeout(
			() => {
				this.#connect();
			},
			pause * (0.5 + Math.random() / 2)
		);
	}
}

/** A connection that lasts this long is no failure, in milliseconds. */
const STABLE = 5_000;

const LONGEST_PAUSE = 30_000;
