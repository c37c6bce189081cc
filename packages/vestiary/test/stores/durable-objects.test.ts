import { readdir } from 'node:fs/promises';

import { Miniflare, type WorkerOptions } from 'miniflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ConfigError, Session, sessions, StoreError } from '../../src/index.js';
import DefaultStore, {
	DurableObjectStore,
	type DurableObjectStoreOptions,
	type SessionNamespace
} from '../../src/stores/durable-objects.js';
import { testAtomicStore, testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';
import { touchesInOneCall } from './touching.js';
import { nameOf, objectsOf } from './workerd-bindings.js';

const dist = new URL('../../dist/', import.meta.url).pathname;

/** The objects, as a Worker exports them. The test also looks into their storage. */
const OBJECTS = `
	import { SessionObject as Shipped } from './stores/session-object.js';

	export class SessionObject extends Shipped {
		async stored() {
			const { storage } = this.ctx;
			return { records: [...storage.kv.list()].length, alarm: await storage.getAlarm() };
		}
	}
	export class Another extends Shipped {
		read() {
			throw Object.assign(new Error('queued too long'), { overloaded: true });
		}
	}
	export class KeyValue extends Shipped {}
	export { DurableObject as Empty } from 'cloudflare:workers';
	export default { fetch: () => new Response() };
`;

/** An app's Worker: each request is a call of one object. */
const APP = `export default {
	async fetch(request, env) {
		const { namespace, name, method, args } = await request.json();
		const { [namespace]: objects } = env;
		try {
			const answer = await objects.get(objects.idFromName(name))[method](...args);
			return Response.json({ answer });
		} catch ({ message, overloaded }) {
			return Response.json({ error: { message, overloaded } });
		}
	}
};`;

let workerd: Miniflare;
let calls = 0;

/** A namespace of the app, from outside of workerd. */
function namespaceOf(namespace: string): SessionNamespace {
	return objectsOf(async (request) => {
		calls++;
		const body = JSON.stringify({ namespace, ...request });
		const url = 'https://objects.example/';
		const response = await workerd.dispatchFetch(url, { method: 'POST', body });
		const { answer, error } = (await response.json()) as { answer?: unknown; error?: Error };
		if (error) throw Object.assign(new Error(error.message), error);
		return answer;
	});
}

const client = namespaceOf('SESSIONS');

beforeAll(async () => {
	const files = await readdir(dist, { recursive: true });
	const modules = files
		.filter((file) => file.endsWith('.js') && !/^index|wasm|sqlite|testing/.test(file))
		.map((file) => ({ type: 'ESModule' as const, path: `${dist}${file}` }));
	const compatibilityDate = '2026-07-30';
	const class_ = (className: string, useSQLite = true) => ({
		className,
		scriptName: 'objects',
		useSQLite
	});
	const workers: WorkerOptions[] = [
		{
			name: 'app',
			compatibilityDate,
			modules: true,
			script: APP,
			durableObjects: {
				SESSIONS: class_('SessionObject'),
				OVERLOADED: class_('Another'),
				EMPTY: class_('Empty'),
				KEY_VALUE: class_('KeyValue', false)
			}
		},
		{
			name: 'objects',
			compatibilityDate,
			modulesRoot: dist,
			modules: [
				{ type: 'ESModule', path: `${dist}objects.js`, contents: OBJECTS },
				...modules
			]
		}
	];
	workerd = new Miniflare({ workers });
	await workerd.ready;
});

afterAll(() => workerd.dispose());

const store = (): DurableObjectStore => new DurableObjectStore({ client });

testStore('DurableObjectStore', store, { runner: { describe, test } });
testAtomicStore('DurableObjectStore', store, { runner: { describe, test } });

const RECORD = '{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{}}';
const WRITE_ID = 'A'.repeat(16);

describe('DurableObjectStore', () => {
	/** The number of records that an object keeps for an ID, and its alarm. */
	async function stored(id: string): Promise<{ records: number; alarm: number | null }> {
		const stub = client.get(client.idFromName(`sess:${id}`)) as unknown as {
			stored: () => Promise<{ records: number; alarm: number | null }>;
		};
		return stub.stored();
	}

	test('is the default export, too', () => {
		expect(DefaultStore).toBe(DurableObjectStore);
	});

	test('a touch compares the write ID itself, in one call', async () => {
		await touchesInOneCall(store());
	});

	test('every operation is one call of an object, and two reads are two at the same time', async () => {
		const { atomic } = store();
		for (const [expected, run] of [
			[1, async () => atomic?.create('id', RECORD, 60_000, false)],
			[1, async () => atomic?.read('id')],
			[2, async () => atomic?.readTwo?.('id', 'none')],
			[1, async () => atomic?.replace('id', WRITE_ID, RECORD, 60_000)],
			[1, async () => atomic?.touch('id', 60_000, WRITE_ID)],
			[1, async () => atomic?.remove('id', WRITE_ID)]
		] as const) {
			const before = calls;
			await run();
			expect(calls - before, run.toString()).toBe(expected);
		}
	});

	test('a read that fails does not hide the other one', async () => {
		const failing: SessionNamespace = {
			...client,
			get: (id) =>
				nameOf(id) === 'sess:failing' ? namespaceOf('OVERLOADED').get(id) : client.get(id)
		};
		const { atomic } = new DurableObjectStore({ client: failing });
		await atomic?.create('well', RECORD, 60_000, false);
		expect(await atomic?.readTwo?.('well', 'failing')).toEqual([RECORD, expect.any(Error)]);
		expect(await atomic?.readTwo?.('failing', 'well')).toEqual([expect.any(Error), RECORD]);
	});

	test('a read of an unknown session stores nothing', async () => {
		expect(await store().get('unknown')).toBeNull();
		expect(await stored('unknown')).toEqual({ records: 0, alarm: null });
	});

	test('an alarm removes an expired record', async () => {
		expect(await store().atomic?.create('expiring', RECORD, 300, false)).toBe(true);
		await expect
			.poll(async () => stored('expiring'), { timeout: 20_000 })
			.toEqual({ records: 0, alarm: null });
	});

	test('the alarm of a prolonged record leaves it, and is set again', async () => {
		const { atomic } = store();
		/** A record that was prolonged before it expired: with a longer TTL if the machine was too busy. */
		const prolonged = async (ttl: number): Promise<string> => {
			const id = `prolonged-${ttl}`;
			await atomic?.create(id, RECORD, ttl, false);
			const { alarm } = await stored(id);
			const isTouched = await atomic?.touch(id, 600_000);
			const isInTime = isTouched === true && (await stored(id)).alarm === alarm;
			return isInTime ? id : prolonged(10 * ttl);
		};
		const id = await prolonged(300);
		await expect
			.poll(async () => (await stored(id)).alarm, { timeout: 20_000 })
			.toBeGreaterThan(Date.now() + 300_000);
		expect(await atomic?.read(id)).toBe(RECORD);
	});

	test('a shorter TTL moves the alarm, and a removal leaves neither record nor alarm', async () => {
		const { atomic } = store();
		await atomic?.create('shortened', RECORD, 600_000, false);
		await atomic?.replace('shortened', WRITE_ID, RECORD, 30_000);
		expect((await stored('shortened')).alarm).toBeLessThan(Date.now() + 300_000);
		expect(await atomic?.remove('shortened', WRITE_ID)).toBe('done');
		expect(await stored('shortened')).toEqual({ records: 0, alarm: null });
	});

	test('the longest TTL is kept, beyond the last year of an alarm', async () => {
		const { atomic } = store();
		await atomic?.create('long', RECORD, 2 ** 52, false);
		expect(await atomic?.read('long')).toBe(RECORD);
		expect((await stored('long')).alarm).toBeLessThan(Date.now() + 2 ** 40);
	});

	test('sessions, lists and revocations work on it', async () => {
		const options = { secret: '0123456789abcdef0123456789abcdef', store: store() };
		const session = await Session.initialize(testEvent().event, options);
		await session.login('ada');
		await session.update((data) => ({ ...data, n: 1 }));
		expect(await sessions(options).of('ada').list()).toHaveLength(1);
		await sessions(options).of('ada').revokeAll();
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test.each([
		['OVERLOADED', 'too many requests'],
		['EMPTY', 'must be `SessionObject`'],
		['KEY_VALUE', '`new_sqlite_classes`']
	])('objects that are %s: the error says what to do', async (namespace, message) => {
		const made = new DurableObjectStore({ client: namespaceOf(namespace) });
		const error: unknown = await made.get('id').catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(StoreError);
		expect(error).toMatchObject({
			refused: true,
			message: expect.stringContaining(message) as string
		});
	});

	test.each<[string, unknown]>([
		['no binding', {}],
		['a namespace in place of the options', client],
		['a namespace of KV', { client: { get: () => undefined } }],
		['an option of another store', { client, table: 'sessions' }]
	])('%s is refused at once', (_, options) => {
		expect(() => new DurableObjectStore(options as DurableObjectStoreOptions)).toThrow(
			ConfigError
		);
	});

	test('a binding that the Worker does not have is refused with where to add it', () => {
		const { SESSIONS } = {} as { SESSIONS: typeof client };
		expect(() => new DurableObjectStore({ client: SESSIONS })).toThrow(
			'add the class `SessionObject` by this name to `durable_objects` in wrangler.jsonc'
		);
	});
});
