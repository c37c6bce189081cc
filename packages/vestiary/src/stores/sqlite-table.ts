import { redacted } from '../cause.js';
import { StoreError } from '../errors.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	AtomicRead,
	Polling,
	Serializer,
	SessionStoreData,
	Store,
	StoreInfo
} from '../types.js';
import { full, millis, parsed, type StoreOptions } from './options.js';
import { patienceOf } from './patience.js';
import { MOST } from './polling.js';
import { recordIn, recordsOf, type Row } from './rows.js';
import type { Driver, Value } from './sqlite-driver.js';
import { statementsFor, type Statements } from './sqlite-sql.js';

/** The longest pause between two attempts while another process writes, in milliseconds. */
const LONGEST_PAUSE = 50;

/** A store whose records are in a table of SQLite, whatever its driver. */
export abstract class SqliteTable implements Store {
	/** The prefix of every key. */
	readonly prefix: string;
	/** Converts records to text and back. */
	readonly serializer: Serializer;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. */
	readonly ttl: number;
	/** The atomic operations; undefined with a `serializer` other than `JSON`. */
	readonly atomic: AtomicOperations | undefined;
	protected readonly statements: Statements;

	/** @param every The time between two questions about watched records, in milliseconds; undefined for none */
	constructor(options: StoreOptions, table: string, every?: number) {
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		this.statements = statementsFor(table);
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.serializer === JSON ? this.#operations(every) : undefined;
	}

	/** Opens the database, unless it is open. After a failure, the next call tries again. */
	protected abstract open(): Driver | Promise<Driver>;

	/** The error for an error of the driver: itself, unless the store knows what to do about it. */
	protected explain(error: unknown): unknown {
		return error;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const [row] = await this.rows(this.statements.read, this.prefix + id, Date.now());
		return typeof row?.record === 'string' ? parsed(this.serializer, row.record) : null;
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const text = this.serializer.stringify(storeData);
		const now = Date.now();
		await this.#changes(this.statements.set, this.prefix + id, text, now + life);
		await this.#sweep(now);
	}

	async destroy(id: string): Promise<void> {
		await this.#changes(this.statements.destroy, this.prefix + id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		await this.#touch(id, ttl);
	}

	async check(): Promise<StoreInfo> {
		const [row] = await this.rows('SELECT sqlite_version() AS version');
		return { version: `SQLite ${String(row?.version)}` };
	}

	/** The state of the database, which changes with each write; undefined if it is unknown. */
	protected async state(): Promise<string | undefined> {
		return Promise.resolve(undefined);
	}

	#operations(every: number | undefined): AtomicOperations {
		const { statements } = this;
		const until = (now: number, ttl: number): number => now + millis(ttl, this.ttl);
		return {
			resends: false,
			ttl: this.ttl,
			read: async (id) => {
				const [row] = await this.rows(statements.read, this.prefix + id, Date.now());
				return recordIn(row);
			},
			readTwo: async (one, other) => this.#readTwo(this.prefix + one, this.prefix + other),
			create: async (id, text, ttl) => {
				const now = Date.now();
				const values = [this.prefix + id, text, until(now, ttl), now] as const;
				const changes = await this.#changes(statements.create, ...values);
				await this.#sweep(now);
				return changes > 0;
			},
			replace: async (id, writeId, text, ttl) => {
				const [key, now] = [this.prefix + id, Date.now()];
				const values = [text, until(now, ttl), key, now, writeId ?? ''] as const;
				return this.#outcome(await this.#changes(statements.replace, ...values), key, now);
			},
			touchCompares: true,
			touch: async (id, ttl, writeId) => {
				if (writeId === undefined) return this.#touch(id, ttl);
				const [key, now] = [this.prefix + id, Date.now()];
				const values = [until(now, ttl), key, now, writeId ?? ''] as const;
				const changes = await this.#changes(statements.touchExpected, ...values);
				return this.#outcome(changes, key, now);
			},
			remove: async (id, writeId) => {
				const [key, now] = [this.prefix + id, Date.now()];
				const changes = await this.#changes(statements.remove, key, now, writeId ?? '');
				return this.#outcome(changes, key, now);
			},
			...(every !== undefined && { polling: this.#polling(every) })
		};
	}

	#polling(every: number): Polling {
		return {
			every,
			most: MOST,
			writeIds: async (ids) => {
				const keys = JSON.stringify(ids.map((id) => this.prefix + id));
				const rows = await this.rows(this.statements.writeIds, keys);
				return new Map(
					rows.map(({ key, written }) => [
						String(key).slice(this.prefix.length),
						String(written)
					])
				);
			},
			state: async () => this.state()
		};
	}

	async #readTwo(one: string, other: string): Promise<readonly [AtomicRead, AtomicRead]> {
		const rows = await this.rows(this.statements.readTwo, one, other, Date.now());
		return recordsOf(rows, one, other);
	}

	async #touch(id: string, ttl: number): Promise<boolean> {
		const now = Date.now();
		const values = [now + millis(ttl, this.ttl), this.prefix + id, now] as const;
		return (await this.#changes(this.statements.touch, ...values)) > 0;
	}

	/** Explains why a statement changed nothing. Each statement is a transaction of its own, so this reads afterwards. */
	async #outcome(changes: number, key: string, now: number): Promise<AtomicOutcome> {
		if (changes > 0) return 'done';
		const [row] = await this.rows(this.statements.read, key, now);
		return row ? 'conflict' : 'gone';
	}

	/** Removes a few expired records. The written record is stored, even if the sweep fails. */
	async #sweep(now: number): Promise<void> {
		try {
			const driver = await this.open();
			await driver.changes(this.statements.sweep, now);
		} catch {
			// The next write sweeps again.
		}
	}

	protected async rows(sql: string, ...values: Value[]): Promise<readonly Row[]> {
		return this.#run(async (driver) => driver.rows(sql, ...values));
	}

	async #changes(sql: string, ...values: Value[]): Promise<number> {
		return this.#run(async (driver) => driver.changes(sql, ...values));
	}

	/** Runs a statement, and retries it while another process writes. */
	async #run<T>(run: (driver: Driver) => Promise<T>): Promise<T> {
		const patience = patienceOf(this);
		const began = performance.now();
		for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
			try {
				return await run(await this.open());
			} catch (error) {
				if (!isBusy(error)) throw this.explain(error);
				const left = patience - (performance.now() - began);
				if (left <= 0) throw locked(patience, error);
				// Jitter, so that several waiting writers do not return at once.
				const jitter = pause * (0.5 + Math.random() / 2);
				// Timers count whole milliseconds: the last pause must not end before the limit.
				const wait = Math.min(Math.ceil(left) + 1, jitter);
				await new Promise((resolve) => setTimeout(resolve, wait));
			}
		}
	}
}

/**
 * `SQLITE_BUSY` and `SQLITE_LOCKED`: in the low byte of the code of `node:sqlite`, and as the beginning of a name in
 * other drivers.
 */
function isBusy(error: unknown): boolean {
	const { errcode, code } = (error ?? {}) as { errcode?: unknown; code?: unknown };
	if (typeof errcode === 'number') return [5, 6].includes(errcode & 0xff);
	return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED)/.test(code);
}

function locked(after: number, error: unknown): StoreError {
	const message = `the session store could not write within ${Math.ceil(after)} ms: another process holds the write lock of the SQLite file. Nothing was done`;
	return new StoreError('store_timeout', message, { cause: redacted(error), refused: true });
}
