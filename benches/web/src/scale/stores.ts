/** The memory stores, with a common interface. */
import { hash } from 'node:crypto';

import session from 'express-session';
import { MemoryStore as TheirStore } from 'svelte-kit-sessions';
import { MemoryStore } from 'vestiary';

import type { Data } from '../peers/peer.ts';

export interface Asked {
	get: (id: string) => Promise<unknown>;
	set: (id: string, user: string, ttl: number) => Promise<unknown>;
	touch: (id: string, ttl: number) => Promise<unknown>;
}

export const STORES: Record<string, () => Asked> = {
	vestiary: () => {
		const store = new MemoryStore({ maxEntries: 10_000_000, maxBytes: 2 ** 31 });
		return {
			get: (id) => store.get(id),
			set: (id, user, ttl) => store.set(id, recordOf(user), ttl),
			touch: (id, ttl) => store.touch(id, ttl)
		};
	},
	'svelte-kit-sessions': () => {
		const store = new TheirStore();
		return {
			get: (id) => store.get(id),
			set: (id, user, ttl) => store.set(id, recordOf(user), ttl),
			touch: (id, ttl) => store.touch(id, ttl)
		};
	},
	'express-session': () => {
		const store = new session.MemoryStore();
		const called = (call: (done: (error?: unknown, found?: unknown) => void) => void) =>
			new Promise((resolve, reject) => {
				call((error, found) => {
					if (error) reject(new Error('the store has failed', { cause: error }));
					else resolve(found);
				});
			});
		const flat = (user: string, ttl: number): session.SessionData => {
			const cookie = Object.assign(new session.Cookie(), { maxAge: ttl });
			return { ...recordOf(user).data, cookie };
		};
		return {
			get: (id) =>
				called((done) => {
					store.get(id, done);
				}),
			set: (id, user, ttl) =>
				called((done) => {
					store.set(id, flat(user, ttl), done);
				}),
			touch: (id, ttl) =>
				called((done) => {
					store.touch(id, flat(id, ttl), done);
				})
		};
	}
};

/** 32 characters, computed on demand, because a list of them would distort the result. */
export function idOf(n: number): string {
	return hash('sha256', `${n}`, 'buffer').toString('base64url', 0, 24);
}

/** A record whose JSON has 200 bytes. */
function recordOf(user: string): { cookie: { path: string }; data: Data } {
	return { cookie: { path: '/' }, data: { userId: user, visits: 1, cart: CART } };
}

const CART = 'x'.repeat(
	200 -
		JSON.stringify({ cookie: { path: '/' }, data: { userId: idOf(0), visits: 1, cart: '' } })
			.length
);
