import { redacted } from './cause.js';
import type { Columns } from './columns.js';
import { cureOf } from './cure.js';
import { DataError, StoreError, VestiaryError } from './errors.js';
import { Answer, Step } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { orLate } from './or-late.js';
import type { LiveSessions } from './live-sessions.js';
import { refusalOf } from './refusal.js';
import type { NearCache } from './near-cache.js';
import { readBoth } from './stores/both.js';
import { WRITE_ID_HEADS } from './stores/options.js';
import type { AtomicOperations, Store, StoreOperation, Telemetry } from './types.js';

/** A store call that an operation needs. */
export interface StoreCall {
	readonly step: Step;
	readonly key: string;
	readonly text: string;
	/** The write ID that the record must have; null for a record without one. */
	readonly expected: string | null;
	readonly ttl: number;
	readonly owned: boolean;
}

/** A reply of the store, in the parts that the core takes. */
export interface StoreReply {
	readonly answer: Answer;
	readonly text?: string | undefined;
	readonly number?: number;
	readonly list?: string | undefined;
}

/** Makes the store calls of operations, with a timeout and telemetry. */
export class StoreCalls {
	readonly #store: Store;
	readonly #atomic: AtomicOperations | undefined;
	readonly #timeout: number;
	readonly #telemetry: Telemetry | undefined;
	/** Converts records for stores that are not atomic. */
	readonly #columns: Columns;
	readonly #live: LiveSessions;
	readonly #near: NearCache | undefined;

	constructor(store: Store, options: StoreCallOptions) {
		this.#store = store;
		this.#atomic = store.atomic ?? undefined;
		this.#timeout = options.timeout;
		this.#telemetry = options.telemetry;
		this.#columns = options.columns;
		this.#live = options.live;
		this.#near = options.near;
	}

	/** Makes a store call. If it fails, adds the error to `failures` and returns its number there. */
	async make(call: StoreCall, action: StoreOperation, failures: unknown[]): Promise<StoreReply> {
		// Without `stamp` the store is not called, so there is nothing to measure.
		if (call.step === Step.Stamp && !this.#atomic?.stamp) return NOT_STAMPED;
		const readings = this.#near && (await this.#near.begin(call.step, call.key, call.text));
		let reply: Reply;
		try {
			reply = await this.#measured(action, async () => this.#reply(call));
		} catch (error) {
			// The stored value is not a record, or the application's adapter says so.
			if (READS.has(call.step) && error instanceof DataError)
				return { answer: Answer.Unreadable };
			// The call is not repeated on a store that is not atomic: it could not tell which request wrote the record.
			const isLost = this.#atomic && error instanceof StoreError && !error.refused;
			const number = failures.push(error) - 1;
			return { answer: isLost ? Answer.Lost : Answer.Refused, number };
		} finally {
			// Also after an error: the store may have written.
			this.#near?.wrote(call.step, call.key);
			if (this.#live.size > 0 && CHANGES.has(call.step)) this.#live.wrote(call.key);
		}
		if (readings?.length) this.#near?.keep(readings, textsOf(reply));
		if (typeof reply === 'number') return { answer: reply };
		if (typeof reply === 'string') return { answer: Answer.Text, text: reply };
		if ('number' in reply) return reply;
		const { record, list } = reply;
		return { answer: Answer.Two, text: record, number: list ? 0 : 1, list: list?.text };
	}

	async #reply({ step, key, text, expected, ttl, owned }: StoreCall): Promise<Reply> {
		const atomic = this.#atomic;
		if (step === Step.Load) return (await this.#read(key)) ?? Answer.Gone;
		if (step === Step.LoadTwo) return this.#two(key, text);
		if (!atomic) return this.#plain(step, key, text, ttl);
		switch (step) {
			case Step.Create: {
				const created = await atomic.create(key, text, ttl, owned);
				return isBoolean('create', created) ? Answer.Done : Answer.Conflict;
			}
			case Step.Replace: {
				const replaced = await atomic.replace(key, expected, text, ttl);
				return answerOf('replace', replaced);
			}
			case Step.LoadTimed: {
				const [record, time] = await Promise.all([this.#read(key), atomic.now?.(key)]);
				const number = Number.isFinite(time) ? Math.floor(time ?? NaN) : NaN;
				return { answer: Answer.Timed, text: record, number };
			}
			case Step.Stamp: {
				const stamped = await atomic.stamp?.(key, text, ttl);
				if (!stamped) return NOT_STAMPED;
				const [number, before] = stamped;
				if (!Number.isInteger(number))
					throw misbehaved('stamp', 'the time and a text, or null');
				return { answer: Answer.Timed, text: textOf('stamp', before), number };
			}
			case Step.Confirm: {
				const confirmed = await atomic.confirm?.(key);
				const number = confirmed === undefined ? NaN : Number(confirmed);
				return { answer: Answer.Confirmed, number };
			}
			case Step.Touch:
				return this.#touch(atomic, key, expected, ttl);
			default:
				return answerOf('remove', await atomic.remove(key, expected));
		}
	}

	/** Calls a store that is not atomic, which writes without comparing. */
	async #plain(step: Step, key: string, text: string, ttl: number): Promise<Reply> {
		switch (step) {
			case Step.Touch:
				await this.#store.touch(key, ttl);
				return Answer.Done;
			case Step.Remove:
				await this.#store.destroy(key);
				return Answer.Done;
			case Step.Confirm:
				return { answer: Answer.Confirmed, number: NaN };
			default:
				await this.#store.set(key, this.#columns.pack(key, text), ttl);
				return Answer.Done;
		}
	}

	/**
	 * Touches a record. If the store cannot compare the write ID itself, the record is read first, so that no tombstone is
	 * prolonged. Another request may write in between.
	 */
	async #touch(
		atomic: AtomicOperations,
		key: string,
		writeId: string | null,
		ttl: number
	): Promise<Answer> {
		if (!atomic.touchCompares) {
			const text = await this.#read(key);
			if (text === undefined) return Answer.Gone;
			if (writeIdOf(text) !== writeId) return Answer.Conflict;
		}
		const answer = atomic.touchCompares
			? await atomic.touch(key, ttl, writeId)
			: await atomic.touch(key, ttl);
		if (typeof answer === 'boolean') return answer ? Answer.Done : Answer.Gone;
		return answerOf('touch', answer);
	}

	/** Reads the text under a key, unchanged. */
	async #read(key: string): Promise<string | undefined> {
		try {
			if (this.#atomic) return textOf('read', await this.#atomic.read(key));
			const record = await this.#store.get(key);
			return record ? jsonOf(this.#columns.unpack(key, record)) : undefined;
		} catch (error) {
			throw isUnreadable(error) ? unreadable(error) : error;
		}
	}

	/** Reads the texts of a record and of a user's session list. The list is missing if it cannot be read. */
	async #two(record: string, list: string): Promise<Two> {
		const atomic = this.#atomic;
		const read = async (key: string): Promise<string | null> => (await this.#read(key)) ?? null;
		const [one, other] = atomic?.readTwo
			? await atomic.readTwo(record, list)
			: await readBoth(read, record, list);
		if (one instanceof Error) throw isUnreadable(one) ? unreadable(one) : one;
		const text = textOf('readTwo', one);
		return other instanceof Error
			? { record: text }
			: { record: text, list: { text: textOf('readTwo', other) } };
	}

	/** Measures a store call. The store's own error becomes the `cause` of the thrown one, without keys and records. */
	async #measured<T>(action: StoreOperation, call: () => Promise<T>): Promise<T> {
		// Telemetry gets the converted error, too, because it may log it.
		const run = async (): Promise<T> => {
			try {
				return await within(this.#timeout, action, call());
			} catch (error) {
				throw failureOf(action, error);
			}
		};
		if (!this.#telemetry) return run();
		try {
			return await measured(this.#telemetry, action, run);
		} catch (error) {
			throw failureOf(action, error);
		}
	}
}

/** The options of {@link StoreCalls}. */
export interface StoreCallOptions {
	/** The timeout of a store call in milliseconds; 0 disables it. */
	readonly timeout: number;
	readonly telemetry: Telemetry | undefined;
	readonly columns: Columns;
	/** Sessions that depend on the records. */
	readonly live: LiveSessions;
	/** The near cache, if there is one. */
	readonly near: NearCache | undefined;
}

/** A reply in its shortest form: an outcome, a text, a number with its kind and perhaps a text, or two texts. */
type Reply = Answer | string | (StoreReply & { readonly number: number }) | Two;

/** The texts of a record and of a user's session list. The list is missing if it could not be read. */
interface Two {
	readonly record: string | undefined;
	readonly list?: { readonly text: string | undefined };
}

/** The texts in a reply to a read, in the order of the keys. */
function textsOf(reply: Reply): readonly (string | undefined)[] {
	if (typeof reply === 'number') return [];
	if (typeof reply === 'string') return [reply];
	return 'number' in reply ? [reply.text] : [reply.record, reply.list?.text];
}

/** The reply of a store that did not stamp a text: it cannot, or holds another record under the key. */
const NOT_STAMPED = { answer: Answer.Timed, number: NaN } as const;

/** The steps whose reply is a text. */
const READS: ReadonlySet<Step> = new Set([Step.Load, Step.LoadTwo, Step.LoadTimed]);

/** The steps that may end a session, or give it another ID. */
const CHANGES: ReadonlySet<Step> = new Set([Step.Replace, Step.Remove, Step.Stamp]);

const ANSWERS = { done: Answer.Done, conflict: Answer.Conflict, gone: Answer.Gone } as const;

function answerOf(operation: string, outcome: unknown): Answer {
	if (typeof outcome === 'string' && Object.hasOwn(ANSWERS, outcome))
		return ANSWERS[outcome as keyof typeof ANSWERS];
	throw misbehaved(operation, "'done', 'conflict' or 'gone'");
}

function isBoolean(operation: string, answer: unknown): boolean {
	if (typeof answer === 'boolean') return answer;
	throw misbehaved(operation, 'true or false');
}

function textOf(operation: string, text: unknown): string | undefined {
	if (typeof text === 'string') return text;
	if (text === null || text === undefined) return undefined;
	throw misbehaved(
		operation,
		operation === 'read' ? 'a string or null' : 'a string or null for each'
	);
}

/** The error for a store that violates its type. The operation is in doubt. */
function misbehaved(operation: string, expected: string): StoreError {
	return new StoreError(
		'store_failed',
		`\`${operation}\` of the session store must return ${expected}`
	);
}

/** The write ID at the beginning of a record's text. */
function writeIdOf(text: string): string | null {
	const head = WRITE_ID_HEADS.find((one) => text.startsWith(one));
	if (head === undefined) return null;
	const [writeId = ''] = text.slice(head.length).split('"', 1);
	return writeId.length === 16 ? writeId : null;
}

function failureOf(action: StoreOperation, error: unknown): VestiaryError {
	const cause = redacted(error);
	if (cause instanceof VestiaryError) return cause;
	const refusal = refusalOf(error);
	const cure = cureOf(cause);
	const after = (sign: string): string => (cure === '' ? '' : sign + cure);
	if (!refusal) {
		const message = `the session store could not ${action} the session${after(': ')}`;
		return new StoreError('store_failed', message, { cause });
	}
	const because = refusal.code === undefined ? '' : `: it said ${refusal.code}${after('; ')}`;
	return refusal.full
		? new StoreError('store_full', `the session store is full${because}`, { cause })
		: new StoreError(
				'store_failed',
				`the session store refused to ${action} the session${because}`,
				{ cause, refused: true }
			);
}

/**
 * Whether an error means that the stored value is not a record: an error of `JSON.parse`, or the one that Redis returns
 * for a key that holds a list or a hash.
 */
function isUnreadable(error: unknown): boolean {
	return error instanceof SyntaxError || refusalOf(error)?.code === 'WRONGTYPE';
}

function unreadable(error: unknown): DataError {
	return new DataError('json', 'the stored record cannot be read', { cause: redacted(error) });
}

/**
 * Runs a store call within telemetry, and returns the call's own result. Telemetry that throws, drops the result, or
 * never ends neither fails nor delays the request.
 */
async function measured<T>(
	telemetry: Telemetry,
	action: StoreOperation,
	run: () => Promise<T>
): Promise<T> {
	let result: Promise<T> | undefined;
	const once = (): Promise<T> => {
		result ??= run();
		// Telemetry may ignore a rejection, which must not count as unhandled: the call below throws it.
		result.catch(() => undefined);
		return result;
	};
	try {
		// Its promise is not awaited, because it may never settle. An error in it is telemetry's own, or the store's, which
		// is thrown below.
		void Promise.resolve(telemetry.store(action, once)).catch(() => undefined);
	} catch {
		// As above.
	}
	return once();
}

/** Waits for a store call, up to a timeout in milliseconds; 0 disables it. */
async function within<T>(timeout: number, action: string, reply: Promise<T>): Promise<T> {
	if (timeout === 0) return reply;
	return orLate(reply, timeout, () => {
		const message = `the session store did not ${action} the session within ${timeout} ms: check that its server runs, and its address`;
		return new StoreError('store_timeout', message);
	});
}
