import { createHash, createHmac } from 'node:crypto';

import { beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type AtomicOperations,
	type Session,
	type Store,
	type SveltekitSessionConfig,
	type Telemetry
} from '../src/index.js';
import { testEvent } from './event.js';

/* The ID of a logged-in visitor hints at the user's session list, so that session and list are one question. */

type App = (session: Session) => unknown;

const SECRET = '0123456789abcdef0123456789abcdef';

let memory: AtomicOperations;
let calls: string[];
let options: SveltekitSessionConfig;

beforeEach(() => {
	const { atomic } = new MemoryStore();
	if (!atomic) throw new Error('a memory store is atomic');
	memory = atomic;
	calls = [];
	options = { secret: SECRET, store: storeOf({}) };
});

/** A store of the application that records its calls, except writes. */
function storeOf(others: Partial<AtomicOperations>): Store {
	const readTwo = memory.readTwo?.bind(memory);
	const atomic: AtomicOperations = {
		...memory,
		read: async (id) => {
			calls.push('read');
			return memory.read(id);
		},
		...(readTwo && {
			readTwo: async (one, other) => {
				calls.push('readTwo');
				return readTwo(one, other);
			}
		}),
		...others
	};
	return {
		get: async () => Promise.resolve(null),
		set: async () => Promise.resolve(),
		destroy: async () => Promise.resolve(),
		touch: async () => Promise.resolve(),
		atomic
	};
}

/** Runs a request and returns the browser's cookie; `calls` has the reads. */
async function request(
	cookie: string | undefined,
	app: App = () => undefined,
	config = options
): Promise<string> {
	calls.length = 0;
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(config)({
		event,
		resolve: async () => {
			await app(event.locals.session);
			return new Response();
		}
	});
	const [set] = response.headers.getSetCookie();
	return set?.split(';', 1)[0] ?? cookie ?? '';
}

const login =
	(user: string): App =>
	async (session) =>
		session.login(user);

/** The ID in a cookie. */
const idOf = (cookie: string): string => decodeURIComponent(cookie).slice(12).split('.')[0] ?? '';

async function userOf(cookie: string, config = options): Promise<string | undefined> {
	let user: string | undefined;
	await request(cookie, (session) => (user = session.userId), config);
	return user;
}

describe('session and list of a logged-in visitor are one question', () => {
	test.each([
		['as it is', {}],
		['in a namespace', { namespace: 'admin' }],
		['under a hashed ID', { hashIds: true }],
		['encrypted', { encrypt: true }]
	])('%s', async (_, more) => {
		Object.assign(options, more);
		const cookie = await request(undefined, login('ada'));
		expect(await userOf(cookie)).toBe('ada');
		expect(calls).toEqual(['readTwo']);
		const anonymous = await request(undefined, async (session) => session.save());
		await request(anonymous);
		expect(calls).toEqual(['read']);
	});

	test('after a login on a session that was there, after a renewal, and by the old ID', async () => {
		const anonymous = await request(undefined, async (session) => session.save());
		const first = await request(anonymous, login('ada'));
		await request(first);
		expect(calls).toEqual(['readTwo']);
		const renewed = await request(first, async (session) => session.renew());
		expect(renewed).not.toBe(first);
		expect(await userOf(renewed)).toBe('ada');
		expect(calls).toEqual(['readTwo']);
		// The list is there when the session is found under its new ID; the cookie is set again, after a last look.
		expect(await userOf(first)).toBe('ada');
		expect(calls).toEqual(['readTwo', 'read', 'readTwo']);
	});

	test('even before the cookie of a rolling session leaves', async () => {
		Object.assign(options, { rolling: true, cookie: { maxAge: 600 } });
		const cookie = await request(undefined, login('ada'));
		await request(cookie);
		expect(calls).toEqual(['readTwo', 'readTwo']);
	});

	test('to telemetry, too', async () => {
		const cookie = await request(undefined, login('ada'));
		const asked: string[] = [];
		const telemetry: Telemetry = {
			event: () => undefined,
			store: async (operation, run) => {
				asked.push(operation);
				return run();
			}
		};
		await request(cookie, undefined, { ...options, telemetry });
		expect(asked).toEqual(['read']);
	});

	test('and a store without `readTwo` is asked for both before it has answered', async () => {
		const cookie = await request(undefined, login('ada'));
		let begun = 0;
		let answer: () => void = () => undefined;
		const both = new Promise<void>((resolve) => (answer = resolve));
		const read = async (id: string): Promise<string | null> => {
			if (++begun === 2) answer();
			await both;
			return memory.read(id);
		};
		const store = storeOf({ read });
		Reflect.deleteProperty(store.atomic ?? {}, 'readTwo');
		expect(await userOf(cookie, { ...options, store })).toBe('ada');
		expect(begun).toBe(2);
	});
});

describe('the hint', () => {
	test('is never trusted: whose session it is, its record says', async () => {
		const ada = await request(undefined, login('ada'));
		const eve = await request(undefined, login('eve'));
		// The record of ada’s session, under an ID that hints at the list of eve.
		const record = (await memory.read(idOf(ada))) ?? '';
		await memory.remove(
			idOf(eve),
			/"v":"([\w-]{16})/.exec((await memory.read(idOf(eve))) ?? '')?.[1] ?? null
		);
		await memory.create(idOf(eve), record, 60_000, true);
		expect(await userOf(eve)).toBe('ada');
		expect(calls).toEqual(['readTwo', 'read']);
		await sessions(options).of('eve').revokeAll();
		expect(await userOf(eve)).toBe('ada');
		await sessions(options).of('ada').revokeAll();
		expect(await userOf(eve)).toBeUndefined();
	});

	test('of a list that cannot be read ahead does not fail the session', async () => {
		const cookie = await request(undefined, login('ada'));
		const readTwo = async (one: string): Promise<[string | null, Error]> => {
			calls.push('readTwo');
			return [await memory.read(one), new Error('down')];
		};
		const config = { ...options, store: storeOf({ readTwo }) };
		expect(await userOf(cookie, config)).toBe('ada');
		expect(calls).toEqual(['readTwo', 'read']);
	});

	test.each([
		['fails', () => Promise.reject(new Error('down'))],
		['returns what is no text', () => Promise.resolve([1, null] as never)],
		['returns nothing', () => Promise.resolve(undefined as never)]
	])('a `readTwo` that %s is a failure of the store', async (_, readTwo) => {
		const cookie = await request(undefined, login('ada'));
		const config = { ...options, store: storeOf({ readTwo }) };
		await expect(request(cookie, undefined, config)).rejects.toMatchObject({
			code: 'store_failed'
		});
	});

	test('of an earlier secret still leads to the list', async () => {
		const cookie = await request(undefined, login('ada'));
		const config = { ...options, secret: ['another secret, of the next year', SECRET] };
		expect(await userOf(cookie, config)).toBe('ada');
		expect(calls).toEqual(['readTwo']);
	});

	test('is in no ID of the application', async () => {
		let ids = 0;
		const genid = vi.fn(() => `an-id-of-the-application-${ids++}`);
		const config = { ...options, genid };
		const cookie = await request(undefined, login('ada'), config);
		expect(idOf(cookie)).toMatch(/^an-id-of-the-application-\d$/);
		expect(await userOf(cookie, config)).toBe('ada');
		expect(calls).toEqual(['read', 'read']);
	});

	test('is what docs/explanation/security.md says', async () => {
		const id = idOf(await request(undefined, login('ada')));
		const [own = '', hint = ''] = id.split('~');
		const pad = (text: string): Buffer =>
			createHmac('sha256', SECRET).update(`vestiary.hint.v1\0${text}`).digest();
		const user = createHash('sha256').update('vestiary.user.v1ada').digest();
		const hidden = user.map((byte, at) => byte ^ (pad(own)[at] ?? 0));
		const expected = Buffer.concat([hidden, pad('').subarray(0, 1)]);
		expect(hint).toBe(expected.toString('base64url'));
	});

	test('shows neither the user nor which sessions are of one user', async () => {
		const parts = (text: string): string[] =>
			Array.from({ length: text.length - 5 }, (_, at) => text.slice(at, at + 6));
		const [one, other] = [
			idOf(await request(undefined, login('ada'))),
			idOf(await request(undefined, login('ada')))
		];
		expect(one).toMatch(/^[\w-]{32}~[\w-]{44}$/);
		expect(parts(one).filter((part) => other.includes(part))).toEqual([]);
	});
});
