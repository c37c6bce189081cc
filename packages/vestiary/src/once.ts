import { OnceError, type OnceErrorCode } from './errors.js';
import { Given, Task } from './generated/vestiary.js';
import { SLOT } from './inside.js';
import { keyText, secondsOf, valueText } from './slot-arguments.js';
import type { Input, Outcome } from './visit.js';

/** Options of `session.once()`. */
export interface OnceOptions {
	/**
	 * The time that the function may take, in seconds, in any request. After a crash, the other requests wait that long
	 * before one of them runs it.
	 */
	lease: number;
}

/** The function of a `session.once()`. */
export type Run<T> = (signal: AbortSignal) => T | Promise<T>;

/** A session that can claim a lease. */
export interface Claiming {
	[SLOT]<T>(
		task: Task,
		name: string,
		input: () => Input,
		end: (outcome: Outcome) => T
	): Promise<T>;
}

/** The state of a lease, as a claim has found it. */
interface Claimed {
	/** `held`, `wait`, `done`, or the code of an error. */
	readonly word: string;
	/** The token, the pause in milliseconds, or the result as JSON text. */
	readonly rest: string;
}

const NAME = 'session.once()';

/** Claims the lease until this request holds it, or another one has settled it. */
export async function runOnce<T>(
	session: Claiming,
	name: string,
	run: Run<T>,
	options: OnceOptions
): Promise<T> {
	const key = keyText(NAME, name);
	const lease = secondsOf(NAME, 'lease', (options as OnceOptions | undefined)?.lease);
	const claimed = await settled(session, Task.Claim, NAME, { texts: [key], lifetime: lease });
	if (claimed.isHeld) return hold(session, key, claimed.rest, run, claimed.since + lease);
	return valueOf(claimed.rest) as T;
}

/** A lease that this request holds, or a result. */
export interface Settled {
	readonly isHeld: boolean;
	/** The token, or the result as JSON text; empty without one. */
	readonly rest: string;
	/** When it was claimed. */
	readonly since: number;
}

/**
 * Claims a lease until this request holds it, or another one has a result.
 * @throws OnceError if there will be none
 */
export async function settled(
	session: Claiming,
	task: Task,
	name: string,
	input: Input,
	began: number = performance.now()
): Promise<Settled> {
	for (;;) {
		const since = performance.now();
		const given = { ...input, waited: since - began };
		const { word, rest } = await session[SLOT](task, name, () => given, claimOf);
		switch (word) {
			case 'held':
				return { isHeld: true, rest, since };
			case 'done':
				return { isHeld: false, rest, since };
			case 'wait':
				await new Promise((resolve) => setTimeout(resolve, Number(rest)));
				break;
			default:
				throw new OnceError(word as OnceErrorCode);
		}
	}
}

function claimOf({ taken }: Outcome): Claimed {
	const end = taken.indexOf('\n');
	return { word: taken.slice(0, end), rest: taken.slice(end + 1) };
}

/** Runs the function while this request holds the lease, and settles it. */
async function hold<T>(
	session: Claiming,
	key: string,
	token: string,
	run: Run<T>,
	end: number
): Promise<T> {
	const settle = (text: string, flags = 0): Promise<boolean> =>
		session[SLOT](
			Task.Settle,
			NAME,
			() => ({ texts: [key, token, text], flags }),
			({ taken }) => taken !== ''
		);
	const lost = new OnceError('once_lost');
	try {
		const text = textOf(await within(run, end - performance.now(), lost));
		if (!(await settle(text))) throw lost;
		return valueOf(text) as T;
	} catch (error) {
		// The requests that wait need not wait for the end of the lease. If this cannot be stored, they do.
		if (error !== lost) await settle('', Given.More).catch(() => false);
		throw error;
	}
}

/** The longest timer of JavaScript, in milliseconds: 24 days. It would end a longer one at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Runs the function, but not after the end of the lease. */
export async function within<T>(run: Run<T>, milliseconds: number, lost: OnceError): Promise<T> {
	const bound = new AbortController();
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(
			() => {
				bound.abort(lost);
				reject(lost);
			},
			Math.min(milliseconds, LONGEST_TIMER)
		);
	});
	try {
		return await Promise.race([run(bound.signal), late]);
	} finally {
		clearTimeout(timer);
	}
}

/** The JSON text of a result; empty without one. */
function textOf(value: unknown): string {
	return value === undefined ? '' : valueText(value);
}

/** The result as other requests get it. */
function valueOf(text: string): unknown {
	return text === '' ? undefined : JSON.parse(text);
}
