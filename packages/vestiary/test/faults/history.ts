/**
 * The answers that browsers got, and whether later answers agree with them.
 *
 * Times are ticks of one clock in the driver: a request must see everything that was acknowledged before it was sent.
 */
import { userName, type Found, type Outcome } from './messages.ts';

/** Outcomes that must never happen. */
export type Violation =
	/** An acknowledged write is missing, or the whole session is. */
	| 'lost'
	/** A write was made twice, or although the application was told that it was not made. */
	| 'twice'
	/** A cookie works whose session was ended by an acknowledged logout or login. */
	| 'resurrected'
	/** Data of another user, or of another session. */
	| 'mixed';

/** A write of a session, or what may end it. */
export interface Act {
	sent: number;
	/** When its answer came. */
	resolved: number;
	/** The same in milliseconds, by `performance.now()`. */
	resolvedAt: number;
	outcome: Fate;
}

/** The known outcome of an act; the last one means that it was certainly not done. */
export type Fate = 'pending' | 'acknowledged' | 'unknown' | 'refused';

interface Write extends Act {
	value: number;
}

/** One session, from a login, or a first save, to its end. */
export class SessionHistory {
	readonly serial: number;
	readonly user: number;
	/** Whether it was begun by a login, so that `revokeAll` ends it. */
	readonly owned: boolean;
	/** The cookies that led to it, and how many renewals were done for certain before. */
	readonly cookies = new Map<string, number>();
	readonly appended = new Map<number, Write>();
	/** By key, in order: a key has one writer at a time. */
	readonly set = new Map<string, Write[]>();
	/** Acts that may have ended it. */
	readonly endings: Act[] = [];
	/** Sessions that replaced it: a logout by its cookies ends them, too, certainly or possibly. */
	readonly successors: { session: SessionHistory; certain: boolean }[] = [];
	parent: SessionHistory | undefined;
	/** Renewals that were requested, and those that were acknowledged. */
	renewals = 0;
	renewed = 0;
	/** The tick of the acknowledgement that it was ended. */
	ended = Infinity;
	/** When a request with one of its cookies found no session. */
	seenEnded = Infinity;

	constructor(serial: number, user: number, owned: boolean) {
		this.serial = serial;
		this.user = user;
		this.owned = owned;
	}

	/** Whether it may have been ended, as far as the browser knows. */
	get mayBeEnded(): boolean {
		return this.endings.some(({ outcome }) => outcome !== 'refused');
	}

	/** Acknowledged writes: the beginning, appended values, and set values. */
	get acknowledged(): number {
		const writes = [...this.appended.values(), ...[...this.set.values()].flat()];
		return 1 + writes.filter(({ outcome }) => outcome === 'acknowledged').length;
	}
}

/** The minimum number of lines to keep. */
const LINES = 100_000;

/** The record of a session in the store, in a line. */
const KEY = /(?<=(?:read|create|replace|touch|remove) )(?!user:)[\w-]{6}(?= )/g;

/** All sessions, and the violations that were found. */
export class History {
	readonly sessions: SessionHistory[] = [];
	/** Sessions with violations, once per violation. */
	readonly findings: { violation: Violation; what: string; session: SessionHistory }[] = [];
	readonly counts: Record<Violation, number> = { lost: 0, twice: 0, resurrected: 0, mixed: 0 };
	/** The number of comparisons of a session with its expected state. */
	comparisons = 0;
	/** The last events, to find out why. */
	readonly #lines: string[] = [];
	#tick = 0;
	readonly #known = new Set<string>();
	readonly #owned = new Map<number, SessionHistory[]>();
	readonly #everywhere: { user: number; act: Act; sessions: SessionHistory[] }[] = [];

	tick(): number {
		return ++this.#tick;
	}

	/** Records an event of a session. */
	note(session: SessionHistory | undefined, what: string): void {
		this.#lines.push(`${this.tick()} session ${session?.serial ?? 'none'}: ${what}`);
		if (this.#lines.length > 2 * LINES) this.#lines.splice(0, LINES);
	}

	/** All events of a session, and of its keys in the store. */
	trace({ serial }: SessionHistory): string[] {
		const own = this.#lines.filter((line) => line.includes(` session ${serial}: `));
		const keys = new Set(own.flatMap((line) => line.match(KEY) ?? []));
		return this.#lines.filter(
			(line) =>
				line.includes(` session ${serial}: `) ||
				line.match(KEY)?.some((key) => keys.has(key))
		);
	}

	act(): Act {
		return { sent: this.tick(), resolved: Infinity, resolvedAt: Infinity, outcome: 'pending' };
	}

	resolve(act: Act, fate: Fate): void {
		act.resolved = this.tick();
		act.resolvedAt = performance.now();
		act.outcome = fate;
	}

	/** A session that has begun, by a login or by a first save. */
	begin(serial: number, user: number, owned: boolean): SessionHistory {
		const session = new SessionHistory(serial, user, owned);
		this.sessions.push(session);
		if (owned) this.#ownedOf(user).push(session);
		return session;
	}

	/** The session that a request found by the cookie that it was sent with at this tick. */
	opened(session: SessionHistory, cookie: string, sent: number, found: Found | undefined): void {
		this.comparisons++;
		if (!found) {
			this.#missing(session, cookie);
			return;
		}
		if (found.owner !== session.user || foreignUser(found, session)) {
			this.#found('mixed', session, `data of user ${found.owner} (${found.userId ?? ''})`);
			return;
		}
		if (session.ended < sent || session.seenEnded < sent) {
			this.#found('resurrected', session, 'it was ended');
			return;
		}
		if (found.serial !== session.serial) {
			this.#found('mixed', session, `data of session ${found.serial}`);
			return;
		}
		this.#compareLog(session, sent, found);
		this.#compareKeys(session, sent, found);
	}

	/** A logout is sent: it may end this session, and its successors. */
	ending(session: SessionHistory, act: Act): void {
		session.endings.push(act);
		for (const next of session.successors) this.ending(next.session, act);
	}

	/** A logout was acknowledged. */
	ended(session: SessionHistory, act: Act): void {
		if (!session.endings.includes(act)) return;
		session.ended = Math.min(session.ended, act.resolved);
		for (const next of session.successors) if (next.certain) this.ended(next.session, act);
	}

	/** All sessions of a user that began by a login that was acknowledged before are to be ended. */
	endingAll(user: number, act: Act): void {
		const sessions = [...this.#ownedOf(user)];
		this.#everywhere.push({ user, act, sessions });
		for (const session of sessions) session.endings.push(act);
	}

	endedAll(act: Act): void {
		// Not sessions whose login was in progress: they may have been in time.
		const all = this.#everywhere.find((one) => one.act === act)?.sessions ?? [];
		for (const session of all) session.ended = Math.min(session.ended, act.resolved);
	}

	/** A login was acknowledged; if it found a session, the new one is in its place. */
	loggedIn(session: SessionHistory, login: Act, old: SessionHistory | undefined): void {
		const met = ({ act }: { act: Act }): boolean => act !== login && overlap(act, login);
		const perhaps = this.#everywhere.filter(
			(one) => one.user === session.user && (met(one) || isStillUnderWay(one.act))
		);
		session.endings.push(...perhaps.map(({ act }) => act));
		if (!old) return;
		session.parent = old;
		old.ended = Math.min(old.ended, login.resolved);
		// Another request may have ended the old session first: then no pointer leads from it to the new one. Or that
		// request was in progress, and followed the pointer.
		for (let one: SessionHistory | undefined = old; one; one = one.parent)
			session.endings.push(...one.endings.filter((act) => met({ act })));
		const certain = old.endings.every((act) => act === login || act.outcome === 'refused');
		old.successors.push({ session, certain });
	}

	/** A write was refused, because the session was ended meanwhile. */
	gone(session: SessionHistory): void {
		if (!session.mayBeEnded) this.#vanish(session, 'a write was told that it was ended');
	}

	/** The fault of a session that was not found at all, at the very end. */
	vanished(session: SessionHistory): void {
		this.#vanish(session, 'none of its cookies leads to it');
	}

	#ownedOf(user: number): SessionHistory[] {
		const owned = this.#owned.get(user) ?? [];
		this.#owned.set(user, owned);
		return owned;
	}

	#missing(session: SessionHistory, cookie: string): void {
		// A cookie leads over four renewals and no further.
		const renewed = session.renewals - (session.cookies.get(cookie) ?? 0);
		if (renewed > 4) return;
		session.seenEnded = Math.min(session.seenEnded, this.tick());
		if (!session.mayBeEnded) this.#vanish(session, 'a request found no session');
	}

	#vanish(session: SessionHistory, what: string): void {
		this.#found('lost', session, what, session.acknowledged, 'all');
	}

	#compareLog(session: SessionHistory, sent: number, found: Found): void {
		const there = new Map<number, number>();
		for (const value of found.log) there.set(value, (there.get(value) ?? 0) + 1);
		for (const [value, times] of there) {
			const write = session.appended.get(value);
			if (!write) this.#found('mixed', session, `update ${value} of another session`);
			else if (times > 1)
				this.#found('twice', session, `update ${value}: ${times} times`, 1, value);
			else if (write.outcome === 'refused')
				this.#found('twice', session, `update ${value} was told not to be done`, 1, value);
		}
		for (const { value, outcome, resolved } of session.appended.values()) {
			if (outcome === 'acknowledged' && resolved < sent && !there.has(value))
				this.#found('lost', session, `update ${value}`, 1, value);
		}
	}

	#compareKeys(session: SessionHistory, sent: number, found: Found): void {
		for (const [key, writes] of session.set) {
			const last = writes.findLastIndex(
				({ outcome, resolved }) => outcome === 'acknowledged' && resolved < sent
			);
			const value = found.keys[key];
			const at = writes.findIndex((write) => write.value === value);
			const write = writes[at];
			if (value !== undefined && !write)
				this.#found('mixed', session, `${key}: ${value} of another session`);
			else if (at < last)
				this.#found('lost', session, `${key}: ${writes[last]?.value ?? ''}`, 1, key);
			else if (write?.outcome === 'refused')
				this.#found('twice', session, `${key} was told not to be set`, 1, key);
		}
	}

	/** Counts each violation once, however many requests see it. */
	#found(
		violation: Violation,
		session: SessionHistory,
		what: string,
		count = 1,
		thing: string | number = what
	): void {
		const known = `${violation} ${session.serial} ${thing}`;
		if (this.#known.has(known)) return;
		this.#known.add(known);
		this.counts[violation] += count;
		this.findings.push({ violation, what, session });
		this.note(session, `FOUND ${violation}: ${what}`);
	}
}

/** The result that the application got of an operation. */
export function fateOf(outcome: Outcome): Fate {
	switch (outcome) {
		case 'done':
			return 'acknowledged';
		// If the reply to a write was lost before the session was ended, `gone` proves nothing.
		case 'gone':
		case 'outdated':
		case 'failed':
		case 'died':
		case 'broken':
			return 'unknown';
		default:
			return 'refused';
	}
}

/** Whether the store may yet do what the application was told to have failed: docs/reference/session.md. */
function isStillUnderWay({ outcome, resolvedAt }: Act): boolean {
	return outcome === 'unknown' && performance.now() - resolvedAt < LONGEST_DELAY;
}

/** More milliseconds than proxies and clients hold a command. */
const LONGEST_DELAY = 10_000;

function overlap(one: Act, other: Act): boolean {
	const done = one.outcome !== 'refused' && other.outcome !== 'refused';
	return done && one.sent < other.resolved && other.sent < one.resolved;
}

function foreignUser(found: Found, session: SessionHistory): boolean {
	return found.userId !== undefined && found.userId !== userName(session.user);
}
