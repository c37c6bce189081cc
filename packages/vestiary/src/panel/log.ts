import { Task, VisitState } from '../generated/vestiary.js';
import type { Observation, Observer } from '../observed.js';
import type { Scope } from '../scope.js';
import type { SessionEvent } from '../types.js';
import { Actions } from './actions.js';
import { causeOf, failureOf, unkept, unsent, type Reason } from './cookie-reasons.js';

/** A request as the panel shows it: no ID, no value of a cookie, and no query. */
export interface Entry {
	/** The number of the request. */
	readonly n: number;
	/** When it began, in milliseconds since the epoch. */
	readonly at: number;
	readonly method: string;
	readonly path: string;
	/** The origin of the page. */
	readonly origin: string;
	/** The name of the cookie. */
	readonly name: string;
	/** The status of the response. Undefined if the application has thrown. */
	status?: number;
	/** How long it took, in milliseconds. */
	took?: number;
	/** The cookie in one word. */
	state: string;
	/** Statements about the cookie of the request. */
	readonly cookie: Reason[];
	/** The operations on the session, and their outcomes. */
	readonly steps: Reason[];
	/** Statements about the cookie of the response. */
	readonly response: Reason[];
	/** Hints at probable mistakes. */
	readonly hints: string[];
	/** The name for logs of the session that the request has loaded. */
	loaded?: string | undefined;
	/** The session after the request. */
	session?: ShownSession | undefined;
}

/** A session as the panel shows it. */
export interface ShownSession {
	readonly logId: string | undefined;
	readonly userId: string | undefined;
	readonly expires: number | undefined;
	readonly idleUntil: number | undefined;
	readonly data: unknown;
}

/** The operations that the panel names, as the application calls them. */
const STEPS: Readonly<Partial<Record<Task, string>>> = {
	[Task.Save]: 'save()',
	[Task.Assigned]: 'setData(), stored at once',
	[Task.Update]: 'update()',
	[Task.Touch]: 'touch()',
	[Task.Renew]: 'renew()',
	[Task.Regenerate]: 'regenerate()',
	[Task.Destroy]: 'destroy()',
	[Task.Refresh]: 'the lifetime restarts (rolling, or an idle deadline)',
	[Task.LogIn]: 'login()',
	[Task.Put]: 'a value beside the data was put',
	[Task.Take]: 'a value beside the data was taken',
	[Task.ConfirmUser]: 'confirm()',
	[Task.Claim]: 'once()',
	[Task.Tokens]: 'tokens()',
	[Task.KeepTokens]: 'tokens were kept beside the data',
	[Task.Bind]: 'the browser asks for the bound cookie, with a proof of its key or without',
	[Task.Revoked]: 'the session was revoked during the request'
};

/** Operations of the handle itself, after the response is ready. */
const AFTER: ReadonlySet<Task> = new Set([Task.Refresh, Task.Revoked]);

function late(step: string): Reason {
	return {
		kind: 'problem',
		text: `\`${step}\` was called after the response had left, so a new session gets no cookie.`,
		cure: 'Save before `load` or the action returns, and `await` it.'
	};
}

/** Notes that an operation has failed, unless an event has said so. */
function fail({ steps }: Entry, error: unknown): void {
	const reason = failureOf(error) ?? {
		kind: 'note',
		text: 'It ended with an error of the app.'
	};
	if (!steps.some(({ text }) => text === reason.text)) steps.push(reason);
}

/** Events about the cookie of the request, with the word for it. */
const FOUND: ReadonlySet<string> = new Set([
	'rejected',
	'unknown',
	'expired',
	'revoked',
	'reuse',
	'unreadable'
]);

/** Whether a request lacks the bound cookie of its session. */
function isUnproven(happened: SessionEvent): boolean {
	return happened.type === 'bound' && happened.reason === 'missing';
}

/** The number of requests that are kept. */
const KEPT = 200;

/** The last requests of this process. */
export class Log implements Observer {
	readonly entries: Entry[] = [];
	readonly actions: Actions = new Actions();
	/** Hints that have come since the last request began or ended. */
	#hints: string[] = [];
	#count = 0;
	/** The hosts at which each cookie was set, by its name. */
	readonly #setAt = new Map<string, Set<string>>();

	skipped(event: object): void {
		const { request, url } = event as Scope['event'];
		const entry = this.#add(request, url, '');
		entry.state = 'skipped';
		entry.cookie.push({
			kind: 'note',
			text: '`skip` has skipped the request, so `locals.session` is undefined there.'
		});
	}

	hint(text: string): void {
		if (!this.#hints.includes(text)) this.#hints.push(text);
	}

	begin(request: object): Observation {
		const scope = request as Scope;
		const { event, runtime, visit } = scope;
		const { name } = runtime.core;
		const entry = this.#add(event.request, event.url, name);
		const began = performance.now();
		const emit = scope.emit.bind(scope);
		scope.emit = (happened: SessionEvent): void => {
			const isFound = FOUND.has(happened.type) || isUnproven(happened);
			if (isFound) entry.state = isUnproven(happened) ? 'not bound' : happened.type;
			const failure =
				happened.type === 'store_failed' ? failureOf(happened.error) : undefined;
			(isFound ? entry.cookie : entry.steps).push(failure ?? causeOf(happened));
			emit(happened);
		};
		const act = visit.act.bind(visit);
		visit.act = (task, input) => {
			const step = STEPS[task];
			if (step !== undefined)
				entry.steps.push(
					scope.left && !AFTER.has(task)
						? late(step)
						: { kind: 'note', text: `\`${step}\`` }
				);
			const failed = (error: unknown): never => {
				fail(entry, error);
				throw error;
			};
			try {
				return act(task, input)?.catch(failed);
			} catch (error) {
				return failed(error);
			}
		};
		return {
			opened: () => {
				// In memory a session is opened when the application looks at it.
				const { state } = visit;
				if (state === VisitState.Stored) {
					entry.state = 'valid';
					entry.loaded = visit.logId;
					entry.cookie.push({
						kind: 'good',
						text: `The cookie is valid. The session ${visit.logId ?? ''} was loaded.`
					});
				} else if (entry.cookie.length === 0) this.#missing(entry, scope);
				const writing = this.actions.conflict(scope);
				if (writing)
					entry.steps.push({
						kind: 'note',
						text: 'The panel has written the session while this request had it open.'
					});
				return writing;
			},
			unopened: (error) => {
				entry.took = performance.now() - began;
				fail(entry, error);
				entry.hints.push(...this.#hints.splice(0));
			},
			ended: (response) => {
				entry.took = performance.now() - began;
				if (response) {
					entry.status = response.status;
					this.#sent(entry, scope, response);
				} else
					entry.response.push({
						kind: 'note',
						text: 'A hook has thrown, so SvelteKit makes the response. It drops the cookie if that is an error.'
					});
				entry.hints.push(...this.#hints.splice(0));
				entry.session = shown(scope);
				this.actions.hold(entry.n, scope);
			}
		};
	}

	#add(request: Request, url: URL, name: string): Entry {
		const entry: Entry = {
			n: ++this.#count,
			at: Date.now(),
			method: request.method,
			path: url.pathname,
			origin: url.origin,
			name,
			state: 'none',
			cookie: [],
			steps: [],
			response: [],
			hints: this.#hints.splice(0)
		};
		this.entries.push(entry);
		if (this.entries.length > KEPT) this.actions.drop(this.entries.shift()?.n ?? 0);
		return entry;
	}

	/** Says why a request has no cookie of our name. */
	#missing(entry: Entry, scope: Scope): void {
		const { name } = entry;
		const names = (scope.cookieHeader ?? '')
			.split(';')
			.map((pair) => pair.split('=', 1)[0]?.trim() ?? '')
			.filter(Boolean);
		entry.cookie.push({
			kind: 'note',
			text:
				names.length > 0
					? `The browser sent no cookie \`${name}\`, only: ${names.join(', ')}.`
					: 'The browser sent no cookie: this visitor has no session yet, or the browser does not send it here.'
		});
		const bare = (one: string): string => one.replace(/^__(?:host|secure)-/i, '');
		const other = names.find((one) => bare(one) === bare(name) && one !== name);
		if (other !== undefined)
			entry.cookie.push({
				kind: 'problem',
				text: `The browser has a cookie \`${other}\`, whose name differs by its prefix.`,
				cure: 'The visitor gets a new cookie. The old one stays until it expires.'
			});
		const { hostname } = new URL(entry.origin);
		const hosts = [...(this.#setAt.get(name) ?? [])].filter((host) => host !== hostname);
		if (hosts.length > 0)
			entry.cookie.push({
				kind: 'problem',
				text: `The cookie was set at ${hosts.join(', ')}, which is another host than ${hostname}.`,
				cure: 'Use one of them.'
			});
		entry.cookie.push(...unsent(scope));
	}

	/** Says which cookie the response sets, and why. */
	#sent(entry: Entry, scope: Scope, response: Response): void {
		const { event } = scope;
		const { name } = entry;
		// SvelteKit's router reads data, and follows no redirect that a hook has returned.
		if (event.isDataRequest && response.status >= 300 && response.status < 400)
			entry.response.push({
				kind: 'problem',
				text: 'A hook has returned a redirect to the client’s router, which asked for data, so the browser does not get the cookie.',
				cure: 'Throw `redirect()`.'
			});
		const header = response.headers.getSetCookie().find((one) => one.startsWith(`${name}=`));
		if (header === undefined) {
			const isStored = scope.visit.state === VisitState.Stored;
			entry.response.push({
				kind: 'note',
				text: isStored
					? 'No `Set-Cookie`: the browser has the cookie of this session already.'
					: 'No `Set-Cookie`: nothing was saved.'
			});
			return;
		}
		const attributes = header.split(';').slice(1).join(';');
		const isRemoval = header.startsWith(`${name}=;`);
		const why = entry.steps.filter(({ kind }) => kind === 'good').map(({ text }) => text);
		entry.response.push({
			kind: isRemoval ? 'note' : 'good',
			text: `\`Set-Cookie: ${name}=${isRemoval ? '' : '…'};${attributes}\``
		});
		entry.response.push({
			kind: 'note',
			text: isRemoval
				? `The cookie is removed. ${why.join(' ') || 'Its session is not valid any more.'}`
				: why.join(' ') ||
					'The session was used or saved, so its cookie gets its full lifetime.'
		});
		if (isRemoval) return;
		entry.response.push(...unkept(name, header, event.url, event.request.headers));
		const hosts = this.#setAt.get(name) ?? new Set();
		this.#setAt.set(name, hosts.add(event.url.hostname));
	}
}

/** The stored session, if there is one. */
function shown({ visit }: Scope): ShownSession | undefined {
	if (visit.state !== VisitState.Stored) return undefined;
	return {
		logId: visit.logId,
		userId: visit.user?.name,
		expires: visit.endOf(false)?.getTime(),
		idleUntil: visit.endOf(true)?.getTime(),
		data: withoutSecrets(dataIn(visit.record))
	};
}

/** The data in a record. That of express-session has it beside the cookie, and beside values that are no data. */
function dataIn(record: string): unknown {
	const parsed = JSON.parse(record) as Record<string, unknown>;
	if (typeof parsed.data === 'object') return parsed.data;
	const data = Object.entries(parsed).filter(([key]) => key !== 'cookie' && key !== 'vestiary');
	return Object.fromEntries(data);
}

/** Names of members that are probably secrets. */
const SECRET =
	/token|secret|passw|credential|cookie|api_?key|private|authori[sz]ation|nonce|verifier/i;

/** The same data, without the values of members that are probably secrets. */
function withoutSecrets(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(withoutSecrets);
	if (typeof value !== 'object' || value === null) return value;
	return Object.fromEntries(
		Object.entries(value).map(([key, member]) => [
			key,
			SECRET.test(key) ? '(hidden)' : withoutSecrets(member)
		])
	);
}
