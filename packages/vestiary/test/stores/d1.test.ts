import { Miniflare } from 'miniflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ConfigError, Session, sessions, StoreError } from '../../src/index.js';
import DefaultStore, { D1Store, type D1Binding, type D1StoreOptions } from '../../src/stores/d1.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { touchesInOneCall } from './touching.js';
import { d1Of } from './workerd-bindings.js';

const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';

/** D1 as workerd has it: each statement is a request to a worker that runs it. */
const WORKER = `export default {
	async fetch(request, { DB }) {
		const { sql, values, method } = await request.json();
		const statement = DB.prepare(sql);
		try {
			const bound = values.length === 0 ? statement : statement.bind(...values);
			return Response.json({ answer: await bound[method]() });
		} catch (error) {
			return Response.json({ message: error.message });
		}
	}
};`;

let workerd: Miniflare;

interface Reply {
	readonly message?: string;
	readonly answer: unknown;
}

const client = d1Of(async (request) => {
	const body = JSON.stringify(request);
	const response = await workerd.dispatchFetch('https://d1.example/', { method: 'POST', body });
	const { message, answer } = (await response.json()) as Reply;
	if (message !== undefined) throw new Error(message);
	return answer;
});

beforeAll(async () => {
	workerd = new Miniflare({ modules: true, script: WORKER, d1Databases: ['DB'] });
	await workerd.ready;
});

afterAll(() => workerd.dispose());

async function store(options: Partial<D1StoreOptions> = {}): Promise<D1Store> {
	const made = new D1Store({ client, ...options });
	await made.migrate();
	return made;
}

testStore('D1Store', store, { runner: { describe, test } });
testAtomicStore('D1Store', store, { runner: { describe, test } });

describe('D1Store', () => {
	test('is the default export, too', () => {
		expect(DefaultStore).toBe(D1Store);
	});

	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall(await store());
	});

	test('reads, two reads, and writes are one statement each', async () => {
		const statements: string[] = [];
		const counted: D1Binding = {
			prepare: (sql) => {
				statements.push(sql);
				return client.prepare(sql);
			}
		};
		await store();
		const { atomic } = new D1Store({ client: counted });
		await atomic?.create('id', RECORD, 60_000, false);
		for (const one of [
			async () => atomic?.read('id'),
			async () => atomic?.readTwo?.('id', 'none'),
			async () => atomic?.replace('id', 'A'.repeat(16), RECORD, 60_000),
			async () => atomic?.touch('id', 60_000, 'A'.repeat(16)),
			async () => atomic?.remove('id', 'A'.repeat(16))
		]) {
			statements.length = 0;
			await one();
			expect(statements, one.toString()).toHaveLength(1);
		}
	});

	test('without the table, the error says what to do', async () => {
		const made = new D1Store({ client, table: 'later' });
		const error: unknown = await made.get('id').catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(StoreError);
		expect(error).toMatchObject({
			refused: true,
			message: expect.stringMatching(
				/`npx wrangler d1 migrations apply`.*call `await store\.migrate\(\)` once/
			) as string
		});
		for (const statement of made.schema.split(';\n')) await client.prepare(statement).run();
		expect(await made.get('id')).toBeNull();
	});

	test('sessions, lists and revocations work on it', async () => {
		const options = { secret: '0123456789abcdef0123456789abcdef', store: await store() };
		const session = await Session.initialize(testEvent().event, options);
		await session.login('ada');
		await session.update((data) => ({ ...data, n: 1 }));
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
		await sessions(options).of('ada').revokeAll();
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test.each<[string, unknown]>([
		['no binding', {}],
		['a binding in place of the options', { prepare: () => undefined }],
		['another name than a plain one', { client: { prepare: () => undefined }, table: 'a-b' }]
	])('%s is refused at once', (_, options) => {
		expect(() => new D1Store(options as D1StoreOptions)).toThrow(ConfigError);
	});

	test('a binding that the Worker does not have is refused with where to add it', () => {
		const { DB } = {} as { DB: D1Binding };
		expect(() => new D1Store({ client: DB })).toThrow(
			'add a database of this name to `d1_databases` in wrangler.jsonc'
		);
	});
});
