import { ConfigError } from '../errors.js';
import { checkNames } from '../names.js';
import { checkNumber, checkObject } from './check.js';
import type { StoreOptions } from './options.js';

/** The option `feed` of a store that is polled. */
export interface PollingOptions {
	/**
	 * The time between two questions about the records of watched sessions, in milliseconds: from 100 to 60,000. Default: 500.
	 */
	every?: number | undefined;
}

/** The time between two questions, in milliseconds. */
const EVERY = 500;

/** The maximum number of records in one question. */
export const MOST = 500;

/**
 * The time between two questions, in milliseconds; undefined without the option.
 * @throws ConfigError
 */
export function everyOf(
	store: string,
	{ feed, serializer }: StoreOptions & { feed?: boolean | PollingOptions | undefined }
): number | undefined {
	if (feed === undefined || feed === false) return undefined;
	if (serializer !== undefined && serializer !== JSON)
		throw new ConfigError(
			'store_capability',
			`\`feed\` of \`${store}\` needs the default \`serializer\``
		);
	if (feed === true) return EVERY;
	checkObject(store, feed, '`feed: { every }`');
	checkNames(feed, ['every'], { kind: `an option of \`${store}\``, prefix: 'feed.' });
	const rule = { unit: 'milliseconds', least: 100, most: 60_000 };
	checkNumber('feed.every', feed.every, rule);
	return feed.every ?? EVERY;
}
