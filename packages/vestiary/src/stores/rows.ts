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
