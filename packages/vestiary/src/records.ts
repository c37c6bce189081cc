import type { Recent } from './bounded.js';
import { redacted } from './cause.js';
import type { Columns } from './columns.js';
import {
	ownerIn,
	readRecord,
	type Core,
	type Looked,
	type OwnCookie,
	type Stored,
	type User
} from './core.js';
import { DataError, orThrow, StoreError, VestiaryError } from './errors.js';
import {
	Answer,
	Ended,
	Found,
	Listed,
	retiredFor,
	Step,
	type Machine
} from './generated/vestiary.js';
import { tableOf } from './memory-store.js';
import { refusalOf } from './refusal.js';
import { MARK_HEADS } from './stores/options.js';
import type { AtomicOperations, Store, StoreOperation, Telemetry } from './types.js';
import { TOO_DEEP, unstorable } from './values.js';

export type { Stored } from './core.js';

/** What became of a write. */
export interface Written extends Stored {
	/** Another request had changed the data meanwhile, and both changes are in. */
	readonly merged: boolean;
	/** The record may hold more than this request has seen. */
	readonly reread: boolean;
}

/** How a session got another ID. */
export type Rotated =
	/** It has this one. */
	| { kind: 'done'; stored: Stored }
	/** Another request was faster; its tombstone leads to this ID, or to none. */
	| { kind: 'elsewhere'; id: string | undefined }
	/** It was ended meanwhile. */
	| { kind: 'gone' };

/** An update: makes JSON text of the JSON text of a session's data. */
export type Compute = (data: string) => Promise<Computed>;

/** The data before and after an update: JSON text of the same serialiser. */
export interface Computed {
	readonly base: string;
	readonly mine: string;
}

/**
 * The records of one handle, as `Session` deals with them: text under session IDs. What a store is asked
 * for is named, encrypted and, if the store is atomic, done by the machines of the core.
 */
export class Records {
	readonly #core: Core;
	readonly #store: Store;
	readonly #atomic: AtomicOperations | undefined;
	readonly #timeout: number;
	readonly #migrates: boolean;
	/** IDs are stored as they are. */
	readonly #plainIds: boolean;
	readonly #encrypts: boolean;
	readonly #telemetry: Telemetry | undefined;
	/** Where the core can look at records without asking the store. */
	readonly #table: ReturnType<typeof tableOf>;
	/** Records of stores that are not atomic. */
	readonly #columns: Columns;
	/** IDs that this process has taken out of use lately. */
	readonly #retired: Recent;

	constructor(core: Core, store: Store, options: RecordsOptions) {
		this.#core = core;
		this.#store = store;
		this.#atomic = store.atomic ?? undefined;
		this.#timeout = options.timeout;
		this.#telemetry = options.telemetry;
		this.#retired = options.retired;
		this.#columns = options.columns;
		this.#migrates = options.encrypt === 'migrate';
		this.#encrypts = options.encrypt === true || options.encrypt === 'migrate';
		this.#plainIds = options.hashIds !== true && options.namespace === undefined;
		this.#table = this.#encrypts || this.#telemetry ? undefined : tableOf(store);
	}

	/** Whether the store compares before it writes. */
	get atomic(): boolean {
		return this.#atomic !== undefined;
	}

	/**
	 * Whether this ID was taken out of use while its cookie was on the way to a response. Other processes
	 * cannot be asked without asking the store again.
	 */
	isRetired(id: string): boolean {
		return this.#retired.has(id, Date.now());
	}

	/** Takes an ID out of use in this process: no response of it sets a cookie with this ID any more. */
	retire(id: string): void {
		this.#retired.add(id, retiredFor(), Date.now());
	}

	/** The record of a session, and what it is, if that can be said without asking the store. */
	look(id: string, now: number): Looked | undefined {
		const { table, prefix } = this.#table ?? {};
		if (!table || prefix === undefined) return undefined;
		return this.#core.look(table, prefix + this.#keyOf(id), now);
	}

	/** The list of a user's sessions, if that can be said without asking the store. */
	lookAtList(name: string): string | undefined {
		const { table, prefix } = this.#table ?? {};
		if (!table || prefix === undefined) return undefined;
		return table.get(prefix + this.#core.userKey(name), Date.now());
	}

	/** The record of a session. */
	async load(id: string): Promise<Stored | undefined> {
		const at = Date.now();
		const text = await this.#ask('read', async () => this.#read(this.#keyOf(id)));
		return text === undefined ? undefined : { id, text: this.#opened(id, text), at };
	}

	/** The session that an ID leads to now, over renewals, for a request that had it open before. */
	async current(id: string): Promise<Stored | undefined> {
		let next = id;
		for (let renewals = 0; renewals <= RENEWALS; renewals++) {
			const stored = await this.load(next);
			if (!stored) return undefined;
			const leads = this.#core.lead(next, stored.text);
			if (leads === undefined) return undefined;
			if (leads === next) return stored;
			next = leads;
		}
		throw busy();
	}

	/**
	 * Whether the store still knows a session by this ID, and its user has not ended it. An answer, not a promise, if
	 * the store need not be asked.
	 */
	isCurrent(id: string): boolean | Promise<boolean> {
		if (this.#table) {
			const looked = this.look(id, Date.now());
			if (!looked || !isInUse(looked.found)) return false;
			return !(looked.found & Found.Owned) || readable(this.#isListed(looked));
		}
		return readable(this.#isGood(id));
	}

	async #isGood(id: string): Promise<boolean> {
		const stored = await this.load(id);
		if (!stored) return false;
		const { text } = stored;
		const found = this.#core.inspect(text);
		return isInUse(found) && this.#isListed({ text, found });
	}

	/** Whether the session of a record stands in the list of its user, if it has one. */
	async #isListed({ text, found }: Pick<Looked, 'text' | 'found'>): Promise<boolean> {
		if (!(found & Found.Owned)) return true;
		const owner = ownerIn(readRecord(text, found).meta);
		if (!owner) return true;
		const own = found & Found.Cookie ? this.#core.cookieOf(text) : undefined;
		return (await this.admits({ ...owner, own })).admitted;
	}

	/** Stores a new record. False if there is one under this ID. */
	async create(stored: Stored, bound: boolean): Promise<boolean> {
		const { id, text } = stored;
		const [key, ttl] = [this.#keyOf(id), this.#core.ttlOf(text)];
		const sealed = this.#sealed(id, text);
		// An application may make an ID twice.
		this.#retired.remove(id);
		return this.#ask('write', async () => {
			if (this.#atomic)
				return isBoolean('create', await this.#atomic.create(key, sealed, ttl, bound));
			await this.#store.set(key, this.#columns.pack(key, sealed), ttl);
			return true;
		});
	}

	/**
	 * Writes a session's data: what changed between `base` and `mine`, or what a function makes of it. A
	 * store that is not atomic gets `mine`, whatever it has. `cookie` changes the session's own cookie attributes,
	 * `{}` to none.
	 * @returns undefined if the session was ended meanwhile
	 */
	async commit(
		stored: Stored,
		base: string,
		mine: string | Compute,
		cookie?: OwnCookie
	): Promise<Written | undefined> {
		const { id, text } = stored;
		const compute = typeof mine === 'function' ? mine : undefined;
		if (!this.#atomic) {
			if (this.#core.inspect(text) & Found.Over) return undefined;
			const data = typeof mine === 'function' ? (await mine(base)).mine : mine;
			const record = {
				id,
				text: this.#core.encode(data, text, undefined, cookie),
				at: Date.now()
			};
			await this.create(record, false);
			return { ...record, merged: false, reread: false };
		}
		const data = typeof mine === 'function' ? undefined : mine;
		const machine = this.#core.commit(stored, base, data, cookie);
		const written = await this.#run(machine, { action: 'write', compute }, (at, asks) =>
			machine.ended === Ended.Done
				? { ...storedOf(machine, at), merged: machine.merged, reread: asks > 1 }
				: undefined
		);
		if (written?.id !== id) this.retire(id);
		return written;
	}

	/**
	 * Gives a session its full TTL again.
	 * @returns The session under the ID that it has now; undefined if it was ended meanwhile
	 */
	async touch(stored: Stored): Promise<Stored | undefined> {
		const { id, text } = stored;
		if (!this.#atomic) {
			const [key, ttl] = [this.#keyOf(id), this.#core.ttlOf(text)];
			await this.#ask('touch', async () => this.#store.touch(key, ttl));
			return stored;
		}
		const machine = this.#core.touch(stored);
		const touched = await this.#run(machine, { action: 'touch' }, (at) =>
			machine.ended === Ended.Gone ? undefined : storedOf(machine, at)
		);
		if (touched?.id !== id) this.retire(id);
		return touched;
	}

	/**
	 * Ends a session, under whatever ID it is, and takes it out of its user's list.
	 * @param stays Called with the error if the list cannot be read, or the store refuses to write it: the session is
	 * ended all the same, and its entry stays
	 * @returns Whether replicas know it; undefined if that cannot be known
	 */
	async destroy(
		stored: Stored,
		stays: (error: VestiaryError) => void
	): Promise<boolean | undefined> {
		const { id } = stored;
		if (this.#atomic) {
			const machine = this.#core.destroy(stored);
			const run = { action: 'remove', leaves: { stays } } as const;
			const last = await this.#run(machine, run, () => machine.id ?? id);
			this.retire(id);
			this.retire(last);
			return this.#confirmed(this.#keyOf(last));
		}
		await this.#ask('remove', async () => this.#store.destroy(this.#keyOf(id)));
		this.retire(id);
		return undefined;
	}

	/** Removes a record that is none any more, if it is still the one that was read. */
	async discard({ id }: Stored, mark: string | undefined): Promise<void> {
		const key = this.#keyOf(id);
		await this.#ask('remove', async () =>
			this.#atomic ? this.#atomic.remove(key, mark ?? null) : this.#store.destroy(key)
		);
	}

	async #confirmed(key: string): Promise<boolean | undefined> {
		const atomic = this.#atomic;
		if (!atomic?.confirm) return undefined;
		try {
			return await this.#ask('remove', async () => atomic.confirm?.(key));
		} catch (error) {
			// It was done; what is not known is only who else knows.
			if (error instanceof StoreError) return false;
			throw error;
		}
	}

	/** Gives a session another ID, and keeps what it holds. */
	async renew(stored: Stored, newId: () => string, bound: boolean): Promise<Rotated> {
		return this.#rotate(stored.id, () => this.#core.renew(stored, newId()), bound);
	}

	/** Gives a session another ID and other data, for `longest` milliseconds at most. */
	async supersede(
		stored: Stored,
		newId: () => string,
		data: string,
		user: User | undefined,
		longest: number
	): Promise<Rotated> {
		return this.#rotate(
			stored.id,
			() => this.#core.supersede(stored, newId(), data, user, longest),
			user !== undefined
		);
	}

	/**
	 * The list of a user's sessions; undefined if there is none.
	 * @throws DataError if it cannot be read
	 */
	async userList(name: string): Promise<string | undefined> {
		const key = this.#core.userKey(name);
		const text = await this.#ask('read', async () => this.#read(key));
		return text === undefined ? undefined : this.#opened(key, text, key);
	}

	/**
	 * Whether a session still stands in the list of its user, and whether its use has to be written down there.
	 * @throws DataError if the list cannot be read
	 */
	async admits({
		name,
		handle,
		own
	}: User & { own?: OwnCookie | undefined }): Promise<{ admitted: boolean; stale: boolean }> {
		const list = this.lookAtList(name) ?? (await this.userList(name));
		const listed =
			list === undefined ? 0 : this.#core.userKnows(list, handle, own, this.storeTtl);
		if (listed & Listed.Known) return { admitted: true, stale: (listed & Listed.Stale) !== 0 };
		// A replica may not have heard of the login yet. What the store says of a write is certain.
		const admitted = this.atomic && (await this.seen({ name, handle }, own));
		return { admitted, stale: false };
	}

	/** Writes in the list of a user that a session is used. False if it is not in the list: it was revoked. */
	async seen({ name, handle }: User, own: OwnCookie | undefined): Promise<boolean> {
		return this.changeUser(name, this.#core.userSeen(handle, own, this.storeTtl));
	}

	/**
	 * The store's clock, by which logins and the end of all sessions of a user are ordered, if it has one. Otherwise
	 * they are ordered by the clock of this server.
	 */
	async clock(name: string): Promise<number | undefined> {
		const atomic = this.#atomic;
		if (!atomic?.now) return undefined;
		const key = this.#core.userKey(name);
		const now = await this.#ask('read', async () => atomic.now?.(key));
		return now !== undefined && Number.isFinite(now) ? Math.floor(now) : undefined;
	}

	/**
	 * Ends all sessions of a user but one.
	 * @returns When they had been ended before that; 0 if never
	 */
	async endAll(name: string, keep: string | undefined, at: number): Promise<number> {
		const change = this.#core.userEnd(keep, at);
		const options = {
			action: 'write',
			userKey: this.#core.userKey(name),
			bound: true
		} as const;
		return this.#run(change, options, () => change.endedBefore ?? 0);
	}

	/** The TTL of records that are written without one, in milliseconds. */
	get storeTtl(): number {
		return this.#atomic?.ttl ?? DAY;
	}

	/** Changes the list of a user's sessions. False if it may not be. */
	async changeUser(name: string, change: Machine | undefined): Promise<boolean> {
		if (!change) return false;
		const key = this.#core.userKey(name);
		const options = { action: 'write', userKey: key, bound: true } as const;
		return this.#run(change, options, () => change.ended === Ended.Done);
	}

	async #rotate(id: string, begin: () => Machine, bound: boolean): Promise<Rotated> {
		let failure: Error | undefined;
		for (let tries = 0; tries < 3; tries++) {
			const machine = begin();
			const rotated = await this.#run(machine, { action: 'write', bound }, (at, _, lost) => {
				const { ended } = machine;
				if (ended === Ended.TryAnother) {
					// Not that the ID is taken was the answer, but none, and that twice.
					if (failure && lost) throw lost;
					failure = lost;
					return undefined;
				}
				if (ended === Ended.Gone) return { kind: 'gone' } as const;
				if (ended === Ended.Elsewhere)
					return { kind: 'elsewhere', id: machine.id } as const;
				return { kind: 'done', stored: storedOf(machine, at) } as const;
			});
			if (!rotated) continue;
			this.retire(id);
			return rotated;
		}
		throw failure ?? busy();
	}

	/** Asks the store what a machine says, until it is finished. */
	async #run<T>(
		machine: Machine,
		run: Run,
		result: (at: number, asks: number, failure: Error | undefined) => T
	): Promise<T> {
		let asks = 0;
		let at = Date.now();
		let looks = 0;
		let took = 0;
		// The reply to the last request was lost; or to so many writes, whatever was read since.
		let lost = false;
		let lostWrites = 0;
		let failure: Error | undefined;
		try {
			while (machine.step !== Step.Finished) {
				if (machine.step === Step.Compute && run.compute) {
					const { base, mine } = await run.compute(machine.text);
					orThrow(() => machine.computed(base, mine, Date.now()));
					continue;
				}
				if (machine.step === Step.Remove && run.leaves)
					await this.#leaveUser(machine, run.leaves);
				// To look again at once is best for two; of many, all but one would come too late again.
				if (machine.step === Step.Load && ++looks > 1) await pause(took, looks);
				const writes = machine.step !== Step.Load;
				const began = performance.now();
				at = Date.now();
				let answer: Answer | string;
				try {
					answer = await this.#ask(run.action, async () => this.#answer(machine, run));
					lost = false;
					if (writes) lostWrites = 0;
				} catch (error) {
					// What the store has answered is final. And if two replies in a row are lost, it is
					// down; if three of writes are, it answers reads only. The machines can be left at any
					// step.
					if (writes) lostWrites++;
					const isDown = lost || lostWrites > 2;
					if (isDown || !(error instanceof StoreError) || error.refused) throw error;
					lost = true;
					failure = error;
					answer = Answer.Unknown;
				}
				asks++;
				took = performance.now() - began;
				if (
					answer === Answer.Conflict &&
					took > RESENT &&
					this.#atomic?.resends !== false
				) {
					// The client may have lost its connection, and sent it again: what was there may be
					// ours.
					failure ??= new StoreError(
						'store_failed',
						'the session store did not say whether it wrote the session'
					);
					answer = Answer.Unknown;
				}
				if (typeof answer === 'string') this.#tell(machine, answer, run);
				else this.#core.answered(machine, answer);
			}
			// If one of the answers was lost, nobody knows what was done.
			if (machine.ended === Ended.GaveUp) throw failure ?? busy();
			if (run.leaves) await this.#leaveUser(machine, run.leaves);
			// What has left the list of its user is ended, under whatever ID it is.
			if (machine.ended === Ended.Untraced && !run.leaves?.isOut) throw unconfirmed();
			return result(at, asks, failure);
		} finally {
			machine.free();
		}
	}

	/**
	 * Takes a session out of its user's list before its record is removed: if that fails, the record still says whose
	 * session it is when the removal is repeated. A list that is not written at all, for it cannot be read or the store
	 * refuses to, does not keep the session from being ended.
	 */
	async #leaveUser({ user, handle }: Machine, leaves: Leaves): Promise<void> {
		const name: unknown = JSON.parse(user ?? 'null');
		if (typeof name !== 'string' || handle === undefined || handle === leaves.left) return;
		try {
			await this.changeUser(name, this.#core.userRemove(handle));
			leaves.isOut = true;
		} catch (error) {
			leaves.stays(unwritten(error));
		}
		leaves.left = handle;
	}

	/** Tells a machine what the store has. */
	#tell(machine: Machine, text: string, { userKey }: Run): void {
		const opened = this.#opened(userKey ?? machine.id ?? '', text, userKey);
		this.#core.answered(machine, Answer.Record, opened);
	}

	async #answer(machine: Machine, { userKey, bound = false }: Run): Promise<Answer | string> {
		const atomic = this.#atomic;
		if (!atomic) throw new TypeError('the store is not atomic');
		const id = userKey ?? machine.id ?? '';
		const key = userKey ?? this.#keyOf(id);
		const mark = machine.expected ?? null;
		switch (machine.step) {
			case Step.Load:
				return (await this.#read(key)) ?? Answer.Gone;
			case Step.Create: {
				const text = this.#sealed(id, machine.text, userKey);
				const created = await atomic.create(key, text, machine.ttl, bound);
				return isBoolean('create', created) ? Answer.Done : Answer.Conflict;
			}
			case Step.Replace: {
				const text = this.#sealed(id, machine.text, userKey);
				return answerOf('replace', await atomic.replace(key, mark, text, machine.ttl));
			}
			case Step.Touch:
				return this.#touch(atomic, key, mark, machine.ttl);
			default:
				return answerOf('remove', await atomic.remove(key, mark));
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

	async #read(key: string): Promise<string | undefined> {
		try {
			if (this.#atomic) {
				const text: unknown = (await this.#atomic.read(key)) ?? undefined;
				if (text === undefined || typeof text === 'string') return text;
				throw misbehaved('read', 'a string or null');
			}
			const record = await this.#store.get(key);
			return record ? jsonOf(this.#columns.unpack(key, record)) : undefined;
		} catch (error) {
			throw isUnreadable(error) ? unreadable(error) : error;
		}
	}

	/** Why deadlines and cookie attributes of sessions are lost in this store, if they are: once. */
	takeLoss(): StoreError | undefined {
		return this.#columns.takeLoss();
	}

	#keyOf(id: string): string {
		return this.#plainIds ? id : this.#core.storeKey(id);
	}

	#sealed(id: string, text: string, key = this.#keyOf(id)): string {
		return this.#encrypts ? this.#core.seal(id, key, text) : text;
	}

	#opened(id: string, text: string, key = this.#keyOf(id)): string {
		if (!this.#encrypts) return text;
		try {
			return this.#core.open(id, key, text);
		} catch (error) {
			if (this.#migrates && error instanceof DataError && error.code === 'not_sealed')
				return text;
			throw error;
		}
	}

	/** Asks the store. Its own error becomes the cause of ours, without what it was asked. */
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

/** The answer about a record or a list; false for one that cannot be read. */
async function readable(answer: Promise<boolean>): Promise<boolean> {
	try {
		return await answer;
	} catch (error) {
		if (error instanceof DataError) return false;
		throw error;
	}
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

/** How a machine is run. */
interface Run {
	/** What is being done, for errors. */
	action: StoreOperation;
	compute?: Compute | undefined;
	/** The key of a user's list, if it is about that. */
	userKey?: string;
	/** What is created belongs to a user. */
	bound?: boolean;
	/** A session that is removed leaves its user's list, too. */
	leaves?: Leaves;
}

/** How a session that is removed leaves its user's list. */
interface Leaves {
	/** The handle of its entry, once that was dealt with. */
	left?: string;
	/** The entry is gone. */
	isOut?: boolean;
	/** Called with the reason if the entry stays. */
	readonly stays: (error: VestiaryError) => void;
}

/** What records need to know of the options. */
export interface RecordsOptions {
	/** Milliseconds to wait for the store; 0 waits as long as it takes. */
	timeout: number;
	encrypt: boolean | 'migrate' | undefined;
	hashIds: boolean | undefined;
	namespace: string | undefined;
	telemetry: Telemetry | undefined;
	/** IDs that this process has taken out of use lately. */
	retired: Recent;
	columns: Columns;
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

/**
 * JSON text of what an application wants stored.
 * @throws DataError if it has none
 */
export function jsonOf(value: unknown): string {
	try {
		// Not a string for what JSON has no text for, such as a function, whatever its type says.
		const json = JSON.stringify(value) as string | undefined;
		return json ?? 'null';
	} catch {
		const odd = unstorable(value);
		if (odd?.kind === TOO_DEEP)
			throw new DataError('too_deep', 'session data is nested deeper than 32 levels');
		const name = odd?.path === '' ? 'it' : `\`${odd?.path}\``;
		const found = odd ? `${name} is ${odd.kind}` : 'its text is too long';
		throw new DataError('json', `session data must be JSON: ${found}`);
	}
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

/** Whether a record is that of a session, not only of an ID that was one's. */
function isInUse(found: number): boolean {
	return (found & (Found.Retired | Found.Renewed)) === 0;
}

function storedOf(machine: Machine, at: number): Stored {
	return { id: machine.id ?? '', text: machine.text, at };
}

/** As many IDs a session may have got while its cookie was on the way. */
export const RENEWALS = 4;

/**
 * Milliseconds: a client that sends a request again has lost its connection, and needs longer for another
 * one.
 */
const RESENT = 20;

/** The TTL that a store is taken to give to records that are written without one, in milliseconds. */
const DAY = 86_400_000;

export function busy(): StoreError {
	return new StoreError(
		'store_busy',
		'the session was written by other requests each time it was tried: nothing was written'
	);
}

function unconfirmed(): StoreError {
	return new StoreError(
		'store_unconfirmed',
		'the session was read long ago and its record is gone: whether it has ended, or has another ID now, cannot be told'
	);
}

/**
 * Lets others finish: for up to twice as long each time, and not less than 1, 2, 4 … milliseconds, so that many
 * find their turn before they give up.
 */
async function pause(took: number, looks: number): Promise<void> {
	const [byte = 0] = crypto.getRandomValues(new Uint8Array(1));
	const most = Math.min(Math.max(took * 2 ** looks, 2 ** (looks - 2)), 1_000);
	await new Promise((resolve) => setTimeout(resolve, (byte / 255) * most));
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
