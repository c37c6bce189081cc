import '../server-only.js';

import { building } from '../environment.js';
import { ConfigError, StoreError } from '../errors.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	AtomicRead,
	AtomicStamp,
	Serializer,
	SessionStoreData,
	Store,
	StoreInfo
} from '../types.js';
import { checkCommon, checkObject, has } from './check.js';
import { isRemote } from './client.js';
import { hashed } from './hash.js';
import { full, millis, parsed, type StoreOptions } from './options.js';
import { listenOf, type Listen } from './postgres-feed.js';
import {
	channelOf,
	OUTCOMES,
	statementsFor,
	SWEEP_EVERY,
	type Statements
} from './postgres-sql.js';
import { checkNames } from '../names.js';
import { missing, notCreated, recordIn, recordsOf, type Row } from './rows.js';

/**
 * A client with `query(text, values)`: `Pool` or `Client` of `pg`, `Pool` or the HTTP function of
 * `@neondatabase/serverless`, or PGlite.
 */
export interface QueryClient {
	query(text: string, values?: unknown[]): PromiseLike<unknown>;
}

/** A client with `unsafe(text, values)`: that of the package `postgres`, or `Bun.sql`. */
export interface UnsafeClient {
	unsafe(text: string, values?: unknown[], options?: { prepare: boolean }): PromiseLike<unknown>;
}

/** Options of a {@link PostgresStore}. */
export interface PostgresStoreOptions extends StoreOptions {
	/** The client that the application has, such as a `Pool` of `pg`. With Drizzle it is `db.$client`. */
	client: QueryClient | UnsafeClient;
	/** The table's name. Default: `sessions`. */
	table?: string | undefined;
	/** The table's schema. Default: the first one of the `search_path` that has the table. */
	schema?: string | undefined;
	/**
	 * Tells other processes of changes (`NOTIFY`), so that the streams of an ended session end within a second. All
	 * processes with this table need it. A process with open streams listens on one further connection; behind a pooler
	 * such as PgBouncer, `{ client }` is the client for it, connected to Postgres itself. Postgres commits one transaction
	 * with a notification after the other. Default: false; streams end after `recheckAfter`.
	 */
	feed?: boolean | { client: QueryClient | UnsafeClient } | undefined;
}

/**
 * Keeps sessions in a table of Postgres (12 or newer), which {@link PostgresStore.migrate} creates.
 *
 * Each operation is one statement, and atomic at Postgres's default isolation level, `READ COMMITTED`. At a stricter
 * level, concurrent requests get errors. TTLs and the order of logins go by the server's clock, so the clocks of the
 * applications need not agree. Creations also remove expired records, a few at a time. Do not read from a replica: it
 * would bring back ended sessions.
 *
 * The table is that of `PostgresStore` in the Rust crate `vestiary-store`, so both share their sessions.
 *
 * ```ts
 * import pg from 'pg';
 * import { PostgresStore } from 'vestiary/postgres';
 *
 * const store = new PostgresStore({ client: new pg.Pool({ connectionString }) });
 * ```
 */
export class PostgresStore implements Store {
	/** The client of the options. */
	readonly client: QueryClient | UnsafeClient;
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
	readonly #channel: string;
	readonly #listen: Listen | undefined;
	#created = 0;

	constructor(options: PostgresStoreOptions) {
		checkOptions(options);
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		const { client, table = 'sessions', schema, feed } = options;
		this.client = client;
		this.#name = schema === undefined ? table : `${schema}.${table}`;
		this.#statements = statementsFor(table, schema, isWanted(feed));
		this.#channel = channelOf(table);
		this.#listen = isWanted(feed) ? listenOf(listening(options)) : undefined;
		isRemote(this, {
			kind: this.constructor,
			prefix: JSON.stringify([schema, table, this.prefix]),
			client
		});
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.serializer === JSON ? this.#operations() : undefined;
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
			await this.#query(this.#statements.migrate);
		} catch (error) {
			throw notCreated(this.#name, error);
		}
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.#read(id);
		return text === null ? null : parsed(this.serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const text = this.serializer.stringify(storeData);
		await this.#run(this.#statements.set, [this.prefix + id, text, life]);
		await this.#sweep();
	}

	async destroy(id: string): Promise<void> {
		await this.#run(this.#statements.destroy, [this.prefix + id]);
	}

	async touch(id: string, ttl: number): Promise<void> {
		await this.#touch(id, ttl);
	}

	async check(): Promise<StoreInfo> {
		const [row] = await this.#run(`SELECT current_setting('server_version') AS version`, []);
		return { version: `Postgres ${String(row?.version)}` };
	}

	#operations(): AtomicOperations {
		const statements = this.#statements;
		const listen = this.#listen;
		const life = (ttl: number): number => millis(ttl, this.ttl);
		return {
			resends: false,
			ttl: this.ttl,
			now: async () => {
				const [row] = await this.#run(statements.now, []);
				return Number(row?.now);
			},
			read: async (id) => this.#read(id),
			readTwo: async (one, other) => this.#readTwo(this.prefix + one, this.prefix + other),
			create: async (id, text, ttl) => {
				const rows = await this.#run(statements.create, [
					this.prefix + id,
					text,
					life(ttl)
				]);
				await this.#sweep();
				return rows.length > 0;
			},
			replace: async (id, writeId, text, ttl) =>
				this.#compared(statements.replace, id, [writeId ?? '', text, life(ttl)]),
			touchCompares: true,
			touch: async (id, ttl, writeId) =>
				writeId === undefined
					? this.#touch(id, ttl)
					: this.#compared(statements.touchExpected, id, [writeId ?? '', life(ttl)]),
			remove: async (id, writeId) => this.#compared(statements.remove, id, [writeId ?? '']),
			stamp: async (id, text, ttl) => this.#stamp(id, text, life(ttl)),
			...(listen && {
				watch: async (listener) => listen(this.#channel, listener),
				nameOf: async (id) => hashed('SHA-256', this.prefix + id)
			})
		};
	}

	async #read(id: string): Promise<string | null> {
		const [row] = await this.#run(this.#statements.read, [this.prefix + id]);
		return recordIn(row);
	}

	async #readTwo(one: string, other: string): Promise<readonly [AtomicRead, AtomicRead]> {
		return recordsOf(await this.#run(this.#statements.readTwo, [one, other]), one, other);
	}

	async #touch(id: string, ttl: number): Promise<boolean> {
		const values = [this.prefix + id, millis(ttl, this.ttl)];
		return (await this.#run(this.#statements.touch, values)).length > 0;
	}

	async #stamp(id: string, text: string, life: number): Promise<AtomicStamp | null> {
		const values = [this.prefix + id, text, life];
		const [first] = await this.#run(this.#statements.stamp, values);
		// Of several requests that find no record, one creates it, and the others see it the second time.
		const [row] = first ? [first] : await this.#run(this.#statements.stamp, values);
		if (!row) return null;
		const { now, record } = row;
		return [Number(now), typeof record === 'string' ? record : null];
	}

	/** Runs a conditional write. */
	async #compared(sql: string, id: string, values: unknown[]): Promise<AtomicOutcome> {
		const [row] = await this.#run(sql, [this.prefix + id, ...values]);
		const outcome = OUTCOMES.get(Number(row?.outcome));
		if (outcome) return outcome;
		throw new StoreError('store_failed', 'Postgres sent an unexpected reply');
	}

	/** Removes a few expired records now and then. The written record is stored, even if this fails. */
	async #sweep(): Promise<void> {
		if (this.#created++ % SWEEP_EVERY !== 0) return;
		await this.#run(this.#statements.sweep, []).catch(() => undefined);
	}

	async #run(sql: string, values: unknown[]): Promise<readonly Row[]> {
		try {
			return await this.#query(sql, values);
		} catch (error) {
			throw isMissing(error) ? missing(this.#name, error) : error;
		}
	}

	async #query(sql: string, values?: unknown[]): Promise<readonly Row[]> {
		const { client } = this;
		// The function of Neon has both, and its `unsafe` runs nothing.
		if ('query' in client) return rowsOf(await client.query(sql, values));
		// Without `prepare: true` the package `postgres` asks for the types of the values each time: a second round trip.
		return rowsOf(
			await (values ? client.unsafe(sql, values, { prepare: true }) : client.unsafe(sql))
		);
	}
}

function isWanted(feed: PostgresStoreOptions['feed']): boolean {
	return feed !== undefined && feed !== false;
}

/** The client that listens. */
function listening({ client, feed }: PostgresStoreOptions): unknown {
	return typeof feed === 'object' ? feed.client : client;
}

/** Clients answer with a list of rows, or with an object that has one. */
function rowsOf(answer: unknown): readonly Row[] {
	if (Array.isArray(answer)) return answer as Row[];
	const { rows } = (answer ?? {}) as { rows?: unknown };
	if (Array.isArray(rows)) return rows as Row[];
	throw new StoreError('store_failed', 'the Postgres client sent an unexpected reply');
}

/** Whether the table or its schema does not exist. */
function isMissing(error: unknown): boolean {
	const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
	return [code, errno].some((one) => one === '42P01' || one === '3F000');
}

/** The most bytes of a name: Postgres truncates names to 63, and the index is named after the table. */
const LONGEST_NAME = 54;

function checkOptions(options: PostgresStoreOptions): void {
	const usage = '`new PostgresStore({ client })`';
	const isClient = (value: unknown): boolean => has(value, ['unsafe']) || has(value, ['query']);
	if (isClient(options))
		throw new ConfigError(
			'options',
			`\`new PostgresStore(client)\` must be ${usage}: the client is one of the options`
		);
	checkObject('PostgresStore', options, usage);
	checkCommon('PostgresStore', options, ['client', 'table', 'schema', 'feed']);
	for (const name of ['table', 'schema'] as const) checkName(name, options[name]);
	// Postgres stores no NUL in text.
	if (options.prefix?.includes('\0') === true)
		throw new ConfigError('options', '`prefix` must not have a NUL character');
	const { client } = options as Partial<PostgresStoreOptions>;
	if (has(client, ['escapeId']))
		throw new ConfigError(
			'options',
			"`client` is a client of MySQL: import `MySqlStore` from 'vestiary/mysql'"
		);
	if (building && client === undefined) return;
	if (isClient(client)) {
		checkFeed(options);
		return;
	}
	throw new ConfigError(
		'options',
		`${usage}: \`client\` must be a client of Postgres, with \`query\` (pg, Neon, PGlite) or \`unsafe\` (postgres.js, Bun)`
	);
}

function checkFeed(options: PostgresStoreOptions): void {
	const { feed } = options as { feed?: unknown };
	if (feed === undefined || typeof feed === 'boolean') {
		if (feed !== true || listenOf(options.client)) return;
	} else if (has(feed, ['query']) || has(feed, ['unsafe'])) {
		throw new ConfigError('options', '`feed` must be `{ client }`, not the client itself');
	} else {
		checkObject('PostgresStore', feed, '`feed: { client }`');
		checkNames(feed as object, ['client'], {
			kind: 'an option of `PostgresStore`',
			prefix: 'feed.'
		});
		if (listenOf((feed as { client?: unknown }).client)) return;
	}
	throw new ConfigError(
		'options',
		'`feed` needs a client that can listen: a `Pool` or `Client` of `pg`, a `Pool` of Neon, the package `postgres`, or PGlite. Give one as `feed: { client }`, or leave `feed` out'
	);
}

function checkName(option: 'table' | 'schema', name: unknown): void {
	if (name === undefined) return;
	const length = typeof name === 'string' ? new TextEncoder().encode(name).length : 0;
	const isName = typeof name === 'string' && !name.includes('\0');
	if (isName && length > 0 && length <= LONGEST_NAME) return;
	throw new ConfigError(
		'options',
		`\`${option}\` must be a name of 1 to ${LONGEST_NAME} bytes without a NUL character`
	);
}

export default PostgresStore;
