/** `sessionsPerUser: { most, whenFull: 'refuse' }`: a login beyond the limit is refused, and changes nothing. */

import { beforeEach, describe, expect, test } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	sessions,
	TooManySessionsError,
	VestiaryError,
	type Session,
	type SessionsPerUser,
	type SveltekitSessionConfig
} from '../src/index.js';
import { remote, visit, visitor } from './visits.js';

let memory: MemoryStore;
let events: string[];

beforeEach(() => {
	memory = new MemoryStore();
	events = [];
});

function options(limit: SessionsPerUser, store = memory): SveltekitSessionConfig {
	return {
		secret: 'hunter2-hunter2-hunter2-hunter2-',
		store,
		onEvent: ({ type }) => void events.push(type),
		sessionsPerUser: limit
	};
}

/** The options of another process. */
function elsewhere(limit: SessionsPerUser): SveltekitSessionConfig {
	return { ...options(limit), store: remote(memory) };
}

const refusing = (most: number): SessionsPerUser => ({ most, whenFull: 'refuse' });

async function labels(): Promise<unknown[]> {
	const list = await sessions(options(refusing(1)))
		.of('ada')
		.list();
	return list.map(({ label }) => label);
}

/** Logs in, and returns the error of a refusal. */
async function refusal(session: Session, label = 'new'): Promise<unknown> {
	return session.login('ada', { label }).then(
		() => undefined,
		(error: unknown) => error
	);
}

describe.each([
	['in this process', options],
	['in another one', elsewhere]
])('a login beyond the limit, %s', (_, config) => {
	test('is a TooManySessionsError, and the visitor keeps everything', async () => {
		await visit(options(refusing(1)), async (session) =>
			session.login('ada', { label: 'old' })
		);
		const cookie = await visitor(options(refusing(1)), { cart: ['coat'] });
		const size = memory.size;
		events.length = 0;
		const { setCookie, session } = await visit(
			config(refusing(1)),
			async (before) => {
				const error = await refusal(before);
				expect(error).toBeInstanceOf(TooManySessionsError);
				expect(error).toBeInstanceOf(VestiaryError);
				expect(error).toMatchObject({
					code: 'too_many_sessions',
					name: 'TooManySessionsError'
				});
				expect(String(error)).toContain('`sessionsPerUser`');
				expect(before).toMatchObject({ userId: undefined, data: { cart: ['coat'] } });
			},
			cookie
		);
		expect(session.data).toEqual({ cart: ['coat'] });
		expect([setCookie, events]).toEqual([[], []]);
		expect(memory.size).toBe(size);
		expect(await labels()).toEqual(['old']);
	});

	test('keeps what the visitor has not saved yet', async () => {
		await visit(options(refusing(1)), async (session) => session.login('ada'));
		const cookie = await visitor(options(refusing(1)), { cart: ['coat'] });
		const { session } = await visit(
			config(refusing(1)),
			async (before) => {
				before.data.n = 5;
				expect(await refusal(before)).toBeInstanceOf(TooManySessionsError);
				await before.save();
			},
			cookie
		);
		expect(session.data).toEqual({ cart: ['coat'], n: 5 });
	});

	test('of a browser whose session is in the list replaces that one', async () => {
		const { cookies } = await visit(options(refusing(1)), async (session) =>
			session.login('ada', { label: 'old' })
		);
		const again = await visit(config(refusing(1)), refusal, cookies[0]);
		expect(again.cookies).toHaveLength(1);
		expect(await labels()).toEqual(['new']);
		await visit(
			options(refusing(1)),
			async (session) => {
				expect(session.userId).toBe('ada');
			},
			again.cookies[0]
		);
	});

	test('is accepted after one of the sessions was ended in the same request', async () => {
		await visit(options(refusing(1)), async (session) =>
			session.login('ada', { label: 'old' })
		);
		const { cookies } = await visit(config(refusing(1)), async (session) => {
			expect(await refusal(session)).toBeInstanceOf(TooManySessionsError);
			const list = sessions(config(refusing(1))).of('ada');
			for (const { handle } of await list.list()) await list.revoke(handle);
			await session.login('ada', { label: 'new' });
		});
		expect(cookies).toHaveLength(1);
		expect(await labels()).toEqual(['new']);
	});
});

test.each([1, 2, 3])(
	'of 8 logins at the same moment with %d places, so many get in',
	async (most) => {
		const visits = await Promise.all(
			Array.from({ length: 8 }, async (_, n) => {
				// An anonymous session before, or none; in this process, or in another one.
				const config = n % 2 ? elsewhere(refusing(most)) : options(refusing(most));
				const before = n % 4 < 2 ? await visitor(config, { n }) : undefined;
				let error: unknown;
				const done = await visit(
					config,
					async (session) => {
						error = await refusal(session, String(n));
					},
					before
				);
				return { ...done, before, error, n };
			})
		);
		const accepted = visits.filter(({ error }) => error === undefined);
		expect(accepted).toHaveLength(most);
		expect((await labels()).sort()).toEqual(accepted.map(({ n }) => String(n)).sort());
		for (const { error, before, cookies, session, n } of visits) {
			expect(cookies).toHaveLength(error === undefined ? 1 : 0);
			if (error === undefined) continue;
			expect(error).toBeInstanceOf(TooManySessionsError);
			expect(session.data).toEqual(before === undefined ? {} : { n });
			await visit(
				options(refusing(most)),
				async (later) => {
					expect(later.data).toEqual(session.data);
				},
				before
			);
		}
	}
);

test('the limit is a number, or an object whose members are optional', async () => {
	for (const limit of [{}, { most: 2 }, { whenFull: 'evict' }] as const) {
		memory = new MemoryStore();
		for (let n = 0; n < 3; n++)
			await visit(options(limit), async (session) =>
				session.login('ada', { label: String(n) })
			);
		expect((await labels()).length).toBe('most' in limit ? 2 : 3);
	}
	memory = new MemoryStore();
	const endless = options({ most: Infinity, whenFull: 'refuse' });
	for (let n = 0; n < 110; n++) await visit(endless, async (session) => session.login('ada'));
	expect(await labels()).toHaveLength(110);
	memory = new MemoryStore();
	const some = options({ whenFull: 'refuse' });
	let error: unknown;
	for (let n = 0; n <= 100; n++)
		await visit(some, async (session) => {
			error = await refusal(session);
		});
	expect(error).toBeInstanceOf(TooManySessionsError);
	expect(await labels()).toHaveLength(100);
});

test('a list of endless length refuses a login when it has the size of a record', async () => {
	const endless = options({ most: Infinity, whenFull: 'refuse' });
	const label = '\u0001'.repeat(256);
	let error: unknown;
	for (let n = 0; n < 60 && error === undefined; n++)
		await visit(endless, async (session) => {
			error = await refusal(session, label);
		});
	expect(error).toBeInstanceOf(TooManySessionsError);
	const before = await labels();
	expect(before.length).toBeGreaterThan(30);
	await visit(endless, async (session) => {
		expect(await refusal(session, label)).toBeInstanceOf(TooManySessionsError);
	});
	expect(await labels()).toHaveLength(before.length);
});

test.each([
	[{ most: 0 }, '`sessionsPerUser` must be a whole number from 1 to 4294967295'],
	[{ most: NaN, whenFull: 'refuse' }, '`sessionsPerUser` must be a whole number'],
	[{ most: '3' }, '`sessionsPerUser.most` must be a number, not string'],
	[{ whenFull: true }, '`sessionsPerUser.whenFull` must be a string, not boolean'],
	[{ whenFull: 'queue' }, "`sessionsPerUser.whenFull` must be 'evict' or 'refuse'"],
	[{ max: 3 }, '`sessionsPerUser.max` is not a member of `sessionsPerUser`']
])('%j is no limit', (limit, message) => {
	const wrong = options(limit as SessionsPerUser);
	expect(() => sessions(wrong)).toThrow(ConfigError);
	expect(() => sessions(wrong)).toThrow(message);
});
