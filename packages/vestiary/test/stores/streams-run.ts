/** Event streams of three processes with one store, while users are logged out everywhere. */
import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const PROCESSES = 3;
const USERS = 100;
const WORKER = new URL('streams-worker.ts', import.meta.url).pathname;

/** The store of the processes. */
export interface StreamStore {
	/** Its kind, and where the processes find it. */
	readonly kind: 'Redis' | 'Postgres' | 'SQLite' | 'MariaDB';
	readonly address: string;
	/** The number of processes that listen to its feed, if it has one. */
	listeners?(): Promise<number>;
}

/** An open stream of a user. */
export interface Stream {
	readonly user: string;
	chunks: number;
	/** The time that the last chunk names, in milliseconds since the epoch. */
	last: number;
	isOver: boolean;
	/** When it has ended. */
	end: Promise<number>;
	readonly leave: () => void;
}

/** How long the streams of ended sessions went on after the call had returned, in milliseconds. */
export interface Ends {
	readonly ends: readonly number[];
	/** By how much their last data was made after it, at most. */
	readonly data: number;
}

export class StreamRun {
	readonly #store: StreamStore;
	readonly #workers: { child: ChildProcess; url: string }[];

	private constructor(store: StreamStore, workers: { child: ChildProcess; url: string }[]) {
		this.#store = store;
		this.#workers = workers;
	}

	/** Starts the processes. */
	static async launch(store: StreamStore, recheckAfter: number): Promise<StreamRun> {
		const workers = await Promise.all(
			Array.from({ length: PROCESSES }, async () => {
				const child = fork(WORKER, [store.kind, store.address, `${recheckAfter}`]);
				const at = await new Promise((resolve) => child.once('message', resolve));
				return { child, url: `http://127.0.0.1:${String(at)}` };
			})
		);
		return new StreamRun(store, workers);
	}

	stop(): void {
		for (const { child } of this.#workers) child.kill();
	}

	/** Opens three streams of each user, in each process one. Two of them have the same session. */
	async openAll(run: string): Promise<Stream[]> {
		const opening = Array.from({ length: USERS }, async (_, number) => {
			const user = `${run}-${number}`;
			const one = await this.#logIn(number, user);
			const other = await this.#logIn(number + 1, user);
			return Promise.all([
				this.#open(number, user, one),
				this.#open(number + 1, user, one),
				this.#open(number + 2, user, other)
			]);
		});
		const streams = (await Promise.all(opening)).flat();
		while (streams.some(({ chunks }) => chunks === 0)) await sleep(20);
		await this.connected();
		return streams;
	}

	/** Waits until all processes listen to the feed, if there is one. */
	async connected(): Promise<void> {
		if (!this.#store.listeners) return;
		while ((await this.#store.listeners()) !== PROCESSES) await sleep(20);
	}

	/** Logs half of the users out everywhere, each in one of the processes. The others go on, and leave at the end. */
	async revokeHalf(streams: readonly Stream[]): Promise<Ends> {
		const users = [...new Set(streams.map(({ user }) => user))];
		const ended = await Promise.all(
			users.slice(0, USERS / 2).map(async (user, number) => {
				const url = `${this.#urlOf(number)}/revoke?user=${user}`;
				const revoked = await this.#revoke(url);
				const theirs = streams.filter((stream) => stream.user === user);
				return Promise.all(
					theirs.map(async (stream) => {
						const end = await stream.end;
						return [Math.max(0, end - revoked), stream.last - revoked] as const;
					})
				);
			})
		);
		const all = ended.flat();
		const others = streams.filter(({ user }) => users.indexOf(user) >= USERS / 2);
		await goOn(others);
		for (const { leave } of others) leave();
		return {
			ends: all.map(([end]) => end).sort((one, other) => one - other),
			data: Math.max(0, ...all.map(([, data]) => data))
		};
	}

	/** Logs a user out everywhere, and returns when that was done. */
	async #revoke(url: string): Promise<number> {
		for (;;) {
			const response = await fetch(url, { method: 'POST' });
			if (response.ok) return Number(await response.text());
			await sleep(100);
		}
	}

	#urlOf(process: number): string {
		return this.#workers[process % PROCESSES]?.url ?? '';
	}

	/** Logs a user in. A store that is busy may refuse it for a while. */
	async #logIn(process: number, user: string): Promise<string> {
		const url = `${this.#urlOf(process)}/login?user=${user}`;
		for (;;) {
			const { headers } = await fetch(url, { method: 'POST' });
			const cookie = headers.getSetCookie()[0]?.split(';')[0];
			if (cookie !== undefined) return cookie;
			await sleep(100);
		}
	}

	async #open(process: number, user: string, cookie: string): Promise<Stream> {
		const leaving = new AbortController();
		const { status, body } = await fetch(`${this.#urlOf(process)}/events`, {
			headers: { cookie },
			signal: leaving.signal
		});
		if (status !== 200 || !body) throw new Error(`a stream was refused: ${status}`);
		const stream: Stream = {
			user,
			chunks: 0,
			last: 0,
			isOver: false,
			end: Promise.resolve(0),
			leave: () => {
				leaving.abort();
			}
		};
		stream.end = (async () => {
			for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
				stream.chunks++;
				stream.last = Number(/[\d.]+(?=\n\n$)/.exec(Buffer.from(chunk).toString())?.[0]);
			}
			stream.isOver = true;
			return performance.timeOrigin + performance.now();
		})();
		// The end of the run.
		stream.end.catch(() => undefined);
		return stream;
	}
}

/** Waits until each of these streams has more data. None may have ended. */
export async function goOn(streams: readonly Stream[]): Promise<void> {
	const before = streams.map(({ chunks }) => chunks);
	while (streams.some(({ chunks }, place) => chunks <= (before[place] ?? 0))) {
		if (streams.some(({ isOver }) => isOver)) throw new Error('a stream of another user ended');
		await sleep(20);
	}
}

/** The time within which a share of the streams has ended, in whole milliseconds. */
export function within({ ends }: Ends, share: number): number {
	return Math.round(ends[Math.ceil(share * ends.length) - 1] ?? NaN);
}
