import type { Recent } from './bounded.js';
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
import { busy, Driver, isBoolean, type Compute, type DriverOptions } from './driver.js';
import { DataError, StoreError, type VestiaryError } from './errors.js';
import { constant, Constant, Ended, Found, Listed, type Running } from './generated/vestiary.js';
import { tableOf } from './memory-store.js';
import type { AtomicOperations, Store } from './types.js';

export type { Stored } from './core.js';

/** What became of a write. */
export interface Written extends Stored {
	/** Another request had changed the data meanwhile, and both changes are in. */
	readonly merged: boolean;
	/** The record may hold more than this request has seen. */
	readonly reread: boolean;
}

/** A user's session list that was read together with a record, because the session's ID hints at it. */
export interface ListAhead {
	readonly key: string;
	/** The text, as the store has it. */
	readonly text: string | undefined;
}

/** How a session got another ID. */
export type Rotated =
	/** It has this one. */
	| { kind: 'done'; stored: Stored }
	/** Another request was faster; its tombstone leads to this ID, or to none. */
	| { kind: 'elsewhere'; id: string | undefined }
	/** It was ended meanwhile. */
	| { kind: 'gone' };

/**
 * The records of one handle, as `Session` deals with them: text under session IDs. With an atomic store, the operations
 * of the core do what changes them.
 */
export class Records {
	readonly #core: Core;
	readonly #store: Store;
	readonly #atomic: AtomicOperations | undefined;
	readonly #driver: Driver;
	readonly #migrates: boolean;
	/** IDs are stored as they are. */
	readonly #plainIds: boolean;
	readonly #encrypts: boolean;
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
		this.#driver = new Driver(core, store, options);
		this.#retired = options.retired;
		this.#columns = options.columns;
		this.#migrates = options.encrypt === 'migrate';
		this.#encrypts = options.encrypt === true || options.encrypt === 'migrate';
		this.#plainIds = options.hashIds !== true && options.namespace === undefined;
		this.#table = this.#encrypts || options.telemetry ? undefined : tableOf(store);
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
		this.#retired.add(id, constant(Constant.Retired), Date.now());
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
		const text = await this.#driver.ask('read', async () => this.#driver.read(this.#keyOf(id)));
		return text === undefined ? undefined : { id, text: this.#opened(id, text), at };
	}

	/** The record of a session, and in the same round trip the user's session list that the ID hints at. */
	async loadAhead(id: string): Promise<{ stored: Stored | undefined; ahead?: ListAhead }> {
		// A list in the table need not be read ahead.
		const key = this.#atomic && !this.#table ? this.#core.hintedList(id) : undefined;
		if (key === undefined) return { stored: await this.load(id) };
		const at = Date.now();
		const { record, list } = await this.#driver.readTwo(this.#keyOf(id), key);
		return {
			stored: record === undefined ? undefined : { id, text: this.#opened(id, record), at },
			...(list && { ahead: { key, text: list.text } })
		};
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
		const { stored, ahead } = await this.loadAhead(id);
		if (!stored) return false;
		const { text } = stored;
		const found = this.#core.inspect(text);
		return isInUse(found) && this.#isListed({ text, found }, ahead);
	}

	/** Whether the session of a record stands in the list of its user, if it has one. */
	async #isListed(
		{ text, found }: Pick<Looked, 'text' | 'found'>,
		ahead?: ListAhead
	): Promise<boolean> {
		if (!(found & Found.Owned)) return true;
		const owner = ownerIn(readRecord(text, found).meta);
		if (!owner) return true;
		const own = found & Found.Cookie ? this.#core.cookieOf(text) : undefined;
		return (await this.admits({ ...owner, own }, ahead)).admitted;
	}

	/** Stores a new record. False if there is one under this ID. */
	async create(stored: Stored, bound: boolean): Promise<boolean> {
		const { id, text } = stored;
		const [key, ttl] = [this.#keyOf(id), this.#core.ttlOf(text)];
		const sealed = this.#sealed(id, text);
		// An application may make an ID twice.
		this.#retired.remove(id);
		return this.#driver.ask('write', async () => {
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
		const running = this.#core.commit(stored, base, data, cookie);
		const written = await this.#driver.run(running, 'write', { compute }, () =>
			running.ended === Ended.Done
				? { ...storedOf(running), merged: running.merged, reread: running.reread }
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
			await this.#driver.ask('touch', async () => this.#store.touch(key, ttl));
			return stored;
		}
		const running = this.#core.touch(stored);
		const touched = await this.#driver.run(running, 'touch', {}, () =>
			running.ended === Ended.Gone ? undefined : storedOf(running)
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
			const running = this.#core.destroy(stored);
			const application = { survived: stays };
			const last = await this.#driver.run(
				running,
				'remove',
				application,
				() => running.id ?? id
			);
			this.retire(id);
			this.retire(last);
			return this.#confirmed(this.#keyOf(last));
		}
		await this.#driver.ask('remove', async () => this.#store.destroy(this.#keyOf(id)));
		this.retire(id);
		return undefined;
	}

	/** Removes a record that is none any more, if it is still the one that was read. */
	async discard({ id }: Stored, mark: string | undefined): Promise<void> {
		const key = this.#keyOf(id);
		await this.#driver.ask('remove', async () =>
			this.#atomic ? this.#atomic.remove(key, mark ?? null) : this.#store.destroy(key)
		);
	}

	async #confirmed(key: string): Promise<boolean | undefined> {
		const atomic = this.#atomic;
		if (!atomic?.confirm) return undefined;
		try {
			return await this.#driver.ask('remove', async () => atomic.confirm?.(key));
		} catch (error) {
			// It was done; what is not known is only who else knows.
			if (error instanceof StoreError) return false;
			throw error;
		}
	}

	/** Gives a session another ID, and keeps what it holds. */
	async renew(stored: Stored, newId: () => string, bound: boolean): Promise<Rotated> {
		return this.#rotate(stored, this.#core.renew(stored, bound), newId);
	}

	/** Gives a session another ID and other data, for `longest` milliseconds at most. */
	async supersede(
		stored: Stored,
		newId: () => string,
		data: string,
		user: User | undefined,
		longest: number
	): Promise<Rotated> {
		const running = this.#core.supersede(stored, data, user, longest);
		return this.#rotate(stored, running, newId);
	}

	async #rotate({ id }: Stored, running: Running, newId: () => string): Promise<Rotated> {
		const rotated = await this.#driver.run(running, 'write', { newId }, (): Rotated => {
			if (running.ended === Ended.Gone) return { kind: 'gone' };
			return running.ended === Ended.Elsewhere
				? { kind: 'elsewhere', id: running.id }
				: { kind: 'done', stored: storedOf(running) };
		});
		this.retire(id);
		return rotated;
	}

	/**
	 * The list of a user's sessions, as it was read ahead if that is this one; undefined if there is none.
	 * @throws DataError if it cannot be read
	 */
	async userList(name: string, ahead?: ListAhead): Promise<string | undefined> {
		const key = this.#core.userKey(name);
		const text =
			ahead?.key === key
				? ahead.text
				: await this.#driver.ask('read', async () => this.#driver.read(key));
		return text === undefined ? undefined : this.#opened(key, text, key);
	}

	/**
	 * Whether a session still stands in the list of its user, and whether its use has to be written down there.
	 * @throws DataError if the list cannot be read
	 */
	async admits(
		{ name, handle, own }: User & { own?: OwnCookie | undefined },
		ahead?: ListAhead
	): Promise<{ admitted: boolean; stale: boolean }> {
		const list = this.lookAtList(name) ?? (await this.userList(name, ahead));
		const listed = list === undefined ? 0 : this.#core.userKnows(list, handle, own);
		if (listed & Listed.Known) return { admitted: true, stale: (listed & Listed.Stale) !== 0 };
		// A replica may not have heard of the login yet. What the store says of a write is certain.
		const admitted = this.atomic && (await this.seen({ name, handle }, own));
		return { admitted, stale: false };
	}

	/** Writes in the list of a user that a session is used. False if it is not in the list: it was revoked. */
	async seen({ name, handle }: User, own: OwnCookie | undefined): Promise<boolean> {
		return this.#change(this.#core.userSeen(this.#core.userKey(name), handle, own));
	}

	/**
	 * The store's clock, by which logins and the end of all sessions of a user are ordered, if it has one. Otherwise
	 * they are ordered by the clock of this server.
	 */
	async clock(name: string): Promise<number | undefined> {
		const atomic = this.#atomic;
		if (!atomic?.now) return undefined;
		const key = this.#core.userKey(name);
		const now = await this.#driver.ask('read', async () => atomic.now?.(key));
		return now !== undefined && Number.isFinite(now) ? Math.floor(now) : undefined;
	}

	/**
	 * Ends all sessions of a user but one.
	 * @returns When they had been ended before that; 0 if never
	 */
	async endAll(name: string, keep: string | undefined, at: number): Promise<number> {
		const change = this.#core.userEnd(this.#core.userKey(name), keep, at);
		return this.#driver.run(change, 'write', {}, () => change.at);
	}

	/** Adds a session to the list of its user. False if all sessions of the user were ended `since`. */
	async join(
		{ name, handle }: User,
		label: string | undefined,
		since: number,
		most: number
	): Promise<boolean> {
		const key = this.#core.userKey(name);
		return this.#change(this.#core.userAdd(key, handle, label, since, most));
	}

	/** Takes a session out of the list of its user. */
	async leave({ name, handle }: User): Promise<void> {
		await this.#change(this.#core.userRemove(this.#core.userKey(name), handle));
	}

	/** Changes the list of a user's sessions. False if it may not be. */
	async #change(change: Running | undefined): Promise<boolean> {
		if (!change) return false;
		return this.#driver.run(change, 'write', {}, () => change.ended === Ended.Done);
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

/** What records need to know of the options. */
export interface RecordsOptions extends DriverOptions {
	encrypt: boolean | 'migrate' | undefined;
	hashIds: boolean | undefined;
	namespace: string | undefined;
	/** IDs that this process has taken out of use lately. */
	retired: Recent;
}

/** Whether a record is that of a session, not only of an ID that was one's. */
function isInUse(found: number): boolean {
	return (found & (Found.Retired | Found.Renewed)) === 0;
}

function storedOf({ id = '', text, at }: Running): Stored {
	return { id, text, at };
}

/** As many IDs a session may have got while its cookie was on the way. */
export const RENEWALS: number = constant(Constant.Renewals);
