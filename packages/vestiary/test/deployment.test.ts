import { beforeEach, describe, expect, test } from 'vitest';

import {
	DataError,
	MemoryStore,
	Session,
	sessions,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const OLD = 'the old secret of thirty-two bytes';
const NEW = 'the new secret of thirty-two bytes';

interface Visit {
	session: Session;
	userId: string | undefined;
	setCookie: string[];
	cookie: string;
	events: string[];
}

let store: MemoryStore;

beforeEach(() => {
	store = new MemoryStore();
});

/** One request to an instance of the application. */
async function visit(
	options: SveltekitSessionConfig,
	cookie?: string,
	act: (session: Session) => Promise<unknown> = async () => undefined
): Promise<Visit> {
	const events: string[] = [];
	const { event } = testEvent(cookie);
	let userId: string | undefined;
	const response = await sveltekitSessionHandle({
		...options,
		onEvent: ({ type }) => events.push(type)
	})({
		event,
		resolve: async () => {
			userId = event.locals.session.userId;
			await act(event.locals.session);
			return new Response('ok');
		}
	});
	const setCookie = response.headers.getSetCookie();
	const last = setCookie.at(-1)?.split(';')[0];
	const { session } = event.locals;
	return { session, userId, setCookie, cookie: last ?? cookie ?? '', events };
}

const login = async (session: Session): Promise<unknown> => session.login('ada');

/** The cookie of a login, signed by the old secret; its record and its list were written by the new instance since. */
async function device(fresh: SveltekitSessionConfig): Promise<string> {
	const secret = Array.isArray(fresh.secret) ? [OLD, NEW] : fresh.secret;
	const { cookie } = await visit({ ...fresh, secret }, undefined, login);
	await visit(fresh, cookie, async (session) => session.save());
	const { session } = await visit(fresh, undefined, login);
	await session.destroy();
	return cookie;
}

/** The record of a session, or a user's session list, as the store has it. */
async function texts(cookies: string[]): Promise<(string | null)[]> {
	const ids = cookies.map((cookie) => decodeURIComponent(cookie).split(/[=.]/)[2] ?? '');
	const { createHash } = await import('node:crypto');
	const hash = createHash('sha256').update('vestiary.user.v1ada').digest('base64url');
	return Promise.all(
		[...ids, `user:${hash}`].map(async (key) => (await store.atomic?.read(key)) ?? null)
	);
}

const DEPLOYMENTS: [string, SveltekitSessionConfig, SveltekitSessionConfig][] = [
	['encrypt is introduced', { secret: OLD }, { secret: OLD, encrypt: 'migrate' }],
	[
		'a new secret is put in front',
		{ secret: OLD, encrypt: true },
		{ secret: [NEW, OLD], encrypt: true }
	],
	['encryption is demanded too early', { secret: OLD, encrypt: true }, { secret: OLD }]
];

describe.each(DEPLOYMENTS)('while old and new instances run: %s', (_, before, after) => {
	const configs = (): SveltekitSessionConfig[] => [
		{ ...before, store },
		{ ...after, store }
	];

	test('a request to an old instance logs no visitor out', async () => {
		const [old = { secret: '' }, fresh = { secret: '' }] = configs();
		const devices = [await device(fresh), await device(fresh)];
		const kept = await texts(devices);
		expect(kept).not.toContain(null);
		const creating = { ...old, saveUninitialized: true, autoSave: true };
		const rolling = { ...old, rolling: true, cookie: { maxAge: 600 }, renewAfter: 1 };
		for (const instance of [old, creating, rolling]) {
			for (const cookie of devices) {
				const seen = await visit(instance, cookie);
				expect(seen.userId).toBeUndefined();
				expect(seen.setCookie).toEqual([]);
				expect(seen.events).toEqual(['unreadable']);
			}
		}
		expect(await texts(devices)).toEqual(kept);
		for (const cookie of devices) expect((await visit(fresh, cookie)).userId).toBe('ada');
		expect(await sessions(fresh).of('ada').list()).toHaveLength(2);
	});

	test('a write on an old instance is a typed error, and nothing is written', async () => {
		const [old = { secret: '' }, fresh = { secret: '' }] = configs();
		const cookie = await device(fresh);
		const kept = await texts([cookie]);
		const writes: ((session: Session) => Promise<unknown>)[] = [
			async (session) => session.save(),
			async (session) => session.touch(),
			async (session) => session.renew(),
			async (session) => session.update((data) => data),
			async (session) => session.login('ada')
		];
		for (const write of writes) {
			const seen = await visit(old, cookie, async (session) => {
				await expect(write(session), String(write)).rejects.toBeInstanceOf(DataError);
			});
			expect(seen.setCookie, String(write)).toEqual([]);
		}
		const list = sessions(old).of('ada');
		await expect(list.list()).rejects.toBeInstanceOf(DataError);
		await expect(list.revokeAll()).rejects.toBeInstanceOf(DataError);
		await expect(list.revoke('AAAAAAAAAAAAAAAA')).rejects.toBeInstanceOf(DataError);
		expect(await texts([cookie])).toEqual(kept);
	});

	test('another user logs in at the old instance, and the session that it cannot read stays', async () => {
		const [old = { secret: '' }, fresh = { secret: '' }] = configs();
		const cookie = await device(fresh);
		const eve = await visit(old, cookie, async (session) => session.login('eve'));
		expect((await visit(old, eve.cookie)).userId).toBe('eve');
		expect((await visit(fresh, cookie)).userId).toBe('ada');
		const other = await visit(old, cookie, async (session) => session.regenerate());
		expect(other.setCookie).toEqual([]);
		expect((await visit(fresh, cookie)).userId).toBe('ada');
	});

	test('a logout takes the cookie away, and says that the session could not be ended', async () => {
		const [old = { secret: '' }, fresh = { secret: '' }] = configs();
		const cookie = await device(fresh);
		const seen = await visit(old, cookie, async (session) => {
			await expect(session.destroy()).rejects.toBeInstanceOf(DataError);
		});
		expect(seen.setCookie.join()).toMatch(/Max-Age=0|Expires=Thu, 01 Jan 1970/);
		expect((await visit(fresh, cookie)).userId).toBe('ada');
	});
});

test('the steps of docs/how-to/change-the-secret.md log no visitor out: instances read the new secret before one writes with it', async () => {
	const steps: SveltekitSessionConfig[] = [
		{ secret: OLD, encrypt: true, store },
		{ secret: [OLD, NEW], encrypt: true, store },
		{ secret: [NEW, OLD], encrypt: true, store }
	];
	let devices = [(await visit(steps[0] ?? { secret: '' }, undefined, login)).cookie];
	for (const [number, fresh] of steps.entries()) {
		// During each deployment, instances of this step and of the previous one run.
		for (const instance of [fresh, steps[number - 1] ?? fresh, fresh]) {
			const seen = await Promise.all(devices.map(async (one) => visit(instance, one)));
			expect(seen.map(({ userId }) => userId)).toEqual(devices.map(() => 'ada'));
			const added = await visit(instance, undefined, login);
			const saved = await visit(instance, devices[0], async (session) => session.save());
			devices = [saved.cookie, ...devices.slice(1), added.cookie];
		}
	}
	expect(
		await sessions(steps[2] ?? { secret: '' })
			.of('ada')
			.list()
	).toHaveLength(devices.length);
});

test.each(['broken', '{}', '{"v":"AAAAAAAAAAAAAAAA","sessions":[]}', ' '.repeat(2 << 20)])(
	'a session list that cannot be read is not taken for an empty one',
	async (text) => {
		const options = { secret: OLD, store };
		const { cookie } = await visit(options, undefined, login);
		const [, list] = await texts([cookie]);
		const { createHash } = await import('node:crypto');
		const hash = createHash('sha256').update('vestiary.user.v1ada').digest('base64url');
		const writeId = /^\{"v":"(.{16})"/.exec(list ?? '')?.[1] ?? null;
		expect(await store.atomic?.replace(`user:${hash}`, writeId, text, 60_000)).toBe('done');
		const rolling = { ...options, rolling: true, cookie: { maxAge: 600 } };
		for (const instance of [options, { ...options, saveUninitialized: true }, rolling]) {
			const seen = await visit(instance, cookie);
			expect([seen.userId, seen.setCookie, seen.events]).toEqual([
				undefined,
				[],
				['unreadable']
			]);
		}
		await visit(options, undefined, async (session) => {
			await expect(session.login('ada')).rejects.toBeInstanceOf(DataError);
		});
		await expect(sessions(options).of('ada').revokeAll()).rejects.toBeInstanceOf(DataError);
		expect(await store.atomic?.read(`user:${hash}`)).toBe(text);
		expect((await texts([cookie]))[0]).toContain('"user":"ada"');
	}
);

test('a list that becomes unreadable while a request is under way keeps its sessions', async () => {
	const options = { secret: OLD, store };
	const { cookie } = await visit(options, undefined, login);
	const seen = await visit(options, cookie, async (session) => {
		const [, list] = await texts([cookie]);
		expect(list).toContain('"sessions"');
		const { createHash } = await import('node:crypto');
		const hash = createHash('sha256').update('vestiary.user.v1ada').digest('base64url');
		const writeId = /^\{"v":"(.{16})"/.exec(list ?? '')?.[1] ?? null;
		await store.atomic?.replace(`user:${hash}`, writeId, 'broken', 60_000);
		await expect(session.save()).rejects.toBeInstanceOf(DataError);
		await expect(session.touch()).rejects.toBeInstanceOf(DataError);
		expect(await store.atomic?.read(`user:${hash}`)).toBe('broken');
	});
	expect(seen.setCookie).toEqual([]);
});
