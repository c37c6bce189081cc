import type { RequestEvent } from '@sveltejs/kit';

import { readRecord } from './core.js';
import { DataError, orThrow, ResponseSentError, StoreError, VestiaryError } from './errors.js';
import { checkId, CookieStep, Known, Operation, Stage, StoreStep } from './generated/vestiary.js';
import { building, runtimeOf } from './runtime.js';
import { Scope } from './scope.js';
import type {
	SessionCookieOptions,
	SessionData,
	SessionStoreData,
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

/**
 * Opens the session of a request.
 * @internal
 */
export let open: (scope: Scope) => Promise<Session>;

/**
 * Does what is left to do when the response is ready.
 * @internal
 */
export let finish: (scope: Scope) => Promise<void>;

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
	#created: number | undefined;
	#stage: Stage = Stage.New;
	#unsaved = false;
	/** The data as the store has it, where changes in place are to be seen. */
	#stored = '{}';
	/** Why the session could not be read; it cannot be written then, either. */
	#failure: StoreError | undefined;
	#successor: Session | undefined;

	/** A new, empty session. To load the visitor's, use {@link Session.initialize}. */
	constructor(event: RequestEvent, options: SveltekitSessionConfig) {
		this.#scope = new Scope(event, runtimeOf(options), false);
	}

	/**
	 * The session of a request: loaded if its cookie is genuine and the store knows it, else new.
	 * `sveltekitSessionHandle` does this for every request.
	 */
	static async initialize(
		event: RequestEvent,
		options: SveltekitSessionConfig
	): Promise<Session> {
		return open(new Scope(event, runtimeOf(options), false));
	}

	/** Session ID. */
	get id(): string {
		const session = this.#current();
		// Made when first asked for, so that a visitor who only looks costs no randomness.
		session.#id ??= session.#newId();
		return session.#id;
	}

	/** Whether the store does not know it (yet). */
	get isNew(): boolean {
		return this.#current().#stage === Stage.New;
	}

	/** Name of the session cookie: `options.name`. */
	get cookieName(): string {
		return this.#scope.runtime.core.name;
	}

	/** Options of the session cookie: `options.cookie`, with a path. */
	get cookie(): Readonly<SessionCookieOptions> {
		return this.#scope.runtime.cookie;
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
	async setData(data: SessionData): Promise<void> {
		const session = this.#current();
		session.#data = data;
		session.#unsaved = true;
		await session.#do(Operation.Change);
	}

	/** Saves the session: writes it to the store and sets the cookie. */
	async save(): Promise<void> {
		await this.#current().#do(Operation.Save);
	}

	/**
	 * Changes what the store has **now**, and saves: for counters and lists, which parallel requests
	 * change, too. Updates of one session run one after another in this process.
	 * @param change Gets the data as it is in the store; changes it in place, or returns what is to
	 * take its place. It may run more than once.
	 * @returns False if the session was ended meanwhile: then nothing is written.
	 */
	async update(
		change: (data: SessionData) => SessionData | undefined | Promise<SessionData | undefined>
	): Promise<boolean> {
		const session = this.#current();
		return inTurn(session.#scope.runtime.updates, session.id, async () => {
			if (session.#stage === Stage.Stored) {
				const record = await session.#load(session.id);
				if (!record) {
					session.#stage = Stage.New;
					session.#forget();
					return false;
				}
				session.#data = record.data;
			}
			session.#data = (await change(session.#data)) ?? session.#data;
			await session.#do(Operation.Save);
			return true;
		});
	}

	/** Gives the session its full life again, in store and cookie, without writing its data. */
	async touch(): Promise<void> {
		await this.#current().#do(Operation.Touch);
	}

	/**
	 * Ends the session and starts a new, empty one with another ID, which becomes
	 * `event.locals.session`. Call it when a visitor logs in, so that whoever knew the old ID knows
	 * nothing.
	 */
	async regenerate(): Promise<Session> {
		const old = this.#current();
		await old.#do(Operation.Destroy);
		const session = Session.#in(old.#scope);
		old.#successor = session;
		old.#scope.event.locals.session = session;
		await session.#do(Operation.Open);
		return session;
	}

	/** Ends the session: removes it from the store and the cookie from the browser. */
	async destroy(): Promise<void> {
		await this.#current().#do(Operation.Destroy);
	}

	static #in(scope: Scope): Session {
		const session = new Session(scope.event, scope.runtime.options);
		session.#scope = scope;
		scope.session = session;
		return session;
	}

	static {
		open = async (scope) => {
			const session = Session.#in(scope);
			if (!hasVisitor(scope.event)) return session;
			const ids = scope.runtime.core.readCookies(scope.event.request.headers.get('cookie'));
			scope.cookieOut = ids !== undefined;
			try {
				await session.#find(ids);
			} catch (error) {
				if (
					scope.runtime.options.onStoreError !== 'anonymous' ||
					!(error instanceof StoreError)
				) {
					throw error;
				}
				scope.tell({ type: 'store_failed', error });
				session.#failure = error;
			}
			await session.#do(Operation.Open);
			return session;
		};
		finish = async (scope) => {
			const { session } = scope;
			if (!session || !hasVisitor(scope.event)) return;
			await session.#do(Operation.Finish);
			await scope.refreshed;
		};
	}

	#current(): Session {
		const successor = this.#successor;
		return successor === undefined ? this : successor.#current();
	}

	/** Becomes the session of one of these IDs, if the store knows it. */
	async #find(ids: string[] | undefined): Promise<void> {
		if (ids?.length === 0) this.#scope.tell({ type: 'rejected' });
		for (const id of ids ?? []) {
			const record = await this.#load(id);
			if (!record) continue;
			this.#id = id;
			this.#data = record.data;
			this.#created = record.meta?.created;
			this.#stage = Stage.Stored;
			if (this.#scope.runtime.options.autoSave) this.#stored = jsonOf(record.data);
			return;
		}
	}

	#newId(): string {
		const { event, runtime } = this.#scope;
		const id = runtime.options.genid?.(event);
		if (id === undefined) return runtime.core.newId();
		orThrow(() => {
			checkId(id);
		});
		return id;
	}

	/** Lets the core decide, and does it: the store first, so that no cookie promises too much. */
	async #do(operation: Operation): Promise<void> {
		if (this.#failure) {
			this.#refuse(operation, this.#failure);
			return;
		}
		const { core } = this.#scope.runtime;
		const before = this.#stage;
		const plan = core.decide(before, operation, this.#known(operation));
		if (plan.cookie === CookieStep.Late) throw new ResponseSentError();
		try {
			if (plan.store === StoreStep.Touch && operation === Operation.Open)
				await this.#refresh();
			else await this.#storeStep(plan.store);
		} catch (error) {
			// A logout that the store did not confirm still takes the cookie away.
			if (plan.cookie === CookieStep.Clear) this.#cookieStep(plan.cookie);
			throw error;
		}
		try {
			this.#cookieStep(plan.cookie);
		} catch (error) {
			// The browser will never hear of it: without this, it would stay until it expires.
			if (plan.store === StoreStep.Create) await this.#storeStep(StoreStep.Take);
			throw error;
		}
		this.#stage = plan.stage;
		const ended = before === Stage.Stored && plan.stage === Stage.New;
		if (ended || operation === Operation.Destroy) this.#forget();
	}

	/**
	 * Touches the store while the page is made, so that rolling costs no time of its own. A refresh
	 * that fails is told, and tried again by the next request: the session could be read, after all.
	 */
	async #refresh(): Promise<void> {
		const scope = this.#scope;
		const refreshed = this.#storeStep(StoreStep.Touch).catch((error: unknown) => {
			if (!(error instanceof StoreError)) throw error;
			scope.tell({ type: 'store_failed', error });
		});
		if (scope.finishes) scope.refreshed = refreshed;
		else await refreshed;
	}

	/** Of a session that could not be read nothing is overwritten: neither record nor cookie. */
	#refuse(operation: Operation, failure: StoreError): void {
		if (operation === Operation.Save || operation === Operation.Touch) throw failure;
		if (operation === Operation.Destroy) {
			this.#scope.send(null);
			throw failure;
		}
	}

	/** What is costly to know is found out only for the operation that it matters to. */
	#known(operation: Operation): number {
		const { cookieOut, finishes, left, runtime } = this.#scope;
		const touched = operation === Operation.Open && this.#isTouched();
		const changed = operation === Operation.Finish && this.#isChanged();
		return (
			(cookieOut ? Known.CookieOut : 0) |
			(this.#unsaved || changed ? Known.Unsaved : 0) |
			(touched ? Known.Touched : 0) |
			(runtime.core.ttl() === 0 ? Known.Over : 0) |
			(finishes && !left ? Known.Finishes : 0) |
			(left ? Known.Left : 0)
		);
	}

	async #storeStep(step: StoreStep): Promise<void> {
		const { core, store } = this.#scope.runtime;
		switch (step) {
			case StoreStep.Keep:
				return;
			case StoreStep.Create:
			case StoreStep.Replace: {
				const json = jsonOf(this.#data);
				const record = this.#record(json);
				// Before the store answers: what is changed meanwhile is not in this record.
				this.#unsaved = false;
				try {
					await this.#ask('write', () => store.set(this.id, record, core.ttl()));
				} catch (error) {
					this.#unsaved = true;
					throw error;
				}
				this.#stored = json;
				this.#touched();
				return;
			}
			case StoreStep.Touch:
				await this.#ask('touch', () => store.touch(this.id, core.ttl()));
				this.#touched();
				return;
			case StoreStep.Take:
				return this.#ask('remove', () => store.destroy(this.id));
		}
	}

	#touched(): void {
		const { core, touched } = this.#scope.runtime;
		if (core.touchAfter === 0) return;
		try {
			touched.set(this.id, '', core.touchAfter, Date.now());
		} catch {
			// More sessions at once than are remembered: the others are touched more often.
		}
	}

	#isTouched(): boolean {
		const { core, touched } = this.#scope.runtime;
		if (this.#id === undefined || core.touchAfter === 0) return false;
		return touched.get(this.#id, Date.now()) !== undefined;
	}

	#isChanged(): boolean {
		return this.#scope.runtime.options.autoSave === true && jsonOf(this.#data) !== this.#stored;
	}

	#cookieStep(step: CookieStep): void {
		if (step === CookieStep.Set) this.#scope.send(this.#scope.runtime.core.sign(this.id));
		else if (step === CookieStep.Clear) this.#scope.send(null);
	}

	/** A snapshot: what the application does to its data afterwards does not reach the store. */
	#record(json: string): SessionStoreData {
		const now = Date.now();
		this.#created ??= now;
		// Flat with `format: 'express'`; to a store it is JSON either way.
		return JSON.parse(
			this.#scope.runtime.core.encode(json, this.#created, now)
		) as SessionStoreData;
	}

	async #load(id: string): Promise<SessionStoreData | undefined> {
		try {
			const record = await this.#ask('read', () => this.#scope.runtime.store.get(id));
			if (record) return readRecord(jsonOf(record));
			this.#scope.tell({ type: 'unknown' });
			return undefined;
		} catch (error) {
			const code = faultOfRecord(error);
			if (code === undefined) throw error;
			this.#scope.tell({ type: 'unreadable', code });
			return undefined;
		}
	}

	/** Asks the store. Its own error becomes the cause of ours, which says what was tried. */
	async #ask<T>(action: string, call: () => Promise<T>): Promise<T> {
		try {
			return await within(this.#scope.runtime.timeout, action, call());
		} catch (cause) {
			if (cause instanceof VestiaryError) throw cause;
			const message = `the session store could not ${action} the session`;
			throw new StoreError('store_failed', message, { cause });
		}
	}

	#forget(): void {
		this.#id = undefined;
		this.#data = {};
		this.#created = undefined;
		this.#unsaved = false;
		this.#stored = '{}';
	}
}

/**
 * SvelteKit takes `search` away from the URL of a page that it prerenders.
 * @internal
 */
export function hasVisitor(event: RequestEvent): boolean {
	return !building && !Object.hasOwn(event.url, 'search');
}

/** What is wrong with the record; undefined if something else failed. */
function faultOfRecord(error: unknown): string | undefined {
	if (error instanceof DataError) return error.code;
	// What `JSON.parse` says of a record, in a store that lets it through.
	return error instanceof StoreError && error.cause instanceof SyntaxError ? 'json' : undefined;
}

function jsonOf(value: unknown): string {
	try {
		// Not a string for what JSON has no text for, such as a function, whatever its type says.
		const json = JSON.stringify(value) as string | undefined;
		return json ?? 'null';
	} catch (cause) {
		const message = 'session data must be JSON: it has a BigInt or refers to itself';
		throw new DataError('json', message, { cause });
	}
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

/** Runs what belongs to one key one after another. */
async function inTurn<T>(
	turns: Map<string, Promise<unknown>>,
	key: string,
	run: () => Promise<T>
): Promise<T> {
	const before = turns.get(key);
	const mine = before ? before.then(run, run) : run();
	turns.set(key, mine);
	try {
		return await mine;
	} finally {
		if (turns.get(key) === mine) turns.delete(key);
	}
}
