import { redacted } from './cause.js';
import type { Columns } from './columns.js';
import type { Core, Ended, Given } from './core.js';
import {
	DataError,
	errorOf,
	LoginOutdatedError,
	orThrow,
	ResponseSentError,
	StoreError,
	VestiaryError
} from './errors.js';
import { Answer, Step, type MemoryTable, type Running, type Task } from './generated/vestiary.js';
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

/** What an operation needs of its request. */
export interface Page {
	/** Bits of `Fact`, as they are now. */
	readonly facts: number;
	/** Why the session cannot be read, if it cannot. */
	readonly fault?: VestiaryError | undefined;
	/** Makes a session ID: of the application's own making, or at random. */
	readonly newId?: () => { readonly id: string; readonly isOwn: boolean };
	/** Changes the data of a session. */
	readonly compute?: Compute | undefined;
	/** Hears of events, such as a failure that the operation survives. */
	readonly tell?: (event: SessionEvent) => void;
	/** Hears that a session has its full lifetime from now on. */
	readonly touched?: (id: string) => void;
	/** Hears whether a session is about to begin, whose cookie no other handle may take. */
	readonly reserves?: (is: boolean) => void;
	/** The error that a session of another handle has the cookie. */
	readonly taken?: () => VestiaryError;
}

/** The end of an operation, with its errors. */
export interface End extends Ended {
	/** Why it failed. */
	readonly error: unknown;
	/** The error of a text of its end, such as the reason why a session cannot be read. */
	errorIn(text: string | undefined): unknown;
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

	/** Runs an operation of the core until it has ended. */
	async run(task: Task, given: Given, page: Page): Promise<End> {
		const failures: unknown[] = [page.fault];
		const running = this.#core.begin(task, given);
		try {
			let step = this.#core.answered(running, page.facts, Answer.Begin);
			for (;;) {
				this.#hear(running.told, page, failures);
				page.reserves?.((running.purpose & RESERVED) !== 0);
				if (typeof step !== 'number') return endOf(step, page, failures);
				step = await this.#effect(running, step, page, failures);
			}
		} finally {
			running.free();
		}
	}

	/** The end of an operation that only reads, from a table. Undefined, and nothing is done, if it has to wait. */
	here({ table, prefix }: Table, task: Task, given: Given, page: Page): End | undefined {
		const told = this.#core.here(table, prefix, task, given, page.facts);
		if (told === undefined) return undefined;
		const failures: unknown[] = [page.fault];
		// Before a listener of the application runs, which may open another session.
		const { ended } = this.#core;
		this.#hear(told, page, failures);
		return endOf(ended, page, failures);
	}

	/** The reports of an operation, with a NUL after each: a word, and what belongs to it. */
	#hear(told: string, page: Page, failures: unknown[]): void {
		if (told === '') return;
		for (const line of told.slice(0, -1).split('\0')) {
			const end = line.indexOf('\n');
			const [word, rest] = [line.slice(0, end), line.slice(end + 1)];
			if (word === 'retired') this.#retire(rest);
			else if (word === 'touched') page.touched?.(rest);
			else page.tell?.(eventOf(word, rest, failures));
		}
	}

	async #effect(
		running: Running,
		step: Step,
		page: Page,
		failures: unknown[]
	): Promise<Step | Ended> {
		switch (step) {
			case Step.Sleep: {
				const { ttl } = running;
				await new Promise((resolve) => setTimeout(resolve, ttl));
				return this.#core.answered(running, page.facts, Answer.Slept);
			}
			case Step.NewId:
				return this.#answered(running, page, failures, () => {
					const { id, isOwn = false } = page.newId?.() ?? {};
					const answer = isOwn ? Answer.NewId : Answer.RandomId;
					return this.#core.answered(running, page.facts, answer, id);
				});
			case Step.Compute:
				return this.#answered(running, page, failures, async () => {
					const computed = await page.compute?.(running.asked);
					orThrow(() => {
						running.computed(computed?.base ?? '', computed?.mine ?? '');
					});
					return this.#core.answered(running, page.facts, Answer.Computed);
				});
			default:
				return this.#call(running, step, page, failures);
		}
	}

	/** Answers with what the application makes. An error of it is the operation's to deal with. */
	async #answered(
		running: Running,
		page: Page,
		failures: unknown[],
		make: () => Step | Ended | Promise<Step | Ended>
	): Promise<Step | Ended> {
		try {
			return await make();
		} catch (error) {
			const number = failures.push(error) - 1;
			return this.#core.answered(running, page.facts, Answer.Refused, undefined, number);
		}
	}

	/** Asks the store for what an operation needs next, and lets it go on with the answers. */
	async #call(
		running: Running,
		step: Step,
		page: Page,
		failures: unknown[]
	): Promise<Step | Ended> {
		const { purpose } = running;
		const action = PURPOSES[purpose % RESERVED] ?? 'read';
		const ask = async (question: Question): Promise<Heard> =>
			this.#heard(question, action, failures);
		const first = questionOf(running, step);
		let next: Step | Ended = step;
		const hear = ({ answer, text, number, list }: Heard): void => {
			next = this.#core.answered(running, page.facts, answer, text, number, list);
		};
		if (purpose < SEVERAL) {
			hear(await ask(first));
			return next;
		}
		const questions = [first];
		for (let more = running.next(); more !== Step.Finished; more = running.next())
			questions.push(questionOf(running, more));
		(await Promise.all(questions.map(ask))).forEach(hear);
		return next;
	}

	/** The answer of the store to a question, also if it gives none. */
	async #heard(question: Question, action: StoreOperation, failures: unknown[]): Promise<Heard> {
		let reply: Reply;
		try {
			reply = await this.#ask(action, async () => this.#reply(question));
		} catch (error) {
			// The store has something else there, or an adapter of the application says so.
			const reads = question.step === Step.Load || question.step === Step.LoadTwo;
			if (reads && error instanceof DataError) return { answer: Answer.Unreadable };
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

/** The records of a store in linear memory, and the prefix of their keys. */
export interface Table {
	readonly table: MemoryTable;
	readonly prefix: string;
}

/** The names of purposes in errors and telemetry, in the order of `vestiary::visit::Purpose`. */
const PURPOSES = ['read', 'write', 'touch', 'remove'] as const;

/** The bits of a purpose that say that a session is about to begin, and that there are several questions. */
const RESERVED = 4;
const SEVERAL = 8;

/** A question to the store. */
interface Question {
	readonly step: Step;
	readonly key: string;
	readonly text: string;
	/** The write ID that the record must have. */
	readonly expected: string | null;
	readonly ttl: number;
	readonly owned: boolean;
}

/** An answer in the parts in which the core takes it. */
interface Heard {
	readonly answer: Answer;
	readonly text?: string | undefined;
	readonly number?: number;
	readonly list?: string | undefined;
}

function questionOf(running: Running, step: Step): Question {
	const { ttl, owned } = running;
	const [key = '', text = '', mark = ''] = running.asked.split('\0');
	return { step, key, text, expected: mark === '' ? null : mark, ttl, owned };
}

/** The answer of the store: an outcome, a text, a number with its kind, or two texts. */
type Reply = Answer | string | { readonly answer: Answer; readonly number: number } | Two;

/** The texts of a record and of a list, which is missing if it could not be read. */
interface Two {
	readonly record: string | undefined;
	readonly list?: { readonly text: string | undefined };
}

function endOf(ended: Ended, page: Page, failures: unknown[]): End {
	const errorIn = (text: string | undefined): unknown => faultIn(text, page, failures);
	return { ...ended, error: errorIn(ended.texts[0]), errorIn };
}

/** The error of a text: a word, and what belongs to it. Undefined if there is none. */
function faultIn(
	text: string | undefined,
	page: Pick<Page, 'taken'>,
	failures: unknown[]
): unknown {
	if (text === undefined || text === '') return undefined;
	const end = text.indexOf('\n');
	const rest = text.slice(end + 1);
	switch (text.slice(0, end)) {
		case 'failed':
			return failures[Number(rest)];
		case 'thrown':
			return errorOf(rest);
		case 'sent':
			return new ResponseSentError();
		case 'taken':
			return page.taken?.();
		case 'outdated':
			return new LoginOutdatedError();
		case 'unsaid':
			return new StoreError(
				'store_failed',
				'the session store did not say whether it wrote the session'
			);
		case 'untraced':
			return new StoreError(
				'store_unconfirmed',
				'the session was read long ago and its record is gone: whether it has ended, or has another ID now, cannot be told'
			);
		default:
			return new StoreError(
				'store_busy',
				'the session was written by other requests each time it was tried: nothing was written'
			);
	}
}

/** The event in a report of an operation. */
function eventOf(word: string, rest: string, failures: unknown[]): SessionEvent {
	switch (word) {
		case 'unreadable':
			return { type: 'unreadable', code: rest };
		case 'rotated':
			return { type: 'rotated', reason: rest as 'login' | 'renewal' };
		case 'destroyed':
			return { type: 'destroyed', ...(rest !== '' && { confirmed: rest === 'yes' }) };
		case 'failed':
		case 'thrown':
		case 'busy':
		case 'unsaid':
		case 'untraced': {
			const error = faultIn(`${word}\n${rest}`, {}, failures) as VestiaryError;
			return { type: 'store_failed', error };
		}
		default:
			// The events without anything else have the names that the core gives them.
			return { type: word } as SessionEvent;
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
