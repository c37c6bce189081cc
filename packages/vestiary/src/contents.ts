import type { OwnCookie } from './progress.js';
import { Given, View } from './generated/vestiary.js';
import { DataError } from './errors.js';
import { jsonOf, refuse } from './json.js';
import { cookieWith, ownIn } from './own-cookie.js';
import type { Runtime } from './runtime.js';
import type { ReadData, Shape } from './shape.js';
import type {
	CookieSerializeOptions,
	SessionCookieOptions,
	SessionData,
	SessionEvent
} from './types.js';
import { changedSince, isJson } from './values.js';
import type { Input } from './visit.js';

/** The parts of a request that its session's contents need. */
interface Around {
	readonly runtime: Runtime;
	emit(event: SessionEvent): void;
}

/** The application's changes since the session was last read or written. */
export interface Changes extends Input {
	/** Whether there are any changes. */
	readonly isAny: boolean;
}

/** The data and cookie attributes of a session: as they are stored, and as the application has changed them. */
export class Contents {
	readonly #runtime: Runtime;
	readonly #around: Around;
	/** The data as it was last read or written, as JSON text. */
	#text = '{}';
	/** The version of that text. */
	#version: number;
	/** Whether this instance must not change the data, because a newer one has written it in another form. */
	#isLocked = false;
	/** The same data in the spelling of `JSON.stringify`, for comparison; created on first use. */
	#base: string | undefined;
	/** The application's object of the data; created on first use. */
	#data: SessionData | undefined;
	/** Whether `setData` has replaced the data. */
	#assigned = false;
	/** The data of the last write, as JSON text. */
	#sent = '{}';
	/** The number of times that an operation has changed the contents. */
	#views = 0;
	/** The session's own cookie attributes, as they were last read or written. */
	#own: OwnCookie | undefined;
	/** The application's object of the cookie attributes; created on first use. */
	#cookie: SessionCookieOptions | undefined;

	/** @param before The contents of the previous session, whose data this one takes over */
	constructor(around: Around, before?: Contents) {
		const { runtime } = around;
		this.#around = around;
		this.#runtime = runtime;
		this.#version = before ? before.#version : (runtime.shape?.version ?? 0);
		if (!before) return;
		this.#text = before.#text;
		this.#base = before.#base;
		this.#own = before.#own;
	}

	/** The number of times that the contents were read, written or dropped. */
	get views(): number {
		return this.#views;
	}

	get cookie(): SessionCookieOptions {
		return (this.#cookie ??= cookieWith(this.#runtime.cookie, this.#own));
	}

	set cookie(cookie: CookieSerializeOptions) {
		this.#cookie = { ...cookie, path: cookie.path ?? '/' };
	}

	/** The application's data object. */
	get data(): SessionData {
		return (this.#data ??= this.#parsed());
	}

	/** The data of the record. */
	#parsed(): SessionData {
		const { shape, options } = this.#runtime;
		if (!shape) {
			const data = JSON.parse(this.#text) as SessionData;
			if (options.autoSave) this.#base ??= jsonOf(data);
			return data;
		}
		const { data, base } = this.#shaped(shape, this.#text, this.#version);
		this.#base = base;
		return data;
	}

	#shaped(shape: Shape, text: string, version: number): ReadData {
		const read = shape.read(text, version);
		if (read.invalid) this.#around.emit({ type: 'invalid_data', keys: read.invalid });
		this.#isLocked = read.isLocked;
		return read;
	}

	/** The data of a text that the core has migrated, for an update: an object, and its text before the update. */
	read(text: string): { readonly data: SessionData; readonly base: string } {
		const { shape } = this.#runtime;
		if (shape) return this.#shaped(shape, text, Math.max(this.#version, shape.version));
		const data = JSON.parse(text) as SessionData;
		return { data, base: jsonOf(data) };
	}

	/**
	 * The JSON text of data that is about to be stored.
	 * @param base The text of the data before the change, in the spelling of `JSON.stringify`
	 * @param stored The data as it was last read: only members of it may be values that JSON changes
	 * @throws DataError if the data cannot be stored
	 */
	checked(data: SessionData, base?: string, stored: string = this.#text): string {
		const { shape } = this.#runtime;
		const text = shape ? shape.textOf(data) : jsonOf(data);
		// The text says nothing of values that JSON drops.
		if (text === base && (this.#isLocked || isJson(data))) return text;
		if (this.#isLocked && base !== undefined)
			throw new DataError(
				'newer_version',
				'the session data must not be changed: a newer version of the application has written it, and it does not fit the schema of this one'
			);
		if (shape) shape.check(data, text);
		// Data that is no object has an error of its own.
		else if (typeof data === 'object') refuse(changedSince(data, stored));
		return text;
	}

	/** Replaces the data. Without types, an application may pass nothing, which is refused like a list when it is written. */
	assign(data: SessionData | null | undefined): void {
		this.#data = data ?? ([] as SessionData);
		this.#assigned = true;
	}

	/** Uses the application's own object for data that was just written. */
	keep(data: SessionData): void {
		this.#data = data;
	}

	/** The data as it was last read or written, in the spelling of `JSON.stringify`. */
	get base(): string {
		if (this.#base === undefined) this.#readBase();
		return this.#base ?? '{}';
	}

	#readBase(): void {
		if (!this.#runtime.shape) {
			this.#base = jsonOf(JSON.parse(this.#text));
			return;
		}
		const data = this.#parsed();
		this.#data ??= data;
	}

	/** Applies the outcome of an operation. */
	become(view: View, data: string, version: number, own: OwnCookie | undefined): void {
		this.#own = own;
		this.#views++;
		if (view === View.Written) {
			this.#base = this.#sent;
			return;
		}
		const isRead = view === View.Read;
		this.#text = isRead ? data : '{}';
		this.#version = isRead ? version : (this.#runtime.shape?.version ?? 0);
		this.#base = undefined;
		this.#isLocked = false;
		// Data that was assigned after the operation began replaces the data that the operation has read.
		if (view === View.Dropped || !this.#assigned) this.#data = undefined;
		if (view === View.Dropped) {
			this.#assigned = false;
			this.#cookie = undefined;
		}
		if (!this.#cookie) return;
		// The application may hold this object, so it is changed in place.
		const now = cookieWith(this.#runtime.cookie, own);
		for (const name of Object.keys(this.#cookie)) Reflect.deleteProperty(this.#cookie, name);
		Object.assign(this.#cookie, now);
	}

	/** The application's changes. */
	changes(): Changes {
		const own = this.#wanted();
		const { base } = this;
		const mine = this.#data === undefined ? base : this.checked(this.#data, base);
		const cookie = own === this.#own ? '' : (own ?? '{}');
		return {
			flags: Given.Changes | (this.#assigned ? Given.Assigned : 0),
			texts: [base, mine, cookie],
			isAny: this.#assigned || cookie !== '' || base !== mine
		};
	}

	/** The changes that are stored without a `save()`, if there are any. */
	changesAtEnd(): Changes | undefined {
		if (!this.savesByItself) return undefined;
		const { autoSave } = this.#runtime.options;
		const isSeen =
			(autoSave === true && this.#data !== undefined) || this.#cookie !== undefined;
		if (!this.#assigned && !isSeen) return undefined;
		const changes = this.changes();
		return changes.isAny ? changes : undefined;
	}

	/** Whether changes are stored without a `save()`. */
	get savesByItself(): boolean {
		const { autoSave, saveUninitialized } = this.#runtime.options;
		return autoSave === true || saveUninitialized === true;
	}

	/** Whether cookie attributes were assigned and not stored. */
	get hasUnsavedCookie(): boolean {
		return this.#wanted() !== this.#own;
	}

	/**
	 * Begins a write of these changes.
	 * @returns Undoes the begin, if the write has failed
	 */
	send(changes: Input | undefined): () => void {
		const assigned = this.#assigned;
		this.#sent = changes?.texts?.[1] ?? this.#sent;
		// Reset before the store replies, because data that is assigned meanwhile is not in this record.
		this.#assigned = false;
		return () => {
			this.#assigned ||= assigned;
		};
	}

	/** The session's own cookie attributes, as the application has changed them. */
	#wanted(): OwnCookie | undefined {
		if (!this.#cookie) return this.#own;
		const { core, cookie } = this.#runtime;
		const own = ownIn(cookie, this.#cookie);
		// A login may have given the session attributes that the options have, too. They stay its own.
		if (own === ownIn(cookie, cookieWith(cookie, this.#own))) return this.#own;
		if (own !== undefined && own !== this.#own) core.checkCookie(own);
		return own;
	}
}
