import type { RequestEvent } from '@sveltejs/kit';

import type { Opened, OwnCookie, Plan, User } from './core.js';
import {
	ConfigError,
	DataError,
	LoginOutdatedError,
	orThrow,
	ResponseSentError,
	StoreError,
	VestiaryError
} from './errors.js';
import {
	checkId,
	checkName,
	Constant,
	constant,
	CookieStep,
	Fact,
	Known,
	Operation,
	Stage,
	StoreStep
} from './generated/vestiary.js';
import { watch, type OwnRequest } from './open-sessions.js';
import { FINISH, HANDLE, HAS_UNSAVED_COOKIE, OPEN, STORED_ID } from './inside.js';
import { checkLoginOptions, type LoginOptions } from './login-options.js';
import { unwritten, type Application, type Compute } from './driver.js';
import { jsonOf } from './json.js';
import { cookieWith, ownIn } from './own-cookie.js';
import { building, checkWellFormed, refusePromise, runtimeOf, userKey } from './runtime.js';
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

/** How long a session may wait for its first `save()` after `regenerate()`, in milliseconds. */
const UNSAVED = constant(Constant.Unsaved);

/**
 * A visitor's session: `event.locals.session`.
 *
 * An instance always speaks for the visitor's current session. After {@link Session.destroy} it is
 * a new, empty one with another ID; after {@link Session.regenerate} the old instance acts for the
 * new one. So no reference that somebody kept can bring an ended session back.
 */
export class Session {
	#scope: Scope;
	#id: string | undefined;
	#data: SessionData = {};
	#stage: Stage = Stage.New;
	#unsaved = false;
	/** The record as the store has it. Of a new session only after `regenerate()`. */
	#record: Opened | undefined;
	/** The data in it as JSON text; made when it is needed. */
	#base: string | undefined;
	#owner: User | undefined;
	/** The session's own cookie attributes, as the store has them. */
	#own: OwnCookie | undefined;
	/** Those that the application may have changed; made when they are asked for. */
	#cookie: SessionCookieOptions | undefined;
	/** Why the session could not be read; it cannot be written then, either. */
	#failure: VestiaryError | undefined;
	/**
	 * The visitor's ID is out of use, or the session was ended meanwhile: a cookie could overwrite a newer
	 * one. The record, if there is one, leads a logout to the session.
	 */
	#barred: { record?: Opened } | undefined;
	/** The data when the response was ready, with `autoSave`: JSON text, made once. */
	#final: string | undefined;
	#successor: Session | undefined;
	/** Whether replicas of the store know that the session was ended. */
	#confirmed: boolean | undefined;

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
		const session = this.#current();
		// Made when first asked for, so that a visitor who only looks costs no randomness.
		session.#id ??= session.#newId(undefined);
		return session.#id;
	}

	/** Whether the store does not know it (yet). */
	get isNew(): boolean {
		return this.#current().#stage === Stage.New;
	}

	/** Whose session it is, after {@link Session.login}. */
	get userId(): string | undefined {
		return this.#current().#owner?.name;
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
		return this.#current().#data;
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
			session.#unsaved = true;
		};
		if (this.#scope.isIdle && !nestedIn(this.#scope, this.#id)) {
			const session = this.#current();
			set(session);
			if (session.#didAtOnce(Operation.Change)) return Promise.resolve();
		}
		return this.#run(async (session) => {
			set(session);
			await session.#do(Operation.Change);
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
			await session.#do(Operation.Save);
		});
	}

	/**
	 * Changes what the store has **now**, and saves: for counters and lists, which parallel requests
	 * change, too. What this request has changed before is saved first. In an atomic store no update is lost,
	 * and no other request waits for the function. In another store none is lost within this process: other
	 * writers of the session wait for an async function, for `storeTimeout` at most.
	 * @param change Gets the data as it is in the store; changes it in place, or returns what is to
	 * take its place. It may run more than once.
	 * @returns False if the session was ended meanwhile: then nothing is written.
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
			await session.#do(Operation.Touch);
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
		// eslint-disable-next-line @typescript-eslint/no-this-alias -- it is the old one from here on
		const old = this;
		const { records, core } = old.#scope.runtime;
		const { refusal } = old.#scope;
		if (refusal) throw refusal;
		const was = old.#stage === Stage.Stored && !old.#failure ? old.#record : undefined;
		let reserved: Opened | undefined;
		if (was && records.atomic) {
			const plan = core.decide(
				Stage.Stored,
				Operation.Destroy,
				old.#known(Operation.Destroy),
				Date.now(),
				old.#own
			);
			let elsewhere = false;
			try {
				await old.#leaveUserIfPossible();
				reserved = await old.#inTurn(async () => old.#supersede('{}', undefined, UNSAVED));
				// Another request has ended it, or logged in: the browser may have the newer cookie.
				elsewhere = reserved === undefined;
			} finally {
				if (!elsewhere) old.#cookieStep(plan.cookie);
			}
			old.#forget();
		} else if (!old.#isLeftAlone()) await old.#do(Operation.Destroy);
		const session = old.#replacedBy();
		session.#id = reserved?.id;
		session.#record = reserved;
		await session.#do(Operation.Open);
		return session;
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
		// eslint-disable-next-line @typescript-eslint/no-this-alias -- it is the old one from here on
		const old = this;
		const { records, core, options: config } = old.#scope.runtime;
		if (!records.atomic) throw notAtomic('session.login()');
		checkUser(userId);
		checkLoginOptions(options);
		checkWellFormed('the label of a session', options.label);
		if (old.#failure && !old.#isLeftAlone()) throw old.#failure;
		const { refusal } = old.#scope;
		if (refusal) throw refusal;
		const kept = Object.fromEntries(
			(options.keep ?? []).flatMap((key) =>
				Object.hasOwn(old.#data, key) ? [[key, old.#data[key]]] : []
			)
		);
		const data = { ...kept, ...options.data };
		const was = old.#stage === Stage.Stored ? old.#record : undefined;
		const others = jsonOf(options.data ?? {});
		const json = was
			? core.keep(was.text, old.#baseOf(was), jsonOf(kept), others)
			: jsonOf(data);
		const most = config.sessionsPerUser ?? constant(Constant.SessionsPerUser);
		const own = old.#scope.own.ended.get(old.#userKey(userId));
		const proof = { at: timeOf(options.provenAt) ?? old.#scope.began, own };
		const handle = await records.enter(userId, options.label, proof, most);
		if (handle === undefined) throw new LoginOutdatedError();
		const owner = { name: userId, handle };
		let record: Opened | undefined;
		try {
			record = await old.#inTurn(async () => old.#supersede(json, owner));
			if (!record) {
				record = await old.#create(json, owner, undefined);
				old.#scope.tell({ type: 'created' });
			}
			await old.#leaveUser();
		} catch (error) {
			// It is listed, but there is no session. That this fails must not hide why.
			await records.revoke(owner).catch(() => undefined);
			throw error;
		}
		old.#forget();
		const session = old.#replacedBy();
		session.#adopt(record);
		session.#data = data;
		session.#owner = owner;
		session.#stage = Stage.Stored;
		session.#watch();
		const unsent = session.#cookieStep(CookieStep.Set);
		if (unsent) {
			// No browser will learn of it. The session before it has ended all the same.
			await session.#storeStep(StoreStep.Take);
			session.#forget();
			throw unsent;
		}
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
			if (session.#failure) throw session.#failure;
			if (session.#stage !== Stage.Stored) return;
			if (!session.#scope.canSend) throw new ResponseSentError();
			try {
				await session.#inTurn(async () => session.#renew());
			} catch (error) {
				if (isUnconfirmed(error)) session.#end();
				throw error;
			}
		});
	}

	/** Ends the session: removes it from the store and the cookie from the browser. */
	destroy(): Promise<void> {
		return this.#run(async (session) => {
			await session.#do(Operation.Destroy);
		});
	}

	static #in(scope: Scope): Session {
		const session = new Session(scope.event, scope.runtime.options, scope);
		scope.session = session;
		return session;
	}

	/**
	 * Opens the session of a request.
	 * @internal
	 */
	static [OPEN](scope: Scope): Session | Promise<Session> {
		const session = Session.#in(scope);
		if (!hasVisitor(scope.event)) return session;
		const ids = scope.runtime.core.readCookies(scope.cookieHeader);
		scope.cookieOut = ids !== undefined && (!scope.outer || ids.length > 0);
		scope.received = ids ?? [];
		const [id] = ids ?? [];
		const { records } = scope.runtime;
		const opened =
			id !== undefined && ids?.length === 1 ? records.openHere(id, scope.began) : undefined;
		if (opened) session.#become(opened);
		else if (ids?.length) return session.#find(ids);
		else if (ids) scope.tell({ type: 'rejected' });
		return session.#didAtOnce(Operation.Open) ? session : session.#opened();
	}

	/**
	 * Does what is left to do when the response is ready. Undefined if there is nothing.
	 * @internal
	 */
	static [FINISH](scope: Scope): Promise<void> | undefined {
		const { session } = scope;
		if (!(session instanceof Session) || !hasVisitor(scope.event)) return undefined;
		if (scope.runtime.options.autoSave) session.#final = jsonOf(session.#data);
		if (!scope.refreshed && session.#didAtOnce(Operation.Finish)) {
			session.#final = undefined;
			return undefined;
		}
		return session.#finished();
	}

	/** @internal */
	get [STORED_ID](): string | undefined {
		return this.#stage === Stage.Stored ? this.#id : undefined;
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
		return this.#current().#owner?.handle;
	}

	/** Runs an operation of the application on the visitor's session, after those that it called before. */
	#run<T>(operation: (session: Session) => Promise<T>): Promise<T> {
		const { operations } = this.#scope;
		const nested = nestedIn(this.#scope, this.#current().#id);
		if (nested) return operations.refuse(nested);
		return operations.run(async () => operation(this.#current()));
	}

	/**
	 * Whether a new session may take the place of this one, which must not be ended: the visitor's ID was replaced by
	 * a login or is out of its grace period, or another instance of the application may be able to read the session.
	 */
	#isLeftAlone(): boolean {
		return this.#barred?.record !== undefined || this.#failure instanceof DataError;
	}

	/** Whoever asks has looked at the session. */
	#current(): Session {
		this.#scope.looked = true;
		const successor = this.#successor;
		return successor === undefined ? this : successor.#current();
	}

	/** The session that takes the place of this one. */
	#replacedBy(): Session {
		const session = Session.#in(this.#scope);
		this.#successor = session;
		const { event, runtime } = this.#scope;
		const locals = slots(event);
		const there = locals[runtime.slot];
		// Another handle may have its session there.
		if (there === undefined || (there instanceof Session && there.#scope === this.#scope))
			locals[runtime.slot] = session;
		return session;
	}

	/** Does it, if the store has no part in it. False, and nothing is done, if it has. */
	#didAtOnce(operation: Operation): boolean {
		if (this.#failure) return false;
		const { store, cookie, stage } = this.#plan(operation);
		if (store !== StoreStep.Keep || stage !== this.#stage) return false;
		this.#cookieStep(cookie);
		return true;
	}

	/** Looks for the session of these IDs, and opens it. */
	async #find(ids: string[]): Promise<Session> {
		const scope = this.#scope;
		try {
			await this.#look(ids);
		} catch (error) {
			const { onStoreError } = scope.runtime.options;
			if (onStoreError !== 'anonymous' || !(error instanceof StoreError)) throw error;
			scope.tell({ type: 'store_failed', error });
			this.#failure = error;
		}
		return this.#opened();
	}

	async #look(ids: string[]): Promise<void> {
		const scope = this.#scope;
		const { records } = scope.runtime;
		const { tell } = this.#application;
		let opening;
		try {
			opening = await records.open(ids, tell);
		} finally {
			const loss = records.takeLoss();
			if (loss) tell({ type: 'store_failed', error: loss });
		}
		const { found, lost, spent } = opening;
		for (const one of spent) scope.later(async () => records.tidy(one, tell));
		scope.lost.push(...lost);
		switch (found.kind) {
			case 'session':
				return this.#begin(found.session);
			case 'retired':
				this.#barred = { record: found.session };
				return;
			case 'unreadable':
				this.#failure = found.error;
				return;
			case 'expired':
				scope.removeExpired(found.session.id, found.session.own);
				return;
			case 'nobody':
		}
	}

	/** The application's part in operations of the core. */
	get #application(): Application & Required<Pick<Application, 'tell'>> {
		return {
			tell: (event) => {
				this.#scope.tell(event);
			},
			newId: () => this.#newId(this.#owner?.name)
		};
	}

	async #opened(): Promise<Session> {
		await this.#do(Operation.Open);
		await this.#scope.settled();
		return this;
	}

	async #finished(): Promise<void> {
		const { operations } = this.#scope;
		try {
			await operations.run(async () => this.#do(Operation.Finish));
		} finally {
			this.#final = undefined;
		}
		await this.#scope.refreshed;
	}

	/** Becomes what was found for this visitor. */
	#become(opened: Opened): void {
		this.#id = opened.id;
		this.#record = opened;
		this.#data = JSON.parse(opened.data) as SessionData;
		this.#owner = opened.user;
		this.#own = opened.own;
		this.#stage = Stage.Stored;
		if (opened.user) this.#watch();
		if (this.#scope.runtime.options.autoSave) this.#base = jsonOf(this.#data);
	}

	/** The same, and does what has to be done about it. */
	async #begin(opened: Opened): Promise<void> {
		const { records } = this.#scope.runtime;
		const { facts, user } = opened;
		this.#become(opened);
		if (facts & Fact.Renewed) this.#cookieStep(CookieStep.Set);
		// Reading leaves everything as it is where no cookie can leave.
		if (this.#scope.left) return;
		if (user && facts & Fact.Unseen) {
			this.#scope.later(async () => {
				const { tell } = this.#application;
				if (!(await records.noteUse(opened, tell))) this.#endRevoked(user, undefined);
			});
		}
		if (!records.atomic) return;
		if (facts & Fact.Due) await this.#renewIfPossible();
		else if (facts & Fact.Stale) {
			this.#scope.later(async () =>
				this.#inTurn(async () => {
					if (this.#record === opened) await this.#touch(true);
				})
			);
		}
	}

	/**
	 * The record is another one now. It may have what others wrote meanwhile, which this request has not
	 * seen: what it changes is still told by what it has seen.
	 */
	#moveTo(record: Opened, seen: Opened): void {
		this.#base = this.#baseOf(seen);
		this.#id = record.id;
		this.#record = record;
	}

	/** Changes what the store has now. */
	async #update(change: Change, turn: Turn): Promise<boolean> {
		const { records } = this.#scope.runtime;
		if (this.#failure) throw this.#failure;
		if (this.#barred && (await this.#isBarred(Operation.Save))) return false;
		if (this.#stage === Stage.Stored && !(await this.#execute(Operation.Flush))) return false;
		if (this.#stage === Stage.Stored && !records.atomic) {
			const record = this.#record && (await records.load(this.#record.id));
			if (!record) {
				this.#end();
				return false;
			}
			this.#adopt(record);
		}
		let runs = 0;
		const changed = async (data: SessionData): Promise<SessionData> => {
			if (++runs > 1) await this.#queued(turn);
			const running = runUpdate(this.#scope, this.id, () => change(data));
			const made = running instanceof Promise ? await this.#outside(running, turn) : running;
			return made ?? data;
		};
		if (this.#stage === Stage.New) {
			// Before anything is changed that could not be stored.
			if (this.#plan(Operation.Save).cookie === CookieStep.Late)
				throw new ResponseSentError();
			const [before, unsaved] = [this.#data, this.#unsaved];
			// A copy, as from a store: if anything fails, the data is what it was, and not stored later.
			this.#data = await changed(JSON.parse(jsonOf(before)) as SessionData);
			try {
				await this.#execute(Operation.Save);
			} catch (error) {
				this.#data = before;
				this.#unsaved = unsaved;
				throw error;
			}
			return !this.isNew;
		}
		return this.#execute(Operation.Save, async (text) => {
			const data = JSON.parse(text) as SessionData;
			const base = jsonOf(data);
			return { base, mine: jsonOf(await changed(data)) };
		});
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
		const { operations, runtime } = this.#scope;
		if (await isPrompt(running)) return running;
		turn.leave();
		try {
			// With a store that is not atomic they wait: an operation of this request would fail otherwise.
			const waits = !runtime.records.atomic && knowsNested;
			return await (waits ? running : operations.outside(async () => running));
		} finally {
			await turn.back();
		}
	}

	/** Takes over what the store has. */
	#adopt(record: Opened): void {
		const data = JSON.parse(record.data) as SessionData;
		this.#own = record.own;
		if (this.#cookie) {
			// It is the object that the application has.
			const now = cookieWith(this.#scope.runtime.cookie, this.#own);
			for (const name of Object.keys(this.#cookie))
				Reflect.deleteProperty(this.#cookie, name);
			Object.assign(this.#cookie, now);
		}
		this.#id = record.id;
		this.#record = record;
		this.#data = data;
		this.#base = jsonOf(data);
	}

	/** The cookie attributes of its own that the application wants the session to have. */
	#wanted(): OwnCookie | undefined {
		if (!this.#cookie) return this.#own;
		const { core, cookie } = this.#scope.runtime;
		const own = ownIn(cookie, this.#cookie);
		if (own !== undefined && own !== this.#own) core.checkCookie(own);
		return own;
	}

	/** An ID that no session has, for one of this user. */
	#newId(user: string | undefined): string {
		const { event, runtime } = this.#scope;
		const id = runtime.options.genid?.(event);
		if (id === undefined) return runtime.core.newId(user);
		refusePromise('`genid`', id);
		if (typeof id !== 'string')
			throw new ConfigError('options', '`genid` must return a string');
		orThrow(() => {
			checkId(id);
		});
		return id;
	}

	/**
	 * Lets the core decide, and does it. What writes waits for what is being written. False if the session was
	 * ended meanwhile.
	 */
	async #do(operation: Operation): Promise<boolean> {
		const opens = operation === Operation.Open;
		if (this.#failure) {
			this.#refuse(operation, this.#failure);
			return true;
		}
		const { store, cookie } = this.#plan(operation);
		if (store === StoreStep.Keep) return this.#execute(operation);
		if (!opens) return this.#inTurn(async () => this.#execute(operation));
		if (store !== StoreStep.Touch) return this.#createIfPossible();
		// Without a cookie that lives longer, the record need not.
		if (!this.#cookieStep(cookie)) this.#refresh();
		return true;
	}

	/**
	 * Touches the store while the page is made, so that rolling costs no time of its own. A refresh that fails is
	 * an event, and the next request tries again: the session could be read, after all.
	 */
	#refresh(): void {
		const record = this.#record;
		this.#scope.later(async () =>
			this.#inTurn(async () => {
				// Unless it was written since, or ended.
				if (!record || this.#record !== record) return;
				await this.#touch(true);
				if (this.#stage === Stage.Stored && this.#id !== record.id && !this.#keepsCookie)
					this.#cookieStep(CookieStep.Set);
			})
		);
	}

	/** Whether an ID that is another one now is no reason to set the cookie: it cannot be, or a logout takes it away. */
	get #keepsCookie(): boolean {
		return this.#scope.left || this.#scope.removesCookie;
	}

	/** A store that is full fails no page of a visitor who only looks: there is no session then. */
	async #createIfPossible(): Promise<boolean> {
		try {
			return await this.#execute(Operation.Open);
		} catch (error) {
			if (!(error instanceof StoreError) || error.code !== 'store_full') throw error;
			this.#scope.tell({ type: 'store_failed', error });
			this.#unsaved = false;
			return true;
		}
	}

	#plan(operation: Operation): Plan {
		const { runtime, began } = this.#scope;
		const now = operation === Operation.Open ? began : Date.now();
		const known = this.#known(operation);
		const writes = operation === Operation.Save || (known & Known.Unsaved) !== 0;
		const own = writes ? this.#wanted() : this.#own;
		return runtime.core.decide(this.#stage, operation, known, now, own);
	}

	/**
	 * The store comes first, so that no cookie promises too much. False if the session was ended
	 * meanwhile.
	 */
	async #execute(operation: Operation, compute?: Compute): Promise<boolean> {
		if (this.#barred && (await this.#isBarred(operation))) return false;
		const before = this.#stage;
		const plan = this.#plan(operation);
		if (plan.cookie === CookieStep.Late) {
			if (operation === Operation.Open) return false;
			throw new ResponseSentError();
		}
		let cookie = plan.cookie;
		try {
			const id = this.#id;
			if (!(await this.#storeStep(plan.store, compute))) return false;
			// It was renewed meanwhile, and may be known by its old ID to this browser.
			if (before === Stage.Stored && this.#id !== id && cookie === CookieStep.Keep)
				cookie = this.#keepsCookie ? cookie : CookieStep.Set;
		} catch (error) {
			// A logout that the store did not confirm still takes the cookie away.
			if (plan.cookie === CookieStep.Clear) this.#cookieStep(plan.cookie);
			else if (isUnconfirmed(error)) this.#end();
			throw error;
		}
		const unsent = this.#cookieStep(cookie);
		if (unsent && plan.store === StoreStep.Create) {
			// The browser will never hear of it: without this, it would stay until it expires.
			await this.#storeStep(StoreStep.Take);
			this.#id = this.#record = this.#base = undefined;
			this.#unsaved = true;
			if (operation === Operation.Open) return false;
			throw unsent;
		}
		this.#stage = plan.stage;
		const ended = before === Stage.Stored && plan.stage === Stage.New;
		if (ended && operation === Operation.Destroy) {
			const confirmed = this.#confirmed;
			this.#scope.tell({
				type: 'destroyed',
				...(confirmed !== undefined && { confirmed })
			});
		}
		if (ended || operation === Operation.Destroy) this.#forget();
		return true;
	}

	/** Of a session that could not be read nothing is overwritten: neither record nor cookie. */
	#refuse(operation: Operation, failure: VestiaryError): void {
		if (operation === Operation.Save || operation === Operation.Touch) throw failure;
		if (operation === Operation.Destroy) {
			this.#scope.send(null, this.#own);
			throw failure;
		}
	}

	/** Whether this operation is dropped, for the visitor's cookie is not that of a session any more. */
	async #isBarred(operation: Operation): Promise<boolean> {
		const record = this.#barred?.record;
		if (operation === Operation.Destroy) {
			try {
				if (record) await this.#remove(record);
			} catch (error) {
				this.#scope.send(null, this.#own);
				throw error;
			}
			this.#barred = undefined;
			return false;
		}
		const { store, cookie } = this.#plan(operation);
		const asked = operation === Operation.Save || operation === Operation.Touch;
		// Also where the response has left: another session is none that could be saved too late.
		const writes = store !== StoreStep.Keep || cookie === CookieStep.Late;
		if ((writes || asked) && operation !== Operation.Open) this.#scope.tell({ type: 'gone' });
		return writes || asked;
	}

	/** What is costly to know is found out only for the operation that it matters to. */
	#known(operation: Operation): number {
		const { cookieOut, finishes, left } = this.#scope;
		const touched = operation === Operation.Open && this.#isTouched();
		const changed =
			(operation === Operation.Finish && this.#isChanged()) ||
			(operation === Operation.Flush && this.#isPending());
		return (
			(cookieOut ? Known.CookieOut : 0) |
			(this.#unsaved || changed ? Known.Unsaved : 0) |
			(touched ? Known.Touched : 0) |
			(finishes && !left ? Known.Finishes : 0) |
			(left ? Known.Left : 0)
		);
	}

	/** Asks the store. False if it says that the session was ended meanwhile. */
	async #storeStep(step: StoreStep, compute?: Compute): Promise<boolean> {
		switch (step) {
			case StoreStep.Keep:
				return true;
			case StoreStep.Create:
			case StoreStep.Replace:
				return this.#write(compute);
			case StoreStep.Touch:
				return this.#touch(false);
			case StoreStep.Take:
				this.#confirmed = this.#record && (await this.#remove(this.#record));
				return true;
		}
	}

	async #touch(refreshes: boolean): Promise<boolean> {
		const { records } = this.#scope.runtime;
		const record = this.#record;
		if (!record) return true;
		const touched = await records.touch(record, refreshes, this.#application.tell);
		if (!touched) {
			this.#end();
			return false;
		}
		this.#moveTo(touched, record);
		this.#touched();
		return true;
	}

	async #write(compute?: Compute): Promise<boolean> {
		const { records } = this.#scope.runtime;
		const json = compute ? '' : this.#json();
		const record = this.#record;
		const own = this.#wanted();
		const change = own === this.#own ? undefined : (own ?? '{}');
		// Before the store answers: what is changed meanwhile is not in this record.
		this.#unsaved = false;
		try {
			if (!record) {
				this.#own = own;
				this.#record = await this.#create(json, undefined, change);
				this.#base = json;
				this.#scope.tell({ type: 'created' });
				return true;
			}
			const { tell } = this.#application;
			const base = this.#baseOf(record);
			const written = await records.save(record, base, compute ?? json, change, tell);
			if (this.#scope.finished) this.#scope.confirmed = written?.id;
			if (!written) {
				// Unless this request has ended it itself, while the function of an update ran.
				if (this.#record) this.#end();
				return false;
			}
			if (written.facts & Fact.Merged) this.#scope.tell({ type: 'conflict' });
			this.#id = written.id;
			this.#record = written;
			this.#base = json;
			if (compute || written.facts & Fact.Reread) this.#adopt(written);
			else this.#own = own;
			this.#touched();
			if (this.#stage === Stage.New) this.#scope.tell({ type: 'created' });
			return true;
		} catch (error) {
			this.#unsaved = true;
			// `update` says by its result that nothing was written.
			if (!compute || !isUnconfirmed(error)) throw error;
			this.#end();
			return false;
		}
	}

	/** Stores a new record, of this user if there is one, under an ID that no record has. */
	async #create(
		data: string,
		user: User | undefined,
		own: OwnCookie | undefined
	): Promise<Opened> {
		const newId = (): string => {
			// The application may have seen it. A second one is asked for if there is a record under the first.
			const id = this.#id ?? this.#newId(user?.name);
			this.#id = undefined;
			return id;
		};
		const application = { ...this.#application, newId };
		const created = await this.#scope.runtime.records.create(data, user, own, application);
		this.#id = created.id;
		this.#scope.created = created.id;
		this.#touched();
		return created;
	}

	/** Another ID and other data for what this is. Undefined if it is nothing that is stored. */
	async #supersede(
		data: string,
		user: User | undefined,
		longest = Infinity
	): Promise<Opened | undefined> {
		const { records } = this.#scope.runtime;
		const record = this.#stage === Stage.Stored ? this.#record : undefined;
		const application = { ...this.#application, newId: () => this.#newId(user?.name) };
		const next = record && (await records.supersede(record, data, user, longest, application));
		if (!next) this.#id = undefined;
		return next;
	}

	/** The application did not ask for it, so it is no reason to fail: the next request tries again. */
	async #renewIfPossible(): Promise<void> {
		try {
			await this.#inTurn(async () => this.#renew());
		} catch (error) {
			if (!(error instanceof VestiaryError)) throw error;
			this.#scope.tell({ type: 'store_failed', error });
		}
	}

	async #renew(): Promise<void> {
		const { records } = this.#scope.runtime;
		const record = this.#record;
		if (this.#stage !== Stage.Stored || !record || !this.#scope.canSend) return;
		const renewed = await records.renew(record, this.#application);
		if (!renewed) {
			this.#end();
			return;
		}
		this.#moveTo(renewed, record);
		this.#cookieStep(CookieStep.Set);
	}

	/** Removes a session from the store and from its user's list. */
	async #remove(record: Opened): Promise<boolean | undefined> {
		return this.#scope.runtime.records.destroy(record, this.#application.tell);
	}

	/** Takes the session out of its user's list before it ends, unless the list is not written at all. */
	async #leaveUserIfPossible(): Promise<void> {
		try {
			await this.#leaveUser();
		} catch (error) {
			this.#scope.tell({ type: 'store_failed', error: unwritten(error) });
		}
	}

	/** The session is not in the list of its user any more. */
	async #leaveUser(): Promise<void> {
		const { records } = this.#scope.runtime;
		const owner = this.#owner;
		if (owner) await records.revoke(owner);
		this.#owner = undefined;
	}

	#userKey(name: string): string {
		return userKey(this.#scope.runtime.options, name);
	}

	/** Lets the session end at once when this process revokes it. */
	#watch(): void {
		const owner = this.#owner;
		if (!owner) return;
		const { finishes, runtime } = this.#scope;
		const session = {
			handle: owner.handle,
			revoked: (by: OwnRequest | undefined): void => {
				this.#endRevoked(owner, by);
			}
		};
		this.#scope.unwatch?.();
		this.#scope.unwatch = watch(runtime.store, this.#userKey(owner.name), session, finishes);
	}

	/** Ends the session of this user, for it was revoked. */
	#endRevoked({ handle }: User, by: OwnRequest | undefined): void {
		const end = async (): Promise<void> => {
			if (this.#owner?.handle === handle) this.#revoked(by);
		};
		// What is under way must not take it for its session any more when it goes on.
		if (this.#scope.isIdle) void end();
		else void this.#scope.operations.run(end);
	}

	/** The session was revoked. In the request that did so, the cookie goes. */
	#revoked(by: OwnRequest | undefined): void {
		if (this.#id !== undefined) this.#scope.runtime.records.retire(this.#id);
		const own = this.#own;
		this.#forget();
		this.#barred = {};
		if (by === this.#scope.own) this.#scope.send(null, own);
	}

	/** The data in a record, as JSON text of the serialiser that compares it. */
	#baseOf({ data }: Opened): string {
		this.#base ??= jsonOf(JSON.parse(data));
		return this.#base;
	}

	/** The session was ended by somebody else: nothing more is written, and no cookie set. */
	#end(): void {
		this.#scope.tell({ type: 'gone' });
		if (this.#id !== undefined) this.#scope.runtime.records.retire(this.#id);
		this.#stage = Stage.New;
		this.#forget();
		this.#barred = {};
	}

	#touched(): void {
		this.#scope.runtime.touched.add(this.id, this.#own);
	}

	#isTouched(): boolean {
		const { touched } = this.#scope.runtime;
		return this.#id !== undefined && touched.has(this.#id, this.#own);
	}

	#json(): string {
		return this.#final ?? jsonOf(this.#data);
	}

	#isChanged(): boolean {
		const { autoSave, saveUninitialized } = this.#scope.runtime.options;
		if ((autoSave ?? saveUninitialized) && this.#wanted() !== this.#own) return true;
		return autoSave === true && this.#json() !== (this.#base ?? '{}');
	}

	/**
	 * Returns why the cookie cannot leave. That matters only to what is new: the browser has the cookie of a stored
	 * session, and that of an ended one is worth nothing.
	 */
	#cookieStep(step: CookieStep): VestiaryError | undefined {
		if (step === CookieStep.Set) return this.#scope.send(this.id, this.#own);
		return step === CookieStep.Clear ? this.#scope.send(null, this.#own) : undefined;
	}

	/** Whether data or cookie attributes differ from what this request has loaded or written. */
	#isPending(): boolean {
		if (this.#record === undefined) return false;
		return this.#wanted() !== this.#own || jsonOf(this.#data) !== this.#baseOf(this.#record);
	}

	/** Runs what writes this session after what writes it already, in this process. */
	async #inTurn<T>(run: (turn: Turn) => Promise<T>): Promise<T> {
		const { writes, records, patience } = this.#scope.runtime;
		const turn = writes.take(this.id, records.atomic, patience);
		try {
			if (turn.ready) await turn.ready;
			return await run(turn);
		} finally {
			turn.end();
		}
	}

	#forget(): void {
		this.#id = undefined;
		this.#data = {};
		this.#final = undefined;
		this.#unsaved = false;
		this.#record = undefined;
		this.#base = undefined;
		this.#owner = undefined;
		this.#own = undefined;
		this.#cookie = undefined;
		this.#stage = Stage.New;
	}
}

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

function isUnconfirmed(error: unknown): boolean {
	return error instanceof StoreError && error.code === 'store_unconfirmed';
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
