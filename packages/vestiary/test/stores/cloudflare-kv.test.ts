import { Miniflare } from 'miniflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import DefaultStore, { KvStore, type KvNamespace } from '../../src/stores/cloudflare-kv.js';
import { testStore } from '../../src/testing.js';

/** KV as workerd has it. */
let workerd: Miniflare;
let kv: KvNamespace & { list: () => Promise<{ keys: { name: string; expiration?: number }[] }> };

beforeAll(async () => {
	workerd = new Miniflare({
		modules: true,
		script: 'export default { fetch: () => new Response() };',
		kvNamespaces: ['SESSIONS']
	});
	kv = (await workerd.getKVNamespace('SESSIONS')) as unknown as typeof kv;
});

afterAll(() => workerd.dispose());

testStore('KvStore', () => new KvStore({ client: kv }), { runner: { describe, test } });

describe('KvStore', () => {
	const record = { cookie: { path: '/' }, data: { n: 1 } };

	test('is the default export, too', () => {
		expect(DefaultStore).toBe(KvStore);
	});

	test('tells KV seconds, at least the minute that it demands', async () => {
		const store = new KvStore({ client: kv, prefix: '' });
		const began = Math.floor(Date.now() / 1_000);
		await store.set('short', record, 5_000);
		await store.set('long', record, 600_000);
		await store.set('none', record, 0);
		const { keys } = await kv.list();
		const ended = Math.ceil(Date.now() / 1_000);
		for (const [name, life] of [
			['short', 60],
			['long', 600]
		] as const) {
			const expiration = keys.find((key) => key.name === name)?.expiration;
			expect(expiration, name).toBeGreaterThanOrEqual(began + life);
			expect(expiration, name).toBeLessThanOrEqual(ended + life);
		}
		expect(keys.some(({ name }) => name === 'none')).toBe(false);
	});

	/** The limit of one write a second for a key, which workerd's own KV does not have. */
	function limited(): KvNamespace {
		const writes = new Map<string, number>();
		return {
			getWithMetadata: (key, options) => kv.getWithMetadata(key, options),
			delete: (key) => kv.delete(key),
			put: async (key, value, options) => {
				const since = Date.now() - (writes.get(key) ?? 0);
				if (since < 1_000) throw new Error('KV PUT failed: 429 Too Many Requests');
				writes.set(key, Date.now());
				await kv.put(key, value, options);
			}
		};
	}

	test('waits when a key was written less than a second ago', async () => {
		const store = new KvStore({ client: limited() });
		await store.set('twice', record, 60_000);
		await store.set('twice', { ...record, data: { n: 2 } }, 60_000);
		expect(await store.get('twice')).toMatchObject({ data: { n: 2 } });
	});

	test('does not wait for anything else, nor for ever', async () => {
		const failing = (message: string): [KvNamespace, () => number] => {
			let calls = 0;
			const put = (): Promise<void> => {
				calls++;
				return Promise.reject(new Error(message));
			};
			return [{ ...limited(), put }, () => calls];
		};
		for (const [message, tries] of [
			['KV PUT failed: 500 Internal Server Error', 1],
			['KV PUT failed: 429 Too Many Requests', 2]
		] as const) {
			const [client, calls] = failing(message);
			await expect(new KvStore({ client }).set('id', record, 60_000)).rejects.toThrow(
				message
			);
			expect(calls()).toBe(tries);
		}
	});

	test('reads what svelte-kit-connect-cloudflare-kv wrote', async () => {
		const seed = kv as unknown as {
			put: (key: string, value: string, o: object) => Promise<void>;
		};
		await seed.put('sess:old', JSON.stringify(record), { expirationTtl: 60 });
		expect(await new KvStore({ client: kv }).get('old')).toEqual(record);
	});
});
