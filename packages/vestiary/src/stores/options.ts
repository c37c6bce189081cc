import { redacted } from '../cause.js';
import { DataError } from '../errors.js';
import type { Serializer, SessionStoreData } from '../types.js';

/** What the options of all stores have in common. */
export interface StoreOptions {
	/** Put before every ID; may be empty. Default: `sess:`. */
	prefix?: string | undefined;
	/** Turns records into text and back. Default: `JSON`. */
	serializer?: Serializer | undefined;
	/** Life in milliseconds of a record whose cookie has neither `maxAge` nor `expires`. Default: a day. */
	ttl?: number | undefined;
}

/** The same, with nothing left out. */
export type FullStoreOptions = { [K in keyof StoreOptions]-?: NonNullable<StoreOptions[K]> };

const DAY = 86_400_000;

/** In milliseconds, some 140,000 years: added to the time of today it is still a number to every store. */
export const LONGEST: number = 2 ** 52;

/** Fills in the defaults. Only what is missing is: an empty prefix is a prefix. */
export function full(options: StoreOptions): FullStoreOptions {
	return {
		prefix: options.prefix ?? 'sess:',
		serializer: options.serializer ?? JSON,
		ttl: options.ttl ?? DAY
	};
}

/** Whole milliseconds to live; 0 if the record is over. */
export function millis(ttl: number, whenInfinite: number): number {
	return Math.min(Math.max(0, Math.ceil(ttl === Infinity ? whenInfinite : ttl)), LONGEST) || 0;
}

/**
 * Reads a record out of its text. One that only says that its session has another ID now is none. One that
 * cannot be read is no session, and no fault of the store.
 */
export async function parsed(
	serializer: Serializer,
	text: string
): Promise<SessionStoreData | null> {
	try {
		const record = await serializer.parse(text);
		return isRetired(record) ? null : record;
	} catch (cause) {
		throw new DataError('json', 'the stored record cannot be read', {
			cause: redacted(cause)
		});
	}
}

/** Where the mark of a record stands, in either shape: the text before it. Its length is 16. */
export const MARK_HEADS = ['{"v":"', '{"cookie":{"v":"'] as const;

/** Whether a record only says that its session has another ID now. */
export function isRetired(record: unknown): boolean {
	const { meta, cookie } = (record ?? {}) as Retired;
	return meta?.next !== undefined || cookie?.meta?.next !== undefined;
}

interface Retired {
	meta?: { next?: string };
	cookie?: { meta?: { next?: string } };
}
