/** Browsers: each has a cookie, and sends its user's requests, several at a time. */
import type { Chance } from './chance.ts';
import { fateOf, type Act, type History, type SessionHistory } from './history.ts';
import type { Operation, Reply, Request } from './messages.ts';
import type { Workers } from './workers.ts';

export const USERS = 150;
/** Some users have two. */
export const BROWSERS = 200;
/** This many browsers send a third of all requests, since concurrent requests to one session find the most faults. */
const BUSY = 2;
/** Keys that requests set, each by one at a time. */
const KEYS = 6;
/** A session with this many updates is logged out, because records have a maximum size. */
const LONGEST = 1_000;

/** How often a browser with a session does each thing. */
const HABITS = {
	read: 30,
	update: 36,
	save: 15,
	renew: 5,
	/** Both in one request. */
	renewAndWrite: 3,
	login: 4,
	logout: 4,
	everywhere: 1,
	/** Tries a cookie of a session that was ended. */
	thief: 3
};
type Habit = keyof typeof HABITS;

const NEED_ATOMIC = new Set<Habit>(['renew', 'renewAndWrite', 'everywhere']);

/** The habits of a busy browser: many requests to one session need a session that lasts. */
const BUSY_HABITS = { ...HABITS, read: 60, update: 180, save: 60, login: 1, logout: 1, thief: 1 };

interface Browser {
	user: number;
	/** The last one that a response has set. */
	cookie?: string | undefined;
	session?: SessionHistory | undefined;
	/** Gets more requests than others. */
	busy: boolean;
	/** Sessions that it had. */
	past: SessionHistory[];
	/** Its user went away after a renewal whose outcome is unknown, and comes back at the end. */
	asleep: boolean;
}

export class Browsers {
	/** Requests whose effect is unknown. */
	unknown = 0;
	/** The number of errors that the application received. */
	errors = 0;
	requests = 0;
	acknowledged = 0;
	sleepers = 0;
	/** Errors that none of the faults explains. */
	readonly broken = new Set<string>();
	/** Called with each answer. */
	answered: (reply: Reply) => void = () => undefined;
	readonly #browsers: Browser[];
	readonly #history: History;
	readonly #workers: Workers;
	/** Whether the store is atomic, so that there are logins, renewals and lists of sessions. */
	readonly #atomic: boolean;
	/** Numbers of sessions and of written values; each is used once. */
	#numbers = 0;

	constructor(history: History, workers: Workers, atomic: boolean) {
		this.#history = history;
		this.#workers = workers;
		this.#atomic = atomic;
		this.#browsers = Array.from({ length: BROWSERS }, (_, n) => ({
			user: n % USERS,
			busy: n < BUSY,
			past: [],
			asleep: false
		}));
	}

	/** Lets one of the browsers send a request to this worker. */
	async act(chance: Chance, worker: number): Promise<Reply | undefined> {
		const all = this.#browsers;
		const browser = all[chance.below(chance.percent(33) ? BUSY : all.length)];
		if (!browser || browser.asleep) return undefined;
		const habit = chance.weighted<Habit>(browser.busy ? BUSY_HABITS : HABITS);
		const [sleeps, other, which] = [chance.percent(50), chance.percent(50), chance.below(1e6)];
		const { session } = browser;
		if (!session || browser.cookie === undefined) {
			return this.#begin(browser, worker, other ? 'login' : 'create', undefined);
		}
		if (session.appended.size > LONGEST) return this.#end(browser, worker, 'logout');
		switch (this.#atomic || !NEED_ATOMIC.has(habit) ? habit : 'read') {
			case 'read':
				return this.#send(browser, worker, 'read');
			case 'update':
				return this.#update(browser, session, worker);
			case 'renewAndWrite':
				session.renewals++;
				return other
					? this.#update(browser, session, worker, true)
					: this.#save(browser, session, worker, which, true);
			case 'save':
				return this.#save(browser, session, worker, which);
			case 'renew':
				return this.#renew(browser, session, worker, sleeps);
			case 'login':
				return this.#begin(browser, worker, 'login', session);
			case 'logout':
				return this.#end(browser, worker, 'logout');
			case 'everywhere':
				return this.#end(browser, worker, 'everywhere');
			case 'thief':
				return this.#steal(browser, worker, other, which);
		}
	}

	async #begin(
		browser: Browser,
		worker: number,
		operation: 'login' | 'create',
		old: SessionHistory | undefined
	): Promise<Reply> {
		const serial = ++this.#numbers;
		const act = this.#history.act();
		old?.endings.push(act);
		const reply = await this.#send(browser, worker, operation, { serial }, act);
		if (reply.outcome !== 'done') return reply;
		const session = this.#history.begin(serial, browser.user, operation === 'login');
		this.#history.note(session, `began by a ${operation}, after ${old?.serial ?? 'none'}`);
		this.#history.loggedIn(session, act, reply.found && old);
		this.#receive(browser, session, reply);
		return reply;
	}

	async #end(
		browser: Browser,
		worker: number,
		operation: 'logout' | 'everywhere'
	): Promise<Reply> {
		const { session, user } = browser;
		const act = this.#history.act();
		if (operation === 'everywhere') this.#history.endingAll(user, act);
		if (operation === 'logout' && session) this.#history.ending(session, act);
		const reply = await this.#send(browser, worker, operation, {}, act);
		if (reply.outcome !== 'done') return reply;
		if (operation === 'everywhere') this.#history.endedAll(act);
		else if (session) this.#history.ended(session, act);
		return reply;
	}

	async #update(
		browser: Browser,
		session: SessionHistory,
		worker: number,
		renews = false
	): Promise<Reply> {
		const value = ++this.#numbers;
		const write = Object.assign(this.#history.act(), { value });
		session.appended.set(value, write);
		return this.#send(browser, worker, 'update', { value, renews }, write);
	}

	async #save(
		browser: Browser,
		session: SessionHistory,
		worker: number,
		which: number,
		renews = false
	): Promise<Reply> {
		const key = `key${which % KEYS}`;
		const writes = session.set.get(key) ?? [];
		session.set.set(key, writes);
		if (writes.at(-1)?.outcome === 'pending') return this.#send(browser, worker, 'read');
		const value = ++this.#numbers;
		const write = Object.assign(this.#history.act(), { value });
		writes.push(write);
		return this.#send(browser, worker, 'save', { key, value, renews }, write);
	}

	async #renew(
		browser: Browser,
		session: SessionHistory,
		worker: number,
		sleeps: boolean
	): Promise<Reply> {
		session.renewals++;
		const reply = await this.#send(browser, worker, 'renew', { renews: true });
		const may = !browser.busy && !browser.asleep && this.sleepers < BROWSERS / 4;
		if (fateOf(reply.outcome) === 'unknown' && sleeps && may) {
			browser.asleep = true;
			this.sleepers++;
		}
		return reply;
	}

	/** Tries a cookie of a previous session of this browser, half of the time with a write. */
	async #steal(
		browser: Browser,
		worker: number,
		writes: boolean,
		which: number
	): Promise<Reply | undefined> {
		const session = browser.past[which % Math.max(1, browser.past.length)];
		if (!session) return this.#send(browser, worker, 'read');
		const cookies = [...session.cookies.keys()];
		const cookie = cookies[which % cookies.length];
		const thief = { ...browser, cookie, session };
		return writes ? this.#update(thief, session, worker) : this.#send(thief, worker, 'read');
	}

	/** Sends a request with the current cookie, and records the result. */
	async #send(
		browser: Browser,
		worker: number,
		operation: Operation,
		more: Partial<Request> = {},
		act = this.#history.act()
	): Promise<Reply> {
		const { cookie, session, user } = browser;
		this.requests++;
		const reply = await this.#workers.ask(worker, { operation, cookie, user, ...more });
		const fate = fateOf(reply.outcome);
		this.#history.resolve(act, fate);
		this.#count(operation, reply);
		this.#history.note(session, line(act, operation, worker, more, reply));
		if (session) {
			if (cookie !== undefined && wasRead(reply))
				this.#history.opened(session, cookie, act.sent, reply.found);
			if (reply.outcome === 'gone') this.#history.gone(session);
		}
		if (session && more.renews === true && reply.outcome === 'done') session.renewed++;
		const begins = operation === 'login' || operation === 'create';
		if (!(begins && reply.outcome === 'done')) this.#receive(browser, session, reply);
		// As an application does with a visitor who is logged out: it asks for a login.
		const anonymous = reply.outcome === 'anonymous' || reply.outcome === 'gone';
		if (anonymous && browser.cookie === cookie) browser.cookie = undefined;
		this.answered(reply);
		return reply;
	}

	/** The cookie of a response, which belongs to this session. */
	#receive(browser: Browser, session: SessionHistory | undefined, { cookie }: Reply): void {
		if (cookie === undefined) return;
		if (cookie === null || !session) {
			browser.cookie = undefined;
			return;
		}
		if (!session.cookies.has(cookie)) session.cookies.set(cookie, session.renewed);
		if (browser.session !== session && browser.session) browser.past.push(browser.session);
		if (browser.past.length > 20) browser.past.shift();
		browser.cookie = cookie;
		browser.session = session;
	}

	#count(operation: Operation, { outcome, error }: Reply): void {
		if (outcome === 'broken') this.broken.add(`${operation}: ${error ?? ''}`);
		if (outcome === 'unread' || outcome === 'failed') this.errors++;
		if (operation === 'read') return;
		if (outcome === 'done') this.acknowledged++;
		if (fateOf(outcome) === 'unknown') this.unknown++;
	}
}

/** Whether the process looked for the session and survived. */
export function wasRead({ outcome }: Reply): boolean {
	return outcome !== 'unread' && outcome !== 'died' && outcome !== 'broken';
}

/** A request, in a line of the trace. */
function line(
	act: Act,
	operation: Operation,
	worker: number,
	{ value, key, renews }: Partial<Request>,
	{ outcome, error, found, steps }: Reply
): string {
	const what = [operation, renews === true ? 'after a renewal' : undefined, key, value]
		.filter((one) => one !== undefined)
		.join(' ');
	const told = error === undefined ? outcome : `${outcome} (${error})`;
	const saw = found ? `found ${found.log.length} updates` : 'found nothing';
	return `since ${act.sent}, worker ${worker}: ${what}: ${saw}; ${steps.join('; ')}; ${told}`;
}
