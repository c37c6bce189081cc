import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Redis } from 'ioredis5';
import { Miniflare } from 'miniflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Session as Ours, type Store, type SveltekitSessionConfig } from '../../src/index.js';
import { KvStore, type KvNamespace } from '../../src/stores/cloudflare-kv.js';
import { RedisStore } from '../../src/stores/redis.js';
import { startRedis, type Servers } from '../stores/servers.js';
import { testEvent } from '../event.js';
import { installed } from './packages.js';

/** The published packages, unmodified. */
const PACKAGES = {
	'svelte-kit-sessions': '0.4.0',
	'svelte-kit-connect-redis': '0.1.0',
	'svelte-kit-connect-cloudflare-kv': '0.1.1'
};

type SessionClass = Pick<typeof Ours, 'initialize'>;
type StoreClass = new (options: { client: unknown }) => Store;

let folder: string;
let Theirs: SessionClass;
let server: Servers;
let redis: Redis;
let workerd: Miniflare;
const stores: Record<string, () => Store> = {};

async function published<T>(name: keyof typeof PACKAGES): Promise<T> {
	const file = join(folder, 'node_modules', name, 'dist/index.js');
	return (await import(pathToFileURL(file).href)) as T;
}

beforeAll(async () => {
	// Their peers are older than the SvelteKit of these tests, and not needed here.
	const manifest = { type: 'module', dependencies: PACKAGES };
	folder = await installed(manifest, ['--legacy-peer-deps']);
	Theirs = (await published<{ Session: SessionClass }>('svelte-kit-sessions')).Session;
	const theirRedis = await published<{ default: StoreClass }>('svelte-kit-connect-redis');
	const theirKv = await published<{ default: StoreClass }>('svelte-kit-connect-cloudflare-kv');

	server = await startRedis();
	redis = new Redis(server.ports[0] ?? 0, '127.0.0.1');
	workerd = new Miniflare({
		modules: true,
		script: 'export default { fetch: () => new Response() };',
		kvNamespaces: ['SESSIONS']
	});
	const kv = (await workerd.getKVNamespace('SESSIONS')) as unknown as KvNamespace;
	// The published store tells the clients apart by `instanceof`, so it gets its own ioredis.
	const { Redis: TheirRedis } = (await import(
		pathToFileURL(join(folder, 'node_modules/ioredis/built/index.js')).href
	)) as { Redis: typeof Redis };
	const theirClient = new TheirRedis(server.ports[0] ?? 0, '127.0.0.1');
	closing.push(() => {
		theirClient.disconnect();
	});
	stores['our RedisStore'] = () => new RedisStore({ client: redis });
	stores['svelte-kit-connect-redis'] = () => new theirRedis.default({ client: theirClient });
	stores['our KvStore'] = () => new KvStore({ client: kv });
	stores['svelte-kit-connect-cloudflare-kv'] = () => new theirKv.default({ client: kv });
});

const closing: (() => void)[] = [];

afterAll(async () => {
	for (const close of closing) close();
	redis.disconnect();
	await server.stop();
	await workerd.dispose();
});

/** A request with this class; the cookie it sets, if any. */
async function request(
	session: SessionClass,
	options: SveltekitSessionConfig,
	cookie?: string,
	change?: object
): Promise<{ id: string; data: object; cookie: string | undefined }> {
	const { event, cookies } = testEvent(cookie);
	// The value that SvelteKit's jar has for a cookie of this name.
	const value = /connect\.sid=([^;]*)/.exec(cookie ?? '')?.[1];
	Object.assign(event.cookies, { get: () => value && decodeURIComponent(value) });
	const opened = await session.initialize(event, options);
	if (change) {
		await opened.setData(change);
		await opened.save();
	}
	const sent = cookies.at(-1)?.value;
	return {
		id: opened.id,
		data: opened.data,
		cookie: sent === undefined ? cookie : `connect.sid=${encodeURIComponent(sent)}`
	};
}

const PAIRS = [
	['svelte-kit-connect-redis', 'our RedisStore'],
	['svelte-kit-connect-cloudflare-kv', 'our KvStore'],
	['svelte-kit-connect-redis', 'svelte-kit-connect-redis'],
	['svelte-kit-connect-cloudflare-kv', 'svelte-kit-connect-cloudflare-kv']
] as const;

describe.each(PAIRS)('from %s to %s', (theirStore, ourStore) => {
	const theirs = (secret: string | string[]): SveltekitSessionConfig => ({
		secret,
		store: stores[theirStore]?.(),
		cookie: { maxAge: 3600 }
	});
	const ours = (secret: string | string[]): SveltekitSessionConfig => ({
		...theirs(secret),
		store: stores[ourStore]?.()
	});

	test('their session is ours, and after we saved it, theirs again', async () => {
		const secret = 'a secret that both of them have';
		const login = await request(Theirs, theirs(secret), undefined, { user: 'ada', n: 1 });
		const seen = await request(Ours, ours(secret), login.cookie);
		expect(seen).toMatchObject({ id: login.id, data: { user: 'ada', n: 1 } });
		const saved = await request(Ours, ours(secret), login.cookie, { user: 'ada', n: 2 });
		expect(saved.cookie).toBe(login.cookie);
		const again = await request(Theirs, theirs(secret), saved.cookie);
		expect(again).toMatchObject({ id: login.id, data: { user: 'ada', n: 2 } });
	});

	test('a session that began with us is theirs', async () => {
		const secret = 'a secret that both of them have';
		const login = await request(Ours, ours(secret), undefined, { user: 'grace' });
		const seen = await request(Theirs, theirs(secret), login.cookie);
		expect(seen).toMatchObject({ id: login.id, data: { user: 'grace' } });
	});

	test.each([
		['beyond ASCII', 's\u00e9cret, s\u00e9cret, s\u00e9cret'],
		['beyond Latin-1', '\u79d8\u5bc6\u79d8\u5bc6\u79d8\u5bc6 \u{1F9E5}']
	])(
		'a secret %s: their cookies verify, and become ours with the next save',
		async (_, secret) => {
			const login = await request(Theirs, theirs(secret), undefined, { user: 'ada' });
			const seen = await request(Ours, ours(secret), login.cookie);
			expect(seen).toMatchObject({ id: login.id, data: { user: 'ada' } });
			const saved = await request(Ours, ours(secret), login.cookie, { user: 'ada' });
			expect(saved.cookie).not.toBe(login.cookie);
			expect(await request(Ours, ours(secret), saved.cookie)).toMatchObject({ id: login.id });
		}
	);

	test('a secret that is rotated in the same step', async () => {
		const login = await request(Theirs, theirs('the secret of last year'), undefined, { n: 1 });
		const both = ['the secret of this year', 'the secret of last year'];
		expect(await request(Ours, ours(both), login.cookie)).toMatchObject({ id: login.id });
		const saved = await request(Ours, ours(both), login.cookie, { n: 2 });
		expect(
			await request(Theirs, theirs('the secret of this year'), saved.cookie)
		).toMatchObject({
			id: login.id,
			data: { n: 2 }
		});
	});
});
