import { redacted } from './cause.js';
import type { Columns } from './columns.js';
import type { Core } from './core.js';
import { DataError, errorOf, orThrow, StoreError, VestiaryError } from './errors.js';
import { Answer, Ended, Step, type Running } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { refusalOf } from './refusal.js';
import { readBoth } from './stores/both.js';
import { MARK_HEADS } from './stores/options.js';
import type { AtomicOperations, SessionEvent, Store, StoreOperation, Telemetry } from './types.js';

/** An update: makes JSON text of the JSON text of a session's data. */
export type Compute = (data: string) => Promise<Computed>;

/** The data before and after an update: JSON text of the same serialiser. */
export interface Computed {
	readonly base: string;
	readonly mine: string;
}

/** The functions of the application that an operation needs. */
export interface Application {
	/** Makes a session ID. */
	readonly newId?: () => string;
	/** Changes the data of a session. */
	readonly compute?: Compute | undefined;
	/** Hears of events, such as a failure that the operation survives. */
	readonly tell?: (event: SessionEvent) => void;
}

/** Asks a store, and brings about what the operations of the core need. */
export class Driver {
	readonly #core: Core;
	readonly #store: Store;
	readonly #atomic: AtomicOperations | undefined;
	readonly #timeout: number;
	readonly #telemetry: Telemetry | undefined;
	/** Records of stores that are not atomic. */
	readonly #columns: Columns;
	readonly #retire: (id: string) => void;

	constructor(core: Core, store: Store, options: DriverOptions) {
		this.#core = core;
		this.#store = store;
		this.#atomic = store.atomic ?? undefined;
		this.#timeout = options.timeout;
		this.#telemetry = options.telemetry;
		this.#columns = options.columns;
		this.#retire = options.retire;
	}

	/**
	 * Runs an operation of the core until it has ended. `action` names it in errors.
	 * @param result Called when it has ended as it should, or was refused by a rule
	 */
	async run<T>(
		running: Running,
		action: StoreOperation,
		application: Application,
		result: () => T
	): Promise<T> {
		const failures: unknown[] = [];
		try {
			try {
				let step = this.#core.answered(running, Answer.Begin);
				while (step !== Step.Finished)
					step = await this.#effect(running, step, action, application, failures);
			} finally {
				for (const line of running.told) this.#hear(line, application, failures);
			}
			const { failure } = running;
			if (failure !== undefined) throw failures[failure];
			const doubt = doubtOf(running.ended);
			if (doubt) throw doubt;
			return result();
		} finally {
			running.free();
		}
	}

	/** A report of an operation: a word, and what belongs to it. */
	#hear(line: string, { tell }: Application, failures: unknown[]): void {
		const end = line.indexOf('\n');
		const [word, rest] = [line.slice(0, end), line.slice(end + 1)];
		if (word === 'retired') this.#retire(rest);
		else tell?.(eventOf(word, rest, failures));
	}

	async #effect(
		running: Running,
		step: Step,
		action: StoreOperation,
		{ compute, newId }: Application,
		failures: unknown[]
	): Promise<Step> {
		switch (step) {
			case Step.Sleep: {
				const { ttl } = running;
				await new Promise((resolve) => setTimeout(resolve, ttl));
				return this.#core.answered(running, Answer.Slept);
			}
			case Step.NewId:
				return this.#core.answered(running, Answer.NewId, newId?.());
			case Step.Compute: {
				const computed = await compute?.(running.asked[0] ?? '');
				orThrow(() => {
					running.computed(computed?.base ?? '', computed?.mine ?? '');
				});
				return this.#core.answered(running, Answer.Computed);
			}
			default:
				return this.#call(running, step, action, failures);
		}
	}

	/** Asks the store for what an operation needs next, and lets it go on with the answer. */
	async #call(
		running: Running,
		step: Step,
		action: StoreOperation,
		failures: unknown[]
	): Promise<Step> {
		const answered = (answer: Answer, text?: string, number?: number, list?: string): Step =>
			this.#core.answered(running, answer, text, number, list);
		let reply: Reply;
		try {
			reply = await this.#ask(action, async () => this.#reply(running, step));
		} catch (error) {
			// The store has something else there, or an adapter of the application says so.
			const reads = step === Step.Load || step === Step.LoadTwo;
			if (reads && error instanceof DataError) return answered(Answer.Unreadable);
			// A store that is not atomic is not asked again: it could not tell whose record it has.
			const isLost = this.#atomic && error instanceof StoreError && !error.refused;
			const number = failures.push(error) - 1;
			return answered(isLost ? Answer.Lost : Answer.Refused, undefined, number);
		}
		if (typeof reply === 'number') return answered(reply);
		if (typeof reply === 'string') return answered(Answer.Text, reply);
		if ('number' in reply) return answered(reply.answer, undefined, reply.number);
		return answered(Answer.Two, reply.record, reply.list ? 0 : 1, reply.list?.text);
	}

	async #reply(running: Running, step: Step): Promise<Reply> {
		const atomic = this.#atomic;
		const [key = '', text = '', expected = null] = running.asked;
		if (step === Step.Load) return (await this.#read(key)) ?? Answer.Gone;
		if (step === Step.LoadTwo) return this.#two(key, text);
		if (!atomic) return this.#plain(step, key, text, running.ttl);
		switch (step) {
			case Step.Create: {
				const { ttl, owned } = running;
				const created = await atomic.create(key, text, ttl, owned);
				return isBoolean('create', created) ? Answer.Done : Answer.Conflict;
			}
			case Step.Replace: {
				const replaced = await atomic.replace(key, expected, text, running.ttl);
				return answerOf('replace', replaced);
			}
			case Step.Clock: {
				const time = (await atomic.now?.(key)) ?? NaN;
				const number = Number.isFinite(time) ? Math.floor(time) : NaN;
				return { answer: Answer.Time, number };
			}
			case Step.Confirm: {
				const confirmed = await atomic.confirm?.(key);
				const number = confirmed === undefined ? NaN : Number(confirmed);
				return { answer: Answer.Confirmed, number };
			}
			case Step.Touch:
				return this.#touch(atomic, key, expected, running.ttl);
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
	async #ask<T>(action: StoreOperation, call: () => Promise<T>): Promise<T> {
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

/** The options of a driver. */
export interface DriverOptions {
	/** Milliseconds to wait for the store; 0 waits as long as it takes. */
	readonly timeout: number;
	readonly telemetry: Telemetry | undefined;
	readonly columns: Columns;
	/** Takes an ID out of use in this process. */
	readonly retire: (id: string) => void;
}

/** The answer of the store: an outcome, a text, a number with its kind, or two texts. */
type Reply = Answer | string | { readonly answer: Answer; readonly number: number } | Two;

/** The texts of a record and of a list, which is missing if it could not be read. */
interface Two {
	readonly record: string | undefined;
	readonly list?: { readonly text: string | undefined };
}

/** The event in a report of an operation. */
function eventOf(word: string, rest: string, failures: unknown[]): SessionEvent {
	switch (word) {
		case 'failed':
			return { type: 'store_failed', error: failures[Number(rest)] as VestiaryError };
		case 'thrown':
			return { type: 'store_failed', error: errorOf(rest) };
		case 'busy':
			return { type: 'store_failed', error: busy() };
		case 'unreadable':
			return { type: 'unreadable', code: rest };
		case 'rotated':
			return { type: 'rotated', reason: rest as 'login' | 'renewal' };
		default:
			// The events without anything else have the names that the core gives them.
			return { type: word } as SessionEvent;
	}
}

/** The error of an operation whose end leaves a doubt. */
function doubtOf(ended: Ended): StoreError | undefined {
	switch (ended) {
		case Ended.Busy:
			return busy();
		case Ended.Unsaid:
			return new StoreError(
				'store_failed',
				'the session store did not say whether it wrote the session'
			);
		case Ended.Untraced:
			return new StoreError(
				'store_unconfirmed',
				'the session was read long ago and its record is gone: whether it has ended, or has another ID now, cannot be told'
			);
		default:
			return undefined;
	}
}

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
	const head = MARK_HEADS.find((one) => text.startsWith(one));
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
 * The error of a user's list that is not written at all, for it cannot be read or the store refuses to. Any other
 * one is thrown.
 */
export function unwritten(error: unknown): VestiaryError {
	if (error instanceof StoreError ? error.refused : error instanceof VestiaryError)
		return error as VestiaryError;
	throw error;
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

function busy(): StoreError {
	return new StoreError(
		'store_busy',
		'the session was written by other requests each time it was tried: nothing was written'
	);
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
