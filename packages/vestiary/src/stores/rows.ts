import { redacted } from '../cause.js';
import { StoreError } from '../errors.js';
import type { AtomicRead } from '../types.js';

/** A row of a database, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;

/** The record in a row, if there is one. A value that is not text is no record; this text stands for an unreadable one. */
export function recordIn(row: Row | undefined): string | null {
	if (!row) return null;
	return typeof row.record === 'string' ? row.record : '\ufffd';
}

/** The records of two keys, in this order. */
export function recordsOf(
	rows: readonly Row[],
	one: string,
	other: string
): readonly [AtomicRead, AtomicRead] {
	const of = (key: string): string | null => recordIn(rows.find((row) => row.key === key));
	return [of(one), of(other)];
}

/** The error for a table that does not exist. Nothing was done. */
export function missing(table: string, error: unknown): StoreError {
	return new StoreError(
		'store_failed',
		`the table \`${table}\` does not exist: call \`await store.migrate()\` once, or run the SQL of \`store.schema\``,
		{ cause: redacted(error), refused: true }
	);
}

/** The error for a table that could not be created. */
export function notCreated(table: string, error: unknown): StoreError {
	return new StoreError(
		'store_failed',
		`the table \`${table}\` could not be created: let a user who may create tables run the SQL of \`store.schema\``,
		{ cause: redacted(error) }
	);
}
