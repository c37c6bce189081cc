import { DatabaseSync } from 'node:sqlite';
import { inspect } from 'node:util';

import { describe, expect, test } from 'vitest';

import {
	DataError,
	MemoryStore,
	Session,
	StoreError,
	type Store,
	type SveltekitSessionConfig,
	type Telemetry
} from '../src/index.js';
import { SqliteStore } from '../src/stores/sqlite.js';
import { testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const ID = 'bu5Yx0wN_cMZ8rBqXq3m1PjTnVJhY2Ka';
const DATA = 'correct horse battery staple';

/** Everything that a log could show of a value. */
function shown(value: unknown): string {
	const { stack = '' } = value as Error;
	return [
		inspect(value, { depth: Infinity, showHidden: true }),
		inspect(value),
		JSON.stringify(value),
		String(value),
		stack
	].join('\n');
}

function storeThat(thrown: unknown): Store {
	const fail = async (): Promise<never> => {
		throw thrown;
	};
	return { get: fail, set: fail, destroy: fail, touch: fail };
}

async function failure(
	store: Store,
	more: Partial<SveltekitSessionConfig> = {}
): Promise<StoreError & { cause: Error & { code?: unknown; cause?: Error } }> {
	const session = await Session.initialize(testEvent().event, { secret: SECRET, store, ...more });
	await session.setData({ secret: DATA });
	const error: unknown = await session.save().catch((thrown: unknown) => thrown);
	expect(error).toBeInstanceOf(StoreError);
	return error as never;
}

const secretly = `${ID} ${DATA}`;
const withMembers = (error: Error, members: object): Error => Object.assign(error, members);

class PrismaClientKnownRequestError extends Error {
	override name = 'PrismaClientKnownRequestError';
	readonly code = 'P2002';
	readonly meta = { target: [secretly] };
}

describe('only name and code of a store’s error are kept', () => {
	test.each([
		[
			'a reply with its command',
			withMembers(new Error(`READONLY You can't write ${secretly}`), {
				name: 'ReplyError',
				command: { name: 'set', args: [ID, DATA] }
			}),
			{ name: 'ReplyError', code: 'READONLY' }
		],
		[
			'a message with the request',
			withMembers(new Error(`ERR syntax, command was: ["set","${ID}","${DATA}"]`), {
				name: 'UpstashError'
			}),
			{ name: 'UpstashError', code: 'ERR' }
		],
		[
			'an error of the system',
			withMembers(new Error(`connect ${secretly}`), { code: 'ECONNREFUSED' }),
			{ name: 'Error', code: 'ECONNREFUSED' }
		],
		[
			'an error of Workers KV',
			new Error(`KV PUT failed: 413 Value ${secretly} is too long`),
			{ name: 'Error', code: '413' }
		],
		['an error of Prisma', new PrismaClientKnownRequestError(secretly), { code: 'P2002' }],
		[
			'a code that is none',
			withMembers(new TypeError(secretly), { code: ID }),
			{ name: 'TypeError' }
		],
		['a name that is none', withMembers(new Error('failed'), { name: ID }), { name: 'Error' }],
		[
			'a value at the beginning of the message, which is no code',
			new Error(`ALICE ${DATA}`),
			{ message: expect.not.stringContaining('ALICE') as string }
		],
		['text', secretly, { name: 'string' }],
		['an object', { id: ID, data: DATA, toString: (): string => DATA }, { name: 'object' }],
		['nothing', undefined, { name: 'undefined' }],
		[
			'an object that throws when it is looked at',
			new Proxy(new Error(secretly), {
				get: () => {
					throw new Error(secretly);
				}
			}),
			{ name: 'Error' }
		]
	])('%s', async (_, thrown, kept) => {
		const error = await failure(storeThat(thrown));
		expect(error.code).toBe('store_failed');
		expect(error.cause).toMatchObject(kept);
		expect(shown(error)).not.toContain(ID);
		expect(shown(error)).not.toContain(DATA);
	});

	test('in nested and aggregate errors, too', async () => {
		const below = withMembers(new Error(secretly), { code: 'ECONNRESET' });
		const fetching = new TypeError(`fetch failed ${ID}`, { cause: below });
		const one = await failure(storeThat(fetching));
		expect(one.cause.cause).toMatchObject({ code: 'ECONNRESET' });
		const several = new AggregateError([below, fetching], secretly);
		const many = await failure(storeThat(several));
		expect(many.cause).toMatchObject({ name: 'AggregateError', cause: { code: 'ECONNRESET' } });
		const circle = new Error(secretly);
		circle.cause = circle;
		for (const error of [one, many, await failure(storeThat(circle))]) {
			expect(shown(error)).not.toContain(ID);
			expect(shown(error)).not.toContain(DATA);
		}
	});

	test('even if the application throws an error of this package', async () => {
		const own = new StoreError('store_failed', 'the table is missing', {
			cause: new Error(secretly)
		});
		const error = await failure(storeThat(own));
		expect(error.message).toBe('the table is missing');
		expect(shown(error)).not.toContain(ID);
	});

	test('in events and in telemetry', async () => {
		const seen: unknown[] = [];
		const telemetry: Telemetry = {
			event: () => undefined,
			store: async (_, run) => {
				try {
					return await run();
				} catch (error) {
					seen.push(error);
					throw error;
				}
			}
		};
		const memory = new MemoryStore();
		const options: SveltekitSessionConfig = { secret: SECRET, store: memory };
		const login = testEvent();
		const session = await Session.initialize(login.event, options);
		await session.save();
		const cookie = `connect.sid=${login.cookies[0]?.value ?? ''}`;
		await Session.initialize(testEvent(cookie).event, {
			secret: SECRET,
			store: storeThat(withMembers(new Error(secretly), { command: { args: [ID] } })),
			onStoreError: 'anonymous',
			telemetry,
			onEvent: (event) => seen.push(event)
		});
		expect(seen).toMatchObject([
			{ code: 'store_failed' },
			{ type: 'store_failed', error: { code: 'store_failed' } }
		]);
		for (const one of seen) expect(shown(one)).not.toContain(ID);
	});
});

test('the message of a parser is not shown', async () => {
	const memory = new MemoryStore({
		serializer: {
			stringify: () => DATA,
			parse: (text) => JSON.parse(text) as never
		}
	});
	await memory.set(ID, { cookie: { path: '/' }, data: {} }, 60_000);
	const error: unknown = await memory.get(ID).catch((thrown: unknown) => thrown);
	expect(error).toBeInstanceOf(DataError);
	expect(error).toMatchObject({ code: 'json', cause: { name: 'SyntaxError' } });
	expect(shown(error)).not.toContain('correct');
});

test('an error of SQLite says which', async () => {
	const database = new DatabaseSync(':memory:');
	const store = new SqliteStore({ database });
	await store.get(ID);
	database.exec('PRAGMA query_only = 1');
	const error = await failure(store);
	expect(error.cause).toMatchObject({ name: 'Error', code: 'SQLITE_READONLY' });
});
