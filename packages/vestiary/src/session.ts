import type { RequestEvent } from '@sveltejs/kit';

import type { OwnCookie } from './core.js';
import type { Computed } from './driver.js';
import { ConfigError, orThrow, StoreError } from './errors.js';
import {
	checkName,
	Constant,
	constant,
	Fact,
	Given,
	type MemoryTable,
	Task,
	View,
	VisitState
} from './generated/vestiary.js';
import { FINISH, HANDLE, HAS_UNSAVED_COOKIE, OPEN, REVOKED, SEEN } from './inside.js';
import { jsonOf } from './json.js';
import { checkLoginOptions, type LoginOptions } from './login-options.js';
import type { OwnRequest } from './open-sessions.js';
import { cookieWith, ownIn } from './own-cookie.js';
import { building, checkWellFormed, runtimeOf, userKey } from './runtime.js';
import { Scope, slots, partial } from './scope.js';
import { isPrompt, knowsNested, nestedIn, runUpdate, type Turn } from './turns.js';
import type {
	CookieSerializeOptions,
	SessionCookieOptions,
	SessionData,
	SessionRequest,
	Store,
	SveltekitSessionConfig
} from './types.js';
import type { Input } from './visit.js';

declare global {
	// eslint-disable-next-line @typescript-eslint/no-namespace -- where SvelteKit looks for it
	namespace App {
		interface Locals {
			/** The visitor's session, put here by `sveltekitSessionHandle`. */
			session: Session;
		}
	}
}

/** The application's function of an update. */
type Change = (data: SessionData) => SessionData | undefined | Promise<SessionData | undefined>;

/** The application's changes since the session was read or written. */
interface Changes extends Input {
	readonly isAny: boolean;
}

/**
 * A visitor's session: `event.locals.session`.
 *
 * An instance always speaks for the visitor's current session. After {@link Session.destroy} it is
 * a new, empty one with another ID; after {@link Session.regenerate} the old instance acts for the
 * new one. So no reference that somebody kept can bring an ended session back.
 */
export class Session {
	readonly #scope: Scope;
	/** The data as it was read or written: JSON text. */
	#text = '{}';
	/** The same by the serialiser that compares it; made when it is needed. */
	#base: string | undefined;
	/** The same as an object, which the application has; made when it is asked for. */
	#data: SessionData | undefined;
	/** The data was replaced as a whole. */
	#assigned = false;
	/** The data that was written last: JSON text. */
	#sent = '{}';
	/** How often it was read, written or dropped. */
	#views = 0;
	/** The session's own cookie attributes, as they were read or written. */
	#own: OwnCookie | undefined;
	/** Those that the application may have changed; made when they are asked for. */
	#cookie: SessionCookieOptions | undefined;
	#successor: Session | undefined;

	/** A new, empty session. To load the visitor's, use {@link Session.initialize}. */
	constructor(event: SessionRequest, options: SveltekitSessionConfig);
	/** @internal */
	// eslint-disable-next-line @typescript-eslint/unified-signatures -- it is not in the types that are published
	constructor(event: SessionRequest, options: SveltekitSessionConfig, scope: Scope);
	constructor(event: SessionRequest, options: SveltekitSessionConfig, scope?: Scope) {
		this.#scope = scope ?? new Scope(whole(event), runtimeOf(options), false);
	}

	/**
	 * The session of a request: loaded if its cookie is genuine and the store knows it, else new.
	 * `sveltekitSessionHandle` does this for every request.
	 */
	static async initialize(
		event: SessionRequest,
		options: SveltekitSessionConfig
	): Promise<Session> {
		return Session[OPEN](new Scope(whole(event), runtimeOf(options), false));
	}

	/** Session ID. */
	get id(): string {
		return this.#current().#scope.visit.id;
	}

	/** Whether the store does not know it (yet). */
	get isNew(): boolean {
		return this.#current().#scope.visit.state !== VisitState.Stored;
	}

	/** Whose session it is, after {@link Session.login}. */
	get userId(): string | undefined {
		return this.#current().#scope.visit.user?.name;
	}

	/** Name of the session cookie: `options.name`. */
	get cookieName(): string {
		return this.#scope.runtime.core.name;
	}

	/**
	 * Attributes of the session cookie. At first those of `options.cookie`, with a path; what is assigned here is
	 * this session's own. {@link Session.save} validates it, keeps it in the record, and sets the cookie; it then
	 * applies to every later cookie of the session, and to the life of its record. A login, and `regenerate()`,
	 * begin with the options again.
	 *
	 * ```ts
	 * await session.login(user.id);
	 * if (remember) session.cookie.maxAge = 30 * 86_400;
	 * await session.save();
	 * ```
	 */
	get cookie(): SessionCookieOptions {
		const session = this.#current();
		const own = session.#own;
		return (session.#cookie ??= cookieWith(this.#scope.runtime.cookie, own));
	}

	set cookie(cookie: CookieSerializeOptions) {
		if (typeof (cookie as unknown) !== 'object' || (cookie as unknown) === null)
			throw new ConfigError('options', '`session.cookie` must be an object of attributes');
		this.#current().#cookie = { ...cookie, path: cookie.path ?? '/' };
	}

	/** What the session holds. */
	get data(): SessionData {
		return this.#current().#seen();
	}

	/** The store, to manipulate directly. */
	get store(): Store {
		return this.#scope.runtime.store;
	}

	/**
	 * Sets the session's data, in place of what it held.
	 *
	 * With `autoSave` or `saveUninitialized` it is stored by itself when the request ends; without,
	 * call {@link Session.save}.
	 */
	setData(data: SessionData): Promise<void> {
		const set = (session: Session): void => {
			session.#data = data;
			session.#assigned = true;
		};
		const { isIdle, finishes, left } = this.#scope;
		// Else it is stored when the response is ready, or by a `save()`.
		const isStored = this.#savesByItself && (!finishes || left);
		if (isIdle && !nestedIn(this.#scope, this.#scope.visit.storedId)) {
			set(this.#current());
			if (!isStored) return Promise.resolve();
		}
		return this.#run(async (session) => {
			set(session);
			if (isStored) await session.#write(Task.Assigned);
		});
	}

	/**
	 * Saves the session: writes it to the store and sets the cookie.
	 *
	 * In an atomic store it writes what this request has changed, top-level key by top-level key, and
	 * keeps what other requests have changed meanwhile: `data` has both then. If another request has renewed the
	 * session meanwhile, it is saved under its new ID. If the session was ended meanwhile, nothing is written, and
	 * the event `gone` is emitted.
	 * @throws {@link StoreError} `store_unconfirmed` if the record is gone and this request has read it ten minutes
	 * ago or more: then it cannot be told whether the session was ended, or has another ID
	 */
	save(): Promise<void> {
		return this.#run(async (session) => {
			await session.#write(Task.Save);
		});
	}

	/**
	 * Changes what the store has **now**, and saves: for counters and lists, which parallel requests
	 * change, too. What this request has changed before is saved first. In an atomic store no update is lost,
	 * and no other request waits for the function. In another store none is lost within this process: other
	 * writers of the session wait for an async function, for `storeTimeout` at most.
	 * @param change Gets the data as it is in the store; changes it in place, or returns what is to
	 * take its place. It may run more than once.
	 * @returns False if the session was ended meanwhile, or by its cookie is over at once: then nothing is written.
	 * @throws {@link UpdateNestedError} to the function, if it writes the session itself
	 */
	update(
		change: (data: SessionData) => SessionData | undefined | Promise<SessionData | undefined>
	): Promise<boolean> {
		if (typeof (change as unknown) !== 'function')
			return this.#scope.operations.refuse(
				new ConfigError(
					'options',
					'`session.update()` needs a function that changes the data'
				)
			);
		return this.#run(async (session) =>
			session.#inTurn(async (turn) => session.#update(change, turn))
		);
	}

	/**
	 * Gives the session its full lifetime again, in store and cookie, without writing its data. If it was ended
	 * meanwhile, nothing is touched, and the event `gone` is emitted.
	 */
	touch(): Promise<void> {
		return this.#run(async (session) => {
			await session.#act(Task.Touch);
		});
	}

	/**
	 * Ends the session and starts a new, empty one with another ID, which becomes
	 * `event.locals.session`. Call it when a visitor logs in, so that whoever knew the old ID knows
	 * nothing; or use {@link Session.login}, which does it.
	 */
	regenerate(): Promise<Session> {
		return this.#run(async (session) => session.#regenerate());
	}

	async #regenerate(): Promise<Session> {
		this.#scope.visit.forgetShown();
		await this.#act(Task.Regenerate);
		return this.#replaced();
	}

	/**
	 * Logs a user in: gives the session another ID, so that whoever knew the old one knows nothing, and
	 * binds it to the user, whose sessions can be listed and ended (`sessions`). It is saved, and becomes
	 * `event.locals.session`.
	 * @param userId The application's name for the user
	 * @throws {@link LoginOutdatedError} if all sessions of the user were ended while the login was under way
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	login(userId: string, options: LoginOptions = {}): Promise<Session> {
		return this.#run(async (session) => session.#login(userId, options));
	}

	async #login(userId: string, options: LoginOptions): Promise<Session> {
		const { visit, own: request, began, runtime } = this.#scope;
		const { records, core, options: config } = runtime;
		if (!records.atomic) throw notAtomic('session.login()');
		checkUser(userId);
		checkLoginOptions(options);
		checkWellFormed('the label of a session', options.label);
		if (visit.state === VisitState.Unavailable && visit.fault) throw visit.fault;
		const old = this.#seen();
		const kept = Object.fromEntries(
			(options.keep ?? []).flatMap((key) =>
				Object.hasOwn(old, key) ? [[key, old[key]]] : []
			)
		);
		const label = options.label ?? undefined;
		const more = options.data ?? {};
		const data =
			visit.storedId === undefined
				? jsonOf({ ...kept, ...more })
				: core.keep(visit.record, this.#baseText(), jsonOf(kept), jsonOf(more));
		const most = config.sessionsPerUser ?? constant(Constant.SessionsPerUser);
		visit.forgetShown();
		await this.#act(Task.LogIn, {
			flags: label === undefined ? 0 : Given.More,
			texts: [JSON.stringify(userId), data, JSON.stringify(label ?? '')],
			login: {
				proven: timeOf(options.provenAt) ?? began,
				own: request.ended.get(userKey(config, userId)),
				// A list holds no more than its size allows.
				most: Math.min(most, MOST)
			}
		});
		const session = this.#replaced();
		// The very objects that it was given.
		session.#data = { ...kept, ...more };
		return session;
	}

	/**
	 * Gives the session another ID and keeps what it holds. For a while (`renewGrace`) the old ID still
	 * leads to it. With `renewAfter` this happens by itself.
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	renew(): Promise<void> {
		return this.#run(async (session) => {
			if (!session.#scope.runtime.records.atomic) throw notAtomic('session.renew()');
			await session.#act(Task.Renew);
		});
	}

	/** Ends the session: removes it from the store and the cookie from the browser. */
	destroy(): Promise<void> {
		return this.#run(async (session) => {
			await session.#act(Task.Destroy);
		});
	}

	/**
	 * Opens the session of a request.
	 * @internal
	 */
	static [OPEN](scope: Scope): Session | Promise<Session> {
		const session = new Session(scope.event, scope.runtime.options, scope);
		scope.session = session;
		if (!hasVisitor(scope.event)) return session;
		const { records, opensLate } = scope.runtime;
		const table = scope.finishes && opensLate ? records.table : undefined;
		if (!table) return session.#open() ?? session;
		scope.visit.openLater(() => {
			void session.#open(table);
		});
		scope.own.open = () => {
			scope.visit.open();
		};
		return session;
	}

	/** Opens the session of the cookies. A promise if there is anything to wait for; with a table there is not. */
	#open(table?: MemoryTable): Promise<Session> | undefined {
		const { visit, outer, cookieHeader, runtime } = this.#scope;
		const { core, touched, options } = runtime;
		const ids = core.readCookies(cookieHeader);
		// A visitor without a cookie has no session, and gets none by looking.
		if (!ids && options.saveUninitialized !== true) return undefined;
		let isTouched = 0;
		ids?.forEach((id, place) => {
			if (place < MOST_TOUCHED && touched.has(id)) isTouched |= Fact.Touched << place;
		});
		const opening = visit.act(Task.Open, {
			flags: (ids ? Given.Present : 0) | (outer ? Given.Shared : 0),
			texts: [ids?.join('\n') ?? ''],
			touched: isTouched,
			...(table && { table })
		});
		if (opening) return this.#openedLater(opening);
		this.#checkOpened();
		this.#refresh();
		return undefined;
	}

	/**
	 * Does what is left to do when the response is ready. Undefined if there is nothing.
	 * @internal
	 */
	static [FINISH](scope: Scope): Promise<void> | undefined {
		const { session, visit, refreshed } = scope;
		if (!(session instanceof Session) || !hasVisitor(scope.event)) return undefined;
		const changes = session.#changesAtEnd();
		if (!refreshed && !changes && !visit.isDue) return undefined;
		return session.#finished(changes);
	}

	/**
	 * Whether something was assigned to the cookie of a session that is not stored.
	 * @internal
	 */
	get [HAS_UNSAVED_COOKIE](): boolean {
		return this.#wanted() !== this.#own;
	}

	/**
	 * What the list of its user's sessions calls it.
	 * @internal
	 */
	get [HANDLE](): string | undefined {
		return this.#current().#scope.visit.user?.handle;
	}

	/** @internal */
	[SEEN](view: View, data: string, own: OwnCookie | undefined): void {
		this.#own = own;
		this.#views++;
		if (view === View.Written) {
			this.#base = this.#sent;
			return;
		}
		this.#text = view === View.Read ? data : '{}';
		this.#base = undefined;
		// Data that was assigned since the operation began takes the place of the data that it has read.
		if (view === View.Dropped || !this.#assigned) this.#data = undefined;
		if (view === View.Dropped) {
			this.#assigned = false;
			this.#cookie = undefined;
		}
		if (!this.#cookie) return;
		// It is the object that the application has.
		const now = cookieWith(this.#scope.runtime.cookie, own);
		for (const name of Object.keys(this.#cookie)) Reflect.deleteProperty(this.#cookie, name);
		Object.assign(this.#cookie, now);
	}

	/** @internal */
	[REVOKED](handle: string, by: OwnRequest | undefined): void {
		const { visit, operations, own, isIdle } = this.#scope;
		const end = (): void => {
			// What was under way may have found it gone already.
			const isOther = visit.user
				? visit.user.handle !== handle
				: visit.storedId !== undefined;
			if (!isOther) void visit.act(Task.Revoked, { flags: by === own ? Given.More : 0 });
		};
		// What is under way must not take it for its session any more when it goes on.
		if (isIdle) end();
		else
			void operations.behind(async () => {
				end();
			});
	}

	/** Runs an operation of the application on the visitor's session, after those that it called before. */
	#run<T>(operation: (session: Session) => Promise<T>): Promise<T> {
		const { operations } = this.#scope;
		const nested = nestedIn(this.#scope, this.#current().#scope.visit.storedId);
		if (nested) return operations.refuse(nested);
		return operations.run(async () => operation(this.#current()));
	}

	/** Whoever asks has looked at the session. */
	#current(): Session {
		this.#scope.looked = true;
		this.#scope.visit.open();
		return this.#latest;
	}

	/** The visitor's current session. */
	get #latest(): Session {
		const successor = this.#successor;
		return successor === undefined ? this : successor.#latest;
	}

	/** The session that takes the place of this one. */
	#replaced(): Session {
		const { event, runtime } = this.#scope;
		const session = new Session(event, runtime.options, this.#scope);
		[session.#text, session.#base] = [this.#text, this.#base];
		session.#own = this.#own;
		this.#scope.session = this.#successor = session;
		const locals = slots(event);
		const there = locals[runtime.slot];
		// Another handle may have its session there.
		if (there === undefined || (there instanceof Session && there.#scope === this.#scope))
			locals[runtime.slot] = session;
		return session;
	}

	async #openedLater(opening: Promise<void>): Promise<Session> {
		const { runtime } = this.#scope;
		try {
			await opening;
		} finally {
			const error = runtime.records.takeLoss();
			if (error) this.#scope.tell({ type: 'store_failed', error });
		}
		this.#checkOpened();
		this.#refresh();
		await this.#scope.settled();
		return this;
	}

	/** Where the application wants so, a visitor is anonymous while the store fails. */
	#checkOpened(): void {
		const { visit, runtime } = this.#scope;
		const { state, fault } = visit;
		if (state !== VisitState.Unavailable || !fault) return;
		if (runtime.options.onStoreError !== 'anonymous' || !(fault instanceof StoreError))
			throw fault;
	}

	/** Does what is due while the page is made, so that it costs no time of its own. */
	#refresh(): void {
		const { visit, operations } = this.#scope;
		if (!visit.isDue) return;
		this.#scope.later(async () => operations.behind(async () => this.#act(Task.Refresh)));
	}

	async #finished(changes: Changes | undefined): Promise<void> {
		const { visit, operations, refreshed } = this.#scope;
		const [id, views] = [visit.storedId, this.#views];
		await refreshed;
		if (!changes && !visit.isDue) return;
		await operations.behind(async () => {
			// Ended meanwhile: there is nothing of it any more.
			if (id !== undefined && visit.storedId === undefined) return;
			const session = this.#latest;
			const isSame = session === this && views === this.#views;
			// Another operation has stored them meanwhile, or has put another session in the place of this one.
			const rest = isSame || !changes ? changes : session.#changesAtEnd();
			if (!rest && !visit.isDue) return;
			await session.#inTurn(async () => session.#written(Task.Finish, rest));
		});
	}

	/** The data, as the application has it. */
	#seen(): SessionData {
		if (this.#data) return this.#data;
		const data = JSON.parse(this.#text) as SessionData;
		if (this.#scope.runtime.options.autoSave) this.#base ??= jsonOf(data);
		return (this.#data = data);
	}

	/** The data as it was read or written, as JSON text of the serialiser that compares it. */
	#baseText(): string {
		return (this.#base ??= jsonOf(JSON.parse(this.#text)));
	}

	#changes(): Changes {
		const own = this.#wanted();
		const base = this.#baseText();
		const mine = this.#data ? jsonOf(this.#data) : base;
		const cookie = own === this.#own ? '' : (own ?? '{}');
		return {
			flags: Given.Changes | (this.#assigned ? Given.Assigned : 0),
			texts: [base, mine, cookie],
			isAny: this.#assigned || cookie !== '' || base !== mine
		};
	}

	/** Whether there are changes that are stored without a `save()`. */
	get #savesByItself(): boolean {
		const { autoSave, saveUninitialized } = this.#scope.runtime.options;
		return autoSave === true || saveUninitialized === true;
	}

	/** The changes that may be stored without a `save()`, if there are any. */
	#changesAtEnd(): Changes | undefined {
		if (!this.#savesByItself) return undefined;
		const { autoSave } = this.#scope.runtime.options;
		const isSeen =
			(autoSave === true && this.#data !== undefined) || this.#cookie !== undefined;
		if (!this.#assigned && !isSeen) return undefined;
		const changes = this.#changes();
		return changes.isAny ? changes : undefined;
	}

	/** Runs an operation that writes the data. */
	async #write(task: Task): Promise<void> {
		const changes = this.#changes();
		await this.#inTurn(async () => this.#written(task, changes));
	}

	/** Runs an operation that may write these changes. */
	#written(task: Task, changes: Input | undefined): Promise<void> | undefined {
		const { visit } = this.#scope;
		const assigned = this.#assigned;
		this.#sent = changes?.texts?.[1] ?? this.#sent;
		// Before the store answers: what is assigned meanwhile is not in this record.
		this.#assigned = false;
		const failed = (error: unknown): never => {
			this.#assigned ||= assigned;
			throw error;
		};
		try {
			return visit.act(task, changes)?.catch(failed);
		} catch (error) {
			return failed(error);
		}
	}

	/** Runs an operation that writes the session. */
	async #act(task: Task, input?: Input): Promise<void> {
		await this.#inTurn(async () => this.#scope.visit.act(task, input));
	}

	/** Changes what the store has now. */
	async #update(change: Change, turn: Turn): Promise<boolean> {
		const { visit } = this.#scope;
		let runs = 0;
		const compute = async (text: string): Promise<Computed> => {
			if (++runs > 1) await this.#queued(turn);
			const data = JSON.parse(text) as SessionData;
			const base = jsonOf(data);
			const running = runUpdate(this.#scope, visit.storedId, () => change(data));
			const made = running instanceof Promise ? await this.#outside(running, turn) : running;
			return { base, mine: jsonOf(made ?? data) };
		};
		const changes = this.#changes();
		let isWritten = false;
		const ended = (isStored: boolean): void => {
			isWritten = isStored;
		};
		await this.#written(Task.Update, { ...(changes.isAny && changes), compute, ended });
		return isWritten;
	}

	/** Waits for other updates that have to begin again, too. Other operations and requests do not. */
	async #queued(turn: Turn): Promise<void> {
		const before = turn.queue();
		if (!before) return;
		// Both are given up, or none: the operation that comes next would wait for the turn, and this one for it.
		turn.leave();
		try {
			await this.#scope.operations.outside(async () => before);
		} finally {
			await turn.back();
		}
	}

	/** Waits for code of the application. Other operations and requests do not. */
	async #outside<T>(running: Promise<T>, turn: Turn): Promise<T> {
		const { operations, runtime, visit } = this.#scope;
		if (await isPrompt(running)) return running;
		turn.leave();
		try {
			// With a store that is not atomic they wait: an operation of this request would fail otherwise. So they do
			// if there is nothing in the store yet: each would begin a session of its own.
			const isCompared = runtime.records.atomic && visit.storedId !== undefined;
			const waits = !isCompared && knowsNested;
			return await (waits ? running : operations.outside(async () => running));
		} finally {
			await turn.back();
		}
	}

	/** The cookie attributes of its own that the application wants the session to have. */
	#wanted(): OwnCookie | undefined {
		if (!this.#cookie) return this.#own;
		const { core, cookie } = this.#scope.runtime;
		const own = ownIn(cookie, this.#cookie);
		if (own !== undefined && own !== this.#own) core.checkCookie(own);
		return own;
	}

	/** Runs what writes this session after what writes it already, in this process. */
	async #inTurn<T>(run: (turn: Turn) => Promise<T>): Promise<T> {
		const { writes, records, patience } = this.#scope.runtime;
		const turn = writes.take(this.#scope.visit.storedId, records.atomic, patience);
		try {
			if (turn.ready) await turn.ready;
			return await run(turn);
		} finally {
			turn.end();
		}
	}
}

/** More sessions of a user than a list can hold. */
const MOST = 2 ** 32 - 1;

/** IDs in the cookies of a request about which bits of `Fact` say something. */
const MOST_TOUCHED = 24;

/** An event of which a scope reads only what is there. */
function whole(event: SessionRequest): RequestEvent {
	return event as RequestEvent;
}

/**
 * SvelteKit takes `search` away from the URL of a page that it prerenders.
 * @internal
 */
export function hasVisitor(event: RequestEvent): boolean {
	const { url } = partial(event);
	return !building && !(url && Object.hasOwn(url, 'search'));
}

/**
 * Refuses what is no name of a user.
 * @internal
 */
export function checkUser(userId: unknown): void {
	if (typeof userId !== 'string')
		throw new ConfigError('options', 'the user ID must be a string');
	checkWellFormed('the user ID', userId);
	orThrow(() => {
		checkName(userId);
	});
}

/** A date that is none would count as the year 1970. */
function timeOf(provenAt: unknown): number | undefined {
	if (provenAt === undefined) return undefined;
	if (provenAt instanceof Date && !Number.isNaN(provenAt.getTime())) return provenAt.getTime();
	throw new ConfigError('options', '`provenAt` of `session.login()` must be a valid Date');
}

function notAtomic(what: string): ConfigError {
	return new ConfigError(
		'store_capability',
		`${what} needs a store that compares before it writes, and this one does not (\`store.atomic\`)`
	);
}
