import { vi } from 'vitest';

import type { ClientAnswer, ClientSession } from '../src/client-session.js';
import { Tab, type Hooks, type Seen } from '../src/client/tab.js';

/** The session of a browser, as its server knows it. */
export interface Server {
	/** Its answer; undefined while it cannot be reached. */
	answer: ClientAnswer | undefined;
	/** Called for each question, before its answer. */
	asked: (method: string) => unknown;
	status: number;
	readonly requests: string[];
}

/** Streams that tabs have opened. */
class Streams {
	readonly open = new Set<FakeEventSource>();
	opened = 0;

	/** Ends all of them, as the server does when the session has ended, or as a broken connection. */
	end(): void {
		for (const stream of [...this.open]) stream.onerror?.();
	}
}

class FakeEventSource {
	static streams: Streams;
	onopen: (() => void) | undefined;
	onerror: (() => void) | undefined;

	constructor() {
		FakeEventSource.streams.open.add(this);
		FakeEventSource.streams.opened++;
		queueMicrotask(() => this.onopen?.());
	}

	close(): void {
		FakeEventSource.streams.open.delete(this);
	}
}

class FakeChannel {
	static readonly all = new Set<FakeChannel>();
	onmessage: ((event: { data: unknown }) => void) | undefined;
	readonly name: string;

	constructor(name: string) {
		this.name = name;
		FakeChannel.all.add(this);
	}

	postMessage(data: unknown): void {
		const message = structuredClone(data);
		for (const other of [...FakeChannel.all])
			if (other !== this && other.name === this.name)
				queueMicrotask(() => {
					if (FakeChannel.all.has(other)) other.onmessage?.({ data: message });
				});
	}

	close(): void {
		FakeChannel.all.delete(this);
	}
}

/** A lock manager with one lock. */
class FakeLocks {
	#last: Promise<unknown> = Promise.resolve();

	async request(
		_: string,
		{ signal }: { signal: AbortSignal },
		run: () => Promise<void>
	): Promise<void> {
		const before = this.#last;
		const turn = before.then(async () => {
			if (!signal.aborted) await run();
		});
		this.#last = turn;
		return turn;
	}
}

/** A tab, with the page that SvelteKit would show in it. */
export interface TestTab {
	tab: Tab;
	/** The outcome of the last `publish`. */
	seen: Seen | undefined;
	/** How often the load functions ran again. */
	refreshed: number;
	/** The session that the load functions return. */
	loads: () => ClientSession | undefined | Promise<ClientSession | undefined>;
	/** Shows the data of a page. */
	show: (session: ClientSession | undefined) => void;
	leave: () => void;
}

/** A browser, whose globals replace those of Node.js until the test unstubs them. */
export class Browser {
	readonly streams: Streams = new Streams();
	readonly server: Server = {
		answer: undefined,
		asked: () => undefined,
		status: 200,
		requests: []
	};
	readonly window: EventTarget = new EventTarget();
	readonly document: EventTarget & { hidden: boolean } = Object.assign(new EventTarget(), {
		hidden: false
	});

	constructor({ locks = true } = {}) {
		FakeEventSource.streams = this.streams;
		FakeChannel.all.clear();
		vi.stubGlobal('EventSource', FakeEventSource);
		vi.stubGlobal('BroadcastChannel', FakeChannel);
		vi.stubGlobal('document', this.document);
		vi.stubGlobal('navigator', locks ? { locks: new FakeLocks() } : {});
		const { window } = this;
		vi.stubGlobal('addEventListener', window.addEventListener.bind(window));
		vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window));
		vi.stubGlobal('fetch', async (path: string, { method }: { method: string }) => {
			this.server.requests.push(`${method} ${path}`);
			await this.server.asked(method);
			const { answer } = this.server;
			if (!answer) throw new TypeError('fetch failed');
			return Response.json(answer, { status: this.server.status });
		});
	}

	/** Opens a tab that shows a session. */
	open(session: ClientSession | undefined, hooks: Hooks = {}): TestTab {
		const one: TestTab = {
			tab: new Tab('session', {
				refresh: async () => {
					one.refreshed++;
					one.show(await one.loads());
				},
				publish: (seen) => {
					one.seen = seen;
				}
			}),
			seen: undefined,
			refreshed: 0,
			loads: () => session,
			show: (shown) => {
				one.tab.shows(shown);
			},
			leave: () => undefined
		};
		one.leave = one.tab.join(hooks);
		one.show(session);
		return one;
	}

	/** The visitor hides the tabs, or sees them again. */
	hide(hidden: boolean): void {
		this.document.hidden = hidden;
		this.document.dispatchEvent(new Event('visibilitychange'));
	}
}

/** A session of a page; each call makes another object, as each load does. */
export function session(key: string | undefined, more: Partial<ClientSession> = {}): ClientSession {
	return {
		key,
		signedIn: key !== undefined,
		data: undefined,
		at: Date.now(),
		expires: null,
		idleUntil: null,
		path: '/_session',
		...more
	};
}

/** An answer of the server. */
export function answer(key: string | undefined, more: Partial<ClientAnswer> = {}): ClientAnswer {
	const { signedIn, at, expires, idleUntil } = session(key);
	return { key, signedIn, at, expires, idleUntil, ...more };
}
