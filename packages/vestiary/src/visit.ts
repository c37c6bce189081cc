import type { RequestEvent } from '@sveltejs/kit';

import type { Given, OwnCookie, User } from './progress.js';
import type { Compute, End, Page } from './driver.js';
import { ConfigError, orThrow, type VestiaryError } from './errors.js';
import {
	checkId,
	Fact,
	Given as Flag,
	type MemoryTable,
	Outgoing,
	Task,
	View,
	VisitFlag,
	VisitState
} from './generated/vestiary.js';
import { LOOK, SEEN, type Inside } from './inside.js';
import type { Spent } from './records.js';
import { refusePromise, type Runtime } from './runtime.js';
import type { SessionEvent } from './types.js';

/** The arguments of an operation, in addition to the visit itself. */
export interface Input {
	/** Bits of the core's `Given`. */
	readonly flags?: number;
	readonly texts?: readonly string[];
	readonly login?: Given['login'];
	/** The lifetime of a slot, or a lease, in milliseconds. */
	readonly lifetime?: number;
	/** How early tokens are refreshed, in milliseconds. */
	readonly early?: number;
	/** How long the request has waited for a lease, in milliseconds. */
	readonly waited?: number;
	/** Bits of `Fact` that say which of the cookies' sessions need no touch. */
	readonly touched?: number;
	readonly compute?: Compute;
	/** Called when the operation has ended. */
	readonly ended?: (outcome: Outcome) => void;
}

/** How an operation has ended. */
export interface Outcome {
	/** Whether its session is stored. */
	readonly isStored: boolean;
	/** The value that it has taken from a slot, as JSON text; empty without one. Of a lease, its state. */
	readonly taken: string;
}

/** The session cookie of a response. */
export interface Cookie {
	/** The session ID in it; undefined if the cookie is removed. */
	readonly id: string | undefined;
	/** The session's own cookie attributes. */
	readonly own: OwnCookie | undefined;
}

const NOTHING: Input = {};

/** Operations that only read, or run after the application's. They set only a cookie that they have changed. */
const AFTERWARDS = new Set([Task.Refresh, Task.Confirm, Task.Finish, Task.IsAlive]);

/** Operations that always read the session from the store, or write it. */
const ASKING: ReadonlySet<Task> = new Set([Task.Open, Task.Save, Task.LogIn]);

/** Operations that begin a session for an anonymous visitor. */
const CREATING: ReadonlySet<Task> = new Set([Task.Save, Task.Put, Task.Claim, Task.KeepTokens]);

/** Operations after which the visitor has another session or none, even if they fail, because the cookie is removed. */
const PARTING = new Set([Task.Regenerate, Task.Destroy, Task.Revoked]);

/** The counts of ended operations at the time when another one began. */
interface Before {
	readonly ended: number;
	readonly sessions: number;
}

/** The parts of a request that its visit needs. */
export interface Around {
	readonly event: RequestEvent;
	readonly runtime: Runtime;
	/** The session for `event.locals.session`. */
	readonly session: Inside | undefined;
	/** Whether a cookie can probably reach the browser. */
	readonly canSend: boolean;
	/** As `canSend`, but a jar that may be closed counts as closed. */
	readonly canSurelySend: boolean;
	/** Whether the cookie belongs to another handle. */
	readonly isTaken: boolean;
	/** The error for a session whose cookie belongs to another handle. */
	readonly sameName: VestiaryError;
	emit(event: SessionEvent): void;
	reserves(is: boolean): void;
	/** Called when a session has been stored for the first time, or when the visitor has another one or none. */
	moved(hasBegun: boolean): void;
	watch(user: User): void;
	tidy(spent: Spent): void;
	sendByJar(): VestiaryError | undefined;
}

/**
 * A request's view of its visitor's session. Between two operations it holds the core's state as text and numbers
 * (`vestiary::visit`). It makes no decisions.
 */
export class Visit implements Page {
	readonly #scope: Around;
	#flags = 0;
	#at = 0;
	/** The IDs, one per line; the record; the session's own attributes of the outgoing cookie. */
	#texts: readonly [ids: string, record: string, own: string] = ['', '', ''];
	/** The first three IDs: of the session; of the outgoing cookie; the one that needs no confirmation. */
	#ids: readonly string[] = [];
	/** The number of writes to the store when the session was last read; NaN if it is not known. */
	#writes = NaN;
	/** The table that holds the session, while the session is not opened yet. */
	#table: MemoryTable | undefined;
	/** The number of operations that have ended. */
	#ended = 0;
	/** The number of those that have begun or ended a session. */
	#sessions = 0;
	/** The bits of `Fact` for sessions that need no touch, in the current operation. */
	#touched = 0;
	/** Whether the current operation only acts if a cookie can certainly reach the browser. */
	#isSure = false;
	/** The IDs of sessions that got their full lifetime again in the current operation. */
	#prolonged: string[] = [];
	/** The ID that the application has seen before the session was stored. */
	#shown: string | undefined;
	/** The owner of the session. */
	user: User | undefined;
	/** The reason why the session can be neither read nor written. */
	fault: VestiaryError | undefined;

	constructor(scope: Around) {
		this.#scope = scope;
	}

	/** Defers the opening of the session to its first use. A session that the application does not look at is never read. */
	openLater(table: MemoryTable): void {
		this.#table = table;
	}

	/** Opens the session, unless it is already open. */
	open(): void {
		const table = this.#table;
		if (!table) return;
		this.#table = undefined;
		this.#scope.session?.[LOOK](table);
	}

	get state(): VisitState {
		this.open();
		return this.#flags & VisitFlag.State;
	}

	/** The ID of the session, if it is stored. */
	get storedId(): string | undefined {
		return this.state === VisitState.Stored ? this.#id(0) : undefined;
	}

	/** The ID of the session, or the ID that it will get when it is stored. */
	get id(): string {
		const { state } = this;
		if (state === VisitState.Stored || state === VisitState.Reserved) return this.#id(0);
		// Created on first use, so that a visitor who only reads costs no random bytes.
		return (this.#shown ??= this.newId().id);
	}

	/** When the session ends: its idle deadline with `idle`, otherwise its first deadline. Null if there is none. */
	endOf(idle: boolean): Date | null {
		this.open();
		const { core } = this.#scope.runtime;
		const end = core.endOf(this.#flags, this.#at, this.#texts[1], idle);
		return end === undefined ? null : new Date(end);
	}

	/** The session's name for logs; undefined if it is not stored. */
	get logId(): string | undefined {
		this.open();
		const [ids, record] = this.#texts;
		return this.#scope.runtime.core.logId(this.#flags, ids, record);
	}

	/** Whether the user has proven their identity within this number of milliseconds. */
	isFresh(period: number): boolean {
		this.open();
		return this.#scope.runtime.core.isFresh(this.#flags, this.#texts[1], period);
	}

	/** Whether the session is bound to the visitor's device. */
	get isBound(): boolean {
		this.open();
		return this.#scope.runtime.core.isBound(this.#flags, this.#texts[1]);
	}

	/** The record of the session, as JSON text. */
	get record(): string {
		this.open();
		return this.#texts[1];
	}

	/** Whether the session needs work that the application does not see, such as a touch or a renewal. */
	get isDue(): boolean {
		return (this.#flags & (VisitFlag.Due | VisitFlag.Unseen)) !== 0;
	}

	/** The cookie of the response, unless its ID was taken out of use. */
	get cookie(): Cookie | undefined {
		const kind = this.#cookieKind;
		if (kind === Outgoing.Nothing) return undefined;
		const [, , own] = this.#texts;
		const id = kind === Outgoing.Removal ? undefined : this.#id(1);
		if (id !== undefined && this.#scope.runtime.records.isOutOfUse(id)) return undefined;
		return { id: kind === Outgoing.Session ? id : undefined, own: textIn(own) };
	}

	/** Whether the browser has a cookie of this request's session, or receives one. */
	get hasCookie(): boolean {
		return this.state === VisitState.Stored || this.#cookieKind !== Outgoing.Nothing;
	}

	/** Whether the ID in the outgoing cookie must be confirmed by the store before the response leaves. */
	get needsConfirm(): boolean {
		if (this.#cookieKind !== Outgoing.Session || this.#id(1) === this.#id(2)) return false;
		return this.#writes !== this.#scope.runtime.records.writes;
	}

	/**
	 * Opens the session of a `Cookie` header: on a table, or of a session that may be in the near cache. Undefined if it has
	 * ended without waiting, as on a table.
	 */
	openFrom(
		header: string | null,
		flags: number,
		table: MemoryTable | undefined
	): Promise<void> | undefined {
		const before = this.#begin(Task.Open);
		const end = this.#scope.runtime.records.open(header, flags, this, table);
		return end && this.#ending(Task.Open, end, before, NOTHING);
	}

	/** Runs an operation. Undefined if it has ended without waiting. */
	act(task: Task, input: Input = NOTHING): Promise<void> | undefined {
		this.open();
		const before = this.#begin(task);
		const {
			flags = 0,
			texts = [],
			login,
			lifetime,
			early,
			waited,
			touched = 0,
			compute
		} = input;
		this.#touched = touched;
		const given = {
			flags: this.#flags | flags | (this.#makesId(task) ? Flag.Identified : 0),
			at: this.#at,
			texts: [...this.#texts, ...texts],
			login,
			lifetime,
			early,
			waited
		};
		const end = this.#scope.runtime.records.act(task, given, this, compute);
		return this.#ending(task, end, before, input);
	}

	/** Whether the session is still valid. */
	async isAlive(): Promise<boolean> {
		const { isStored } = await outcomeOf((ended) => this.act(Task.IsAlive, { ended }));
		return isStored;
	}

	#begin(task: Task): Before {
		this.#touched = 0;
		this.#isSure = task === Task.Renew || task === Task.Open;
		return { ended: this.#ended, sessions: this.#sessions };
	}

	#ending(
		task: Task,
		end: End | Promise<End>,
		before: Before,
		input: Input
	): Promise<void> | undefined {
		if (end instanceof Promise) {
			this.#writes = NaN;
			return end.then((later) => this.#end(task, later, before, input));
		}
		this.#writes = ASKING.has(task) && end.error === undefined ? end.writes : NaN;
		return this.#end(task, end, before, input);
	}

	/** Whether an operation will probably need a random session ID. */
	#makesId(task: Task): boolean {
		if (this.#shown !== undefined || this.#scope.runtime.options.genid) return false;
		return task === Task.LogIn || (CREATING.has(task) && this.storedId === undefined);
	}

	/** Forgets the ID that the application has seen, because the next session is another one. */
	forgetShown(): void {
		this.#shown = undefined;
	}

	/** The current bits of `Fact`. */
	get facts(): number {
		const { isTaken } = this.#scope;
		const canSend = this.#isSure ? this.#scope.canSurelySend : this.#scope.canSend;
		const facts = this.#touched | (canSend ? 0 : Fact.Left) | (isTaken ? Fact.Taken : 0);
		const [ids] = this.#texts;
		if (ids === '') return facts;
		return (
			facts |
			(this.#isOutOfUse(0) ? Fact.SessionOutOfUse : 0) |
			(this.#isOutOfUse(1) ? Fact.CookieOutOfUse : 0)
		);
	}

	/** Whether this process has taken the ID in a line out of use. */
	#isOutOfUse(line: number): boolean {
		const id = this.#id(line);
		return id !== '' && this.#scope.runtime.records.isOutOfUse(id);
	}

	/** Generates a session ID. */
	newId(): { readonly id: string; readonly isOwn: boolean } {
		const { event, runtime } = this.#scope;
		const shown = this.#shown;
		if (shown !== undefined) {
			this.#shown = undefined;
			return { id: shown, isOwn: true };
		}
		const id = runtime.options.genid?.(event);
		if (id === undefined) return { id: runtime.core.newId(), isOwn: false };
		refusePromise('`genid`', id);
		if (typeof id !== 'string')
			throw new ConfigError('options', '`genid` must return a string');
		orThrow(() => {
			checkId(id);
		});
		// `genid` may return an ID that was used before.
		runtime.records.use(id);
		return { id, isOwn: true };
	}

	emit(event: SessionEvent): void {
		this.#scope.emit(event);
	}

	touched(id: string): void {
		this.#prolonged.push(id);
	}

	reserves(is: boolean): void {
		this.#scope.reserves(is);
	}

	taken(): VestiaryError {
		return this.#scope.sameName;
	}

	/** @param before The counts when the operation began */
	#end(task: Task, end: End, before: Before, input: Input): Promise<void> | undefined {
		const { storedId } = this;
		const isAfterwards = AFTERWARDS.has(task);
		const cookie = isAfterwards ? this.#outgoing : '';
		const counts = end.texts.length > 1 && this.#isOfIt(end, before);
		if (counts) this.#become(end);
		const isOther =
			PARTING.has(task) ||
			(task === Task.LogIn && end.error === undefined) ||
			(storedId === undefined) !== (this.storedId === undefined);
		if (counts && isOther) {
			this.#sessions++;
			this.#scope.moved(this.storedId !== undefined && task !== Task.LogIn);
		}
		const isStored = counts && this.storedId !== undefined;
		input.ended?.({ isStored, taken: end.texts[TAKEN] ?? '' });
		const sends = !isAfterwards || this.#outgoing !== cookie;
		const unsent = sends ? this.#scope.sendByJar() : undefined;
		if (end.error !== undefined) throw end.error as Error;
		// Only a new session, or one after a login, needs the cookie: the browser has that of any other stored session, and
		// the cookie of an ended session is worthless.
		const isNew =
			this.storedId !== undefined && (storedId === undefined || task === Task.LogIn);
		return unsent && isNew ? this.#takeBack(unsent) : undefined;
	}

	/** A text that identifies the outgoing cookie, for comparison. */
	get #outgoing(): string {
		return `${this.#cookieKind} ${this.#id(1)} ${this.#texts[2]}`;
	}

	/** Ends a session whose cookie cannot reach the browser. Otherwise its record would stay until it expires. */
	async #takeBack(unsent: VestiaryError): Promise<never> {
		await this.act(Task.Destroy);
		throw unsent;
	}

	/**
	 * Whether the result of an operation applies to the visit's current session. Other operations may have run during the
	 * application's function. If they have begun or ended a session, their result stays. Of a stored session, a failed
	 * operation has changed nothing.
	 */
	#isOfIt({ flags, error }: End, before: Before): boolean {
		if (before.ended === this.#ended) return true;
		if (before.sessions !== this.#sessions) return false;
		const state = (flags & VisitFlag.State) as VisitState;
		return error === undefined || state !== VisitState.Stored;
	}

	#become(end: End): void {
		const { texts, flags, at } = end;
		// By index: each request comes here, and a pattern would iterate.
		const ids = texts[1] ?? '';
		const ofSession = textIn(texts[6]);
		const handle = texts[8] ?? '';
		const before = this.user?.handle;
		this.#ended++;
		this.#flags = flags & ~VisitFlag.View;
		this.#at = at;
		this.#texts = [ids, texts[2] ?? '', texts[3] ?? ''];
		this.#ids = ids.split('\n', 3);
		this.fault = end.fault as VestiaryError | undefined;
		this.user =
			handle === '' ? undefined : { name: JSON.parse(texts[7] ?? '') as string, handle };
		const view = (flags & VisitFlag.View) as View;
		if (view === View.Dropped) this.#shown = undefined;
		const scope = this.#scope;
		if (this.#prolonged.length > 0)
			for (const id of this.#prolonged.splice(0))
				scope.runtime.touched.add(id, ofSession, at);
		if (view !== View.Kept) scope.session?.[SEEN](view, texts[5] ?? '', end.version, ofSession);
		if (this.user && handle !== before) scope.watch(this.user);
		for (let place = SPENT; place < texts.length; place += 3) {
			const [id = '', text = '', listed] = texts.slice(place, place + 3);
			scope.tidy({ id, text, isListed: listed === 'listed' });
		}
	}

	get #cookieKind(): Outgoing {
		return this.#flags & VisitFlag.Cookie;
	}

	/** The ID in a line, or nothing. */
	#id(line: number): string {
		return this.#ids[line] ?? '';
	}
}

/** The bits of `Fact` for those of a request's IDs that need no touch. */
export function touchedBits(ids: readonly string[], touched: Runtime['touched']): number {
	let bits = 0;
	for (const [place, id] of ids.slice(0, MOST_TOUCHED).entries())
		if (touched.has(id)) bits |= Fact.Touched << place;
	return bits;
}

/** Waits for an operation, and returns how it has ended. */
export async function outcomeOf(
	act: (ended: (outcome: Outcome) => void) => Promise<void> | undefined
): Promise<Outcome> {
	let outcome: Outcome = { isStored: false, taken: '' };
	await act((ended) => {
		outcome = ended;
	});
	return outcome;
}

/** The maximum number of IDs in a request's cookies for which `Fact` has bits. */
const MOST_TOUCHED = 24;

/** The index of the value that was taken from a slot, among the texts of a result. */
const TAKEN = 9;

/** The index of the first invalid record among the texts of a result. Each has three: its ID, its text, and `listed`. */
const SPENT = 10;

/** The text; undefined if it is empty. */
function textIn(text: string | undefined): string | undefined {
	return text === '' ? undefined : text;
}
