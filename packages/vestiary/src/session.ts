import { Contents, type Changes } from './contents.js';
import type { OwnCookie } from './progress.js';
import { ConfigError } from './errors.js';
import { Given, type MemoryTable, Task, View, VisitState } from './generated/vestiary.js';
import { CALL, FINISH, LOOK, OPEN, REVOKED, SCOPE, SEEN, SLOT, UNSAVED } from './inside.js';
import { ForClient } from './for-client.js';
import { checkLogin, loginOf, type LoginOptions } from './login-options.js';
import type { OwnRequest } from './open-sessions.js';
import { servingRuntimeOf } from './runtime.js';
import { hasVisitor, Scope, slots, whole } from './scope.js';
import { nestedIn } from './turns.js';
import type { RegisteredData } from './registered.js';
import type {
	CookieSerializeOptions,
	SessionCookieOptions,
	SessionData,
	SessionRequest,
	Store,
	SveltekitSessionConfig
} from './types.js';
import type { Change } from './update.js';
import { touchedBits, type Input, type Outcome } from './visit.js';
import { Writer } from './writer.js';

/**
 * A visitor's session: `event.locals.session`.
 *
 * An instance always stands for the visitor's current session. After {@link Session.destroy} it is a new, empty one
 * with another ID; after {@link Session.regenerate} the old instance acts for the new session. So no stale reference
 * can revive an ended session.
 */
export class Session extends ForClient {
	readonly #scope: Scope;
	readonly #contents: Contents;
	readonly #writer: Writer;
	#successor: Session | undefined;

	/** Creates a new, empty session. Use {@link Session.initialize} to load the visitor's session. */
	constructor(event: SessionRequest, options: SveltekitSessionConfig);
	/** @internal */
	constructor(
		event: SessionRequest,
		options: SveltekitSessionConfig,
		scope: Scope,
		// eslint-disable-next-line @typescript-eslint/unified-signatures -- it is not in the types that are published
		before?: Contents
	);
	constructor(
		event: SessionRequest,
		options: SveltekitSessionConfig,
		scope?: Scope,
		before?: Contents
	) {
		super();
		this.#scope = scope ?? new Scope(whole(event), servingRuntimeOf(options), false);
		this.#contents = new Contents(this.#scope, before);
		this.#writer = new Writer(this.#scope, this.#contents);
	}

	/**
	 * Loads the session of a request if its cookie has a valid signature and the store has its record; otherwise
	 * creates a new one. `sveltekitSessionHandle` does this for every request.
	 * @param event The request event, or any object with its `cookies` or its `request`
	 * @throws {@link ConfigError} if an option is invalid
	 * @throws {@link StoreError} if the store fails, unless `onStoreError` is `'anonymous'`
	 */
	static async initialize(
		event: SessionRequest,
		options: SveltekitSessionConfig
	): Promise<Session> {
		return Session[OPEN](new Scope(whole(event), servingRuntimeOf(options), false));
	}

	/** The session ID. */
	get id(): string {
		return this.#current().#scope.visit.id;
	}

	/**
	 * A name of the session for logs: 16 characters that stay the same until the session ends, even over renewals, and
	 * reveal nothing about its ID. For the session of a user, it is the handle. Undefined if the session is not stored.
	 */
	get logId(): string | undefined {
		return this.#current().#scope.visit.logId;
	}

	/** `true` until the session has been stored. */
	get isNew(): boolean {
		return this.#current().#scope.visit.state !== VisitState.Stored;
	}

	/** Whether the store could not be read, so that the session is empty and cannot be saved. */
	get isUnavailable(): boolean {
		return this.#current().#scope.visit.state === VisitState.Unavailable;
	}

	/** The ID of the user who logged in with {@link Session.login}; undefined for an anonymous visitor. */
	override get userId(): string | undefined {
		return this.#current().#scope.visit.user?.name;
	}

	/**
	 * When the session ends unless it is used, this request included: the first of its idle deadline, its absolute
	 * deadline and the end of its cookie. Null if it has none of them, and for a session that is not stored.
	 *
	 * A rolling cookie counts if this response sets it. With `format: 'express-session'`, the same holds for every cookie.
	 */
	get expires(): Date | null {
		return this.#current().#scope.visit.endOf(false);
	}

	/** The idle deadline: when the session ends unless another request uses it. Null without `idleTimeout`. */
	get idleUntil(): Date | null {
		return this.#current().#scope.visit.endOf(true);
	}

	/** The name of the session cookie: `options.name`. */
	get cookieName(): string {
		return this.#scope.runtime.core.name;
	}

	/**
	 * The attributes of the session cookie. Default: those of `options.cookie`, with a path. Assigned attributes are
	 * this session's own. {@link Session.save} validates them, stores them in the record, and sets the cookie; they
	 * then apply to every later cookie of the session, and to the TTL of its record. A login and `regenerate()` restore
	 * the options. A login can set `maxAge` itself: {@link LoginOptions.maxAge}.
	 */
	get cookie(): SessionCookieOptions {
		return this.#current().#contents.cookie;
	}

	set cookie(cookie: CookieSerializeOptions) {
		if (typeof (cookie as unknown) !== 'object' || (cookie as unknown) === null)
			throw new ConfigError('options', '`session.cookie` must be an object of attributes');
		this.#current().#contents.cookie = cookie;
	}

	/** The session's data. */
	override get data(): RegisteredData {
		return this.#current().#contents.data;
	}

	/**
	 * Keeps the response out of every cache (`Cache-Control: no-store`), the browser's too. So the Back button does not
	 * show it after a logout, but asks the server again.
	 */
	private(): void {
		this.#scope.looked = this.#scope.private = true;
	}

	/** The session store. */
	get store(): Store {
		return this.#scope.runtime.store;
	}

	/**
	 * Replaces the session's data.
	 *
	 * With `autoSave` or `saveUninitialized` it is stored automatically when the request ends; otherwise call
	 * {@link Session.save}.
	 */
	setData(data: RegisteredData): Promise<void> {
		const set = (session: Session): void => {
			session.#contents.assign(data);
		};
		const { isIdle, finishes, left } = this.#scope;
		// Otherwise the data is stored when the response is ready, or by a `save()`.
		const isStored = this.#contents.savesByItself && (!finishes || left);
		if (isIdle && !nestedIn(this.#scope, this.#scope.visit.storedId)) {
			set(this.#current());
			if (!isStored) return Promise.resolve();
		}
		return this.#run((session) => {
			set(session);
			return isStored ? session.#writer.write(Task.Assigned) : undefined;
		});
	}

	/**
	 * Saves the session: writes it to the store and sets the cookie.
	 *
	 * In an atomic store, the changes of this request are merged into the stored data per top-level key, and `data`
	 * then includes the changes of other requests. If another request has renewed the session meanwhile, it is saved
	 * under its new ID. If the session was ended meanwhile, nothing is written, and the event `gone` is emitted.
	 * @throws {@link DataError} if the data cannot be stored, for example because it is too large; the record stays
	 * @throws {@link ResponseSentError} if the session is new and the response has left
	 * @throws {@link StoreError} if the store fails; `store_unconfirmed` if the record is gone and this request read it at
	 * least ten minutes ago: it may have been ended, or have another ID
	 */
	save(): Promise<void> {
		return this.#run((session) => session.#writer.write(Task.Save));
	}

	/**
	 * Applies a function to the **stored** data and saves: for counters and lists, which concurrent requests change,
	 * too. Earlier changes of this request are saved first. In an atomic store no update is lost, and no other request
	 * waits for the function. In any other store no update of this process is lost: other writers of the session wait
	 * for an async function, for at most `storeTimeout`.
	 * @param change Gets the stored data; changes it in place or returns its replacement. It may run more than once
	 * @returns False if the session was ended meanwhile, or its cookie makes it expire at once: nothing is written then
	 * @throws {@link DataError}, {@link ResponseSentError} and {@link StoreError} as {@link Session.save} does
	 * @throws {@link UpdateNestedError} inside the function, if it writes the session itself
	 */
	update(change: Change): Promise<boolean> {
		if (typeof (change as unknown) !== 'function')
			return this.#scope.operations.refuse(
				new ConfigError(
					'options',
					'`session.update()` needs a function that changes the data'
				)
			);
		return this.#run((session) => session.#writer.update(change));
	}

	/**
	 * Restarts the lifetime of the session, in store and cookie, without writing its data. If it was ended meanwhile,
	 * nothing is touched, and the event `gone` is emitted.
	 */
	touch(): Promise<void> {
		return this.#run((session) => session.#writer.act(Task.Touch));
	}

	/**
	 * Asks the store whether the session is still valid, or was ended, revoked or expired in any request or process.
	 * Writes nothing. For code that outlives its request, such as a stream: call it every few minutes there, because it
	 * follows a session to its next ID for only ten minutes.
	 * @returns False for a session that is not stored, too. The session then stays as this request has read it
	 * @throws {@link DataError} and {@link StoreError} if the session cannot be read
	 */
	isAlive(): Promise<boolean> {
		return this.#run((session) => session.#scope.visit.isAlive());
	}

	/**
	 * Ends the session and starts a new, empty one with another ID, which becomes `event.locals.session`. Call it when
	 * a visitor logs in, so that the old ID is worthless; or use {@link Session.login}, which includes it.
	 *
	 * ```ts
	 * const session = await event.locals.session.regenerate();
	 * await session.setData({ userId: user.id });
	 * await session.save();
	 * ```
	 *
	 * @throws {@link ResponseSentError} if the response has left; the session then stays
	 * @throws {@link StoreError} if the store fails; the cookie is removed anyway
	 */
	regenerate(): Promise<Session> {
		return this.#run((session) => session.#regenerate());
	}

	#regenerate(): Session | Promise<Session> {
		this.#scope.visit.forgetShown();
		const acting = this.#writer.act(Task.Regenerate);
		return acting ? acting.then(() => this.#replaced()) : this.#replaced();
	}

	/**
	 * Logs a user in: the session gets a new ID, which makes the old one worthless, and joins the user's session list
	 * (`sessions`). It is saved, and becomes `event.locals.session`.
	 * @param userId The application's ID of the user, of at most 1,024 bytes
	 * @throws {@link LoginOutdatedError} if all sessions of the user were revoked while the login was in progress
	 * @throws {@link TooManySessionsError} if the user has too many sessions, and `sessionsPerUser` refuses one more
	 * @throws {@link ResponseSentError} if the response has left
	 * @throws {@link StoreError} if the store fails
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	login(userId: string, options: LoginOptions = {}): Promise<Session> {
		return this.#run((session) => session.#login(userId, options));
	}

	#login(userId: string, options: LoginOptions): Session | Promise<Session> {
		const { visit, runtime } = this.#scope;
		runtime.records.checkAtomic('session.login()');
		checkLogin(userId, options);
		if (visit.state === VisitState.Unavailable && visit.fault) throw visit.fault;
		const { data, input } = loginOf(this.#scope, this.#contents, userId, options);
		visit.forgetShown();
		const acting = this.#writer.act(Task.LogIn, input);
		const loggedIn = (): Session => {
			this.#scope.registration = runtime.core.registration(visit.record);
			return this.#replaced(data);
		};
		return acting ? acting.then(loggedIn) : loggedIn();
	}

	/**
	 * Gives the session another ID and keeps its data. During the grace period (`renewGrace`) the old ID still leads to
	 * it. `renewAfter` does this automatically.
	 * @throws {@link ConfigError} if the store is not atomic
	 */
	renew(): Promise<void> {
		return this.#run((session) => {
			session.#scope.runtime.records.checkAtomic('session.renew()');
			return session.#writer.act(Task.Renew);
		});
	}

	/**
	 * Ends the session: removes it from the store and the cookie from the browser.
	 * @throws {@link StoreError} if the store fails; the cookie is removed anyway
	 */
	destroy(): Promise<void> {
		return this.#run((session) => session.#writer.act(Task.Destroy));
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
		scope.visit.openLater(table);
		scope.own.visit = scope.visit;
		return session;
	}

	/** @internal */
	[LOOK](table: MemoryTable): void {
		const { visit, cookieHeader, openFlags } = this.#scope;
		void visit.openFrom(cookieHeader, openFlags, table);
		this.#opened();
	}

	/** Opens the session of the cookies. A promise if the store must be awaited. */
	#open(): Promise<Session> | undefined {
		const { visit, cookieHeader, runtime, openFlags } = this.#scope;
		// With these options no opening creates or touches a session, so the IDs need not be known here.
		const opening =
			runtime.opensLate && runtime.records.hasNear
				? visit.openFrom(cookieHeader, openFlags, undefined)
				: this.#openIds(runtime.core.readCookies(cookieHeader), openFlags);
		if (opening) return this.#openedLater(opening);
		this.#opened();
		return undefined;
	}

	/** Opens the session of these IDs. */
	#openIds(ids: readonly string[] | undefined, flags: number): Promise<void> | undefined {
		const { visit, runtime } = this.#scope;
		// A visitor without a cookie has no session, and opening one creates no record.
		if (!ids && runtime.options.saveUninitialized !== true) return undefined;
		return visit.act(Task.Open, {
			flags: (ids ? Given.Present : 0) | flags,
			texts: [ids?.join('\n') ?? ''],
			touched: ids ? touchedBits(ids, runtime.touched) : 0
		});
	}

	#opened(): void {
		this.#scope.checkOpened();
		this.#refresh();
	}

	/**
	 * Finishes the session when the response is ready. Undefined if there is nothing to do.
	 * @internal
	 */
	static [FINISH](scope: Scope): Promise<void> | undefined {
		const { session, visit, background } = scope;
		if (!(session instanceof Session)) return undefined;
		const changes = session.#contents.changesAtEnd();
		if (!background && !changes && !visit.isDue) return undefined;
		return hasVisitor(scope.event) ? session.#finished(changes) : undefined;
	}

	/**
	 * Whether attributes were assigned to the cookie of a session that is not stored.
	 * @internal
	 */
	get [UNSAVED](): boolean {
		return this.#contents.hasUnsavedCookie;
	}

	/**
	 * The request, with the session that the visitor has now.
	 * @internal
	 */
	override get [SCOPE](): Scope {
		return this.#current().#scope;
	}

	/** @internal */
	[SEEN](view: View, data: string, version: number, own: OwnCookie | undefined): void {
		this.#contents.become(view, data, version, own);
	}

	/** @internal */
	[REVOKED](handle: string, by: OwnRequest | undefined): void {
		const { visit, operations, own, isIdle } = this.#scope;
		const end = (): void => {
			// An operation in progress may already have found the session gone.
			const isOther = visit.user
				? visit.user.handle !== handle
				: visit.storedId !== undefined;
			if (!isOther) void visit.act(Task.Revoked, { flags: by === own ? Given.More : 0 });
		};
		// An operation in progress ends first; it must not use the revoked session afterwards.
		if (isIdle) end();
		else
			void operations.behind(async () => {
				end();
			});
	}

	/** @internal */
	override [SLOT]<T>(
		task: Task,
		name: string,
		input: () => Input,
		end: (outcome: Outcome) => T
	): Promise<T> {
		return this.#run(async (session) => {
			session.#scope.runtime.records.checkAtomic(name);
			return end(await session.#writer.beside(task, input()));
		});
	}

	/** @internal */
	override [CALL]<T>(code: () => Promise<T>): Promise<T> {
		return this.#run((session) => session.#scope.operations.outside(code));
	}

	/** Runs an operation of the application on the visitor's session, after those that were called before it. */
	#run<T>(operation: (session: Session) => T | Promise<T>): Promise<T> {
		const { operations } = this.#scope;
		const nested = nestedIn(this.#scope, this.#current().#scope.visit.storedId);
		if (nested) return operations.refuse(nested);
		return operations.run(() => operation(this.#current()));
	}

	/** The visitor's current session, for the application. The response then depends on it. */
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

	/** The session that replaces this one, with the application's own data object, if there is one. */
	#replaced(data?: SessionData): Session {
		const { event, runtime } = this.#scope;
		const session = new Session(event, runtime.options, this.#scope, this.#contents);
		this.#scope.session = this.#successor = session;
		const locals = slots(event);
		const there = locals[runtime.slot];
		// Another handle may have its session there.
		if (there === undefined || (there instanceof Session && there.#scope === this.#scope))
			locals[runtime.slot] = session;
		if (data) session.#contents.keep(data);
		return session;
	}

	async #openedLater(opening: Promise<void>): Promise<Session> {
		try {
			await opening;
		} finally {
			const error = this.#scope.runtime.records.takeLoss();
			if (error) this.#scope.emit({ type: 'store_failed', error });
		}
		this.#opened();
		await this.#scope.settled();
		return this;
	}

	/** Refreshes the session in parallel with rendering. */
	#refresh(): void {
		if (!this.#scope.visit.isDue) return;
		this.#scope.inBackground(async () =>
			this.#scope.operations.behind(() => this.#writer.act(Task.Refresh))
		);
	}

	async #finished(changes: Changes | undefined): Promise<void> {
		const { visit, operations, background } = this.#scope;
		const [id, views] = [visit.storedId, this.#contents.views];
		await background;
		if (!changes && !visit.isDue) return;
		await operations.behind(async () => {
			// The session was ended meanwhile.
			if (id !== undefined && visit.storedId === undefined) return;
			const session = this.#latest;
			const isSame = session === this && views === this.#contents.views;
			// Another operation has stored the changes meanwhile, or has replaced the session.
			const rest = isSame || !changes ? changes : session.#contents.changesAtEnd();
			if (!rest && !visit.isDue) return;
			await session.#writer.finish(rest);
		});
	}
}
