/** Streams of three processes with one store, while users are logged out everywhere. */
import { setTimeout as sleep } from 'node:timers/promises';

import { eventStreams, type Stream, type StreamProcess, type StreamStore } from './streams.ts';

const PROCESSES = 3;
const USERS = 100;

/** How long the streams of ended sessions went on after the call had returned, in milliseconds. */
export interface Ends {
	readonly ends: readonly number[];
	/** By how much their last data was made after it, at most. */
	readonly data: number;
}

/** A stream that was opened for a user. */
interface Opened extends Stream {
	readonly user: string;
	/** The process that serves it. */
	readonly by: StreamProcess;
}

export class StreamRun {
	readonly #store: StreamStore;
	readonly #processes: readonly StreamProcess[];
	/** Where users log in and out. */
	readonly #urls: readonly string[];

	/** These processes have the store; some of them let users log in and out. */
	constructor(store: StreamStore, processes: readonly StreamProcess[]) {
		this.#store = store;
		this.#processes = processes;
		this.#urls = processes.flatMap(({ logins }) => logins ?? []);
	}

	/** Starts three processes of one kind. */
	static async launch(store: StreamStore, recheckAfter: number): Promise<StreamRun> {
		const starting = Array.from({ length: PROCESSES }, () => eventStreams(store, recheckAfter));
		return new StreamRun(store, await Promise.all(starting));
	}

	stop(): void {
		for (const process of this.#processes) process.stop();
	}

	/** Opens three streams of each user, in each process one. Two of them have the same session. */
	async openAll(run: string): Promise<Opened[]> {
		const opening = Array.from({ length: USERS }, async (_, number) => {
			const user = `${run}-${number}`;
			const one = await this.#logIn(number, user);
			const other = await this.#logIn(number + 1, user);
			const opening = [one, one, other].map(async (cookie, place) => {
				const by = this.#processes[(number + place) % PROCESSES];
				if (!by) throw new Error('a process is missing');
				return Object.assign(await by.open(cookie), { user, by });
			});
			return Promise.all(opening);
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

	/**
	 * Logs half of the users out everywhere, each in one of the processes, and tells how each kind of stream ended. The
	 * others go on, and leave at the end.
	 */
	async revokeHalf(streams: readonly Opened[]): Promise<Map<string, Ends>> {
		const users = [...new Set(streams.map(({ user }) => user))];
		const ended = await Promise.all(
			users.slice(0, USERS / 2).map(async (user, number) => {
				const url = `${this.#urlOf(number)}/revoke?user=${user}`;
				const revoked = await this.#revoke(url);
				const theirs = streams.filter((stream) => stream.user === user);
				return Promise.all(
					theirs.map(async (stream) => {
						const end = await stream.end;
						return {
							kind: stream.by.kind,
							end: Math.max(0, end - revoked),
							data: stream.last - revoked
						};
					})
				);
			})
		);
		const others = streams.filter(({ user }) => users.indexOf(user) >= USERS / 2);
		await goOn(others);
		for (const { leave } of others) leave();
		const all = ended.flat();
		const kinds = new Set(all.map(({ kind }) => kind));
		return new Map(
			[...kinds].map((kind) => [kind, endsOf(all.filter((one) => one.kind === kind))])
		);
	}

	/** Logs a user out everywhere, and returns when that was done. */
	async #revoke(url: string): Promise<number> {
		for (;;) {
			const response = await post(url);
			if (response.ok) return Number(await response.text());
			await sleep(100);
		}
	}

	#urlOf(number: number): string {
		return this.#urls[number % this.#urls.length] ?? '';
	}

	/** Logs a user in. */
	async #logIn(number: number, user: string): Promise<string> {
		const url = `${this.#urlOf(number)}/login?user=${user}`;
		for (;;) {
			const { headers } = await post(url);
			const cookie = headers.getSetCookie()[0]?.split(';')[0];
			if (cookie !== undefined) return cookie;
			await sleep(100);
		}
	}
}

function endsOf(streams: readonly { end: number; data: number }[]): Ends {
	return {
		ends: streams.map(({ end }) => end).sort((one, other) => one - other),
		data: Math.max(0, ...streams.map(({ data }) => data))
	};
}

/** Asks for an operation. A store that is busy or away may refuse it for a while. */
async function post(url: string): Promise<Response> {
	// SvelteKit refuses what could be a form of another site.
	const headers = { 'content-type': 'application/json' };
	const response = await fetch(url, { method: 'POST', headers });
	if (response.status >= 400 && response.status < 500)
		throw new Error(`${url} was refused: ${response.status}`);
	return response;
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
