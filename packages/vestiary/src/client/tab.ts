import { CLIENT_HEADER, type ClientAnswer, type ClientSession } from '../client-session.js';
import { Leader } from './leader.js';

/** The parts of the page that a tab needs. */
export interface Page {
	/** Runs SvelteKit's load functions again, after a navigation in progress. */
	refresh(): Promise<unknown>;
	/** Called when there is something new to show. */
	publish(seen: Seen): void;
}

/** The part of a session that the page does not know from its data. */
export interface Seen {
	/** The keys of sessions that have ended. The data of the page may still be that of one. */
	readonly gone: ReadonlySet<string>;
	/** When the session ends unless it is used, by the clock of the server. */
	readonly expires: number | null;
	/** The number of seconds until the session ends, once a warning is due. */
	readonly secondsLeft: number | undefined;
}

/** Code of the application that wants to know. */
export interface Hooks {
	/** How long before its end the page warns, in seconds. */
	readonly warnBefore?: number | undefined;
	/** Called when a warning is due. */
	readonly onExpiring?: ((secondsLeft: number) => void) | undefined;
	/** Called when the session has ended, in place of `refreshAll()`. */
	readonly onEnded?: (() => unknown) | undefined;
}

/** The message of a tab that shows a session to the others, which is only a hint: they look for themselves. */
interface Message extends Pick<ClientAnswer, 'key' | 'at' | 'expires'> {
	/** The number for its public data; undefined if it shows the session no more. */
	readonly hash?: number;
}

/**
 * The session as one tab of a browser shows it.
 *
 * The data of the page decides what is shown. Other tabs, the stream of the server and the clock are hints that make the
 * tab ask the server, or run SvelteKit's load functions again. Only an answer of the server ends a session, and only the
 * one that was shown when the tab asked: so no late answer ends its successor.
 */
export class Tab {
	readonly #name: string;
	readonly #page: Page;
	readonly #hooks = new Set<Hooks>();
	#shown: ClientSession | undefined;
	/** A number for the public data that is shown. */
	#hash = 0;
	#gone: ReadonlySet<string> = new Set();
	#expires: number | null = null;
	/** How far the clock of the server is ahead of that of the browser, in milliseconds. */
	#ahead = 0;
	/** When the session ends, by the clock of the browser. */
	#end: number | undefined;
	/** When the server was last asked, by the clock of the browser. */
	#asked = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** The number of runs of the load functions that other tabs have brought about. */
	#refreshing = 0;
	/** Whether another tab has newer data, while this one is hidden. */
	#isStale = false;
	/** The last hint that came while the page still showed an ended session. */
	#missed: Message | undefined;
	/** Whether to load the data of the page again until it is no longer that of an ended session. */
	#isLeaving = false;
	#isWarning = false;
	#channel: BroadcastChannel | undefined;
	#leader: Leader | undefined;

	/** @param name The name by which the tabs of an app know each other */
	constructor(name: string, page: Page) {
		this.#name = name;
		this.#page = page;
	}

	/** Starts with the first hooks. Returns a function with which they leave. */
	join(hooks: Hooks): () => void {
		this.#hooks.add(hooks);
		if (this.#hooks.size === 1) {
			this.#start();
			addEventListener('pagehide', this.#stop);
			addEventListener('pageshow', this.#back);
			document.addEventListener('visibilitychange', this.#seen);
		}
		return () => {
			this.#hooks.delete(hooks);
			if (this.#hooks.size > 0) return;
			this.#stop();
			removeEventListener('pagehide', this.#stop);
			removeEventListener('pageshow', this.#back);
			document.removeEventListener('visibilitychange', this.#seen);
		};
	}

	/** Called with the session in the data of the page, when that has changed. */
	shows(session: ClientSession | undefined): void {
		const before = this.#shown;
		if (!session || session === before) return;
		const hash = hashOf(session);
		const isSame = before?.key === session.key && hash === this.#hash;
		this.#shown = session;
		this.#hash = hash;
		if (this.#isGone(session)) {
			// The response to a request that was sent before the session ended.
			void this.#leave();
			return;
		}
		this.#learn(session);
		if (before?.key !== session.key || before?.path !== session.path) this.#lead();
		if (!isSame && this.#refreshing === 0) this.#tell();
		const missed = this.#missed;
		this.#missed = undefined;
		if (missed) this.#hint(missed);
	}

	/**
	 * Extends the session.
	 * @returns Whether the visitor still has it
	 */
	async extend(): Promise<boolean> {
		const key = this.#shown?.key;
		if (this.#shown?.path === undefined) await this.#refresh();
		else if ((await this.#ask('POST')) === true) this.#tell();
		else return false;
		return key !== undefined && this.#shown?.key === key;
	}

	#start(): void {
		this.#channel = new BroadcastChannel(`vestiary ${this.#name}`);
		this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
			this.#hint(data);
		};
		this.#leader = new Leader(`vestiary ${this.#name}`, async () => this.#ask());
		this.#lead();
		this.#plan();
	}

	readonly #stop = (): void => {
		this.#channel?.close();
		this.#leader?.stop();
		this.#channel = this.#leader = undefined;
		clearTimeout(this.#timer);
	};

	/** The visitor is back on a page that the browser has kept. */
	readonly #back = ({ persisted }: PageTransitionEvent): void => {
		if (!persisted) return;
		this.#start();
		void this.#look();
	};

	/** The visitor sees the tab again. Its timers and its connection may have slept. */
	readonly #seen = (): void => {
		if (document.hidden) return;
		this.#plan();
		if (this.#isStale) void this.#refresh();
		else if (Date.now() - this.#asked >= PAUSE) void this.#ask();
	};

	/** Whether the session that the page shows has ended. */
	#isGone({ key }: ClientSession): boolean {
		return key !== undefined && this.#gone.has(key);
	}

	/** Asks about the session, or loads it again if the server does not answer questions. */
	async #look(): Promise<void> {
		if (this.#shown?.path === undefined) await this.#refresh();
		else await this.#ask();
	}

	/** A hint of another tab. */
	#hint(message: Message): void {
		const shown = this.#shown;
		if (!shown) return;
		if (this.#isGone(shown)) this.#missed = message;
		else if (message.key !== shown.key) void this.#look();
		else if (message.hash === undefined || message.hash === this.#hash) this.#learn(message);
		else if (document.hidden) this.#isStale = true;
		else void this.#refresh();
	}

	/** Tells the other tabs what this one shows. */
	#tell(): void {
		const shown = this.#shown;
		if (!shown) return;
		const { key } = shown;
		const expires = this.#expires;
		const at = Date.now() + this.#ahead;
		this.#channel?.postMessage({ key, at, expires, hash: this.#hash } satisfies Message);
	}

	/** Holds the stream of this browser's tabs, if this one is to. */
	#lead(): void {
		const { key, path } = this.#shown ?? {};
		this.#leader?.follow(key === undefined ? undefined : path);
	}

	/** Loads the data of the page again. Other tabs have caused this, so this tab does not report the outcome to them. */
	async #refresh(): Promise<void> {
		this.#isStale = false;
		this.#refreshing++;
		try {
			await this.#page.refresh();
		} catch {
			// Perhaps the network is down.
		} finally {
			this.#refreshing--;
		}
	}

	/** Loads the data of the page again, until it is not that of an ended session. */
	async #leave(): Promise<void> {
		if (this.#isLeaving) return;
		this.#isLeaving = true;
		for (let pause = 1_000; ; pause = Math.min(pause * 2, 30_000)) {
			await this.#refresh();
			if (!this.#shown || !this.#isGone(this.#shown) || !this.#channel) break;
			await passed(pause);
		}
		this.#isLeaving = false;
	}

	/**
	 * Asks the server about the session that is shown.
	 * @param method `POST` extends it
	 * @returns Whether the visitor still has it; undefined if that is not known
	 */
	async #ask(method: 'GET' | 'POST' = 'GET'): Promise<boolean | undefined> {
		for (let waits = 0; ; waits++) {
			const shown = this.#shown;
			if (shown?.path === undefined) return undefined;
			this.#asked = Date.now();
			const answer = await answerOf(shown.path, method);
			// Meanwhile the page may have got another session.
			if (!answer || this.#shown?.key !== shown.key) return undefined;
			if (this.#isGone(shown)) return false;
			if (answer.key === shown.key) {
				this.#learn({ ...answer, expires: answer.expires ?? this.#expires });
				return true;
			}
			if (!answer.replaced || waits === REPLACED.length) {
				this.#replaced(shown, answer);
				return false;
			}
			// The browser has not got the cookie of a login yet.
			await passed(REPLACED[waits] ?? 0);
		}
	}

	/** The visitor does not have this session any more. */
	#replaced(shown: ClientSession, answer: ClientAnswer): void {
		if (shown.key !== undefined) this.#gone = new Set([...this.#gone, shown.key]);
		this.#end = undefined;
		this.#expires = null;
		this.#plan();
		const { key, at, expires } = answer;
		// Those without a session look as soon as another tab shows one.
		if (shown.key !== undefined)
			this.#channel?.postMessage({ key, at, expires } satisfies Message);
		const hasEnded = shown.signedIn ? !answer.signedIn : answer.key === undefined;
		const hooks = hasEnded ? [...this.#hooks].flatMap(({ onEnded }) => onEnded ?? []) : [];
		for (const onEnded of hooks) onEnded();
		if (hooks.length === 0) void this.#leave();
	}

	#learn({ at, expires }: Pick<ClientAnswer, 'at' | 'expires'>): void {
		this.#expires = expires;
		this.#ahead = at - Date.now();
		this.#end = expires === null ? undefined : expires - this.#ahead;
		this.#plan();
	}

	/** Warns if the session ends soon, and asks the server when it should have ended. */
	#plan(): void {
		clearTimeout(this.#timer);
		const left = this.#end === undefined ? Infinity : this.#end - Date.now();
		const before = this.#before;
		if (left > before) {
			this.#isWarning = false;
			this.#publish(undefined);
			if (this.#end !== undefined) this.#wait(Math.min(left - before, LONGEST));
			return;
		}
		const { path } = this.#shown ?? {};
		const isDue = Date.now() - this.#asked >= PAUSE;
		if (path !== undefined && isDue) {
			// Another tab, or another request of this one, may have used it meanwhile.
			void this.#ask().finally(() => {
				if (this.#channel) this.#plan();
			});
			return;
		}
		if (left <= 0) {
			if (path !== undefined) {
				this.#publish(0);
				this.#wait(PAUSE);
			} else {
				this.#end = undefined;
				this.#publish(undefined);
				void this.#refresh();
			}
			return;
		}
		const secondsLeft = Math.ceil(left / 1_000);
		this.#publish(secondsLeft);
		if (!this.#isWarning) {
			this.#isWarning = true;
			for (const { onExpiring } of this.#hooks) onExpiring?.(secondsLeft);
		}
		this.#wait(left % 1_000 || 1_000);
	}

	get #before(): number {
		const all = [...this.#hooks].flatMap(({ warnBefore }) => warnBefore ?? []);
		return 1_000 * (all.length > 0 ? Math.max(...all) : 60);
	}

	#wait(milliseconds: number): void {
		if (!this.#channel) return;
		this.#timer = setTimeout(() => {
			this.#plan();
		}, milliseconds);
	}

	#publish(secondsLeft: number | undefined): void {
		this.#page.publish({ gone: this.#gone, expires: this.#expires, secondsLeft });
	}
}

/** The shortest time between two questions about a session that ends soon, in milliseconds. */
const PAUSE = 10_000;

/** How long to wait for the cookie of a login that has replaced the session, in milliseconds. */
const REPLACED = [200, 400];

/** The longest delay of a timer, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** Asks the server. Undefined if it cannot be reached, or knows nothing. */
async function answerOf(path: string, method: string): Promise<ClientAnswer | undefined> {
	try {
		const response = await fetch(path, {
			method,
			cache: 'no-store',
			headers: { accept: 'application/json', [CLIENT_HEADER]: '1' }
		});
		return response.ok ? ((await response.json()) as ClientAnswer) : undefined;
	} catch {
		return undefined;
	}
}

async function passed(milliseconds: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A number for the public part of a session. Two parts with the same number cost a tab no more than older data. */
function hashOf({ signedIn, data }: ClientSession): number {
	let hash = 0;
	for (const char of textOf([signedIn, data]))
		hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) | 0;
	return hash;
}

/** A text for a value that SvelteKit can serialise. */
function textOf(value: unknown): string {
	try {
		return JSON.stringify(value, (_, part: unknown) => {
			if (part instanceof Map || part instanceof Set) return [...part] as unknown[];
			return typeof part === 'bigint' ? String(part) : part;
		});
	} catch {
		// It contains itself.
		return '';
	}
}
