import { beforeEach, describe, expect, test } from 'vitest';

import { MemoryStore, Session, sessions, sveltekitSessionHandle } from '../src/index.js';
import { revoking, watch } from '../src/open-sessions.js';
import { testEvent } from './event.js';

/* Sessions that requests of this process have open, which end at once when it revokes them. */

let options: { secret: string; store: MemoryStore };

beforeEach(() => {
	options = { secret: '0123456789abcdef0123456789abcdef', store: new MemoryStore() };
});

async function loggedIn(): Promise<string> {
	const { event, cookies } = testEvent();
	await (await Session.initialize(event, options)).login('ada');
	return `connect.sid=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`;
}

/** A request that has its session open until it is let go. */
async function open(cookie: string): Promise<{ session: Session; end: () => Promise<unknown> }> {
	const { event } = testEvent(cookie);
	let leave = (): void => undefined;
	const left = new Promise<void>((resolve) => (leave = resolve));
	let arrive = (): void => undefined;
	const arrived = new Promise<void>((resolve) => (arrive = resolve));
	const response = sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			arrive();
			await left;
			return new Response();
		}
	});
	await arrived;
	return {
		session: event.locals.session,
		end: async () => {
			leave();
			return response;
		}
	};
}

test('a request that ends leaves those of other requests of the same user', async () => {
	const first = await open(await loggedIn());
	const second = await open(await loggedIn());
	await first.end();
	const third = await open(await loggedIn());
	await sessions(options).of('ada').revokeAll();
	expect([second.session.userId, third.session.userId]).toEqual([undefined, undefined]);
	// The session that was closed first is not affected by the user any more.
	await second.end();
	await third.end();
});

test('a request that ends does not forget a user whose sessions were opened anew since', async () => {
	const cookie = await loggedIn();
	const first = await open(cookie);
	await first.end();
	const second = await open(cookie);
	// Once more for the first one, as its scope forgets it.
	await first.end();
	await sessions(options).of('ada').revokeAll();
	expect(second.session.userId).toBeUndefined();
	await second.end();
});

describe('with more users than are tracked', () => {
	const MOST = 10_000;

	test('the oldest is dropped, and learns of it when it writes', () => {
		const { store } = options;
		const revoked: string[] = [];
		const open = Array.from({ length: MOST }, (_, n) => ({
			handle: 'handle',
			isOpen: true,
			revoked: () => revoked.push(`user ${n}`)
		}));
		const end = (n: number): void => {
			revoking(store, `user ${n}`)(() => true, undefined);
		};
		for (const [n, session] of open.entries()) watch(store, `user ${n}`, session, true);
		end(0);
		expect(revoked).toEqual(['user 0']);
		const one = { handle: 'handle', isOpen: true, revoked: () => revoked.push('one more') };
		watch(store, 'one more', one, true);
		for (const n of [0, 1, MOST - 1]) end(n);
		revoking(store, 'one more')(() => true, undefined);
		expect(revoked).toEqual(['user 0', 'user 1', `user ${MOST - 1}`, 'one more']);
	});
});
