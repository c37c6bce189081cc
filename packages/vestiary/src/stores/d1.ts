import '../server-only.js';

import { redacted } from '../cause.js';
import { building } from '../environment.js';
import { ConfigError, StoreError } from '../errors.js';
import { checkCommon, checkObject, has } from './check.js';
import { isRemote } from './client.js';
import type { StoreOptions } from './options.js';
import type { Row } from './rows.js';
import type { Driver, Value } from './sqlite-driver.js';
import { tableOf } from './sqlite-sql.js';
import { SqliteTable } from './sqlite-table.js';

/** The binding of a D1 database, as far as the store uses it. */
export interface D1Binding {
	prepare(sql: string): D1Statement;
}

/** A statement of D1. */
export interface D1Statement {
	bind(...values: unknown[]): D1Statement;
	all(): Promise<{ results: unknown[] }>;
	run(): Promise<{ meta: { changes?: number } }>;
}

/** Options of a {@link D1Store}. */
export interface D1StoreOptions extends StoreOptions {
	/** The binding, which comes with the request: `platform.env.DB`. */
	client: D1Binding;
	/** The table's name: letters, digits and `_`. Default: `sessions`. */
	table?: string | undefined;
}

/**
 * Keeps sessions in Cloudflare D1, in a table that {@link D1Store.migrate} creates.
 *
 * Each operation is one statement, and atomic. Pass the binding itself: a session of D1 (`withSession`) may read from a
 * replica, which would bring back ended sessions.
 *
 * ```ts
 * export const handle = sveltekitSessionHandle(({ platform }) => ({
 *   secret: platform.env.SESSION_SECRET,
 *   store: new D1Store({ client: platform.env.DB })
 * }));
 * ```
 */
export class D1Store extends SqliteTable {
	/** The client of the options. */
	readonly client: D1Binding;
	readonly #table: string;

	constructor(options: D1StoreOptions) {
		checkBinding(options);
		checkCommon('D1Store', options, ['client', 'table']);
		const table = tableOf(options.table);
		super(options, table);
		this.client = options.client;
		this.#table = table;
		isRemote(this, {
			kind: this.constructor,
			prefix: JSON.stringify([table, this.prefix]),
			client: this.client
		});
	}

	/** The SQL that creates the table and its index, for a migration of Wrangler. */
	get schema(): string {
		return this.statements.schema.map((statement) => `${statement};`).join('\n');
	}

	/** Creates the table and its index, unless they exist. */
	async migrate(): Promise<void> {
		const driver = this.open();
		for (const statement of this.statements.schema) await driver.changes(statement);
	}

	protected open(): Driver {
		const statement = (sql: string, values: Value[]): D1Statement => {
			const prepared = this.client.prepare(sql);
			return values.length === 0 ? prepared : prepared.bind(...values);
		};
		return {
			rows: async (sql, ...values) => (await statement(sql, values).all()).results as Row[],
			changes: async (sql, ...values) =>
				(await statement(sql, values).run()).meta.changes ?? 0,
			close: () => undefined
		};
	}

	protected override explain(error: unknown): unknown {
		if (!(error instanceof Error) || !error.message.includes('no such table')) return error;
		return new StoreError(
			'store_failed',
			`the table \`${this.#table}\` does not exist: put the SQL of \`store.schema\` into a migration and run \`npx wrangler d1 migrations apply\`, with \`--local\` or \`--remote\`, or call \`await store.migrate()\` once`,
			{ cause: redacted(error), refused: true }
		);
	}
}

function checkBinding(options: D1StoreOptions): void {
	const usage = '`new D1Store({ client })`';
	if (has(options, ['prepare']))
		throw new ConfigError(
			'options',
			`\`new D1Store(binding)\` must be ${usage}: the binding is one of the options`
		);
	checkObject('D1Store', options, usage);
	const { client } = options as Partial<D1StoreOptions>;
	if (has(client, ['prepare']) || (building && client === undefined)) return;
	throw new ConfigError(
		'options',
		`${usage}: \`client\` must be the binding of a D1 database, such as \`platform.env.DB\`: add a database of this name to \`d1_databases\` in wrangler.jsonc, or correct the name`
	);
}

export default D1Store;
