import type { Recent } from './bounded.js';
import type { Columns } from './columns.js';
import type { Core } from './core.js';
import type { Given, User } from './going.js';
import { Driver, type Compute, type DriverOptions, type End, type Page } from './driver.js';
import { ConfigError, type StoreError } from './errors.js';
import { constant, Constant, Given as Flag, Task, type MemoryTable } from './generated/vestiary.js';
import { tableOf } from './memory-store.js';
import type { SessionEvent, Store } from './types.js';

/** A record that counts for nothing any more. */
export interface Spent {
	readonly id: string;
	readonly text: string;
	/** It has an entry in its user's session list. */
	readonly isListed: boolean;
}

/** One of a user's sessions, as the list has it. */
export interface ListedSession {
	readonly handle: string;
	readonly created: number;
	readonly seen: number;
	readonly label?: string;
}

/** The sessions of one handle: runs the operations of the core on its store. */
export class Records {
	readonly #store: Store;
	readonly #driver: Driver;
	/** The core may read and write records where they lie. */
	readonly #mayBeHere: boolean;
	/** IDs that this process has taken out of use lately. */
	readonly #retired: Recent;
	readonly #columns: Columns;

	constructor(core: Core, store: Store, options: RecordsOptions) {
		const retire = (id: string): void => {
			this.retire(id);
		};
		this.#store = store;
		this.#driver = new Driver(core, store, { ...options, retire });
		this.#retired = options.retired;
		this.#columns = options.columns;
		// To decrypt takes longer than to wait.
		this.#mayBeHere = !options.encrypts && !options.telemetry;
	}

	/** Whether the store compares before it writes. */
	get atomic(): boolean {
		return !!this.#store.atomic;
	}

	/** Refuses an operation that the store cannot compare for. */
	checkAtomic(what: string): void {
		if (this.atomic) return;
		throw new ConfigError(
			'store_capability',
			`${what} needs a store that compares before it writes, and this one does not (\`store.atomic\`)`
		);
	}

	/**
	 * Whether this ID was taken out of use while its cookie was on the way to a response. Other processes
	 * cannot be asked without asking the store again.
	 */
	isRetired(id: string): boolean {
		return this.#retired.has(id, Date.now());
	}

	/** Takes an ID out of use in this process: no response of it sets a cookie with this ID any more. */
	retire(id: string): void {
		this.#retired.add(id, constant(Constant.Retired), Date.now());
	}

	/** An ID is in use from now on, also if the application has made it before. */
	use(id: string): void {
		this.#retired.remove(id);
	}

	/** Where the core can read and write records without asking the store. */
	get table(): MemoryTable | undefined {
		return this.#mayBeHere ? tableOf(this.#store) : undefined;
	}

	/**
	 * How often something was written to the store, where that is known: as long as it stays the same, so does each
	 * session.
	 */
	get writes(): number | undefined {
		return this.table?.writes;
	}

	/** Runs an operation on a visit. Its end, if there is nothing to wait for. */
	act(
		task: Task,
		given: Given,
		page: Page,
		compute?: Compute,
		table: MemoryTable | undefined = this.table
	): End | Promise<End> {
		return this.#driver.run(task, given, page, table, compute);
	}

	/** Opens the session of a `Cookie` header on a table. Undefined if it has no cookie of ours. */
	open(
		header: string | null,
		flags: number,
		page: Page,
		table: MemoryTable
	): End | Promise<End> | undefined {
		return this.#driver.open(header, flags, page, table);
	}

	/** Removes a record that counts for nothing, and its entry in its user's session list. */
	async tidy({ id, text, isListed }: Spent, tell: (event: SessionEvent) => void): Promise<void> {
		await this.#run(Task.Tidy, [id, text], isListed ? Flag.More : 0, tell);
	}

	/**
	 * The sessions of a user, the one that was used last first.
	 * @throws DataError if the list cannot be read
	 */
	async list(name: string): Promise<ListedSession[]> {
		const { texts } = await this.#run(Task.List, [JSON.stringify(name)]);
		const sessions = JSON.parse(texts[1] ?? '{}') as Record<
			string,
			Omit<ListedSession, 'handle'>
		>;
		return Object.entries(sessions).map(([handle, session]) => ({ handle, ...session }));
	}

	/** Takes a session out of the list of its user. */
	async revoke({ name, handle }: User): Promise<void> {
		await this.#run(Task.Revoke, [JSON.stringify(name), JSON.stringify(handle)]);
	}

	/**
	 * Ends all sessions of a user but one.
	 * @returns When, and when they had been ended before that; 0 if never
	 */
	async endAll(
		name: string,
		keep: string | undefined
	): Promise<{ readonly at: number; readonly before: number }> {
		return this.#run(Task.EndAll, [JSON.stringify(name), keep ?? '']);
	}

	/** Why deadlines and cookie attributes of sessions are lost in this store, if they are: once. */
	takeLoss(): StoreError | undefined {
		return this.#columns.takeLoss();
	}

	async #run(
		task: Task,
		texts: string[],
		flags = 0,
		tell?: (event: SessionEvent) => void
	): Promise<End> {
		const page = { facts: 0, ...(tell && { tell }) };
		const end = await this.#driver.run(task, { flags, at: 0, texts }, page, this.table);
		if (end.error !== undefined) throw end.error as Error;
		return end;
	}
}

/** The options that sessions depend on. */
export interface RecordsOptions extends Omit<DriverOptions, 'retire'> {
	readonly encrypts: boolean;
	/** IDs that this process has taken out of use lately. */
	readonly retired: Recent;
}
