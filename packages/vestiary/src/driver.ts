import type { Core } from './core.js';
import {
	errorOf,
	LoginOutdatedError,
	orThrow,
	ResponseSentError,
	StoreError,
	type VestiaryError
} from './errors.js';
import { Answer, Step, type MemoryTable, type Running, type Task } from './generated/vestiary.js';
import type { Ended, Given, Progress } from './progress.js';
import {
	StoreCalls,
	type StoreCall,
	type StoreCallOptions,
	type StoreReply
} from './store-calls.js';
import type { SessionEvent, Store } from './types.js';

/** An update: computes new data from a session's data. Both are JSON text. */
export type Compute = (data: string) => Promise<Computed>;

/** The data before and after an update, as JSON text of one serialiser, so that the two can be compared. */
export interface Computed {
	readonly base: string;
	readonly mine: string;
}

/** The parts of a request that an operation needs. */
export interface Page {
	/** The current bits of `Fact`. */
	readonly facts: number;
	/** The reason why the session cannot be read, if there is one. */
	readonly fault?: VestiaryError | undefined;
	/** Generates a session ID. `isOwn` is false if it is random, and true if the application chose it or has seen it. */
	readonly newId?: () => { readonly id: string; readonly isOwn: boolean };
	/** Emits an event, such as a failure that does not end the operation. */
	readonly emit?: (event: SessionEvent) => void;
	/** Called when a session has its full lifetime again. */
	readonly touched?: (id: string) => void;
	/** Called before the store reads a record, with its key. */
	readonly reading?: (key: string) => Promise<void>;
	/** Called after each step: whether a session is about to begin, whose cookie no other handle may take. */
	readonly reserves?: (is: boolean) => void;
	/** Creates the error for a cookie that belongs to a session of another handle. */
	readonly taken?: () => VestiaryError;
}

/** The result of an operation, with its errors. */
export interface End extends Ended {
	/** The error with which the operation failed. */
	readonly error: unknown;
	/** The reason why the session of its visit cannot be read. */
	readonly fault: unknown;
}

/** Runs operations of the core, and performs the effects that they need. */
export class Driver {
	readonly #core: Core;
	/** The store calls of its operations. */
	readonly calls: StoreCalls;
	readonly #takeOutOfUse: (id: string) => void;
	readonly #migrate: DriverOptions['migrate'];
	readonly #near: DriverOptions['near'];

	constructor(core: Core, store: Store, options: DriverOptions) {
		this.#core = core;
		this.calls = new StoreCalls(store, options);
		this.#migrate = options.migrate;
		this.#near = options.near;
		this.#takeOutOfUse = options.takeOutOfUse;
	}

	/**
	 * Runs an operation of the core until it ends. On a table, and for a session in the near cache, it ends without waiting,
	 * unless it needs another effect.
	 * @param compute Computes the new data, for an update
	 */
	run(
		task: Task,
		given: Given,
		page: Page,
		table?: MemoryTable,
		compute?: Compute
	): End | Promise<End> {
		const begun = this.#core.begin(task, given, page.facts, table, this.#near?.texts);
		return this.#begin(begun, page, compute);
	}

	/** Whether sessions are found in a near cache. */
	get hasNear(): boolean {
		return this.#near !== undefined;
	}

	/**
	 * Opens the session of a `Cookie` header, as `run` does, in one call into the core if it is on the table or in the near
	 * cache. Undefined if the header lacks our cookie.
	 */
	open(
		header: string | null,
		flags: number,
		page: Page,
		table: MemoryTable | undefined
	): End | Promise<End> | undefined {
		if (header === null) return undefined;
		const core = this.#core;
		const near = this.#near;
		const { facts } = page;
		const known = near?.openedBefore(core, header, flags, facts);
		if (known) return this.#begin({ reports: '', reserved: false, ended: known }, page);
		const begun = core.open(header, flags, facts, table, near?.texts);
		if (begun?.ended?.ticket) near?.opened(core, header, flags, facts, begun.ended);
		return begun && this.#begin(begun, page);
	}

	#begin(begun: Progress, page: Page, compute?: Compute): End | Promise<End> {
		const failures: unknown[] = [page.fault];
		this.#report(begun, page, failures);
		if (begun.ended) return endOf(begun.ended, page, failures);
		const { running, step } = begun;
		const progress = step === Step.NewId ? this.#newId(running, page, failures) : begun;
		if (!progress.ended) return this.#finish(progress, page, failures, compute);
		running.free();
		return endOf(progress.ended, page, failures);
	}

	async #finish(
		begun: Unfinished,
		page: Page,
		failures: unknown[],
		compute: Compute | undefined
	): Promise<End> {
		let progress: Progress = begun;
		try {
			while (!progress.ended)
				progress = await this.#effect(progress, page, failures, compute);
			return endOf(progress.ended, page, failures);
		} finally {
			begun.running.free();
		}
	}

	/** Resumes an operation. Its reports are handled at once, because another operation may run before its next step. */
	#resume(
		running: Running,
		page: Page,
		failures: unknown[],
		{ answer, text, number, list }: StoreReply
	): Progress {
		const progress = this.#core.answered(running, page.facts, answer, text, number, list);
		this.#report(progress, page, failures);
		return progress;
	}

	/** Handles the reports of an operation. */
	#report({ reports, reserved }: Progress, page: Page, failures: unknown[]): void {
		page.reserves?.(reserved);
		if (reports === '') return;
		for (const line of reports.slice(0, -1).split('\0')) {
			const end = line.indexOf('\n');
			const [word, rest] = [line.slice(0, end), line.slice(end + 1)];
			if (word === 'out_of_use') this.#takeOutOfUse(rest);
			else if (word === 'touched') page.touched?.(rest);
			else page.emit?.(eventOf(word, rest, failures));
		}
	}

	async #effect(
		progress: Unfinished,
		page: Page,
		failures: unknown[],
		compute: Compute | undefined
	): Promise<Progress> {
		const { running, step } = progress;
		switch (step) {
			case Step.Sleep: {
				const { ttl } = running;
				await new Promise((resolve) => setTimeout(resolve, ttl));
				return this.#resume(running, page, failures, { answer: Answer.Slept });
			}
			case Step.NewId:
				return this.#newId(running, page, failures);
			case Step.Compute:
				return this.#computed(running, page, failures, async () =>
					compute?.(running.asked)
				);
			case Step.Migrate: {
				const { asked, ttl: version } = running;
				const migrate = async (): Promise<Computed | undefined> =>
					this.#migrate?.(asked, version);
				return this.#computed(running, page, failures, migrate);
			}
			default:
				return this.#call(progress, page, failures);
		}
	}

	/** Runs a function of the application that computes data. */
	async #computed(
		running: Running,
		page: Page,
		failures: unknown[],
		compute: () => Promise<Computed | undefined>
	): Promise<Progress> {
		try {
			const computed = await compute();
			orThrow(() => {
				running.computed(computed?.base ?? '', computed?.mine ?? '');
			});
		} catch (error) {
			return this.#refused(running, page, failures, error);
		}
		return this.#resume(running, page, failures, { answer: Answer.Computed });
	}

	#newId(running: Running, page: Page, failures: unknown[]): Progress {
		let made: ReturnType<NonNullable<Page['newId']>> | undefined;
		try {
			made = page.newId?.();
		} catch (error) {
			return this.#refused(running, page, failures, error);
		}
		const answer = made?.isOwn === true ? Answer.NewId : Answer.RandomId;
		return this.#resume(running, page, failures, { answer, text: made?.id });
	}

	/** Resumes an operation with an error of the application, which the operation handles. */
	#refused(running: Running, page: Page, failures: unknown[], error: unknown): Progress {
		const number = failures.push(error) - 1;
		return this.#resume(running, page, failures, { answer: Answer.Refused, number });
	}

	/** Makes the store calls that an operation needs next, and resumes it with the replies. */
	async #call(begun: Unfinished, page: Page, failures: unknown[]): Promise<Progress> {
		const { running, step, purpose, several } = begun;
		const action = PURPOSES[purpose] ?? 'read';
		const make = async (call: StoreCall): Promise<StoreReply> => {
			if (page.reading) {
				await page.reading(call.key);
				if (call.step === Step.LoadTwo) await page.reading(call.text);
			}
			return this.calls.make(call, action, failures);
		};
		const first = callOf(running, step);
		if (!several) return this.#resume(running, page, failures, await make(first));
		const calls = [first];
		for (let more = running.next(); more !== Step.Finished; more = running.next())
			calls.push(callOf(running, more));
		let progress: Progress = begun;
		for (const reply of await Promise.all(calls.map(make)))
			progress = this.#resume(running, page, failures, reply);
		return progress;
	}
}

/** An operation that has not ended. */
type Unfinished = Extract<Progress, { readonly ended?: undefined }>;

/** The options of a driver. */
export interface DriverOptions extends StoreCallOptions {
	/** Takes an ID out of use in this process. */
	readonly takeOutOfUse: (id: string) => void;
	/** Migrates data of an older version, as JSON text. */
	readonly migrate?: ((data: string, version: number) => Computed) | undefined;
}

/** The names of purposes in errors and telemetry, in the order of `vestiary::visit::Purpose`. */
const PURPOSES = ['read', 'write', 'touch', 'remove'] as const;

function callOf(running: Running, step: Step): StoreCall {
	const { ttl, owned } = running;
	const [key = '', text = '', writeId = ''] = running.asked.split('\0');
	return { step, key, text, expected: writeId === '' ? null : writeId, ttl, owned };
}

function endOf(ended: Ended, page: Page, failures: unknown[]): End {
	const { flags, at, before, version, writes, texts } = ended;
	const error = faultIn(texts[0], page, failures);
	const fault = faultIn(texts[FAULT], page, failures);
	return { flags, at, before, version, writes, texts, error, fault };
}

/** The index of a visit's fault among the texts of a result. */
const FAULT = 4;

/** The error in a text that consists of a word and its argument. Undefined if the text is empty. */
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
		case 'lost_reply':
			return new StoreError(
				'store_failed',
				'the session store did not say whether it wrote the session'
			);
		case 'untraced':
			return new StoreError(
				'store_unconfirmed',
				'the session was read long ago and its record is gone: it has ended, or has another ID. Open the session again'
			);
		default:
			return new StoreError(
				'store_busy',
				'other requests wrote the session first in each attempt, and nothing was written: repeat the operation'
			);
	}
}

/** Converts a report of an operation to an event. */
function eventOf(word: string, rest: string, failures: unknown[]): SessionEvent {
	switch (word) {
		case 'unreadable':
			return { type: 'unreadable', code: rest };
		case 'rotated':
			return { type: 'rotated', reason: rest as 'login' | 'renewal' };
		case 'bound':
			return { type: 'bound', reason: rest as 'registered' | 'missing' | 'refused' };
		case 'destroyed':
			return { type: 'destroyed', ...(rest !== '' && { confirmed: rest === 'yes' }) };
		case 'reuse': {
			const logId = rest.replace('!', '');
			return { type: 'reuse', ...(logId && { logId }), revoked: rest.endsWith('!') };
		}
		case 'failed':
		case 'thrown':
		case 'busy':
		case 'lost_reply':
		case 'untraced': {
			const error = faultIn(`${word}\n${rest}`, {}, failures) as VestiaryError;
			return { type: 'store_failed', error };
		}
		default:
			// The core uses the names of the events that have no other fields.
			return { type: word } as SessionEvent;
	}
}
