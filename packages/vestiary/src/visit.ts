import type { RequestEvent } from '@sveltejs/kit';

import type { Given, OwnCookie, User } from './going.js';
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

/** The arguments of an operation on a visit, beside the visit itself. */
export interface Input {
	/** Bits of the core's `Given`. */
	readonly flags?: number;
	readonly texts?: readonly string[];
	readonly login?: Given['login'];
	/** Bits of `Fact` that say which sessions need not be touched. */
	readonly touched?: number;
	readonly compute?: Compute;
	/** Hears whether the session is stored as the operation has left it. */
	readonly ended?: (isStored: boolean) => void;
}

/** The cookie that a response is to have. */
export interface Cookie {
	/** The ID in it; undefined if it is removed. */
	readonly id: string | undefined;
	/** The session's own cookie attributes. */
	readonly own: OwnCookie | undefined;
}

const NOTHING: Input = {};

/** Operations after those of the application, which set no cookie that is there already. */
const AFTERWARDS = new Set([Task.Refresh, Task.Confirm, Task.Finish]);

/** Operations that ask the store for the session, whatever it has. */
const ASKING: ReadonlySet<Task> = new Set([Task.Open, Task.Save, Task.LogIn]);

/** Operations after which the visitor has another session, or none; also if they fail, since the cookie goes. */
const PARTING = new Set([Task.Regenerate, Task.Destroy, Task.Revoked]);

/** Numbers of operations that had ended when another one began. */
interface Before {
	readonly ended: number;
	readonly sessions: number;
}

/** The request of a visit. */
export interface Around {
	readonly event: RequestEvent;
	readonly runtime: Runtime;
	/** The session that `event.locals.session` is, or would be. */
	readonly session: Inside | undefined;
	/** Whether a cookie can leave. */
	readonly canSend: boolean;
	/** The same, where a jar that may be closed counts as closed. */
	readonly canSurelySend: boolean;
	/** Whether another handle has the cookie. */
	readonly isTaken: boolean;
	/** The error for a session whose cookie another handle has. */
	readonly sameName: VestiaryError;
	tell(event: SessionEvent): void;
	reserves(is: boolean): void;
	watch(user: User): void;
	tidy(spent: Spent): void;
	sendByJar(): VestiaryError | undefined;
}

/**
 * A request's view of its visitor's session: what the core knows of it between two operations, as text and numbers
 * (`vestiary::visit`). It decides nothing.
 */
export class Visit implements Page {
	readonly #scope: Around;
	#flags = 0;
	#at = 0;
	/** Its IDs in lines, its record, and the own attributes of its cookie. */
	#texts: readonly [ids: string, record: string, own: string] = ['', '', ''];
	/** The first of its IDs: of the session, in the cookie, the one that is certain. */
	#ids: readonly string[] = [];
	/** How often something had been written to the store when it was last asked for the session; NaN if that is not known. */
	#writes = NaN;
	/** Where the session lies, if it is left to open. */
	#table: MemoryTable | undefined;
	/** The operations that have ended. */
	#ended = 0;
	/** Those of them that have begun or ended a session. */
	#sessions = 0;
	#touched = 0;
	/** The operation under way does only what a cookie that can leave needs. */
	#isSure = false;
	/** Sessions that have their full lifetime again, by the operation under way. */
	#prolonged: string[] = [];
	/** The ID that a session will get that is not stored yet, once the application has seen it. */
	#shown: string | undefined;
	/** Whose session it is. */
	user: User | undefined;
	/** Why the session cannot be read, nor written. */
	fault: VestiaryError | undefined;

	constructor(scope: Around) {
		this.#scope = scope;
	}

	/** Opens the session when something is asked of it first: for one that the application does not look at, nothing is read. */
	openLater(table: MemoryTable): void {
		this.#table = table;
	}

	/** Opens the session, if that is left to do. */
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

	/** The ID of the session, or the one that it will get. */
	get id(): string {
		const { state } = this;
		if (state === VisitState.Stored || state === VisitState.Reserved) return this.#id(0);
		// Made when first asked for, so that a visitor who only looks costs no randomness.
		return (this.#shown ??= this.newId().id);
	}

	/** The record of the session: JSON text. */
	get record(): string {
		this.open();
		return this.#texts[1];
	}

	/** Something is left to do for the session that does not concern the application. */
	get isDue(): boolean {
		return (this.#flags & (VisitFlag.Due | VisitFlag.Unseen)) !== 0;
	}

	/** The cookie of the response, unless its ID was taken out of use. */
	get cookie(): Cookie | undefined {
		const kind = this.#cookieKind;
		if (kind === Outgoing.Nothing) return undefined;
		const [, , own] = this.#texts;
		const id = kind === Outgoing.Removal ? undefined : this.#id(1);
		if (id !== undefined && this.#scope.runtime.records.isRetired(id)) return undefined;
		return { id: kind === Outgoing.Session ? id : undefined, own: textIn(own) };
	}

	/** Whether the browser has a cookie of this request's session, or will be sent one. */
	get hasCookie(): boolean {
		return this.state === VisitState.Stored || this.#cookieKind !== Outgoing.Nothing;
	}

	/** Whether the store has to be asked for the ID in the cookie before it leaves. */
	get isDoubtful(): boolean {
		if (this.#cookieKind !== Outgoing.Session || this.#id(1) === this.#id(2)) return false;
		return this.#writes !== this.#scope.runtime.records.writes;
	}

	/** Opens the session of a `Cookie` header on a table, where it waits for nothing. */
	openOn(table: MemoryTable, header: string | null, flags: number): void {
		const before = this.#begin(Task.Open);
		const end = this.#scope.runtime.records.open(header, flags, this, table);
		if (end) void this.#ending(Task.Open, end, before, NOTHING);
	}

	/** Runs an operation. Undefined if it has ended without waiting. */
	act(task: Task, input: Input = NOTHING): Promise<void> | undefined {
		this.open();
		const before = this.#begin(task);
		const { flags = 0, texts = [], login, touched = 0, compute } = input;
		this.#touched = touched;
		const given = {
			flags: this.#flags | flags | (this.#makesId(task) ? Flag.Identified : 0),
			at: this.#at,
			texts: [...this.#texts, ...texts],
			...(login && { login })
		};
		const end = this.#scope.runtime.records.act(task, given, this, compute);
		return this.#ending(task, end, before, input);
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

	/** Whether an operation will mostly make a session ID, and at random. */
	#makesId(task: Task): boolean {
		if (this.#shown !== undefined || this.#scope.runtime.options.genid) return false;
		return task === Task.LogIn || (task === Task.Save && this.storedId === undefined);
	}

	/** Forgets the ID that the application has seen: the session that comes next is another one. */
	forgetShown(): void {
		this.#shown = undefined;
	}

	get facts(): number {
		const { isTaken } = this.#scope;
		const canSend = this.#isSure ? this.#scope.canSurelySend : this.#scope.canSend;
		const facts = this.#touched | (canSend ? 0 : Fact.Left) | (isTaken ? Fact.Taken : 0);
		const [ids] = this.#texts;
		if (ids === '') return facts;
		return (
			facts |
			(this.#isRetired(0) ? Fact.SessionRetired : 0) |
			(this.#isRetired(1) ? Fact.CookieRetired : 0)
		);
	}

	/** Whether this process has taken the ID of a line out of use. */
	#isRetired(line: number): boolean {
		const id = this.#id(line);
		return id !== '' && this.#scope.runtime.records.isRetired(id);
	}

	/** An ID that no session has. */
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
		// An application may make an ID twice.
		runtime.records.use(id);
		return { id, isOwn: true };
	}

	tell(event: SessionEvent): void {
		this.#scope.tell(event);
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

	/** @param before When it began */
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
		if (counts && isOther) this.#sessions++;
		input.ended?.(counts && this.storedId !== undefined);
		const sends = !isAfterwards || this.#outgoing !== cookie;
		const unsent = sends ? this.#scope.sendByJar() : undefined;
		if (end.error !== undefined) throw end.error as Error;
		// The browser has the cookie of a session that was stored before, unless a login has replaced it; that of an ended
		// one is worth nothing.
		const isNew =
			this.storedId !== undefined && (storedId === undefined || task === Task.LogIn);
		return unsent && isNew ? this.#takeBack(unsent) : undefined;
	}

	/** Stands for the cookie that is to leave. */
	get #outgoing(): string {
		return `${this.#cookieKind} ${this.#id(1)} ${this.#texts[2]}`;
	}

	/** Ends a session that the browser will never hear of: without this, it would stay until it expires. */
	async #takeBack(unsent: VestiaryError): Promise<never> {
		await this.act(Task.Destroy);
		throw unsent;
	}

	/**
	 * Whether an operation has ended with the session that the visit has. Others may have run while the application's
	 * function did: if they have begun or ended a session, that stays. What failed since then has changed nothing.
	 */
	#isOfIt({ flags, error }: End, before: Before): boolean {
		if (before.ended === this.#ended) return true;
		if (before.sessions !== this.#sessions) return false;
		const state = (flags & VisitFlag.State) as VisitState;
		return error === undefined || state !== VisitState.Stored;
	}

	#become(end: End): void {
		const { texts, flags, at } = end;
		const [, ids = '', record = '', own = '', , data = '', ofSession, name = '', handle = ''] =
			texts;
		const before = this.user?.handle;
		this.#ended++;
		this.#flags = flags & ~VisitFlag.View;
		this.#at = at;
		this.#texts = [ids, record, own];
		this.#ids = ids.split('\n', 3);
		this.fault = end.fault as VestiaryError | undefined;
		this.user = handle === '' ? undefined : { name: JSON.parse(name) as string, handle };
		const view = (flags & VisitFlag.View) as View;
		if (view === View.Dropped) this.#shown = undefined;
		const scope = this.#scope;
		if (this.#prolonged.length > 0)
			for (const id of this.#prolonged.splice(0))
				scope.runtime.touched.add(id, textIn(ofSession), at);
		if (view !== View.Kept) scope.session?.[SEEN](view, data, textIn(ofSession));
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

/** The place among the texts of an end from which on there are three of each record that counts for nothing. */
const SPENT = 9;

/** A text, if there is one. */
function textIn(text: string | undefined): string | undefined {
	return text === '' ? undefined : text;
}
