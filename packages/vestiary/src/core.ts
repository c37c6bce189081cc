import { orThrow } from './errors.js';
import {
	Answer,
	Constant,
	constant,
	type CookieStep,
	Core as Bindings,
	Found,
	type MemoryTable,
	type Operation,
	type Running,
	type Stage,
	type Step,
	type StoreStep,
	vary
} from './generated/vestiary.js';
import type { SessionCookieOptions, SessionStoreData, SveltekitSessionConfig } from './types.js';
import { memory } from './wasm/instance.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** What `readCookies` returns from here on says where in the header the ID stands. */
const SPOT = constant(Constant.Spot);
const SPOT_LENGTHS = constant(Constant.SpotLengths);

/** What to do, and where that leaves the session (`vestiary::decide::Plan`). */
export interface Plan {
	store: StoreStep;
	cookie: CookieStep;
	stage: Stage;
}

/** The options that the core reads; it refuses others. */
export interface CoreOptions extends Partial<SveltekitSessionConfig> {
	/** Absent only while building, when the secret may not exist. */
	secrets: string[] | undefined;
	/** Secrets to encrypt records with; none are encrypted without. */
	sealSecrets: string[] | undefined;
	/** Records that are not encrypted are read, too. */
	migrates: boolean;
	/** The store's client sends a request again by itself. */
	resends: boolean;
	/** The store compares before it writes. */
	atomic: boolean;
	/** The TTL that the store gives to records that are written without one, in milliseconds. */
	storeTtl: number;
	production: boolean;
}

/** A record under its session's ID: its text, decrypted. */
export interface Stored {
	readonly id: string;
	readonly text: string;
	/** When the store was asked for it, or to store it, in milliseconds since the epoch. */
	readonly at: number;
}
/**
 * The cookie attributes of a session that differ from the options: text of a JSON object, `maxAge` in seconds,
 * `expires` in milliseconds since the epoch, `null` for what the session has not.
 */
export type OwnCookie = string;

/** A record that was looked at. */
export interface Looked {
	text: string;
	/** What it is: bits of `Found`. */
	found: number;
	/** The session data, if they have a place in it: JSON text. */
	data: string | undefined;
}

/** Whose session a record is to be. */
export interface User {
	/** The application's name for the user. */
	name: string;
	/** What the list of the user's sessions calls this one. */
	handle: string;
}

/**
 * The core, spoken to in JavaScript's types. Short text passes through a buffer in linear memory,
 * which costs a fraction of an ordinary string argument.
 */
export class Core {
	readonly name: string;
	/** The option `secure`; undefined leaves it to SvelteKit. */
	readonly secure: boolean | undefined;
	/** The `Vary` of a response that has none. */
	readonly vary: string;
	readonly #make: () => Bindings;
	/** Its part in linear memory; undefined while it has none. */
	#made: Bindings | undefined;
	readonly #touchAfter: number;
	/** Records are sealed, so that random bytes of an operation may be a nonce. */
	readonly #seals: boolean;
	#input: Uint8Array<ArrayBuffer> = new Uint8Array();
	#output: Uint8Array<ArrayBuffer> = new Uint8Array();
	#looked: Uint32Array<ArrayBuffer> = new Uint32Array();

	constructor(options: CoreOptions) {
		this.#seals = options.sealSecrets !== undefined;
		const expires = options.cookie?.expires?.getTime();
		// A function is left out, and a number that is none becomes null, which the core refuses.
		const text = JSON.stringify({ ...options, cookie: { ...options.cookie, expires } });
		this.#make = () => orThrow(() => new Bindings(text));
		this.name = this.#bindings.name;
		this.secure = this.#bindings.secure;
		this.#touchAfter = this.#bindings.touchAfter();
		this.vary = vary() ?? '';
	}

	/**
	 * Its part in linear memory, which never shrinks and where nothing is freed by itself in every runtime:
	 * so only the most recently used cores have one, and another one is made of the same options when it is
	 * needed again.
	 */
	get #bindings(): Bindings {
		return this.#made ?? this.#wake();
	}

	#wake(): Bindings {
		this.#made = this.#make();
		awake.add(this);
		const [oldest] = awake;
		if (oldest && awake.size > AWAKE) oldest.#sleep();
		return this.#made;
	}

	#sleep(): void {
		awake.delete(this);
		this.#made?.free();
		this.#made = undefined;
		this.#input = this.#output = new Uint8Array();
		this.#looked = new Uint32Array();
	}

	/** Notes that this core is used, so that others lose their memory before it does. */
	use(): void {
		if (awake.delete(this)) awake.add(this);
	}

	/**
	 * The IDs that one of our secrets signed, from the `Cookie` header. Undefined if no cookie has
	 * our name, empty if none of them is genuine.
	 */
	readCookies(header: string | null): string[] | undefined {
		if (header === null) return undefined;
		this.#see();
		// The core compares names as bytes and takes ASCII only, so it makes no difference that a
		// byte beyond ASCII becomes two here.
		const { read, written } = encoder.encodeInto(header, this.#input);
		const length =
			read === header.length
				? this.#bindings.readCookies(written)
				: this.#bindings.readLongCookies(header);
		if (length < 0) return undefined;
		if (length < SPOT) return length === 0 ? [] : this.#read(length - 1).split('\n');
		// Cut out of the header, it need not be made of bytes.
		const start = Math.floor((length - SPOT) / SPOT_LENGTHS);
		return [header.slice(start, start + (length % SPOT_LENGTHS))];
	}

	/** A new session ID, which hints at the session list of a user if it is for a session of that one. */
	newId(user?: string): string {
		this.#random(ID);
		return this.#read(this.#bindings.newId(user));
	}

	/** The key of the user's session list that an ID hints at. */
	hintedList(id: string): string | undefined {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		const length = this.#bindings.hintedList(written);
		return length === 0 ? undefined : this.#read(length);
	}

	/** The cookie value of an ID. */
	sign(id: string): string {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		return this.#read(this.#bindings.sign(written));
	}

	/**
	 * The `Set-Cookie` header of a value, `encoded` if the application's encoder made it. `own` is the session's
	 * own cookie attributes, as in all of the following.
	 */
	setCookie(value: string, encoded: boolean, secureHere: boolean, own?: OwnCookie): string {
		return orThrow(() => this.#bindings.setCookie(value, encoded, secureHere, own));
	}

	/** The `Set-Cookie` header that removes the cookie. */
	removeCookie(secureHere: boolean, own?: OwnCookie): string {
		return this.#bindings.removeCookie(secureHere, own);
	}

	/** The option `secure`; undefined leaves it to SvelteKit. */
	secureOf(own?: OwnCookie): boolean | undefined {
		return own === undefined ? this.secure : this.#bindings.secureOf(own);
	}

	/** Milliseconds in which a rolling session is touched at most once. */
	touchAfter(own?: OwnCookie): number {
		return own === undefined ? this.#touchAfter : this.#bindings.touchAfter(own);
	}

	/**
	 * Validates a session's own cookie attributes.
	 * @throws ConfigError that names the attribute
	 */
	checkCookie(own: OwnCookie): void {
		orThrow(() => {
			this.#bindings.checkCookie(own);
		});
	}

	/** A session's own cookie attributes, from the text of its record. */
	cookieOf(text: string): OwnCookie | undefined {
		return orThrow(() => this.#bindings.cookieOf(text));
	}

	/** Milliseconds that this record may be given now. */
	ttlOf(text: string): number {
		return orThrow(() => this.#bindings.ttlOf(text, Date.now()));
	}

	decide(stage: Stage, operation: Operation, known: number, now: number, own?: OwnCookie): Plan {
		const plan = this.#bindings.decide(stage, operation, known, now, own);
		return {
			store: plan & 0xff,
			cookie: (plan >> 8) & 0xff,
			stage: (plan >> 16) & 0xff
		};
	}

	/** What the store knows a session by. */
	storeKey(id: string): string {
		return orThrow(() => this.#bindings.storeKey(id));
	}

	/** What the store knows the list of a user's sessions by. */
	userKey(name: string): string {
		return this.#bindings.userKey(name);
	}

	/** The text of a record, as the store is to have it under `key`. */
	seal(id: string, key: string, text: string): string {
		this.#random(NONCE);
		return orThrow(() => this.#bindings.seal(id, key, text));
	}

	/** The text of a record, from what the store has under `key`. */
	open(id: string, key: string, text: string): string {
		return orThrow(() => this.#bindings.open(id, key, text));
	}

	/**
	 * What a record is: bits of `Found`.
	 * @throws DataError if it cannot be used
	 */
	inspect(text: string): number {
		this.#see();
		const { read, written } = encoder.encodeInto(text, this.#input);
		return orThrow(() =>
			read === text.length
				? this.#bindings.inspect(written, Date.now())
				: this.#bindings.inspectLong(text, Date.now())
		);
	}

	/**
	 * A record that a table has. Undefined if it has none that can be used. It is looked at where it is, in
	 * linear memory.
	 */
	look(table: MemoryTable, key: string, now: number): Looked | undefined {
		this.#see();
		const { written } = encoder.encodeInto(key, this.#input);
		const found = this.#bindings.look(table, written, now);
		if (found < 0) return undefined;
		this.#see();
		const looked = this.#looked;
		const length = looked[1] ?? 0;
		const end = looked[3] ?? 0;
		const text = decoder.decode(new Uint8Array(memory.buffer, looked[0], length));
		// Of text beyond ASCII, bytes are not characters.
		const placed = end > 0 && text.length === length;
		return { text, found, data: placed ? text.slice(looked[2], end) : undefined };
	}

	/** The ID that the tombstone found under `id` leads to. */
	nextId(id: string, text: string): string | undefined {
		return orThrow(() => this.#bindings.nextId(id, text));
	}

	/**
	 * The ID that the record found under `id` leads a request to that had the session open before: `id` itself if
	 * it is the session's own record; undefined if it leads nowhere.
	 */
	lead(id: string, text: string): string | undefined {
		return orThrow(() => this.#bindings.lead(id, text));
	}

	/**
	 * The text of a record with this data (JSON text), new or in place of the one `before`. `cookie` changes the
	 * session's own cookie attributes, `{}` to none.
	 */
	encode(data: string, before?: string, user?: User, cookie?: OwnCookie): string {
		this.#marks(MARK);
		return orThrow(() =>
			this.#bindings.encode(data, before, nameOf(user), user?.handle, cookie, Date.now())
		);
	}

	/**
	 * The data of a session that follows the one of this record: `kept`, members of its data `base`, as the record
	 * spells them, and those of `others`. All are JSON text.
	 */
	keep(text: string, base: string, kept: string, others: string): string {
		return orThrow(() => this.#bindings.keep(text, base, kept, others));
	}

	/**
	 * A change of a session: from `base` to `mine`, or by a function of its data, if `mine` is left out.
	 * The texts of `base` and `mine` must come from the same serialiser. `cookie` changes the session's own cookie
	 * attributes, `{}` to none.
	 */
	commit(
		{ id, text, at }: Stored,
		base: string,
		mine: string | undefined,
		cookie: OwnCookie | undefined
	): Running {
		return orThrow(() => this.#bindings.commit(id, text, at, base, mine, cookie));
	}

	/** Another TTL for a session that was read at `at`. */
	touch({ id, text, at }: Stored): Running {
		return orThrow(() => this.#bindings.touch(id, text, at));
	}

	/** The end of a session that was read at `at`. */
	destroy({ id, text, at }: Stored): Running {
		return orThrow(() => this.#bindings.destroy(id, text, at));
	}

	/** Another ID for a session that was read at `at`. `owned` if it belongs to a user. */
	renew({ id, text, at }: Stored, owned: boolean): Running {
		return orThrow(() => this.#bindings.renew(id, text, at, owned, Date.now()));
	}

	/** Another ID, other data, and perhaps a user, for a session. Its record lives `longest` ms at most. */
	supersede(
		{ id, text, at }: Stored,
		data: string,
		user: User | undefined,
		longest: number
	): Running {
		this.#marks(MARK);
		const [name, handle, now] = [nameOf(user), user?.handle, Date.now()];
		return orThrow(() =>
			this.#bindings.supersede(id, text, at, data, name, handle, longest, now)
		);
	}

	/** Lets an operation go on with the answer to its last effect: a text, or the number of an error. */
	answered(running: Running, answer: Answer, text?: string, number = 0): Step {
		// After each answer anew: with random bytes of before, two writes would have the same write ID.
		if (this.#seals) this.#random(ENTROPY);
		else this.#marks(ENTROPY);
		const [now, elapsed] = [Date.now(), performance.now()];
		return orThrow(() => this.#bindings.answered(running, answer, text, number, now, elapsed));
	}

	/** A name for a session in the list of its user. */
	newHandle(): string {
		this.#random(MARK);
		return this.#bindings.newHandle() ?? '';
	}

	/** Changes of the list of a user's sessions, under its key. `undefined` if the handle is none. */
	userAdd(
		key: string,
		handle: string,
		label: string | undefined,
		since: number,
		most: number
	): Running | undefined {
		// The list holds at most 32 bits of them, and no more than its size allows.
		const capped = Math.min(most, 0xffff_ffff);
		return this.#bindings.userAdd(key, handle, label, since, capped);
	}

	userSeen(key: string, handle: string, own: OwnCookie | undefined): Running | undefined {
		return this.#bindings.userSeen(key, handle, own);
	}

	userRemove(key: string, handle: string): Running | undefined {
		return this.#bindings.userRemove(key, handle);
	}

	userEnd(key: string, keep: string | undefined, at: number): Running {
		return this.#bindings.userEnd(key, keep, at);
	}

	/**
	 * Whether a session stands in the list of its user: bits of `Listed`.
	 * @throws DataError if the list cannot be read
	 */
	userKnows(list: string, handle: string, own: OwnCookie | undefined): number {
		return orThrow(() => this.#bindings.userKnows(list, handle, own, Date.now()));
	}

	/**
	 * The sessions of a user that are alive, the last one used last.
	 * @throws DataError if the list cannot be read
	 */
	userSessions(list: string): ListedSession[] {
		const text = orThrow(() => this.#bindings.userSessions(list, Date.now()));
		const { sessions } = JSON.parse(text) as {
			sessions: Record<string, Omit<ListedSession, 'handle'>>;
		};
		return Object.entries(sessions).map(([handle, session]) => ({ handle, ...session }));
	}

	/** Fills the input with random bytes: for IDs and nonces, which nobody may know or meet again. */
	#random(length: number): void {
		this.#see();
		crypto.getRandomValues(this.#input.subarray(0, length));
	}

	/** The same for the marks of writes, which have to be different from each other, and are no secret. */
	#marks(length: number): void {
		this.#see();
		this.#input.set(marks(length));
	}

	/** Linear memory may have grown since, and then the old views of it are empty. */
	#see(): void {
		if (this.#input.byteLength > 0) return;
		const { input, inputSize, output, outputSize, looked } = this.#bindings;
		this.#input = new Uint8Array(memory.buffer, input, inputSize);
		this.#output = new Uint8Array(memory.buffer, output, outputSize);
		this.#looked = new Uint32Array(memory.buffer, looked, 4);
	}

	#read(length: number): string {
		this.#see();
		return decoder.decode(this.#output.subarray(0, length));
	}
}

/** Cores that have a part in linear memory, 66 KB each; the least recently used one first. */
const awake = new Set<Core>();
const AWAKE = 64;

/** Random bytes of a session ID, and of the nonce of an encrypted record. */
const ID = constant(Constant.IdEntropy);
const NONCE = constant(Constant.Nonce);

/** Random bytes of a mark, and of the name of a session in the list of its user. */
const MARK = constant(Constant.WriteIdEntropy);

/** Random bytes that an operation may use between two effects. */
const ENTROPY = constant(Constant.OperationEntropy);

const pool = { bytes: new Uint8Array(ENTROPY * 128), used: Infinity, drawn: 0 };

/**
 * Random bytes out of a pool: to ask the host for a few takes as long as for many, and longer than all else
 * that a write does. After a second it is filled anew, so that two processes that were made of one by
 * copying its memory do not write the same marks.
 */
function marks(length: number): Uint8Array {
	const now = Date.now();
	if (pool.used + length > pool.bytes.length || Math.abs(now - pool.drawn) > 1_000) {
		crypto.getRandomValues(pool.bytes);
		pool.drawn = now;
		pool.used = 0;
	}
	return pool.bytes.subarray(pool.used, (pool.used += length));
}

/** What is listed of one of a user's sessions. */
interface ListedSession {
	handle: string;
	created: number;
	seen: number;
	label?: string;
}

function nameOf(user: User | undefined): string | undefined {
	return user && JSON.stringify(user.name);
}

/** What the text of a record holds, in our shape, also if it is of express-session's: `found` says. */
export function readRecord(text: string, found: number): SessionStoreData {
	const record = JSON.parse(text) as SessionStoreData & ExpressRecord;
	if (!(found & Found.Express)) return record;
	const { cookie, vestiary, ...data } = record;
	// express-session drops what it does not know of the cookie; what stands in the data it keeps.
	const { v, meta = vestiary, ...attributes } = cookie;
	return {
		...(v !== undefined && { v }),
		cookie: attributes,
		data: data,
		...(meta && { meta })
	};
}

/** Whose session a record is of. */
export function ownerIn(meta: SessionStoreData['meta']): User | undefined {
	const { user: name, handle } = (meta ?? {}) as { user?: string; handle?: string };
	return name === undefined || handle === undefined ? undefined : { name, handle };
}

/** A flat record: what is not `cookie` is the session's data. */
interface ExpressRecord {
	cookie: SessionCookieOptions & Pick<SessionStoreData, 'v' | 'meta'>;
	vestiary?: SessionStoreData['meta'];
}
