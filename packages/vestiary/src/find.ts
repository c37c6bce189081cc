import { ownerIn, readRecord, type OwnCookie, type User } from './core.js';
import { DataError } from './errors.js';
import { Found, Listed, mayBeReadElsewhere } from './generated/vestiary.js';
import { RENEWALS, type ListAhead, type Stored } from './records.js';
import type { Scope } from './scope.js';
import type { SessionData } from './types.js';

/** What a visitor's cookie led to. */
export interface Loaded {
	readonly stored: Stored;
	readonly data: SessionData;
	readonly owner: Owner | undefined;
	/** Bits of `Found`. */
	readonly found: number;
	/** The cookie has an old ID. */
	readonly renewed: boolean;
	/** Its own cookie attributes. */
	readonly own: OwnCookie | undefined;
}

/** A session whose idle or absolute deadline is over. */
export interface Expired {
	readonly expired: string;
	readonly own: OwnCookie | undefined;
}

/** Whose session it is. */
export interface Owner extends User {
	/** It has to be written down that the session is used. */
	stale?: boolean;
	/** The session's own cookie attributes. */
	own?: OwnCookie | undefined;
}

/**
 * The session of most requests: of this ID, if the store need not be waited for, and there is nothing to do
 * about it and nothing to tell. Of all others {@link find} finds out what they are.
 */
export function glance(scope: Scope, id: string): Loaded | undefined {
	const { core, records } = scope.runtime;
	const looked = records.look(id, scope.began);
	if (!looked || (looked.found & ~(Found.Express | Found.Owned | Found.Cookie)) !== 0)
		return undefined;
	const { text, found } = looked;
	const stored = { id, text, at: scope.began };
	const own = found & Found.Cookie ? core.cookieOf(text) : undefined;
	if (looked.data !== undefined && !(found & Found.Owned)) {
		const data = JSON.parse(looked.data) as SessionData;
		return { stored, data, owner: undefined, found, renewed: false, own };
	}
	const { data, meta } = readRecord(text, found);
	const owner = ownerIn(meta);
	if (owner) {
		const list = records.lookAtList(owner.name);
		try {
			const listed = list === undefined ? 0 : core.userKnows(list, owner.handle, own);
			if (!(listed & Listed.Known) || listed & Listed.Stale) return undefined;
		} catch {
			return undefined;
		}
	}
	return { stored, data, owner, found, renewed: false, own };
}

/** A session that another instance of the application may be able to read, and this one cannot. */
export interface Unreadable {
	readonly unreadable: DataError;
}

/**
 * The session of one of these IDs, if there is a valid one; or else why one of them cannot be read, or the
 * tombstone of one that is out of use, which says where its session went.
 */
export async function find(
	scope: Scope,
	ids: string[]
): Promise<Loaded | Stored | Unreadable | Expired | undefined> {
	let other: Stored | Unreadable | undefined;
	let expired: Expired | undefined;
	for (const id of ids) {
		const found = await follow(scope, id);
		if (found && 'data' in found) return found;
		if (found && 'expired' in found) expired ??= found;
		else if (!other || (found && 'unreadable' in found)) other = found ?? other;
	}
	return other ?? expired;
}

async function follow(
	scope: Scope,
	id: string
): Promise<Loaded | Stored | Unreadable | Expired | undefined> {
	const { core, records } = scope.runtime;
	try {
		let next = id;
		let list: ListAhead | undefined;
		for (let renewals = 0; renewals <= RENEWALS; renewals++) {
			// The session has the same user under each of its IDs.
			const { stored, ahead = list } = list
				? { stored: await records.load(next) }
				: await records.loadAhead(next);
			list = ahead;
			const loss = records.takeLoss();
			if (loss) scope.tell({ type: 'store_failed', error: loss });
			if (!stored) {
				scope.tell({ type: 'unknown' });
				scope.lost.push(id);
				return undefined;
			}
			const found = core.inspect(stored.text);
			if (found & Found.Retired) {
				scope.tell({ type: 'reuse' });
				return stored;
			}
			if (!(found & Found.Renewed))
				return await live(scope, stored, found, next !== id, list);
			next = core.nextId(next, stored.text) ?? next;
		}
		return undefined;
	} catch (error) {
		const code = faultOfRecord(error);
		if (code === undefined) throw error;
		scope.tell({ type: 'unreadable', code });
		const elsewhere = error instanceof DataError && mayBeReadElsewhere(code);
		return elsewhere ? { unreadable: error } : undefined;
	}
}

/** The session of a record, if it has time left and its user has not ended it. */
async function live(
	scope: Scope,
	stored: Stored,
	found: number,
	renewed: boolean,
	ahead: ListAhead | undefined
): Promise<Loaded | Unreadable | Expired | undefined> {
	const { core, records } = scope.runtime;
	const { v, data, meta } = readRecord(stored.text, found);
	const own = found & Found.Cookie ? core.cookieOf(stored.text) : undefined;
	if (found & Found.Over) {
		scope.tell({ type: 'expired' });
		const expired = ownerIn(meta);
		scope.lost.push(stored.id);
		scope.later(async () => {
			await records.discard(stored, v);
			if (expired) await records.leave(expired);
		});
		return { expired: stored.id, own };
	}
	const owner = ownerIn(meta);
	if (!owner) return { stored, data, owner, found, renewed, own };
	let admission;
	try {
		admission = await records.admits({ ...owner, own }, ahead);
	} catch (error) {
		if (!(error instanceof DataError)) throw error;
		scope.tell({ type: 'unreadable', code: error.code });
		return { unreadable: error };
	}
	if (!admission.admitted) {
		scope.tell({ type: 'revoked' });
		scope.later(async () => records.discard(stored, v));
		return undefined;
	}
	return { stored, data, owner: { ...owner, stale: admission.stale }, found, renewed, own };
}

/** What is wrong with the record; undefined if something else failed. */
function faultOfRecord(error: unknown): string | undefined {
	return error instanceof DataError ? error.code : undefined;
}
