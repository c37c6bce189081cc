import { ConfigError, DataError } from './errors.js';
import { Task } from './generated/vestiary.js';
import { SLOT } from './inside.js';
import { jsonOf } from './json.js';
import { checkWellFormed } from './runtime.js';
import type { Flash, SlotOptions, SlotValue, Taken } from './types.js';
import type { Input, Outcome } from './visit.js';

/** Values beside the data of a session, each for some seconds, to be taken once: the base class of `Session`. */
export abstract class Slots {
	/** @internal */
	abstract [SLOT]<T>(
		task: Task,
		name: string,
		input: () => Input,
		end: (outcome: Outcome) => T
	): Promise<T>;

	/**
	 * Keeps a value beside the session's data for some seconds, until {@link Slots.take} takes it: a WebAuthn challenge,
	 * an OAuth state, the page to return to after a login. It is stored at once, and replaces the value under this key.
	 * An anonymous visitor gets a session. Changes of `data` are not stored.
	 *
	 * A login and `regenerate()` drop all slots; `renew()` keeps them. A session has at most 32 slots, of 16 KiB of JSON
	 * in all.
	 *
	 * ```ts
	 * await session.put('challenge', challenge, { for: 300 });
	 * ```
	 *
	 * @returns False if the session was ended meanwhile: nothing is stored then
	 * @throws {@link DataError} if the value has no JSON text, or the session has no room for it (`slots_full`)
	 * @throws {@link ResponseSentError} if the session is new and the response has left
	 * @throws {@link StoreError} if the store fails
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	put<Key extends string>(
		key: Key,
		value: SlotValue<Key>,
		options: SlotOptions
	): Promise<boolean> {
		return putInto(this, 'session.put()', key, value, options);
	}

	/**
	 * Takes the value under a key, and removes it from the store before it returns. Of several requests that take it at
	 * the same time, in whatever process, only one gets it. Without a value in the session that this request has read,
	 * the store is not asked.
	 * @returns Undefined if there is no value: it was never put, has ended, or another request has taken it
	 * @throws {@link StoreError} if the store fails. If it did not say whether it wrote, the value may be gone
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	take<Key extends string>(key: Key): Promise<Taken<SlotValue<Key>>> {
		return takeFrom(this, 'session.take()', key) as Promise<Taken<SlotValue<Key>>>;
	}

	/**
	 * Keeps a message for the next page: `put('flash', value, { for: 600 })`, typed by merging `SessionFlash`.
	 *
	 * ```ts
	 * await locals.session.flash({ kind: 'success', text: 'Saved.' });
	 * redirect(303, '/todos');
	 * ```
	 *
	 * @returns False if the session was ended meanwhile: nothing is stored then
	 */
	flash(value: Flash): Promise<boolean> {
		return putInto(this, 'session.flash()', FLASH, value, { for: FLASH_SECONDS });
	}

	/** Takes the message of {@link Slots.flash}, if there is one: `take('flash')`. */
	takeFlash(): Promise<Taken<Flash>> {
		return takeFrom(this, 'session.takeFlash()', FLASH);
	}
}

/** The key of the slot of `flash()`, and its lifetime; the Rust crates have the same. */
const FLASH = 'flash';
const FLASH_SECONDS = 600;

function putInto(
	session: Slots,
	name: string,
	key: string,
	value: unknown,
	options: SlotOptions
): Promise<boolean> {
	const input = (): Input => {
		const text = keyText(name, key);
		const lifetime = lifetimeOf(name, options);
		if (value === undefined)
			throw new DataError('json', `the value of \`${name}\` must be JSON: it is undefined`);
		return { texts: [text, jsonOf(value)], lifetime };
	};
	return session[SLOT](Task.Put, name, input, ({ isStored }) => isStored);
}

function takeFrom(session: Slots, name: string, key: string): Promise<unknown> {
	const input = (): Input => ({ texts: [keyText(name, key)] });
	return session[SLOT](Task.Take, name, input, ({ taken }): unknown =>
		taken === '' ? undefined : JSON.parse(taken)
	);
}

/** The JSON text of a key. */
function keyText(name: string, key: unknown): string {
	if (typeof key !== 'string')
		throw new ConfigError('options', `the key of \`${name}\` must be a string`);
	checkWellFormed('the key of a slot', key);
	return JSON.stringify(key);
}

/** The lifetime of a slot, in milliseconds. */
function lifetimeOf(name: string, options: unknown): number {
	const seconds = (options as { for?: unknown } | undefined | null)?.for;
	if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0)
		return seconds * 1_000;
	throw new ConfigError(
		'options',
		`\`for\` of \`${name}\` must be a number of seconds, greater than 0`
	);
}
