import { Asking, type AskingOptions, type Heard, type Question } from './asking.js';
import type { Core } from './core.js';
import type { Ended, Given, Going } from './going.js';
import {
	errorOf,
	LoginOutdatedError,
	orThrow,
	ResponseSentError,
	StoreError,
	type VestiaryError
} from './errors.js';
import { Answer, Step, type MemoryTable, type Running, type Task } from './generated/vestiary.js';
import type { SessionEvent, Store } from './types.js';

/** An update: makes JSON text of the JSON text of a session's data. */
export type Compute = (data: string) => Promise<Computed>;

/** The data before and after an update: JSON text of the same serialiser. */
export interface Computed {
	readonly base: string;
	readonly mine: string;
}

/** The request of an operation, as far as the operation needs it. */
export interface Page {
	/** Bits of `Fact`, as they are now. */
	readonly facts: number;
	/** Why the session cannot be read, if it cannot. */
	readonly fault?: VestiaryError | undefined;
	/** Makes a session ID: of the application's own making, or at random. */
	readonly newId?: () => { readonly id: string; readonly isOwn: boolean };
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
	/** Why its visit's session cannot be read. */
	readonly fault: unknown;
}

/** Runs operations of the core: brings about what they need. */
export class Driver {
	readonly #core: Core;
	readonly #asking: Asking;
	readonly #retire: (id: string) => void;

	constructor(core: Core, store: Store, options: DriverOptions) {
		this.#core = core;
		this.#asking = new Asking(store, options);
		this.#retire = options.retire;
	}

	/**
	 * Runs an operation of the core until it has ended: at once, as far as a table has all that it needs. `compute`
	 * changes the data of a session, for an update.
	 */
	run(
		task: Task,
		given: Given,
		page: Page,
		table?: MemoryTable,
		compute?: Compute
	): End | Promise<End> {
		const begun = this.#core.begin(task, given, page.facts, table);
		return this.#begun(begun, page, compute);
	}

	/** Opens the session of a `Cookie` header on a table, as `run` does. Undefined if it has no cookie of ours. */
	open(
		header: string | null,
		flags: number,
		page: Page,
		table: MemoryTable
	): End | Promise<End> | undefined {
		const begun = this.#core.open(header, flags, page.facts, table);
		return begun && this.#begun(begun, page);
	}

	#begun(begun: Going, page: Page, compute?: Compute): End | Promise<End> {
		const failures: unknown[] = [page.fault];
		this.#hear(begun, page, failures);
		if (begun.ended) return endOf(begun.ended, page, failures);
		const { running, step } = begun;
		const going = step === Step.NewId ? this.#newId(running, page, failures) : begun;
		if (!going.ended) return this.#rest(going, page, failures, compute);
		running.free();
		return endOf(going.ended, page, failures);
	}

	async #rest(
		begun: Unfinished,
		page: Page,
		failures: unknown[],
		compute: Compute | undefined
	): Promise<End> {
		let going: Going = begun;
		try {
			while (!going.ended) going = await this.#effect(going, page, failures, compute);
			return endOf(going.ended, page, failures);
		} finally {
			begun.running.free();
		}
	}

	/** Lets an operation go on. Its reports are heard at once: another one may go on before this one does. */
	#goOn(
		running: Running,
		page: Page,
		failures: unknown[],
		{ answer, text, number, list }: Heard
	): Going {
		const going = this.#core.answered(running, page.facts, answer, text, number, list);
		this.#hear(going, page, failures);
		return going;
	}

	/** The reports of an operation. */
	#hear({ told, reserved }: Going, page: Page, failures: unknown[]): void {
		page.reserves?.(reserved);
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
		going: Unfinished,
		page: Page,
		failures: unknown[],
		compute: Compute | undefined
	): Promise<Going> {
		const { running, step } = going;
		switch (step) {
			case Step.Sleep: {
				const { ttl } = running;
				await new Promise((resolve) => setTimeout(resolve, ttl));
				return this.#goOn(running, page, failures, { answer: Answer.Slept });
			}
			case Step.NewId:
				return this.#newId(running, page, failures);
			case Step.Compute:
				try {
					const computed = await compute?.(running.asked);
					orThrow(() => {
						running.computed(computed?.base ?? '', computed?.mine ?? '');
					});
				} catch (error) {
					return this.#refused(running, page, failures, error);
				}
				return this.#goOn(running, page, failures, { answer: Answer.Computed });
			default:
				return this.#call(going, page, failures);
		}
	}

	#newId(running: Running, page: Page, failures: unknown[]): Going {
		let made: ReturnType<NonNullable<Page['newId']>> | undefined;
		try {
			made = page.newId?.();
		} catch (error) {
			return this.#refused(running, page, failures, error);
		}
		const answer = made?.isOwn === true ? Answer.NewId : Answer.RandomId;
		return this.#goOn(running, page, failures, { answer, text: made?.id });
	}

	/** Answers with an error of the application, which is the operation's to deal with. */
	#refused(running: Running, page: Page, failures: unknown[], error: unknown): Going {
		const number = failures.push(error) - 1;
		return this.#goOn(running, page, failures, { answer: Answer.Refused, number });
	}

	/** Asks the store for what an operation needs next, and lets it go on with the answers. */
	async #call(begun: Unfinished, page: Page, failures: unknown[]): Promise<Going> {
		const { running, step, purpose, several } = begun;
		const action = PURPOSES[purpose] ?? 'read';
		const ask = async (question: Question): Promise<Heard> =>
			this.#asking.ask(question, action, failures);
		const first = questionOf(running, step);
		if (!several) return this.#goOn(running, page, failures, await ask(first));
		const questions = [first];
		for (let more = running.next(); more !== Step.Finished; more = running.next())
			questions.push(questionOf(running, more));
		let going: Going = begun;
		for (const heard of await Promise.all(questions.map(ask)))
			going = this.#goOn(running, page, failures, heard);
		return going;
	}
}

/** An operation that has not ended. */
type Unfinished = Extract<Going, { readonly ended?: undefined }>;

/** The options of a driver. */
export interface DriverOptions extends AskingOptions {
	/** Takes an ID out of use in this process. */
	readonly retire: (id: string) => void;
}

/** The names of purposes in errors and telemetry, in the order of `vestiary::visit::Purpose`. */
const PURPOSES = ['read', 'write', 'touch', 'remove'] as const;

function questionOf(running: Running, step: Step): Question {
	const { ttl, owned } = running;
	const [key = '', text = '', mark = ''] = running.asked.split('\0');
	return { step, key, text, expected: mark === '' ? null : mark, ttl, owned };
}

function endOf(ended: Ended, page: Page, failures: unknown[]): End {
	const { flags, at, before, writes, texts } = ended;
	const error = faultIn(texts[0], page, failures);
	const fault = faultIn(texts[FAULT], page, failures);
	return { flags, at, before, writes, texts, error, fault };
}

/** The place of a visit's fault among the texts of an end. */
const FAULT = 4;

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
