import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createStorage, type Driver, type Storage } from 'unstorage';
import fsDriver from 'unstorage/drivers/fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ConfigError, DataError, Session, sveltekitSessionHandle } from '../../src/index.js';
import DefaultStore, {
	UnstorageStore,
	type UnstorageStoreOptions
} from '../../src/stores/unstorage.js';
import { testStore } from '../../src/testing.js';
import { testEvent } from '../event.js';

const RECORD = { cookie: { path: '/' }, data: { 10: 'a', 9: 'b', n: 1 } };

let folder: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'vestiary-unstorage-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const files = (base: string): Storage => createStorage({ driver: fsDriver({ base }) as Driver });

const STORAGES: Record<string, () => Storage> = {
	memory: () => createStorage(),
	fs: () => files(folder)
};

for (const [name, storage] of Object.entries(STORAGES)) {
	testStore(
		`UnstorageStore with the driver ${name}`,
		() => new UnstorageStore({ client: storage() }),
		{ runner: { describe, test } }
	);
}

describe('UnstorageStore', () => {
	test('is the default export, too', () => {
		expect(DefaultStore).toBe(UnstorageStore);
	});

	test('is not atomic, and is refused where that is required', async () => {
		const store = new UnstorageStore({ client: createStorage() });
		const options = { secret: '0123456789abcdef0123456789abcdef', store };
		expect('atomic' in store).toBe(false);
		expect(() => sveltekitSessionHandle({ ...options, require: ['atomic'] })).toThrow(
			ConfigError
		);
		const session = await Session.initialize(testEvent().event, options);
		await expect(session.login('ada')).rejects.toThrow(ConfigError);
	});

	test('nothing is made before the first write', async () => {
		const base = join(folder, 'later');
		const store = new UnstorageStore({ client: files(base) });
		expect(await store.get('id')).toBeNull();
		await expect(readdir(base)).rejects.toThrow('ENOENT');
		await store.set('id', RECORD, 60_000);
		expect(await readdir(base, { recursive: true })).toEqual(['sess', 'sess/id']);
	});

	test('IDs that unstorage would take for the same are kept apart', async () => {
		const store = new UnstorageStore({ client: files(folder) });
		const ids = ['a/b', 'a:b', 'a\\b', 'a?b', 'a?c', '../a', 'a..', '.', ':', 'a%2Fb', 'a'];
		for (const [n, id] of ids.entries())
			await store.set(id, { ...RECORD, data: { n } }, 60_000);
		for (const [n, id] of ids.entries())
			expect(await store.get(id), id).toMatchObject({ data: { n } });
		for (const id of ids) await store.destroy(id);
	});

	test('the text of a record is kept as it is, also where it looks like an attack', async () => {
		const client = createStorage();
		const text = '{"cookie":{"path":"/"},"data":{"__proto__":{"x":1},"10":1,"9":2}}';
		const serializer = { parse: JSON.parse, stringify: () => text };
		await new UnstorageStore({ client, serializer }).set('id', RECORD, 60_000);
		expect(await client.getItem('sess:id')).toMatchObject({ record: text });
	});

	test('an expired record is removed when it is read', async () => {
		const client = createStorage();
		const store = new UnstorageStore({ client });
		await store.set('id', RECORD, 1);
		await expect.poll(() => store.get('id'), { timeout: 20_000 }).toBeNull();
		expect(await client.getKeys()).toEqual([]);
	});

	test('the driver gets the TTL in seconds', async () => {
		const seen: unknown[] = [];
		const client = createStorage();
		const watched: UnstorageStoreOptions['client'] = {
			getItem: (key) => client.getItem(key),
			removeItem: (key) => client.removeItem(key),
			setItem: async (key, value, options) => {
				seen.push(options);
				await client.setItem(key, value as Record<string, string>, options);
			}
		};
		const store = new UnstorageStore({ client: watched });
		await store.set('id', RECORD, 1_500);
		await store.touch('id', 60_000);
		expect(seen).toEqual([{ ttl: 2 }, { ttl: 60 }]);
	});

	test('a file that is only half written is unreadable, and stays', async () => {
		const store = new UnstorageStore({ client: files(folder) });
		await store.set('half', RECORD, 60_000);
		const file = join(folder, 'sess/half');
		const text = await readFile(file, 'utf8');
		await writeFile(file, text.slice(0, text.length / 2));
		await expect(store.get('half')).rejects.toThrow(DataError);
		await expect(store.touch('half', 60_000)).rejects.toThrow(DataError);
		expect(await readFile(file, 'utf8')).toBe(text.slice(0, text.length / 2));
	});
});
