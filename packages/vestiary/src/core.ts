import { writeIdBytes } from './entropy.js';
import { orThrow } from './errors.js';
import {
	type Answer,
	cacheControl,
	Constant,
	constant,
	Core as Bindings,
	Given as Flag,
	type MemoryTable,
	type NearCache,
	type Running,
	Step,
	Task,
	vary
} from './generated/vestiary.js';
import type { Ended, Given, OwnCookie, Progress, Ticket } from './progress.js';
import type { SveltekitSessionConfig } from './types.js';
import { memory } from './wasm/instance.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Node.js, Bun and Deno have it. It decodes short text in a third of the time. */
const { Buffer } = globalThis as {
	Buffer?: {
		from: (memory: ArrayBuffer) => { utf8Slice?: (start: number, end: number) => string };
	};
};

/** Operations that begin without random bytes, because they usually write nothing. */
const MOSTLY_READ: ReadonlySet<Task> = new Set([Task.Open, Task.Confirm, Task.IsAlive]);

/** The number of steps: progress is a step plus this number times a purpose. The others are bits of the purpose. */
const STEPS = constant(Constant.Steps);
const RESERVED = constant(Constant.Reserved);
const SEVERAL = constant(Constant.Several);
const REPORTS = constant(Constant.Reports);

/** The options that the core reads. It rejects any other. */
export interface CoreOptions extends Partial<
	Omit<SveltekitSessionConfig, 'sessionsPerUser' | 'cache' | 'deviceBound'>
> {
	/** The maximum number of sessions per user. */
	sessionsPerUser?: number | undefined;
	/** The effect of a login beyond it. */
	whenFull?: string | undefined;
	/** The age at which an entry of the near cache answers no longer, in milliseconds. */
	maxStale?: number | undefined;
	/** The maximum number of entries of the near cache. */
	maxEntries?: number | undefined;
	/** Whether sessions are bound to the visitor's device. */
	deviceBound?: boolean | undefined;
	/** The lifetime of the bound cookie, in seconds. */
	boundMaxAge?: number | undefined;
	/** The path below which the browser's proofs are answered. */
	boundPath?: string | undefined;
	/** The secrets that sign and verify. Absent only during a build, when the secret may be missing. */
	secrets: string[] | undefined;
	/** The secrets that encrypt records. Absent if records are not encrypted. */
	sealSecrets: string[] | undefined;
	/** Whether unencrypted records are accepted beside encrypted ones. */
	migrates: boolean;
	/** Whether the store's client may send a request again by itself. */
	resends: boolean;
	/** Whether the store is atomic. */
	atomic: boolean;
	/** The TTL of a record that is written without one, in milliseconds. */
	storeTtl: number;
	production: boolean;
}

/**
 * The core's functions with JavaScript's types. Short text passes through a buffer in linear memory, which costs a
 * fraction of a string argument.
 */
export class Core {
	readonly name: string;
	/** The option `secure`; undefined leaves it to SvelteKit. */
	readonly secure: boolean | undefined;
	/** The `Vary` of a response that has none. */
	readonly vary: string;
	/** The `Cache-Control` of a response that has none and sets the cookie. */
	readonly cacheControl: string | undefined;
	/** The path below which the browser's proofs are answered; undefined if sessions are not bound to devices. */
	readonly devicePath: string | undefined;
	/** The name of the bound cookie; undefined if sessions are not bound to devices. */
	readonly boundName: string | undefined;
	readonly #make: () => Bindings;
	/** The instance in linear memory; undefined while there is none. */
	#made: Bindings | undefined;
	readonly #touchAfter: number;
	/** Whether records are encrypted, so that random bytes of an operation may become a nonce. */
	readonly #seals: boolean;
	/** The table on which operations run. */
	#asked: MemoryTable | undefined;
	/** The near cache in which operations find sessions. */
	#near: NearCache | undefined;
	#input: Uint8Array<ArrayBuffer> = new Uint8Array();
	/** The part of the input after the random bytes of an operation and of a session ID. */
	#texts: Uint8Array<ArrayBuffer> = this.#input;
	/** Decodes a part of linear memory. */
	#decode: (start: number, end: number) => string = () => '';
	#output = 0;
	#numbers: Float64Array<ArrayBuffer> = new Float64Array();
	#ticketParts: Uint32Array<ArrayBuffer> = new Uint32Array();

	constructor(options: CoreOptions) {
		this.#seals = options.sealSecrets !== undefined;
		const expires = options.cookie?.expires?.getTime();
		// JSON omits functions and turns NaN into null, which the core rejects.
		const text = JSON.stringify({ ...options, cookie: { ...options.cookie, expires } });
		this.#make = () => orThrow(() => new Bindings(text));
		this.name = this.#bindings.name;
		this.secure = this.#bindings.secure;
		this.#touchAfter = this.#bindings.touchAfter();
		this.vary = vary() ?? '';
		this.cacheControl = cacheControl();
		this.devicePath = this.#bindings.devicePath;
		this.boundName = this.#bindings.boundName;
	}

	/** Whether a secret can be guessed, so that production refuses it. */
	static canGuess(secret: string): boolean {
		try {
			new Bindings(JSON.stringify({ secrets: [secret], production: true })).free();
			return false;
		} catch (thrown) {
			return String(thrown).startsWith('secret_weak\n');
		}
	}

	/**
	 * The instance in linear memory. Linear memory never shrinks, and not every runtime frees instances by itself, so only
	 * the most recently used cores keep one. A new one is created from the same options when it is needed again.
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
		this.#made = this.#asked = this.#near = undefined;
		this.#input = new Uint8Array();
	}

	/** Records that this core was recently used, so that others lose their instance first. */
	use(): void {
		if (awake.delete(this)) awake.add(this);
	}

	/**
	 * The session IDs in a `Cookie` header that one of the secrets has signed. Undefined if no cookie has our name, empty
	 * if none has a valid signature.
	 */
	readCookies(header: string | null): string[] | undefined {
		if (header === null) return undefined;
		this.#see();
		// A byte beyond ASCII becomes two here. That makes no difference, because the core accepts only ASCII.
		const { read, written } = encoder.encodeInto(header, this.#input);
		const long = read === header.length ? undefined : header;
		const length = this.#bindings.readCookies(written, long);
		if (length < 0) return undefined;
		return length === 0 ? [] : this.#read(length).split('\n');
	}

	/** A new session ID. */
	newId(): string {
		this.#random(ID);
		return this.#read(this.#bindings.newId());
	}

	/** The cookie's value for an ID. */
	sign(id: string): string {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		return this.#read(this.#bindings.sign(written));
	}

	/**
	 * The `Set-Cookie` header for an ID.
	 * @param own The session's own cookie attributes, as in the methods below
	 */
	setId(id: string, secureHere: boolean, own?: OwnCookie): string {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		return this.#bindings.setId(written, secureHere, own) ?? '';
	}

	/**
	 * The `Set-Cookie` header for a value.
	 * @param encoded Whether the application's encoder has encoded the value
	 */
	setCookie(value: string, encoded: boolean, secureHere: boolean, own?: OwnCookie): string {
		return orThrow(() => this.#bindings.setCookie(value, encoded, secureHere, own));
	}

	/** The `Set-Cookie` header that removes the cookie. */
	removeCookie(secureHere: boolean, own?: OwnCookie): string {
		return this.#bindings.removeCookie(secureHere, own);
	}

	/** The attribute `secure` of a session's cookie; undefined leaves it to SvelteKit. */
	secureOf(own?: OwnCookie): boolean | undefined {
		return own === undefined ? this.secure : this.#bindings.secureOf(own);
	}

	/** The minimum time between two touches of a rolling session, in milliseconds. */
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

	/**
	 * When the session of a visit ends: its idle deadline with `idle`, otherwise the first of its ends. Undefined without
	 * one. In milliseconds since the epoch.
	 */
	endOf(flags: number, at: number, record: string, idle: boolean): number | undefined {
		return this.#bindings.endOf(flags, at, record, idle);
	}

	/** The name for logs of a visit's session; undefined without one. */
	logId(flags: number, ids: string, record: string): string | undefined {
		return this.#bindings.logId(flags, ids, record);
	}

	/** Whether the user of a visit's session has proven their identity within this number of milliseconds. */
	isFresh(flags: number, record: string, period: number): boolean {
		return this.#bindings.isFresh(flags, record, period, Date.now());
	}

	/** Whether the session of a visit is bound to the visitor's device. */
	isBound(flags: number, record: string): boolean {
		return this.devicePath !== undefined && this.#bindings.isBound(flags, record);
	}

	/** The header that asks a browser to bind the session that a login has begun; undefined if it is not to be bound. */
	registration(record: string): string | undefined {
		return this.devicePath === undefined ? undefined : this.#bindings.registration(record);
	}

	/**
	 * The parts of a browser's proof whose signature is to be verified: `x` and `y` of the key, the signature, and the text,
	 * one per line. Undefined if there is nothing to verify.
	 * @param record The record of the session; any text if there is none
	 */
	deviceProof(record: string, registers: boolean, proof: string): string | undefined {
		return this.#bindings.deviceProof(record, registers, proof);
	}

	/**
	 * Begins an operation. With a table it runs there, without store calls. A session that the near cache shows to be valid
	 * is opened without store calls, too.
	 */
	begin(
		task: Task,
		{ flags, at, texts, login, lifetime = NaN, early = NaN, waited = NaN }: Given,
		facts: number,
		table?: MemoryTable,
		near?: NearCache
	): Progress {
		const { proven = lifetime, own, lifetime: last = waited } = login ?? {};
		const { at: ended = early, before = NaN } = own ?? {};
		this.#see();
		const text = texts.join('\0');
		const { read, written } = encoder.encodeInto(text, this.#texts);
		const long = read === text.length ? undefined : text;
		const bindings = this.#bindings;
		const begin = (given: number): number =>
			bindings.begin(
				task,
				given,
				at,
				proven,
				ended,
				before,
				last,
				facts,
				Date.now(),
				performance.now(),
				written,
				long
			);
		const here = table ? flags | this.#ask(table) : flags;
		if (table ? MOSTLY_READ.has(task) : near && task === Task.Open) {
			this.#remember(near);
			const progress = begin(here);
			const step: Step = progress % STEPS;
			if (step !== Step.Again) return this.#progress(progress);
		}
		this.#fill(ENTROPY);
		if ((flags & Flag.Identified) !== 0)
			crypto.getRandomValues(this.#input.subarray(ENTROPY, ENTROPY + ID));
		return this.#progress(begin(here | Flag.Drawn));
	}

	/**
	 * Begins `Task.Open` with the cookies of a `Cookie` header: on a table, or of a session that may be in the near cache.
	 * Undefined if none of the cookies has our name.
	 * @param flags The flags of the task that do not depend on the header
	 */
	open(
		header: string | null,
		flags: number,
		facts: number,
		table: MemoryTable | undefined,
		near: NearCache | undefined
	): Progress | undefined {
		if (header === null) return undefined;
		this.#see();
		const present = flags | Flag.Present;
		const { read, written } = encoder.encodeInto(header, this.#input);
		if (read === header.length) {
			const here = table ? present | this.#ask(table) : present;
			this.#remember(near);
			// A table answers at once, so it needs no monotonic clock.
			const now = Date.now();
			const elapsed = table ? 0 : performance.now();
			const progress = this.#bindings.open(written, here, facts, now, elapsed);
			const step: Step = progress % STEPS;
			if (step === Step.Absent) return undefined;
			if (step !== Step.Again) {
				const opened = this.#progress(progress);
				const ticket = opened.ended && this.#ticket(now, elapsed);
				return ticket ? { ...opened, ended: { ...opened.ended, ticket } } : opened;
			}
		}
		const ids = this.readCookies(header);
		if (!ids) return undefined;
		const texts = ['', '', '', ids.join('\n')];
		return this.begin(Task.Open, { flags: present, at: 0, texts }, facts, table);
	}

	/** Sets the table on which operations with the returned flag run. */
	#ask(table: MemoryTable): Flag {
		if (this.#asked !== table) {
			this.#bindings.ask(table);
			this.#asked = table;
		}
		return Flag.Here;
	}

	/** Sets the near cache in which operations without random bytes find sessions. */
	#remember(near: NearCache | undefined): void {
		if (!near || this.#near === near) return;
		this.#bindings.remember(near);
		this.#near = near;
	}

	/** Unpacks the progress of an operation. */
	#progress(packed: number, resumed?: Running): Progress {
		const step: Step = packed % STEPS;
		const purpose = Math.floor(packed / STEPS);
		const running = resumed ?? (step === Step.Finished ? undefined : this.#bindings.running);
		const reports = (purpose & REPORTS) === 0 ? '' : this.#bindings.reports;
		const reserved = (purpose & RESERVED) !== 0;
		if (step === Step.Finished || !running) return { reports, reserved, ended: this.#ended };
		const several = (purpose & SEVERAL) !== 0;
		return { reports, reserved, running, step, purpose: purpose % RESERVED, several };
	}

	/** The result of the operation that ended last. */
	get #ended(): Ended {
		this.#see();
		const numbers = this.#numbers;
		const start = numbers[3] ?? 0;
		const end = start + (numbers[4] ?? 0);
		return {
			flags: numbers[0] ?? 0,
			at: numbers[1] ?? 0,
			before: numbers[2] ?? 0,
			version: numbers[5] ?? 0,
			writes: numbers[6] ?? NaN,
			texts: this.#decode(start, end).split('\0')
		};
	}

	/** The ticket of the opening that began at these times and has ended; undefined without one. */
	#ticket(since: number, began: number): Ticket | undefined {
		if (this.#ticketParts[0] === 0) return undefined;
		const [left = 0, stamp = 0, own = 0, name = 0, list = 0, listName = 0] = this.#ticketParts;
		return { left, stamp, slots: [own, name, list, listName], since, began };
	}

	/**
	 * The data of the session that a login begins: the members `kept` of the data `base`, in the record's own spelling, and
	 * those of `others`. All are JSON text.
	 * @param text The record of the session before the login
	 */
	keep(text: string, base: string, kept: string, others: string): string {
		return orThrow(() => this.#bindings.keep(text, base, kept, others));
	}

	/**
	 * Resumes an operation with the answer to its last effect.
	 * @param number The number of an error, a time, or a flag, depending on the answer
	 */
	answered(
		running: Running,
		facts: number,
		answer: Answer,
		text?: string,
		number = 0,
		list?: string
	): Progress {
		this.#fill(ENTROPY);
		const [now, elapsed] = [Date.now(), performance.now()];
		const progress = orThrow(() =>
			this.#bindings.answered(running, answer, text, list, number, facts, now, elapsed)
		);
		return this.#progress(progress, running);
	}

	/** Fills the input with new random bytes before each step: with the same ones, two writes would share a write ID. */
	#fill(length: number): void {
		if (this.#seals) this.#random(length);
		else this.#writeIdBytes(length);
	}

	/** Fills the input with random bytes for session IDs, which no attacker may guess, and nonces, which must not repeat. */
	#random(length: number): void {
		this.#see();
		crypto.getRandomValues(this.#input.subarray(0, length));
	}

	/** Fills the input with random bytes for write IDs, which must differ from each other, but are no secret. */
	#writeIdBytes(length: number): void {
		this.#see();
		this.#input.set(writeIdBytes(length));
	}

	/** Renews the views of linear memory, which become empty when it grows. */
	#see(): void {
		if (this.#input.byteLength > 0) return;
		const { input, inputSize, output, numbers } = this.#bindings;
		this.#input = new Uint8Array(memory.buffer, input, inputSize);
		this.#texts = this.#input.subarray(ENTROPY + ID);
		this.#output = output;
		this.#decode = decoderOf(memory.buffer);
		this.#numbers = new Float64Array(memory.buffer, numbers, NUMBERS);
		const ticket = numbers + this.#numbers.byteLength;
		this.#ticketParts = new Uint32Array(memory.buffer, ticket, TICKET);
	}

	#read(length: number): string {
		this.#see();
		return this.#decode(this.#output, this.#output + length);
	}
}

/** A function that decodes a part of this memory. */
function decoderOf(memory: ArrayBuffer): (start: number, end: number) => string {
	const buffer = Buffer?.from(memory);
	if (buffer?.utf8Slice) return (start, end) => buffer.utf8Slice?.(start, end) ?? '';
	const bytes = new Uint8Array(memory);
	return (start, end) => decoder.decode(bytes.subarray(start, end));
}

/** Cores with an instance in linear memory, of 66 KB each and the cookies that they have verified; the least recently used one first. */
const awake = new Set<Core>();
const AWAKE = 64;

/** The number of numbers in a result. */
const NUMBERS = 7;

/** The number of integers in a ticket, which follow the numbers. */
const TICKET = 6;

/** The number of random bytes in a session ID. */
const ID = constant(Constant.IdEntropy);

/** The number of random bytes that an operation may use between two effects. */
const ENTROPY = constant(Constant.OperationEntropy);
