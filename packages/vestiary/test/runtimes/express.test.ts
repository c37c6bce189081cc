import { createServer, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Redis } from 'ioredis5';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
	fromExpressStore,
	Session,
	type ExpressStore,
	type Store,
	type SveltekitSessionConfig
} from '../../src/index.js';
import { RedisStore } from '../../src/stores/redis.js';
import { testStore } from '../../src/testing.js';
import { startRedis, type Servers } from '../stores/servers.js';
import { testEvent } from '../event.js';
import { installed } from './packages.js';

/** The published packages, unmodified. */
const PACKAGES = {
	express: '5.2.1',
	'express-session': '1.19.0',
	'connect-redis': '10.0.0',
	memorystore: '1.6.8',
	redis: '6.3.1'
};

const SECRET = 's\u00e9cret of the app, and of Express';
const COOKIE = { maxAge: 3600, path: '/' };

/** The part of Express and its sessions that the tests use. */
interface ExpressSession {
	(options: object): unknown;
	MemoryStore: new () => ExpressStore;
}
type Handler = (
	request: { session: Record<string, unknown>; query: Record<string, string> },
	response: { json: (body: unknown) => void }
) => void;
interface ExpressApp extends RequestListener {
	use: (middleware: unknown) => void;
	get: (path: string, handler: Handler) => void;
}

let servers: Servers;
let redis: Redis;
let expressSession: ExpressSession;
let app: Server;
let origin: string;
const stores: Record<string, () => ExpressStore> = {};
const closing: (() => unknown)[] = [];

beforeAll(async () => {
	const folder = await installed({ type: 'module', dependencies: PACKAGES });
	const require = createRequire(join(folder, 'index.js'));
	const resolved = (name: string): string => pathToFileURL(require.resolve(name)).href;
	const published = async (name: string): Promise<unknown> => import(resolved(name));

	servers = await startRedis();
	redis = new Redis(servers.ports[0] ?? 0, '127.0.0.1');
	const { createClient } = (await published('redis')) as {
		createClient: (options: object) => { connect: () => Promise<void>; close: () => void };
	};
	const client = createClient({ url: `redis://127.0.0.1:${servers.ports[0] ?? 0}` });
	await client.connect();
	closing.push(() => {
		client.close();
	});

	expressSession = require('express-session') as ExpressSession;
	const { RedisStore: ConnectRedis } = (await published('connect-redis')) as {
		RedisStore: new (options: object) => ExpressStore;
	};
	const MemoryStore = (require('memorystore') as (session: unknown) => new () => ExpressStore)(
		expressSession
	);
	stores['connect-redis'] = () => new ConnectRedis({ client });
	stores.memorystore = () => new MemoryStore();
	stores['the MemoryStore of express-session'] = () => new expressSession.MemoryStore();

	const express = require('express') as () => ExpressApp;
	const listener = express();
	listener.use(
		expressSession({
			secret: SECRET,
			store: stores['connect-redis'](),
			resave: false,
			saveUninitialized: false,
			cookie: { maxAge: COOKIE.maxAge * 1_000 }
		})
	);
	listener.get('/set', ({ session, query }, response) => {
		Object.assign(session, query);
		response.json(session);
	});
	listener.get('/read', ({ session }, response) => {
		response.json(session);
	});
	app = createServer(listener);
	await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
	origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
});

afterAll(async () => {
	for (const close of closing) await close();
	redis.disconnect();
	app.closeAllConnections();
	await new Promise((resolve) => app.close(resolve));
	await servers.stop();
});

interface Answer {
	data: Record<string, unknown>;
	/** The cookie that the browser has afterwards. */
	cookie: string;
}

/** Sends a request to the Express app. */
async function toExpress(path: string, cookie?: string): Promise<Answer> {
	const response = await fetch(origin + path, { headers: cookie ? { cookie } : {} });
	const data = (await response.json()) as Record<string, unknown>;
	delete data.cookie;
	const [set] = response.headers.getSetCookie();
	return { data, cookie: set?.split(';')[0] ?? cookie ?? '' };
}

/** A request to an app with Vestiary. */
async function toUs(
	options: Partial<SveltekitSessionConfig>,
	cookie?: string,
	work: (session: Session) => Promise<void> = async () => undefined
): Promise<Answer> {
	const { event, cookies } = testEvent(cookie);
	const session = await Session.initialize(event, { secret: SECRET, cookie: COOKIE, ...options });
	await work(session);
	const sent = cookies.at(-1);
	const value = sent?.method === 'set' ? encodeURIComponent(sent.value ?? '') : '';
	return { data: { ...session.data }, cookie: sent ? `connect.sid=${value}` : (cookie ?? '') };
}

function saving(data: object): (session: Session) => Promise<void> {
	return async (session) => {
		await session.setData({ ...session.data, ...data });
		await session.save();
	};
}

describe.each([
	['the RedisStore of Vestiary', () => new RedisStore({ client: redis })],
	['fromExpressStore of connect-redis', () => adapted('connect-redis')]
])("format: 'express-session', with %s", (_, store) => {
	const ours = (): Partial<SveltekitSessionConfig> => ({
		store: store(),
		format: 'express-session'
	});

	test('a session of Express is ours, and after we saved it, still that of Express', async () => {
		const login = await toExpress('/set?user=ada&data=of+the+app');
		expect(login.cookie).toMatch(/^connect\.sid=s%3A/);
		const seen = await toUs(ours(), login.cookie);
		expect(seen.data).toEqual({ user: 'ada', data: 'of the app' });
		const saved = await toUs(ours(), login.cookie, saving({ n: 2 }));
		expect(saved.cookie).toBe(login.cookie);
		const again = await toExpress('/set?m=3', saved.cookie);
		expect(again.data).toEqual({ user: 'ada', data: 'of the app', n: 2, m: '3' });
		const last = await toUs(ours(), again.cookie);
		expect(last.data).toEqual(again.data);
	});

	test('a session that began with us is that of Express', async () => {
		const login = await toUs(
			ours(),
			undefined,
			saving({ user: 'grace', list: [1, { a: null }] })
		);
		expect(login.cookie).toMatch(/^connect\.sid=s%3A/);
		expect((await toExpress('/read', login.cookie)).data).toEqual({
			user: 'grace',
			list: [1, { a: null }]
		});
	});

	test('logging out here logs out there', async () => {
		const login = await toExpress('/set?user=ada');
		await toUs(ours(), login.cookie, (session) => session.destroy());
		expect((await toExpress('/read', login.cookie)).data).toEqual({});
	});

	test('stored records look like those of Express', async () => {
		await redis.flushall();
		await toExpress('/set?user=ada');
		const [theirKey = ''] = await redis.keys('*');
		const theirs = JSON.parse((await redis.get(theirKey)) ?? '') as Record<string, object>;
		await redis.flushall();
		await toUs(ours(), undefined, saving({ user: 'ada' }));
		const [key = ''] = await redis.keys('*');
		const record = JSON.parse((await redis.get(key)) ?? '') as Record<string, object>;
		expect(Object.keys(record)).toEqual(Object.keys(theirs));
		const { originalMaxAge } = theirs.cookie as { originalMaxAge: number };
		// Express derives it from `expires`, a moment later.
		expect(Math.round(originalMaxAge / 1_000)).toBe(3_600);
		expect(record.cookie).toEqual({
			...theirs.cookie,
			originalMaxAge: 3_600_000,
			httpOnly: undefined,
			expires: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
			v: expect.any(String) as string,
			meta: expect.any(Object) as object
		});
		expect(theirKey).toMatch(/^sess:/);
		expect(key).toMatch(/^sess:/);
		expect(Math.round((await redis.pttl(key)) / 60_000)).toBe(60);
	});

	test('data named `cookie` is refused: Express keeps its own there', async () => {
		const refused = toUs(ours(), undefined, saving({ cookie: 'mine' }));
		await expect(refused).rejects.toMatchObject({ code: 'forbidden_key' });
	});
});

test('moving away from Express: its sessions are read, and become ours when they are saved', async () => {
	const options = { store: new RedisStore({ client: redis }) };
	const login = await toExpress('/set?user=ada');
	const seen = await toUs(options, login.cookie);
	expect(seen).toMatchObject({ data: { user: 'ada' }, cookie: login.cookie });
	const saved = await toUs(options, login.cookie, saving({ n: 1 }));
	expect(saved.cookie).toMatch(/^connect\.sid=(?!s%3A)/);
	expect((await toUs(options, saved.cookie)).data).toEqual({ user: 'ada', n: 1 });
	// And back: the format only concerns writes.
	const back = { ...options, format: 'express-session' as const };
	const returned = await toUs(back, saved.cookie, saving({ n: 2 }));
	expect((await toExpress('/read', returned.cookie)).data).toEqual({ user: 'ada', n: 2 });
});

function adapted(name: string): Store {
	const store = stores[name]?.();
	if (!store) throw new Error(name);
	return fromExpressStore(store);
}

for (const [name, shortestTtl] of [
	['connect-redis', 1_000],
	['memorystore', 300],
	['the MemoryStore of express-session', 300]
] as const) {
	testStore(`fromExpressStore of ${name}`, () => adapted(name), {
		shortestTtl,
		runner: { describe, test }
	});
}
