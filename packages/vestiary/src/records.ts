import type { Recent } from './bounded.js';
import type { Columns } from './columns.js';
import {
	othersOf,
	type Core,
	type Given,
	type Opened,
	type OwnCookie,
	type Stored,
	type User
} from './core.js';
import { Driver, type Application, type Compute, type DriverOptions } from './driver.js';
import { errorOf, StoreError, type VestiaryError } from './errors.js';
import { constant, Constant, Ended, Task, type Running } from './generated/vestiary.js';
import { tableOf } from './memory-store.js';
import type { SessionEvent, Store } from './types.js';

/** Hears of what happens while an operation runs. */
type Tell = (event: SessionEvent) => void;

/** The session that cookies lead to. */
export type Found =
	| { readonly kind: 'session'; readonly session: Opened }
	/** The tombstone under an ID that is out of use: it leads a logout to the session. */
	| { readonly kind: 'retired'; readonly session: Opened }
	/** Another instance of the application may be able to read it. */
	| { readonly kind: 'unreadable'; readonly error: VestiaryError }
	| { readonly kind: 'expired'; readonly session: Opened }
	| { readonly kind: 'nobody' };

/** The session that the cookies of a request lead to, and the other records that they have met. */
export interface Opening {
	readonly found: Found;
	/** IDs that led to no session, or to one that has expired. */
	readonly lost: string[];
	/** Records that count for nothing any more. */
	readonly spent: Spent[];
}

/** A record that counts for nothing any more. */
export interface Spent {
	readonly id: string;
	readonly text: string;
	/** It has an entry in its user's session list. */
	readonly isListed: boolean;
}

/** One of a user's sessions, as the list has it. */
export interface ListedSession {
	readonly handle: string;
	readonly created: number;
	readonly seen: number;
	readonly label?: string;
}

/** When a visitor proved who it is, in milliseconds since the epoch. */
export interface Proof {
	readonly at: number;
	/** When the same request ended all sessions of the user, and when they had been ended before. */
	readonly own: { readonly at: number; readonly before: number } | undefined;
}

/** The sessions of one handle: runs the operations of the core on its store. */
export class Records {
	readonly #core: Core;
	readonly #store: Store;
	readonly #driver: Driver;
	/** Where the core can look at records without asking the store. */
	readonly #table: ReturnType<typeof tableOf>;
	/** IDs that this process has taken out of use lately. */
	readonly #retired: Recent;
	readonly #columns: Columns;

	constructor(core: Core, store: Store, options: RecordsOptions) {
		const retire = (id: string): void => {
			this.retire(id);
		};
		this.#core = core;
		this.#store = store;
		this.#driver = new Driver(core, store, { ...options, retire });
		this.#retired = options.retired;
		this.#columns = options.columns;
		// To decrypt takes longer than to wait.
		this.#table = options.encrypts || options.telemetry ? undefined : tableOf(store);
	}

	/** Whether the store compares before it writes. */
	get atomic(): boolean {
		return !!this.#store.atomic;
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
		this.#retired.add(id, constant(Constant.Retired), Date.now());
	}

	/** The session of an ID, if there is nothing to wait for, to do or to tell. */
	openHere(id: string, now: number): Opened | undefined {
		const { table, prefix = '' } = this.#table ?? {};
		return table && this.#core.openHere(table, prefix, id, now);
	}

	/** The session of one of these IDs, the first that may be used. */
	async open(ids: readonly string[], tell: Tell): Promise<Opening> {
		const running = this.#core.begin(Task.Open, { id: ids.join('\n') });
		return this.#driver.run(running, 'read', { tell }, () => ({
			found: foundOf(running),
			...spentOf(running.spent)
		}));
	}

	/** Removes a record that counts for nothing, and its entry in its user's session list. */
	async tidy({ id, text, isListed }: Spent, tell: Tell): Promise<void> {
		const running = this.#core.begin(Task.Tidy, { id, text, number: isListed ? 1 : 0 });
		await this.#driver.run(running, 'remove', { tell }, () => undefined);
	}

	/** The session under an ID as a store has it that is not atomic: it knows no renewals. */
	async load(id: string): Promise<Opened | undefined> {
		return this.#session(this.#core.begin(Task.Load, { id }), 'read', {});
	}

	/**
	 * Whether the store still knows a session by this ID, and its user has not ended it. An answer, not a promise, if
	 * the store need not be asked.
	 */
	isCurrent(id: string): boolean | Promise<boolean> {
		const { table, prefix = '' } = this.#table ?? {};
		const isCurrent = table && this.#core.isCurrentHere(table, prefix, id);
		return isCurrent ?? this.#isDone(Task.IsCurrent, { id }, 'read', () => undefined);
	}

	/** Writes in its user's list that a session is used. False if it is not in the list: it was revoked. */
	async noteUse(session: Stored, tell: Tell): Promise<boolean> {
		return this.#isDone(Task.NoteUse, { session }, 'write', tell);
	}

	/** Stores a new session, with these data (JSON text), and a user perhaps. */
	async create(
		data: string,
		user: User | undefined,
		own: OwnCookie | undefined,
		application: Application
	): Promise<Opened> {
		const running = this.#core.begin(Task.Create, { data, cookie: own, ...userIn(user) });
		const created = await this.#driver.run(running, 'write', application, () =>
			openedOf(running)
		);
		// An application may make an ID twice.
		this.#retired.remove(created.id);
		return created;
	}

	/**
	 * Writes a session's data: what changed between `base` and `mine`, or what a function makes of it. A
	 * store that is not atomic gets `mine`, whatever it has. `cookie` changes the session's own cookie attributes,
	 * `{}` to none.
	 * @returns undefined if the session was ended meanwhile
	 */
	async save(
		session: Stored,
		base: string,
		mine: string | Compute,
		cookie: OwnCookie | undefined,
		tell: Tell
	): Promise<Opened | undefined> {
		const compute = typeof mine === 'function' ? mine : undefined;
		const other = typeof mine === 'function' ? undefined : mine;
		const given = { session, data: base, other, cookie };
		const running = this.#core.begin(Task.Save, given);
		return this.#session(running, 'write', { compute, tell });
	}

	/**
	 * Gives a session its full lifetime again. `refreshes` if this request has opened it a moment ago: then its user's list
	 * need not be asked once more.
	 * @returns The session under the ID that it has now; undefined if it was ended meanwhile
	 */
	async touch(session: Stored, refreshes: boolean, tell: Tell): Promise<Opened | undefined> {
		const given = { session, number: refreshes ? 1 : 0 };
		return this.#session(this.#core.begin(Task.Touch, given), 'touch', { tell });
	}

	/**
	 * Ends a session, under whatever ID it is, and takes it out of its user's list. If the list cannot be read, or the
	 * store refuses to write it, that is an event: the session is ended all the same, and its entry stays.
	 * @returns Whether replicas know it; undefined if that cannot be known
	 */
	async destroy(session: Stored, tell: Tell): Promise<boolean | undefined> {
		const running = this.#core.begin(Task.Destroy, { session });
		return this.#driver.run(running, 'remove', { tell }, () =>
			running.ended === Ended.Done ? running.at > 0 : undefined
		);
	}

	/**
	 * Gives a session another ID, and keeps what it holds.
	 * @returns The session as it is now, also if another request was faster; undefined if it was ended meanwhile
	 */
	async renew(session: Stored, application: Application): Promise<Opened | undefined> {
		return this.#session(this.#core.begin(Task.Renew, { session }), 'write', application);
	}

	/**
	 * Puts another session in the place of one, for `longest` milliseconds at most.
	 * @returns undefined if the session was ended meanwhile: nothing was stored
	 */
	async supersede(
		session: Stored,
		data: string,
		user: User | undefined,
		longest: number,
		application: Application
	): Promise<Opened | undefined> {
		const given = { session, data, number: longest, ...userIn(user) };
		const running = this.#core.begin(Task.Supersede, given);
		return this.#session(running, 'write', application);
	}

	/**
	 * Puts a new session on the list of its user.
	 * @returns Its handle; undefined if all sessions of the user were ended since the visitor proved who it is
	 */
	async enter(
		name: string,
		label: string | undefined,
		proof: Proof,
		most: number
	): Promise<string | undefined> {
		const { at, own } = proof;
		const ends = { ownEnd: own?.at, endBefore: own?.before };
		// A list holds no more than its size allows.
		const number = Math.min(most, MOST);
		const given = { user: name, other: label, at, number, ...ends };
		const running = this.#core.begin(Task.Enter, given);
		return this.#driver.run(running, 'write', {}, () =>
			running.ended === Ended.Done ? textOf(running) : undefined
		);
	}

	/**
	 * The sessions of a user, the one that was used last first.
	 * @throws DataError if the list cannot be read
	 */
	async list(name: string): Promise<ListedSession[]> {
		const running = this.#core.begin(Task.List, { user: name });
		const text = await this.#driver.run(running, 'read', {}, () => textOf(running));
		const sessions = JSON.parse(text) as Record<string, Omit<ListedSession, 'handle'>>;
		return Object.entries(sessions).map(([handle, session]) => ({ handle, ...session }));
	}

	/** Takes a session out of the list of its user. */
	async revoke(user: User): Promise<void> {
		const running = this.#core.begin(Task.Revoke, userIn(user));
		await this.#driver.run(running, 'write', {}, () => undefined);
	}

	/**
	 * Ends all sessions of a user but one.
	 * @returns When, and when they had been ended before that; 0 if never
	 */
	async endAll(
		name: string,
		keep: string | undefined
	): Promise<{ readonly at: number; readonly before: number }> {
		const running = this.#core.begin(Task.EndAll, { user: name, handle: keep });
		return this.#driver.run(running, 'write', {}, () => {
			const { at, before } = running;
			return { at, before };
		});
	}

	/** Why deadlines and cookie attributes of sessions are lost in this store, if they are: once. */
	takeLoss(): StoreError | undefined {
		return this.#columns.takeLoss();
	}

	async #session(
		running: Running,
		action: 'read' | 'write' | 'touch',
		application: Application
	): Promise<Opened | undefined> {
		return this.#driver.run(running, action, application, () =>
			running.ended === Ended.Done ? openedOf(running) : undefined
		);
	}

	async #isDone(
		task: Task,
		given: Given,
		action: 'read' | 'write',
		tell: Tell
	): Promise<boolean> {
		const running = this.#core.begin(task, given);
		return this.#driver.run(running, action, { tell }, () => running.ended === Ended.Done);
	}
}

/** The options that sessions depend on. */
export interface RecordsOptions extends Omit<DriverOptions, 'retire'> {
	readonly encrypts: boolean;
	/** IDs that this process has taken out of use lately. */
	readonly retired: Recent;
}

/** More sessions of a user than a list can hold. */
const MOST = 2 ** 32 - 1;

function userIn(user: User | undefined): Pick<Given, 'user' | 'handle'> {
	return { user: user?.name, handle: user?.handle };
}

function textOf(running: Running): string {
	return running.texts[0] ?? '';
}

function openedOf(running: Running): Opened {
	const { at, facts, texts } = running;
	const [id = '', text = '', data = '', ...others] = texts;
	return { id, text, at, data, facts, ...othersOf(facts, others) };
}

function foundOf(running: Running): Found {
	switch (running.ended) {
		case Ended.Done:
			return { kind: 'session', session: openedOf(running) };
		case Ended.Retired:
			return { kind: 'retired', session: openedOf(running) };
		case Ended.Expired:
			return { kind: 'expired', session: openedOf(running) };
		case Ended.Unreadable:
			return { kind: 'unreadable', error: errorOf(textOf(running)) };
		default:
			return { kind: 'nobody' };
	}
}

/** Three texts for each: an ID, the text of a record, and what it is. */
function spentOf(texts: string[]): { lost: string[]; spent: Spent[] } {
	const [lost, spent]: [string[], Spent[]] = [[], []];
	for (let at = 0; at < texts.length; at += 3) {
		const [id = '', text = '', kind = ''] = texts.slice(at, at + 3);
		if (kind === 'lost') lost.push(id);
		else spent.push({ id, text, isListed: kind === 'listed' });
	}
	return { lost, spent };
}
