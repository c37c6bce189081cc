import { beforeEach, expect, test } from 'vitest';

import {
	MemoryStore,
	Session,
	sessions,
	type AtomicOperations,
	type AtomicStamp,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

/** Revoking all sessions of a user takes one round trip if the store dates its writes. */

const SECRET = '0123456789abcdef0123456789abcdef';

let atomic: AtomicOperations;
let calls: string[];
/** How far the store's clock is ahead, in milliseconds. */
let ahead: number;

beforeEach(() => {
	const memory = new MemoryStore().atomic;
	if (!memory) throw new Error('a memory store is atomic');
	atomic = memory;
	calls = [];
	ahead = 0;
});

/** A store that supports it, and records its calls. */
function dating(stamp: AtomicOperations['stamp'] = stamped): SveltekitSessionConfig {
	const heard: AtomicOperations = {
		...atomic,
		now: async () => Date.now() + ahead,
		read: async (id) => {
			calls.push('read');
			return atomic.read(id);
		},
		create: async (...given) => {
			calls.push('create');
			return atomic.create(...given);
		},
		replace: async (...given) => {
			calls.push('replace');
			return atomic.replace(...given);
		},
		stamp: async (...given) => {
			calls.push('stamp');
			return stamp(...given);
		}
	};
	const store: Store = {
		get: async () => null,
		set: async () => undefined,
		destroy: async () => undefined,
		touch: async () => undefined,
		atomic: heard
	};
	return { secret: SECRET, store };
}

async function stamped(id: string, text: string, ttl: number): Promise<AtomicStamp> {
	const before = await atomic.read(id);
	const time = Date.now() + ahead;
	const writeId = before?.slice(6, 22);
	if (writeId === undefined) await atomic.create(id, `${text}${time}}`, ttl, true);
	else await atomic.replace(id, writeId, `${text}${time}}`, ttl);
	return [time, before];
}

async function login(options: SveltekitSessionConfig, provenAt?: Date): Promise<Session> {
	const session = await Session.initialize(testEvent().event, options);
	await session.login('ada', provenAt && { provenAt });
	return session;
}

test('revokeAll asks the store once, and revokeOthers reads the list', async () => {
	const options = dating();
	const session = await login(options);
	const ada = sessions(options).of('ada');
	calls = [];
	await ada.revokeOthers(session);
	expect(calls).toEqual(['read', 'replace']);
	calls = [];
	await ada.revokeAll();
	expect(calls).toEqual(['stamp']);
	expect(await ada.list()).toEqual([]);
	await login(options);
	expect(await ada.list()).toHaveLength(1);
});

test('a login that was proven before is refused by the clock of the store', async () => {
	const options = dating();
	for (ahead of [0, 3_600_000, -3_600_000]) {
		const provenAt = new Date(Date.now() - 1_000);
		await sessions(options).of('ada').revokeAll();
		await expect(login(options, provenAt), String(ahead)).rejects.toMatchObject({
			code: 'login_outdated'
		});
	}
});

test.each<[string, AtomicOperations['stamp']]>([
	['has another text there', async () => null],
	[
		'does not answer',
		async () => {
			throw new Error('connection reset');
		}
	],
	[
		'answers after it has done it',
		async (...given) => {
			await stamped(...given);
			throw new Error('connection reset');
		}
	],
	['does not keep to its type', async () => ['soon', null] as unknown as AtomicStamp]
])('a store that %s is asked for the list', async (_, stamp) => {
	const options = dating(stamp);
	await login(options);
	const provenAt = new Date(Date.now() - 1_000);
	const ada = sessions(options).of('ada');
	calls = [];
	await ada.revokeAll();
	expect(calls).toEqual(['stamp', 'read', 'replace']);
	expect(await ada.list()).toEqual([]);
	await expect(login(options, provenAt)).rejects.toMatchObject({ code: 'login_outdated' });
});

test('a store is not asked to write into a list that is encrypted', async () => {
	const options = { ...dating(), encrypt: true };
	await login(options);
	calls = [];
	await sessions(options).of('ada').revokeAll();
	expect(calls).toEqual(['read', 'replace']);
});
