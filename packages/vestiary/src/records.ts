import type { Recent } from './bounded.js';
import type { Columns } from './columns.js';
import type { Core } from './core.js';
import type { Given } from './progress.js';
import type { Device } from './device.js';
import { Driver, type Compute, type DriverOptions, type End, type Page } from './driver.js';
import { isolated } from './environment.js';
import { ConfigError, type StoreError } from './errors.js';
import {
	constant,
	Constant,
	Given as Flag,
	Task,
	VisitState,
	type MemoryTable
} from './generated/vestiary.js';
import type { Asking, Listener, Living, Watched } from './live-session.js';
import { LiveSessions } from './live-sessions.js';
import { tableOf } from './memory-store.js';
import type { StoreCalls } from './store-calls.js';
import type { SessionEvent, Store } from './types.js';

/** An invalid record, such as one past its deadline. */
export interface Spent {
	readonly id: string;
	readonly text: string;
	/** Whether its user's session list has an entry for it. */
	readonly isListed: boolean;
}

/** An entry of a user's session list. */
export interface ListedSession {
	readonly handle: string;
	readonly created: number;
	readonly seen: number;
	readonly label?: string;
	readonly device?: Device;
	readonly bound?: boolean;
}

/** Runs the core's operations on the store of one handle. */
export class Records {
	readonly #store: Store;
	readonly #driver: Driver;
	/** Whether the core may read and write records directly in a table. */
	readonly #mayBeHere: boolean;
	/** IDs that this process has recently taken out of use. */
	readonly #outOfUse: Recent;
	readonly #columns: Columns;
	readonly #core: Core;
	/** The sessions of the store that outlive their requests. */
	readonly #live: LiveSessions;
	readonly #asking: Asking;

	constructor(core: Core, store: Store, options: RecordsOptions) {
		const takeOutOfUse = (id: string): void => {
			this.takeOutOfUse(id);
		};
		this.#store = store;
		this.#driver = new Driver(core, store, { ...options, takeOutOfUse });
		this.#outOfUse = options.outOfUse;
		this.#columns = options.columns;
		this.#core = core;
		this.#live = options.live;
		this.#asking = {
			recheckAfter: options.recheckAfter,
			alive: async (id, reading) => this.#alive(id, reading)
		};
		// Decrypting takes longer than the wait that a table saves.
		this.#mayBeHere = !options.encrypts && !options.telemetry;
	}

	/** The store calls of the operations. */
	get calls(): StoreCalls {
		return this.#driver.calls;
	}

	/** Whether the store is atomic. */
	get atomic(): boolean {
		return !!this.#store.atomic;
	}

	/**
	 * Rejects an operation that needs an atomic store.
	 * @throws ConfigError
	 */
	checkAtomic(operation: string): void {
		if (this.atomic) return;
		throw new ConfigError(
			'store_capability',
			`${operation} needs an atomic store, and this one is not atomic (it has no \`atomic\`)`
		);
	}

	/**
	 * Whether this process has recently taken the ID out of use, perhaps in another request. What other processes have
	 * done, only a read of the store can tell.
	 */
	isOutOfUse(id: string): boolean {
		return this.#outOfUse.has(id, Date.now());
	}

	/** Takes an ID out of use in this process: from now on, none of its responses sets a cookie with this ID. */
	takeOutOfUse(id: string): void {
		this.#outOfUse.add(id, constant(Constant.OutOfUse), Date.now());
	}

	/** Puts an ID into use again: an application's `genid` may return an ID that was used before. */
	use(id: string): void {
		this.#outOfUse.remove(id);
	}

	/** The table in which the core can read and write records without store calls, if there is one. */
	get table(): MemoryTable | undefined {
		// The writes of a table name no keys, by which those who wait for the end of a session would learn of it.
		return this.#mayBeHere && this.#live.size === 0 ? tableOf(this.#store) : undefined;
	}

	/**
	 * The number of writes to the store, if it is known. While it stays the same, no session changes.
	 */
	get writes(): number | undefined {
		return this.table?.writes;
	}

	/** Runs an operation on a visit. Returns a promise only if it must wait. */
	act(
		task: Task,
		given: Given,
		page: Page,
		compute?: Compute,
		table: MemoryTable | undefined = this.table
	): End | Promise<End> {
		return this.#driver.run(task, given, page, table, compute);
	}

	/** Whether sessions are found in a near cache. */
	get hasNear(): boolean {
		return this.#driver.hasNear;
	}

	/** Opens the session of a `Cookie` header. Undefined if the header lacks our cookie. */
	open(
		header: string | null,
		flags: number,
		page: Page,
		table: MemoryTable | undefined
	): End | Promise<End> | undefined {
		return this.#driver.open(header, flags, page, table);
	}

	/** Removes an invalid record, and its entry in its user's session list. */
	async tidy({ id, text, isListed }: Spent, emit: (event: SessionEvent) => void): Promise<void> {
		await this.#run(Task.Tidy, [id, text], isListed ? Flag.More : 0, emit);
	}

	/**
	 * The active sessions of a user, the most recently used first.
	 * @throws DataError if the list cannot be read
	 */
	async list(name: string): Promise<ListedSession[]> {
		const { texts } = await this.#run(Task.List, [JSON.stringify(name)]);
		return entriesOf(texts[1] ?? '{}');
	}

	/** Revokes sessions: removes them from their user's session list, in one write. */
	async revoke(name: string, handles: readonly string[]): Promise<void> {
		await this.#run(
			Task.Revoke,
			[name, ...handles].map((text) => JSON.stringify(text))
		);
	}

	/**
	 * Finds the sessions that a provider has ended. The label of an entry is the name of its user; an entry without one is
	 * no session.
	 * @param receipt Stands for the provider's token, if there is one
	 */
	async loggedOut(
		list: string,
		receipt: string
	): Promise<{ readonly isReplayed: boolean; readonly entries: ListedSession[] }> {
		const { texts } = await this.#run(Task.LoggedOut, [list, receipt]);
		const { 1: text = '' } = texts;
		return { isReplayed: text.startsWith('!'), entries: entriesOf(text.slice(1)) };
	}

	/**
	 * Revokes all sessions of a user, except the one with the handle `keep`.
	 * @returns The time of the revocation, and that of the previous one; 0 if there was none
	 */
	async endAll(
		name: string,
		keep: string | undefined
	): Promise<{ readonly at: number; readonly before: number }> {
		return this.#run(Task.EndAll, [JSON.stringify(name), keep ?? '']);
	}

	/** Watches a session that outlives its request. */
	watch(id: string, listener: Listener): Watched {
		// A request of a Worker must not wait for the store call of another one, nor for its timer.
		const live = isolated ? new LiveSessions() : this.#live;
		return live.watch(id, this.#asking, listener);
	}

	/** Asks the store whether a session is still valid. Only its ID need be known. */
	async #alive(id: string, reading: Page['reading']): Promise<Living | undefined> {
		const given = { flags: VisitState.Stored, at: Date.now(), texts: [id, EMPTY, ''] };
		const page = { facts: 0, ...(reading && { reading }) };
		const { error, texts, flags, at } = await this.#driver.run(Task.IsAlive, given, page);
		if (error !== undefined) throw error as Error;
		const [, ids, record = ''] = texts;
		if (ids === undefined) return undefined;
		const [current = ''] = ids.split('\n', 1);
		return { id: current, end: this.#core.endOf(flags, at, record, false) };
	}

	/** The error for a store that drops deadlines and cookie attributes, if it does; returned once. */
	takeLoss(): StoreError | undefined {
		return this.#columns.takeLoss();
	}

	async #run(
		task: Task,
		texts: string[],
		flags = 0,
		emit?: (event: SessionEvent) => void
	): Promise<End> {
		const page = { facts: 0, ...(emit && { emit }) };
		const end = await this.#driver.run(task, { flags, at: 0, texts }, page, this.table);
		if (end.error !== undefined) throw end.error as Error;
		return end;
	}
}

/** The entries of a list, from JSON text. */
function entriesOf(text: string): ListedSession[] {
	const sessions = JSON.parse(text) as Record<string, Omit<ListedSession, 'handle'>>;
	return Object.entries(sessions).map(([handle, session]) => ({ handle, ...session }));
}

/** A record without data, in place of one that is not known. */
const EMPTY = '{"cookie":{},"data":{}}';

/** The options of {@link Records}. */
export interface RecordsOptions extends Omit<DriverOptions, 'takeOutOfUse'> {
	/** The maximum time between two questions about a session that outlives its request, in milliseconds. */
	readonly recheckAfter: number;
	/** Whether records are encrypted. */
	readonly encrypts: boolean;
	/** IDs that this process has recently taken out of use. */
	readonly outOfUse: Recent;
}
