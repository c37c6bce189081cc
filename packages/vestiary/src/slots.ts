import { DataError } from './errors.js';
import { Task } from './generated/vestiary.js';
import { CALL, SLOT } from './inside.js';
import { Live } from './live.js';
import { runOnce, type OnceOptions } from './once.js';
import { keyText, secondsOf, valueText } from './slot-arguments.js';
import type { Flash, SlotOptions, SlotValue, Taken } from './slot-types.js';
import type { Input, Outcome } from './visit.js';

/** Values beside the data of a session, each for some seconds, to be taken once: the base class of `Session`. */
export abstract class Slots extends Live {
	/** @internal */
	abstract [SLOT]<T>(
		task: Task,
		name: string,
		input: () => Input,
		end: (outcome: Outcome) => T
	): Promise<T>;

	/**
	 * Runs code of the application as an operation of the request. Other operations do not wait for it.
	 * @internal
	 */
	abstract [CALL]<T>(code: () => Promise<T>): Promise<T>;

	/**
	 * Runs a function in one request of all processes. Other requests of the session that call it with the same name wait,
	 * and get the same result. For work that must not be done twice at the same time, such as the refresh of an OAuth token.
	 *
	 * Changes of `data` are saved first, and `data` is then as the store has it, when the function runs and when a result
	 * arrives. So look there first whether the work is still to be done.
	 *
	 * The request that runs the function holds a lease. If its process dies, another request runs the function when the
	 * lease has ended. A result is kept for ten seconds, a failure for two: meanwhile the function does not run again. An
	 * anonymous visitor gets a session.
	 *
	 * ```ts
	 * const tokens = await session.once('refresh', () => refreshed(session), { lease: 10 });
	 * ```
	 *
	 * @param run Returns a value that JSON preserves, or nothing. Its signal is aborted when the lease ends
	 * @throws The error of the function, in the request that runs it
	 * @throws {@link OnceError} in other requests if the function failed, and after twice the lease; and in the request
	 * that runs it if its lease has ended
	 * @throws {@link DataError} if the result has no JSON text, or the session has no room for it (`slots_full`)
	 * @throws {@link StoreError} if the store fails
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	once<T>(
		name: string,
		run: (signal: AbortSignal) => T | Promise<T>,
		options: OnceOptions
	): Promise<T> {
		return this[CALL](async () => runOnce(this, name, run, options));
	}

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
	 * @throws {@link DataError} if JSON does not preserve the value, or the session has no room for it (`slots_full`)
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
	 * Takes the value under a key: removes it from the store, and returns it. If several requests take it at the same
	 * time, in any process, only one gets it. If the session that this request has read has no value, this makes no store
	 * call.
	 * @returns Undefined if there is no value: it was never put, has expired, or another request has taken it
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
		return { texts: [text, valueText(value)], lifetime };
	};
	return session[SLOT](Task.Put, name, input, ({ isStored }) => isStored);
}

function takeFrom(session: Slots, name: string, key: string): Promise<unknown> {
	const input = (): Input => ({ texts: [keyText(name, key)] });
	return session[SLOT](Task.Take, name, input, ({ taken }): unknown =>
		taken === '' ? undefined : JSON.parse(taken)
	);
}

/** The lifetime of a slot, in milliseconds. */
function lifetimeOf(name: string, options: unknown): number {
	return secondsOf(name, 'for', (options as { for?: unknown } | undefined | null)?.for);
}
