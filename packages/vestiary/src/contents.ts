import type { OwnCookie } from './going.js';
import { Given, View } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { cookieWith, ownIn } from './own-cookie.js';
import type { Runtime } from './runtime.js';
import type { CookieSerializeOptions, SessionCookieOptions, SessionData } from './types.js';
import type { Input } from './visit.js';

/** The application's changes since the session was read or written. */
export interface Changes extends Input {
	readonly isAny: boolean;
}

/** The data and cookie attributes of a session: as they were read or written, and as the application has them. */
export class Contents {
	readonly #runtime: Runtime;
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
	#views = 0;
	/** The session's own cookie attributes, as they were read or written. */
	#own: OwnCookie | undefined;
	/** Those that the application may have changed; made when they are asked for. */
	#cookie: SessionCookieOptions | undefined;

	/** @param before Those of the session before this one, whose data it has */
	constructor(runtime: Runtime, before?: Contents) {
		this.#runtime = runtime;
		if (!before) return;
		this.#text = before.#text;
		this.#base = before.#base;
		this.#own = before.#own;
	}

	/** How often they were read, written or dropped. */
	get views(): number {
		return this.#views;
	}

	get cookie(): SessionCookieOptions {
		return (this.#cookie ??= cookieWith(this.#runtime.cookie, this.#own));
	}

	set cookie(cookie: CookieSerializeOptions) {
		this.#cookie = { ...cookie, path: cookie.path ?? '/' };
	}

	/** The data, as the application has it. */
	get data(): SessionData {
		if (this.#data) return this.#data;
		const data = JSON.parse(this.#text) as SessionData;
		if (this.#runtime.options.autoSave) this.#base ??= jsonOf(data);
		return (this.#data = data);
	}

	/** Takes these data in place of those that it has. */
	assign(data: SessionData): void {
		this.#data = data;
		this.#assigned = true;
	}

	/** Takes the very object of the data that were written. */
	keep(data: SessionData): void {
		this.#data = data;
	}

	/** The data as it was read or written, as JSON text of the serialiser that compares it. */
	get base(): string {
		return (this.#base ??= jsonOf(JSON.parse(this.#text)));
	}

	/** Hears what an operation has made of them. */
	become(view: View, data: string, own: OwnCookie | undefined): void {
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
		const now = cookieWith(this.#runtime.cookie, own);
		for (const name of Object.keys(this.#cookie)) Reflect.deleteProperty(this.#cookie, name);
		Object.assign(this.#cookie, now);
	}

	changes(): Changes {
		const own = this.#wanted();
		const { base } = this;
		const mine = this.#data ? jsonOf(this.#data) : base;
		const cookie = own === this.#own ? '' : (own ?? '{}');
		return {
			flags: Given.Changes | (this.#assigned ? Given.Assigned : 0),
			texts: [base, mine, cookie],
			isAny: this.#assigned || cookie !== '' || base !== mine
		};
	}

	/** The changes that may be stored without a `save()`, if there are any. */
	changesAtEnd(): Changes | undefined {
		if (!this.savesByItself) return undefined;
		const { autoSave } = this.#runtime.options;
		const isSeen =
			(autoSave === true && this.#data !== undefined) || this.#cookie !== undefined;
		if (!this.#assigned && !isSeen) return undefined;
		const changes = this.changes();
		return changes.isAny ? changes : undefined;
	}

	/** Whether there are changes that are stored without a `save()`. */
	get savesByItself(): boolean {
		const { autoSave, saveUninitialized } = this.#runtime.options;
		return autoSave === true || saveUninitialized === true;
	}

	/** Whether something was assigned to the cookie that is not stored. */
	get hasUnsavedCookie(): boolean {
		return this.#wanted() !== this.#own;
	}

	/**
	 * Hears which changes are about to be written.
	 * @returns To be called if they could not be
	 */
	send(changes: Input | undefined): () => void {
		const assigned = this.#assigned;
		this.#sent = changes?.texts?.[1] ?? this.#sent;
		// Before the store answers: what is assigned meanwhile is not in this record.
		this.#assigned = false;
		return () => {
			this.#assigned ||= assigned;
		};
	}

	/** The cookie attributes of its own that the application wants the session to have. */
	#wanted(): OwnCookie | undefined {
		if (!this.#cookie) return this.#own;
		const { core, cookie } = this.#runtime;
		const own = ownIn(cookie, this.#cookie);
		if (own !== undefined && own !== this.#own) core.checkCookie(own);
		return own;
	}
}
