import { redacted } from '../cause.js';
import { DataError } from '../errors.js';
import type { Serializer, SessionStoreData } from '../types.js';

/** Options that all stores have in common. */
export interface StoreOptions {
	/** The prefix of every key; may be empty. Default: `sess:`. */
	prefix?: string | undefined;
	/** Converts records to text and back. Default: `JSON`. */
	serializer?: Serializer | undefined;
	/** The TTL of a record whose cookie has neither `maxAge` nor `expires`, in milliseconds. Default: one day. */
	ttl?: number | undefined;
}

/** The same options with all defaults filled in. */
export type FullStoreOptions = { [K in keyof StoreOptions]-?: NonNullable<StoreOptions[K]> };

const DAY = 86_400_000;

/** The longest TTL in milliseconds, some 140,000 years: every store can still add it to the current time. */
export const LONGEST: number = 2 ** 52;

/** Fills in the defaults of absent options. An empty prefix is a prefix. */
export function full(options: StoreOptions): FullStoreOptions {
	return {
		prefix: options.prefix ?? 'sess:',
		serializer: options.serializer ?? JSON,
		ttl: options.ttl ?? DAY
	};
}

/** The TTL in whole milliseconds; 0 for an expired record. */
export function millis(ttl: number, whenInfinite: number): number {
	return Math.min(Math.max(0, Math.ceil(ttl === Infinity ? whenInfinite : ttl)), LONGEST) || 0;
}

/**
 * Parses a record. A tombstone and an unreadable record count as no session; neither is a failure of the store.
 */
export async function parsed(
	serializer: Serializer,
	text: string
): Promise<SessionStoreData | null> {
	try {
		const record = await serializer.parse(text);
		return isTombstone(record) ? null : record;
	} catch (cause) {
		throw new DataError('json', 'the stored record cannot be read', {
			cause: redacted(cause)
		});
	}
}

/** The texts before the write ID of a record, in each format. */
export const WRITE_ID_HEADS = ['{"v":"', '{"cookie":{"v":"'] as const;

/** Whether two records have the same beginning, apart from their write IDs. */
export function beginAlike(one: string, other: string): boolean {
	return one.slice(0, 6) === other.slice(0, 6) && one.slice(22, 36) === other.slice(22, 36);
}

/** Whether a record is a tombstone. */
export function isTombstone(record: unknown): boolean {
	const { meta, cookie } = (record ?? {}) as Tombstone;
	return meta?.next !== undefined || cookie?.meta?.next !== undefined;
}

interface Tombstone {
	meta?: { next?: string };
	cookie?: { meta?: { next?: string } };
}
