import { Miniflare } from 'miniflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import DefaultStore, { KvStore, type KvNamespace } from '../src/stores/cloudflare-kv.js';
import { testStore } from '../src/testing.js';

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
		const now = Math.round(Date.now() / 1_000);
		await store.set('short', record, 5_000);
		await store.set('long', record, 600_000);
		await store.set('none', record, 0);
		const { keys } = await kv.list();
		const life = (name: string): number =>
			(keys.find((key) => key.name === name)?.expiration ?? 0) - now;
		expect(Math.abs(life('short') - 60)).toBeLessThan(3);
		expect(Math.abs(life('long') - 600)).toBeLessThan(3);
		expect(keys.some(({ name }) => name === 'none')).toBe(false);
	});

	test('reads what svelte-kit-connect-cloudflare-kv wrote', async () => {
		const seed = kv as unknown as {
			put: (key: string, value: string, o: object) => Promise<void>;
		};
		await seed.put('sess:old', JSON.stringify(record), { expirationTtl: 60 });
		expect(await new KvStore({ client: kv }).get('old')).toEqual(record);
	});
});
