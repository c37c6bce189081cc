import '../server-only.js';

import { redacted } from '../cause.js';
import { building } from '../environment.js';
import { ConfigError, StoreError } from '../errors.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	AtomicRead,
	AtomicStamp,
	Polling,
	Serializer,
	SessionStoreData,
	Store,
	StoreInfo
} from '../types.js';
import { checkCommon, checkObject } from './check.js';
import { isRemote } from './client.js';
import {
	driverOf,
	errorNumberOf,
	hexOf,
	isClient,
	isRefusal,
	type Driver,
	type ExecuteClient,
	type QueryClient,
	type Value
} from './mysql-client.js';
import {
	CAUSAL,
	CLUSTERED,
	LONGEST_KEY,
	NO_WRITE_ID,
	SIZES,
	statementsFor,
	SWEEP,
	SWEEP_EVERY,
	type Statements
} from './mysql-sql.js';
import { beginAlike, full, millis, parsed, type StoreOptions } from './options.js';
import { patienceOf } from './patience.js';
import { everyOf, MOST, type PollingOptions } from './polling.js';
import { missing, notCreated, recordIn, recordsOf, type Row } from './rows.js';

/** Options of a {@link MySqlStore}. */
export interface MySqlStoreOptions extends StoreOptions {
	/**
	 * The client that the application has: a pool or a connection of `mysql2` or `mariadb`, or a client of
	 * `@planetscale/database`. With Drizzle it is `db.$client`.
	 */
	client: QueryClient | ExecuteClient;
	/** The table's name. Default: `sessions`. */
	table?: string | undefined;
	/** The table's schema, which MySQL also calls a database. Default: that of the connection. */
	schema?: string | undefined;
	/**
	 * Looks for changes by other processes while sessions are watched (`session.until()`, `session.signal`): twice in a second,
	 * or each `{ every }` milliseconds. So a stream ends within a second when another process ends its session. Only processes
	 * with streams need it, and writes stay as they are. Needs the default serializer. Default: false; streams end after
	 * `recheckAfter`.
	 */
	feed?: boolean | PollingOptions | undefined;
}

/**
 * Keeps sessions in a table of MySQL (8.0 or newer) or MariaDB (10.6 or newer), which {@link MySqlStore.migrate}
 * creates.
 *
 * Each write is one statement that is a transaction of its own, and atomic at every isolation level. The
 * connections must commit by themselves (`autocommit`), as they do by default. TTLs and the order of logins go by the
 * server's clock, so the clocks of the applications need not agree. Creations also remove expired records, a few at a
 * time. Do not read from a replica: it would bring back ended sessions. The servers of a MariaDB cluster (Galera)
 * wait for each other's writes, so each of them may be asked.
 *
 * The table is that of `MySqlStore` in the Rust crate `vestiary-store`, so both share their sessions.
 *
 * ```ts
 * import { createPool } from 'mysql2/promise';
 * import { MySqlStore } from 'vestiary/mysql';
 *
 * const store = new MySqlStore({ client: createPool('mysql://app@localhost/app') });
 * ```
 */
export class MySqlStore implements Store {
	/** The client of the options. */
	readonly client: QueryClient | ExecuteClient;
	/** The prefix of every key. */
	readonly prefix: string;
	/** Converts records to text and back. */
	readonly serializer: Serializer;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. */
	readonly ttl: number;
	/** The atomic operations; undefined with a `serializer` other than `JSON`. */
	readonly atomic: AtomicOperations | undefined;
	readonly #name: string;
	readonly #statements: Statements;
	#driver: Driver | undefined;
	/** The beginning of each statement on a record; undefined until a server was asked. */
	#begin: string | undefined;
	#created = 0;

	constructor(options: MySqlStoreOptions) {
		checkOptions(options);
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		const { client, table = 'sessions', schema } = options;
		this.client = client;
		this.#name = schema === undefined ? table : `${schema}.${table}`;
		this.#statements = statementsFor(table, schema);
		isRemote(this, {
			kind: this.constructor,
			prefix: JSON.stringify([schema, table, this.prefix]),
			client
		});
		// A serializer may put the write ID where it cannot be found.
		const every = everyOf('MySqlStore', options);
		this.atomic = this.serializer === JSON ? this.#operations(every) : undefined;
	}

	/** The SQL that creates the table and its index, for an application that keeps its migrations in files. */
	get schema(): string {
		return this.#statements.schema;
	}

	/**
	 * Creates the table and its index, unless they exist. Several processes may call it at once.
	 * @throws `StoreError` if the user of the connection may not create them
	 */
	async migrate(): Promise<void> {
		try {
			await this.#open().changes(this.#statements.migrate, []);
		} catch (error) {
			throw notCreated(this.#name, error);
		}
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.#read(this.#key(id));
		return text === null ? null : parsed(this.serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const text = this.serializer.stringify(storeData);
		await this.#changes(this.#statements.set, [this.#key(id), hexOf(text), life]);
		await this.#sweep();
	}

	async destroy(id: string): Promise<void> {
		await this.#changes(this.#statements.destroy, [this.#key(id)]);
	}

	async touch(id: string, ttl: number): Promise<void> {
		await this.#touch(id, ttl);
	}

	async check(): Promise<StoreInfo> {
		const [row] = await this.#rows('SELECT VERSION() AS version', []);
		const version = String(row?.version);
		const [number] = version.split('-', 1);
		return { version: `${version.includes('MariaDB') ? 'MariaDB' : 'MySQL'} ${number}` };
	}

	#operations(every: number | undefined): AtomicOperations {
		const statements = this.#statements;
		const life = (ttl: number): number => millis(ttl, this.ttl);
		return {
			resends: false,
			ttl: this.ttl,
			now: async () => this.#now(),
			read: async (id) => this.#read(this.#key(id)),
			readTwo: async (one, other) => this.#readTwo(this.#key(one), this.#key(other)),
			create: async (id, text, ttl) => {
				const created = await this.#create(this.#key(id), hexOf(text), life(ttl));
				await this.#sweep();
				return created;
			},
			replace: async (id, writeId, text, ttl) => {
				const key = this.#key(id);
				const values = [hexOf(text), life(ttl), life(ttl), key, expected(writeId)];
				return this.#compared(statements.replace, values, key);
			},
			touchCompares: true,
			touch: async (id, ttl, writeId) => {
				if (writeId === undefined) return this.#touch(id, ttl);
				const key = this.#key(id);
				const values = [life(ttl), life(ttl), key, expected(writeId)];
				return this.#compared(statements.touchExpected, values, key);
			},
			remove: async (id, writeId) => {
				const key = this.#key(id);
				return this.#compared(statements.remove, [key, expected(writeId)], key);
			},
			stamp: async (id, text, ttl) => this.#stamp(this.#key(id), text, life(ttl)),
			...(every !== undefined && { polling: this.#polling(every) })
		};
	}

	#polling(every: number): Polling {
		return { every, most: MOST, writeIds: async (ids) => this.#writeIds(ids) };
	}

	async #writeIds(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
		const keys = new Map(ids.map((id) => [this.#key(id), id]));
		const size = SIZES.find((one) => one >= keys.size) ?? MOST;
		const [first = ''] = keys.keys();
		const values = [...keys.keys(), ...Array<string>(size - keys.size).fill(first)];
		const rows = await this.#rows(this.#statements.writeIds(size), values);
		const found = rows.map(({ key, written }) => [keys.get(String(key)), written] as const);
		return new Map(
			found.flatMap(([id, written]) => (id === undefined ? [] : [[id, String(written)]]))
		);
	}

	async #now(): Promise<number> {
		const [row] = await this.#rows(this.#statements.now, []);
		return Number(row?.now);
	}

	async #read(key: string): Promise<string | null> {
		const [row] = await this.#rows(this.#statements.read, [key]);
		return recordIn(row);
	}

	async #readTwo(one: string, other: string): Promise<readonly [AtomicRead, AtomicRead]> {
		return recordsOf(await this.#rows(this.#statements.readTwo, [one, other]), one, other);
	}

	/** Creates a record where none is, or an expired one, which is rare: that takes a second statement. */
	async #create(key: string, record: string, life: number): Promise<boolean> {
		const { revive } = this.#statements;
		// Twice, because another request may sweep the expired row between the two statements.
		for (let attempt = 0; attempt < 2; attempt++) {
			if (await this.#insert(key, record, life)) return true;
			if ((await this.#changes(revive, [record, life, life, key])) > 0) return true;
		}
		return false;
	}

	/** Creates a record where no row is, not even an expired one. */
	async #insert(key: string, record: string, life: number): Promise<boolean> {
		return this.#run(async (driver, begin) => {
			try {
				const insert = begin + this.#statements.insert;
				await driver.changes(insert, [key, record, life]);
				return true;
			} catch (error) {
				if (errorNumberOf(error) === DUPLICATE) return false;
				throw error;
			}
		});
	}

	async #touch(id: string, ttl: number): Promise<boolean> {
		const life = millis(ttl, this.ttl);
		return (await this.#changes(this.#statements.touch, [life, life, this.#key(id)])) > 0;
	}

	/**
	 * Dates a text. The clock is read after the record that the text replaces, and the text only replaces that record.
	 * So the second date in a record is never earlier than the first.
	 */
	async #stamp(key: string, text: string, life: number): Promise<AtomicStamp | null> {
		for (let attempt = 0; attempt < STAMPS; attempt++) {
			const before = await this.#read(key);
			if (before !== null && !beginAlike(before, text)) return null;
			const now = await this.#now();
			const record = hexOf(`${text}${now}}`);
			if (before === null) {
				if (await this.#create(key, record, life)) return [now, null];
				continue;
			}
			const values = [record, life, life, key, hexOf(before.slice(6, 22))];
			if ((await this.#changes(this.#statements.replace, values)) > 0) return [now, before];
		}
		return null;
	}

	/** Runs a conditional write. One that has changed nothing is explained by what is there afterwards. */
	async #compared(sql: string, values: Value[], key: string): Promise<AtomicOutcome> {
		if ((await this.#changes(sql, values)) > 0) return 'done';
		return (await this.#read(key)) === null ? 'gone' : 'conflict';
	}

	/** Removes a few expired records now and then. The written record is stored, even if this fails. */
	async #sweep(): Promise<void> {
		if (this.#created++ % SWEEP_EVERY !== 0) return;
		try {
			const rows = await this.#rows(this.#statements.expired, []);
			const keys = rows.map((row) => String(row.key));
			const [first] = keys;
			if (first === undefined) return;
			const all = Array.from({ length: SWEEP }, (_, n) => keys[n] ?? first);
			await this.#changes(this.#statements.sweep, all);
		} catch {
			// A later creation sweeps again.
		}
	}

	/** The key of a record, in hexadecimal. */
	#key(id: string): string {
		const key = hexOf(this.prefix + id);
		if (key.length <= 2 * LONGEST_KEY) return key;
		throw new StoreError(
			'store_failed',
			`a key in MySQL has at most ${LONGEST_KEY} bytes, and this one is longer: shorten the option \`prefix\``,
			{ refused: true }
		);
	}

	async #rows(sql: string, values: Value[]): Promise<readonly Row[]> {
		return this.#run(async (driver, begin) => driver.rows(begin + sql, values));
	}

	async #changes(sql: string, values: Value[]): Promise<number> {
		return this.#run(async (driver, begin) => driver.changes(begin + sql, values));
	}

	/** Runs a statement, and again if the server has rolled it back in favour of another one. */
	async #run<T>(run: (driver: Driver, begin: string) => Promise<T>): Promise<T> {
		const patience = patienceOf(this);
		const began = performance.now();
		for (let pause = 1; ; pause *= 2) {
			try {
				const driver = this.#open();
				return await run(driver, (this.#begin ??= await beginningOn(driver)));
			} catch (error) {
				const waited = performance.now() - began + pause;
				if (errorNumberOf(error) !== DEADLOCK || waited > patience)
					throw this.#explained(error);
				await new Promise((resolve) => setTimeout(resolve, pause * Math.random()));
			}
		}
	}

	#open(): Driver {
		return (this.#driver ??= driverOf(this.client));
	}

	#explained(error: unknown): unknown {
		const known = { cause: redacted(error), refused: true };
		switch (errorNumberOf(error)) {
			case NO_TABLE:
				return missing(this.#name, error);
			case NO_DATABASE:
				return new StoreError(
					'store_failed',
					'the connection has no database: name one in the options of the client, or set the option `schema`',
					known
				);
			default:
				return isRefusal(error)
					? new StoreError('store_failed', 'MySQL refused the statement', known)
					: error;
		}
	}
}

/** A row with this key exists. */
const DUPLICATE = 1_062;

/** The statement was rolled back: it and another one waited for each other, or met in two servers of a cluster. */
const DEADLOCK = 1_213;

/** The beginning of each statement on this server. */
async function beginningOn(driver: Driver): Promise<string> {
	const [row] = await driver.rows(CLUSTERED, []);
	const { Value: value } = (row ?? {}) as { Value?: unknown };
	return value === 'ON' ? CAUSAL : '';
}

/** The number of times that a dated text is written, each time after another request has replaced the record. */
const STAMPS = 100;

/** The connection has no default database. */
const NO_DATABASE = 1_046;

/** The table does not exist. */
const NO_TABLE = 1_146;

/** The write ID to compare with, in hexadecimal. */
function expected(writeId: string | null): string {
	return writeId === null || writeId === '' ? NO_WRITE_ID : hexOf(writeId);
}

/** The most characters of a name in MySQL. */
const LONGEST_NAME = 64;

function checkOptions(options: MySqlStoreOptions): void {
	const usage = '`new MySqlStore({ client })`';
	if (isClient(options))
		throw new ConfigError(
			'options',
			`\`new MySqlStore(client)\` must be ${usage}: the client is one of the options`
		);
	checkObject('MySqlStore', options, usage);
	const { client } = options as Partial<MySqlStoreOptions>;
	if (!isClient(client) && !(building && client === undefined))
		throw new ConfigError(
			'options',
			`${usage}: \`client\` must be a pool or a connection of mysql2 or mariadb, or a client of @planetscale/database`
		);
	checkCommon('MySqlStore', options, ['client', 'table', 'schema', 'feed']);
	for (const name of ['table', 'schema'] as const) checkName(name, options[name]);
}

/** MySQL has no names with NUL, with characters beyond U+FFFF, or with a space at the end. Clients take `?` for a value. */
function checkName(option: 'table' | 'schema', name: unknown): void {
	if (name === undefined) return;
	if (
		typeof name === 'string' &&
		name.length <= LONGEST_NAME &&
		/^[^\0?\ud800-\udfff]*[^\0?\ud800-\udfff ]$/.test(name)
	)
		return;
	throw new ConfigError(
		'options',
		`\`${option}\` must be a name of 1 to ${LONGEST_NAME} characters: without NUL, \`?\` and emoji, and without a space at the end`
	);
}

export default MySqlStore;
