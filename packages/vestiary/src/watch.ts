import type { RequestEvent } from '@sveltejs/kit';

import { hint } from './hints.js';
import type { Runtime } from './runtime.js';
import { UNSAVED } from './inside.js';
import { Session } from './session.js';
import type { SessionData } from './types.js';
import type { Change } from './update.js';

/** Names of properties in which applications store the logged-in user. */
const LOGIN_KEY =
	/^(?:user|account|member|customer|admin|uid|sub|email|auth|(?:user|account|member|customer)_?(?:id|name)|(?:is)?_?(?:logged_?in|authenticated))$/i;

/** The methods that store the data. */
const STORES = ['save', 'update', 'regenerate', 'login', 'destroy', 'renew'] as const;

/** The methods that leave the data as it is. `once` stores it before its function runs. */
const KEEPS = [
	'touch',
	'put',
	'take',
	'flash',
	'takeFlash',
	'confirm',
	'once',
	'keepTokens',
	'tokens',
	'storedTokens'
] as const;

type Method = (typeof STORES)[number] | (typeof KEEPS)[number] | 'setData';

/** The result of an operation, which records whether the application awaits it. */
type Result = Promise<unknown> & { awaited?: boolean };

/**
 * Watches, in development, how the application uses the session of one request, and hints at probable omissions. It
 * does not run in production.
 */
export class Watch {
	readonly #event: RequestEvent;
	readonly #runtime: Runtime;
	readonly #calls: { name: Method; result: Result }[] = [];
	#session: Session;
	/** The data as it was last stored, as JSON text. Undefined until the application uses the session. */
	#stored: string | undefined;
	/** Whether the session existed before this request, under its current ID. */
	#isOld = false;
	#failed = false;

	constructor(event: RequestEvent, runtime: Runtime, session: Session) {
		this.#event = event;
		this.#runtime = runtime;
		this.#session = session;
		this.#attach(session);
	}

	/** Prints hints when the response is ready. */
	end(): void {
		harmless(() => {
			this.#end();
		});
	}

	#end(): void {
		this.#checkSlot();
		for (const { name, result } of this.#calls)
			if (result.awaited === false)
				hint(
					`\`session.${name}()\` is not awaited: write \`await session.${name}()\`, or the code after it runs too early and misses its errors`
				);
		const { autoSave, saveUninitialized } = this.#runtime.options;
		const savesByItself = autoSave === true || saveUninitialized === true;
		if (!savesByItself && !this.#failed && this.#session[UNSAVED])
			hint(
				'`session.cookie` was changed and not saved: call `await session.save()` after the change'
			);
		if (this.#stored === undefined || this.#failed) return;
		const data = dataOf(this.#session);
		if (savesByItself) this.#checkLogin(data);
		const key = savesByItself ? undefined : changedKey(this.#stored, data);
		if (key !== undefined)
			hint(
				`\`session.data.${key}\` was changed and not saved: call \`await session.save()\` after the change, or set \`autoSave: true\``
			);
	}

	/** Wraps the methods of a session. */
	#attach(session: Session): void {
		this.#session = session;
		Object.defineProperty(session, 'data', {
			configurable: true,
			get: () => {
				this.#used();
				return dataOf(session);
			}
		});
		const names: Method[] = [...STORES, ...KEEPS, 'setData'];
		for (const name of names) {
			Object.defineProperty(session, name, {
				configurable: true,
				writable: true,
				value: (...args: unknown[]) => this.#call(session, name, args)
			});
		}
	}

	#call(session: Session, name: Method, args: unknown[]): Result {
		this.#used();
		if (name === 'save') this.#checkLogin(dataOf(session));
		const method = Reflect.get(Session.prototype, name) as (...args: unknown[]) => Result;
		let isStored = name !== 'setData' && !KEEPS.some((keeps) => keeps === name);
		const watched = args.map((argument) => {
			if (typeof argument !== 'function') return argument;
			if (name === 'update') return this.#watchedChange(argument as Change);
			if (name !== 'once') return argument;
			return (...given: unknown[]): unknown => {
				this.#stored = textOf(dataOf(this.#session));
				isStored = false;
				return (argument as (...given: unknown[]) => unknown)(...given);
			};
		});
		// Unless its function runs, `once` reads what another request has stored.
		if (name === 'once') isStored = true;
		const result = method.apply(session, watched);
		// `setData` has finished when the call returns, unless the session is saved automatically.
		if (name !== 'setData') this.#calls.push({ name, result });
		// Not `result.then`, with which an operation notices that the application awaits it.
		void Promise.prototype.then.call(
			result,
			(returned) => {
				if (returned instanceof Session && returned !== session) {
					this.#isOld = false;
					this.#attach(returned);
				}
				if (isStored) this.#stored = textOf(dataOf(this.#session));
			},
			() => {
				this.#failed = true;
			}
		);
		return result;
	}

	/** Wraps the function of an update, to check its data before it is stored. */
	#watchedChange(change: Change): Change {
		return (data) => {
			const made = change(data);
			const check = (one: SessionData | undefined): void => {
				this.#checkLogin(one ?? data);
			};
			// Not awaited, so that the wrapper does not change when the function returns.
			if (made instanceof Promise) void made.then(check, () => undefined);
			else check(made);
			return made;
		};
	}

	/** Called when the application uses the session for the first time. */
	#used(): void {
		if (this.#stored !== undefined) return;
		this.#stored = textOf(dataOf(this.#session));
		this.#isOld = !this.#session.isNew;
	}

	/** Hints at a login without a new ID: an attacker may have planted the ID that the visitor had before. */
	#checkLogin(data: SessionData): void {
		if (!this.#isOld || this.#session.userId !== undefined) return;
		const before = parsed(this.#stored);
		// Compared as it will be stored, so that no getter of the application is called for a hint.
		const after = parsed(textOf(data));
		const key = Object.keys(after).find(
			(name) => after[name] && !before[name] && LOGIN_KEY.test(name)
		);
		if (key !== undefined)
			hint(
				`\`session.data.${key}\` is new in a session that existed before: if this is a login, call \`await session.regenerate()\` before it, or \`await session.login(…)\`, or an attacker who planted the old ID is logged in, too`
			);
	}

	#checkSlot(): void {
		const { slot } = this.#runtime;
		const found: unknown = (this.#event.locals as unknown as Record<string, unknown>)[slot];
		if (!(found instanceof Session))
			hint(
				`\`locals.${slot}\` is no longer the session: another hook of the \`sequence\` has replaced it. Give its value another name`
			);
	}
}

/** Hints at a hook of the application that `sequence` runs before the session's. Call it in the handle. */
export function checkOrder(slot: string): void {
	const holder = Error as { stackTraceLimit?: number };
	const limit = holder.stackTraceLimit;
	holder.stackTraceLimit = 50;
	const stack = (new Error().stack ?? '').split('\n');
	if (limit === undefined) delete holder.stackTraceLimit;
	else holder.stackTraceLimit = limit;
	const isSequence = (line: string): boolean => /\bapply_handle\b/.test(line);
	const inner = stack.findIndex(isSequence);
	const outer = stack.findLastIndex(isSequence);
	const between = inner < outer ? stack.slice(inner + 1, outer) : [];
	if (between.some((line) => !/node_modules|node:|\(<anonymous>\)|\(index \d+\)/.test(line)))
		hint(
			`one of your hooks runs before \`sveltekitSessionHandle\` in the \`sequence\`, so it has no \`locals.${slot}\`: put the session first`
		);
}

/** Hints at a `load` that reads the session of a page while SvelteKit prerenders the page. */
export function watchPrerendered(event: RequestEvent, session: Session): void {
	Object.defineProperty(session, 'data', {
		configurable: true,
		get: () => {
			// A hook may read it in every request.
			if (/\bload_server_data\b/.test(new Error().stack ?? ''))
				hint(
					`a \`load\` of ${event.url.pathname} reads the session, but the page is prerendered: every visitor gets the page as it is without a session. Set \`export const prerender = false\``
				);
			return dataOf(session);
		}
	});
}

/** Runs a check for hints. Its exceptions must not fail the request. */
function harmless(look: () => void): void {
	try {
		look();
	} catch {
		// The operation itself reports the problem.
	}
}

/** The data of a session, bypassing the watching property. */
function dataOf(session: Session): SessionData {
	return Reflect.get(Session.prototype, 'data', session);
}

/** The first top-level key whose value differs from this JSON text. */
function changedKey(before: string, data: SessionData): string | undefined {
	const after = textOf(data);
	if (after === before) return undefined;
	const [one, other] = [parsed(before), parsed(after)];
	return [...Object.keys(other), ...Object.keys(one)].find(
		(key) => JSON.stringify(one[key]) !== JSON.stringify(other[key])
	);
}

function parsed(text: string | undefined): Record<string, unknown> {
	return JSON.parse(text ?? '{}') as Record<string, unknown>;
}

/** The data as JSON text. Data that cannot be stored counts as unchanged: storing it fails anyway. */
function textOf(data: SessionData): string {
	try {
		return JSON.stringify(data);
	} catch {
		return '{}';
	}
}
