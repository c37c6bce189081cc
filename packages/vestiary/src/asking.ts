import { redacted } from './cause.js';
import type { Columns } from './columns.js';
import { DataError, StoreError, VestiaryError } from './errors.js';
import { Answer, Step } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { refusalOf } from './refusal.js';
import { readBoth } from './stores/both.js';
import { WRITE_ID_HEADS } from './stores/options.js';
import type { AtomicOperations, Store, StoreOperation, Telemetry } from './types.js';

/** A question to the store. */
export interface Question {
	readonly step: Step;
	readonly key: string;
	readonly text: string;
	/** The write ID that the record must have. */
	readonly expected: string | null;
	readonly ttl: number;
	readonly owned: boolean;
}

/** An answer in the parts in which the core takes it. */
export interface Heard {
	readonly answer: Answer;
	readonly text?: string | undefined;
	readonly number?: number;
	readonly list?: string | undefined;
}

/** Asks a store the questions of operations: with a timeout, and with telemetry. */
export class Asking {
	readonly #store: Store;
	readonly #atomic: AtomicOperations | undefined;
	readonly #timeout: number;
	readonly #telemetry: Telemetry | undefined;
	/** Records of stores that are not atomic. */
	readonly #columns: Columns;

	constructor(store: Store, options: AskingOptions) {
		this.#store = store;
		this.#atomic = store.atomic ?? undefined;
		this.#timeout = options.timeout;
		this.#telemetry = options.telemetry;
		this.#columns = options.columns;
	}

	/** The answer of the store to a question, also if it gives none: then its error is one of the failures. */
	async ask(question: Question, action: StoreOperation, failures: unknown[]): Promise<Heard> {
		// Not to be asked is no question to measure.
		if (question.step === Step.Stamp && !this.#atomic?.stamp) return NOT_STAMPED;
		let reply: Reply;
		try {
			reply = await this.#measured(action, async () => this.#reply(question));
		} catch (error) {
			// The store has something else there, or an adapter of the application says so.
			if (READS.has(question.step) && error instanceof DataError)
				return { answer: Answer.Unreadable };
			// A store that is not atomic is not asked again: it could not tell whose record it has.
			const isLost = this.#atomic && error instanceof StoreError && !error.refused;
			const number = failures.push(error) - 1;
			return { answer: isLost ? Answer.Lost : Answer.Refused, number };
		}
		if (typeof reply === 'number') return { answer: reply };
		if (typeof reply === 'string') return { answer: Answer.Text, text: reply };
		if ('number' in reply) return reply;
		const { record, list } = reply;
		return { answer: Answer.Two, text: record, number: list ? 0 : 1, list: list?.text };
	}

	async #reply({ step, key, text, expected, ttl, owned }: Question): Promise<Reply> {
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

	/** Asks a store that is not atomic: it writes, whatever it has. */
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
	 * A store that cannot compare the write ID itself is asked for the record first, so that no tombstone is
	 * prolonged. Between the two another request may write.
	 */
	async #touch(
		atomic: AtomicOperations,
		key: string,
		mark: string | null,
		ttl: number
	): Promise<Answer> {
		if (!atomic.touchCompares) {
			const text = await this.#read(key);
			if (text === undefined) return Answer.Gone;
			if (markOf(text) !== mark) return Answer.Conflict;
		}
		const answer = atomic.touchCompares
			? await atomic.touch(key, ttl, mark)
			: await atomic.touch(key, ttl);
		if (typeof answer === 'boolean') return answer ? Answer.Done : Answer.Gone;
		return answerOf('touch', answer);
	}

	/** The text that the store has under a key, as it is. */
	async #read(key: string): Promise<string | undefined> {
		try {
			if (this.#atomic) return textOf('read', await this.#atomic.read(key));
			const record = await this.#store.get(key);
			return record ? jsonOf(this.#columns.unpack(key, record)) : undefined;
		} catch (error) {
			throw isUnreadable(error) ? unreadable(error) : error;
		}
	}

	/** The texts under two keys: of a record, and of a list, which is missing if it could not be read. */
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

	/** Asks the store. Its own error becomes the cause of the library's, without keys and records. */
	async #measured<T>(action: StoreOperation, call: () => Promise<T>): Promise<T> {
		// Also telemetry gets no other error: what it does with it is not known here.
		const ask = async (): Promise<T> => {
			try {
				return await within(this.#timeout, action, call());
			} catch (error) {
				throw failureOf(action, error);
			}
		};
		if (!this.#telemetry) return ask();
		try {
			return await measured(this.#telemetry, action, ask);
		} catch (error) {
			throw failureOf(action, error);
		}
	}
}

/** The options of {@link Asking}. */
export interface AskingOptions {
	/** Milliseconds to wait for the store; 0 waits as long as it takes. */
	readonly timeout: number;
	readonly telemetry: Telemetry | undefined;
	readonly columns: Columns;
}

/** The answer of the store: an outcome, a text, a number with its kind and perhaps a text, or two texts. */
type Reply = Answer | string | (Heard & { readonly number: number }) | Two;

/** The texts of a record and of a list, which is missing if it could not be read. */
interface Two {
	readonly record: string | undefined;
	readonly list?: { readonly text: string | undefined };
}

/** The answer of a store that has not dated a text: it cannot, or has another text there. */
const NOT_STAMPED = { answer: Answer.Timed, number: NaN } as const;

/** The questions to which a text is the answer. */
const READS: ReadonlySet<Step> = new Set([Step.Load, Step.LoadTwo, Step.LoadTimed]);

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

/** An application's store that does not keep to its type: whether it did what it was asked is not known. */
function misbehaved(operation: string, expected: string): StoreError {
	return new StoreError(
		'store_failed',
		`\`${operation}\` of the session store must return ${expected}`
	);
}

/** The write ID at the head of a record's text. */
function markOf(text: string): string | null {
	const head = WRITE_ID_HEADS.find((one) => text.startsWith(one));
	if (head === undefined) return null;
	const [mark = ''] = text.slice(head.length).split('"', 1);
	return mark.length === 16 ? mark : null;
}

function failureOf(action: StoreOperation, error: unknown): VestiaryError {
	const cause = redacted(error);
	if (cause instanceof VestiaryError) return cause;
	const refusal = refusalOf(error);
	if (!refusal) {
		const message = `the session store could not ${action} the session`;
		return new StoreError('store_failed', message, { cause });
	}
	const because = refusal.code === undefined ? '' : `: it said ${refusal.code}`;
	return refusal.full
		? new StoreError('store_full', `the session store is full${because}`, { cause })
		: new StoreError(
				'store_failed',
				`the session store refused to ${action} the session${because}`,
				{ cause, refused: true }
			);
}

/**
 * Whether a store says that it has a value which is not a record: what `JSON.parse` says of it, in a store that lets
 * that through; and what Redis says of a key that holds a list or a hash.
 */
function isUnreadable(error: unknown): boolean {
	return error instanceof SyntaxError || refusalOf(error)?.code === 'WRONGTYPE';
}

function unreadable(error: unknown): DataError {
	return new DataError('json', 'the stored record cannot be read', { cause: redacted(error) });
}

/**
 * The answer of the store, whatever becomes of what measures it: telemetry that throws, drops the answer, or never
 * ends, fails no request and holds up none.
 */
async function measured<T>(
	telemetry: Telemetry,
	action: StoreOperation,
	ask: () => Promise<T>
): Promise<T> {
	let answer: Promise<T> | undefined;
	const once = (): Promise<T> => {
		answer ??= ask();
		// Whether or not telemetry waits for it, this function does.
		answer.catch(() => undefined);
		return answer;
	};
	try {
		// Whatever it promises is not waited for: it may never be kept. What it throws or rejects with is its own
		// failure, or the store's, which is thrown below.
		void Promise.resolve(telemetry.store(action, once)).catch(() => undefined);
	} catch {
		// The same.
	}
	return once();
}

/** Waits for the store, but not for ever (0). */
async function within<T>(timeout: number, action: string, answer: Promise<T>): Promise<T> {
	if (timeout === 0) return answer;
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => {
			const message = `the session store did not ${action} the session within ${timeout} ms`;
			reject(new StoreError('store_timeout', message));
		}, timeout);
	});
	try {
		return await Promise.race([answer, late]);
	} finally {
		clearTimeout(timer);
	}
}
