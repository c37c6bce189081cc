import { beforeEach, expect, test } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type SessionEvent,
	type SveltekitSessionConfig
} from '../src/index.js';
import { remote, visit, visitor } from './visits.js';

/* The reuse of an ID that a renewal has replaced. */

let store: MemoryStore;
let events: SessionEvent[];
let options: SveltekitSessionConfig;

beforeEach(() => {
	[store, events] = [new MemoryStore(), []];
	options = {
		secret: '0123456789abcdef0123456789abcdef',
		store,
		renewGrace: 0,
		onEvent: (event) => events.push(event)
	};
});

/** The cookie of a session before it was renewed, and the one after that. */
async function renewed(cookie: string): Promise<[string, string]> {
	const renewal = await visit(options, async (session) => session.renew(), cookie);
	events.length = 0;
	return [cookie, renewal.cookies[0] ?? ''];
}

async function loggedIn(): Promise<string> {
	return (await visit(options, async (session) => session.login('ada'))).cookies[0] ?? '';
}

test('the event names the session of a user as its list does', async () => {
	const [old] = await renewed(await loggedIn());
	const [{ handle: logId } = {}] = await sessions(options).of('ada').list();
	await visit(options, () => undefined, old);
	expect(events).toEqual([{ type: 'reuse', logId, revoked: false }]);
	expect(await sessions(options).of('ada').list()).toHaveLength(1);
});

test('the event names the session of a visitor as its log does', async () => {
	const [old, current] = await renewed(await visitor(options, { n: 1 }));
	const { session } = await visit(options, () => undefined, current);
	await visit(options, () => undefined, old);
	expect(events).toEqual([{ type: 'reuse', logId: session.logId, revoked: false }]);
});

test('an ID that a login has replaced names no session', async () => {
	const old = await visitor(options, { n: 1 });
	await visit(options, async (session) => session.login('ada'), old);
	events.length = 0;
	await visit({ ...options, onReuse: 'revoke' }, () => undefined, old);
	expect(events).toEqual([{ type: 'reuse', revoked: false }]);
	expect(await sessions(options).of('ada').list()).toHaveLength(1);
});

test.each([
	['on a table', (): MemoryStore | ReturnType<typeof remote> => store],
	['on a store that is awaited', (): ReturnType<typeof remote> => remote(store)]
])('with onReuse: revoke, the session ends for both cookies, %s', async (_, storeOf) => {
	options = { ...options, onReuse: 'revoke', store: storeOf() };
	const [old, current] = await renewed(await loggedIn());
	const [{ handle: logId } = {}] = await sessions(options).of('ada').list();
	await visit(options, () => undefined, old);
	expect(events).toEqual([{ type: 'reuse', logId, revoked: true }]);
	const { session } = await visit(options, () => undefined, current);
	expect([session.userId, session.isNew]).toEqual([undefined, true]);
	expect(await sessions(options).of('ada').list()).toEqual([]);
});

test('a session that is only read is not revoked', async () => {
	options = { ...options, onReuse: 'revoke' };
	const [old, current] = await renewed(await loggedIn());
	expect(await sessions(options).read(old)).toBeUndefined();
	expect(await sessions(options).read(current)).toBeDefined();
});

test('a browser that also sends the later cookie is no thief', async () => {
	options = { ...options, onReuse: 'revoke' };
	const [old, current] = await renewed(await loggedIn());
	const { session } = await visit(options, () => undefined, `${old}; ${current}`);
	expect(session.userId).toBe('ada');
	expect(events).toEqual([expect.objectContaining({ type: 'reuse', revoked: false })]);
});

test('another value of onReuse is refused', () => {
	const wrong = { ...options, onReuse: 'end' } as unknown as SveltekitSessionConfig;
	expect(() => sveltekitSessionHandle(wrong)).toThrow("`onReuse` must be 'report' or 'revoke'");
});
