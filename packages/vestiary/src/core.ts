import { marks } from './entropy.js';
import { orThrow } from './errors.js';
import {
	type Answer,
	cacheControl,
	Constant,
	constant,
	Core as Bindings,
	Given as Flag,
	type MemoryTable,
	type Running,
	Step,
	Task,
	vary
} from './generated/vestiary.js';
import type { Ended, Given, Going, OwnCookie } from './going.js';
import type { SveltekitSessionConfig } from './types.js';
import { memory } from './wasm/instance.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Operations that begin without random bytes, since they mostly write nothing. */
const MOSTLY_READ: ReadonlySet<Task> = new Set([Task.Open, Task.Confirm]);

/** Where a step ends and a purpose begins, and the bits of a purpose. */
const STEPS = constant(Constant.Steps);
const RESERVED = constant(Constant.Reserved);
const SEVERAL = constant(Constant.Several);
const TOLD = constant(Constant.Told);

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
	/** The `Cache-Control` of a response that has none and sets the cookie. */
	readonly cacheControl: string | undefined;
	readonly #make: () => Bindings;
	/** Its part in linear memory; undefined while it has none. */
	#made: Bindings | undefined;
	readonly #touchAfter: number;
	/** Records are sealed, so that random bytes of an operation may be a nonce. */
	readonly #seals: boolean;
	/** The table that operations ask. */
	#asked: MemoryTable | undefined;
	#memory: Uint8Array<ArrayBuffer> = new Uint8Array();
	#input: Uint8Array<ArrayBuffer> = this.#memory;
	/** The input behind the random bytes of an operation and of a session ID. */
	#texts: Uint8Array<ArrayBuffer> = this.#memory;
	#output: Uint8Array<ArrayBuffer> = this.#memory;
	#numbers: Float64Array<ArrayBuffer> = new Float64Array();

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
		this.cacheControl = cacheControl();
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
		this.#made = this.#asked = undefined;
		this.#input = new Uint8Array();
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

	/** The cookie value of an ID. */
	sign(id: string): string {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		return this.#read(this.#bindings.sign(written));
	}

	/** The `Set-Cookie` header of an ID. `own` is the session's own cookie attributes, as in all of the following. */
	setId(id: string, secureHere: boolean, own?: OwnCookie): string {
		this.#see();
		const { written } = encoder.encodeInto(id, this.#input);
		return this.#bindings.setId(written, secureHere, own) ?? '';
	}

	/** The `Set-Cookie` header of a value, `encoded` if the application's encoder made it. */
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

	/** Begins an operation; on a table, which needs no driver, if there is one. */
	begin(
		task: Task,
		{ flags, at, texts, login }: Given,
		facts: number,
		table?: MemoryTable
	): Going {
		const { proven = NaN, own, most = NaN } = login ?? {};
		const { at: ended = NaN, before = NaN } = own ?? {};
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
				most,
				facts,
				Date.now(),
				performance.now(),
				written,
				long
			);
		const here = table ? flags | this.#ask(table) : flags;
		if (table && MOSTLY_READ.has(task)) {
			const progress = begin(here);
			const step: Step = progress % STEPS;
			if (step !== Step.Again) return this.#going(progress);
		}
		this.#fill(ENTROPY);
		if ((flags & Flag.Identified) !== 0)
			crypto.getRandomValues(this.#input.subarray(ENTROPY, ENTROPY + ID));
		return this.#going(begin(here | Flag.Drawn));
	}

	/**
	 * Begins `Task.Open` on a table with the cookies of a `Cookie` header. Undefined if none of them has our name.
	 * @param flags Those of the task that the header does not tell
	 */
	open(
		header: string | null,
		flags: number,
		facts: number,
		table: MemoryTable
	): Going | undefined {
		if (header === null) return undefined;
		this.#see();
		const present = flags | Flag.Present;
		const { read, written } = encoder.encodeInto(header, this.#input);
		if (read === header.length) {
			const [here, now] = [present | this.#ask(table), Date.now()];
			const progress = this.#bindings.open(written, here, facts, now, performance.now());
			const step: Step = progress % STEPS;
			if (step === Step.Absent) return undefined;
			if (step !== Step.Again) return this.#going(progress);
		}
		const ids = this.readCookies(header);
		if (!ids) return undefined;
		const texts = ['', '', '', ids.join('\n')];
		return this.begin(Task.Open, { flags: present, at: 0, texts }, facts, table);
	}

	/** Has operations with this flag ask a table. */
	#ask(table: MemoryTable): Flag {
		if (this.#asked !== table) {
			this.#bindings.ask(table);
			this.#asked = table;
		}
		return Flag.Here;
	}

	#going(progress: number, again?: Running): Going {
		const step: Step = progress % STEPS;
		const purpose = Math.floor(progress / STEPS);
		const running = again ?? (step === Step.Finished ? undefined : this.#bindings.running);
		const told = (purpose & TOLD) === 0 ? '' : this.#bindings.told;
		const reserved = (purpose & RESERVED) !== 0;
		if (step === Step.Finished || !running) return { told, reserved, ended: this.#ended };
		const several = (purpose & SEVERAL) !== 0;
		return { told, reserved, running, step, purpose: purpose % RESERVED, several };
	}

	/** The end of the operation that has ended last. */
	get #ended(): Ended {
		this.#see();
		const numbers = this.#numbers;
		const [start = 0, length = 0] = [numbers[3], numbers[4]];
		return {
			flags: numbers[0] ?? 0,
			at: numbers[1] ?? 0,
			before: numbers[2] ?? 0,
			writes: numbers[5] ?? NaN,
			texts: decoder.decode(this.#memory.subarray(start, start + length)).split('\0')
		};
	}

	/**
	 * The data of a session that follows the one of this record: `kept`, members of its data `base`, as the record
	 * spells them, and those of `others`. All are JSON text.
	 */
	keep(text: string, base: string, kept: string, others: string): string {
		return orThrow(() => this.#bindings.keep(text, base, kept, others));
	}

	/** Lets an operation go on with the answer to its last effect: texts, or the number of an error. */
	answered(
		running: Running,
		facts: number,
		answer: Answer,
		text?: string,
		number = 0,
		list?: string
	): Going {
		this.#fill(ENTROPY);
		const [now, elapsed] = [Date.now(), performance.now()];
		const progress = orThrow(() =>
			this.#bindings.answered(running, answer, text, list, number, facts, now, elapsed)
		);
		return this.#going(progress, running);
	}

	/** Fills the input for an operation, after each answer anew: with the same random bytes, two writes would have the same write ID. */
	#fill(length: number): void {
		if (this.#seals) this.#random(length);
		else this.#marks(length);
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
		const { input, inputSize, output, outputSize, numbers } = this.#bindings;
		this.#memory = new Uint8Array(memory.buffer);
		this.#input = new Uint8Array(memory.buffer, input, inputSize);
		this.#texts = this.#input.subarray(ENTROPY + ID);
		this.#output = new Uint8Array(memory.buffer, output, outputSize);
		this.#numbers = new Float64Array(memory.buffer, numbers, NUMBERS);
	}

	#read(length: number): string {
		this.#see();
		return decoder.decode(this.#output.subarray(0, length));
	}
}

/** Cores that have a part in linear memory, 66 KB each; the least recently used one first. */
const awake = new Set<Core>();
const AWAKE = 64;

/** Numbers about the end of an operation. */
const NUMBERS = 6;

/** Random bytes of a session ID. */
const ID = constant(Constant.IdEntropy);

/** Random bytes that an operation may use between two effects. */
const ENTROPY = constant(Constant.OperationEntropy);
