import { beforeEach, expect, test } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { loggedIn, remote, visit } from './visits.js';

/* Texts of an application with characters that have a meaning elsewhere: in the core, in JSON, in headers. */

const SECRET = '0123456789abcdef0123456789abcdef';

const ODD: [string, string][] = [
	['a NUL', 'ada\0bob'],
	['a NUL and data', 'ada\0{"admin":true}'],
	['NULs alone', '\0\0'],
	['lines', 'ada\nbob\r\n'],
	['quotes and backslashes', '"ada\\u0000"\\'],
	['an emoji', 'ada 👩‍💻'],
	['control characters', 'ada\u0001\u001f\u007f\u2028']
];

let options: SveltekitSessionConfig;

beforeEach(() => {
	options = { secret: SECRET, store: new MemoryStore() };
});

test.each(ODD)('a user name with %s is this name, and no other one', async (_, name) => {
	const cookie = await loggedIn(options, name);
	const other = await loggedIn(options, 'ada');
	const elsewhere = { ...options, store: remote(options.store as MemoryStore) };
	for (const config of [options, elsewhere]) {
		const { session } = await visit(config, () => undefined, cookie);
		expect([session.userId, session.data]).toEqual([name, {}]);
		const users = sessions(config);
		expect(await users.of(name).list(session)).toMatchObject([{ current: true }]);
		expect(await users.of('ada').list()).toHaveLength(1);
	}
	await sessions(options).of(name).revokeAll();
	expect((await visit(options, () => undefined, cookie)).session.isNew).toBe(true);
	expect((await visit(options, () => undefined, other)).session.userId).toBe('ada');
});

test.each(ODD)('a session of a user name with %s is ended by its handle', async (_, name) => {
	const cookie = await loggedIn(options, name);
	const users = sessions(options).of(name);
	const [listed] = await users.list();
	await users.revoke(listed?.handle ?? '');
	expect((await visit(options, () => undefined, cookie)).session.isNew).toBe(true);
	expect(await users.list()).toEqual([]);
});

test.each([...ODD, ['nothing in it', '']])('a label with %s stays as it is', async (_, label) => {
	await visit(options, async (session) => session.login('ada', { label, data: { n: 1 } }));
	expect(await sessions(options).of('ada').list()).toMatchObject([{ label }]);
});

test.each(ODD)('data with %s stays as it is', async (_, text) => {
	const { cookies } = await visit(options, async (session) => {
		await session.setData({ cart: [text] });
		await session.save();
		await session.update((data) => ({ ...data, [text]: text }));
		await session.login('ada', { keep: ['cart', text] as never[] });
	});
	const { session } = await visit(options, () => undefined, cookies[0]);
	expect(session.data).toEqual({ cart: [text], [text]: text });
});

test.each(ODD)('a handle with %s is that of no session', async (_, text) => {
	const cookie = await loggedIn(options);
	const users = sessions(options).of('ada');
	const [listed] = await users.list();
	const handle = listed?.handle ?? '';
	for (const odd of [text, handle + text, text + handle, `${handle}\0x`, `${handle}\ud800`])
		await users.revoke(odd);
	expect(await users.list()).toHaveLength(1);
	expect((await visit(options, () => undefined, cookie)).session.userId).toBe('ada');
});

test.each(ODD.slice(0, 3))('an ID of `genid` with %s is refused', async (_, text) => {
	const genid = (): string => `AAAAAAAAAAAAAAAAAAAAAAAA${text}`;
	await visit({ ...options, genid }, async (session) => {
		for (const call of [session.save(), session.login('ada')])
			await expect(call).rejects.toThrow('a session ID must be');
	});
	expect((options.store as MemoryStore).size).toBe(0);
});

test.each(ODD.slice(0, 4))('an option with %s is refused', async (_, text) => {
	for (const odd of [
		{ name: text },
		{ namespace: text },
		{ cookie: { path: `/${text}` } },
		{ cookie: { domain: text } },
		{ cookie: { sameSite: text } },
		{ cookie: { priority: text } }
	] as Partial<SveltekitSessionConfig>[]) {
		const make = (): unknown => sveltekitSessionHandle({ ...options, ...odd });
		expect(make, JSON.stringify(odd)).toThrow(ConfigError);
		if (!odd.cookie) continue;
		await visit(options, async (session) => {
			Object.assign(session.cookie, odd.cookie);
			await expect(session.save()).rejects.toBeInstanceOf(ConfigError);
		});
	}
});

/** Numbers that repeat: the same texts in each run. */
function* chance(seed: number): Generator<number, never> {
	let state = seed;
	for (;;) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		yield state;
	}
}

test('texts of all kinds stay apart, whatever is in them', async () => {
	const numbers = chance(7);
	const pick = (most: number): number => Math.floor((numbers.next().value / 2 ** 32) * most);
	const signs = ['\0', '\n', '"', '\\', '{}', ':', 'a', 'é', '👩', '\u2028', 'null', '\\u0000'];
	const text = (least: number): string =>
		Array.from({ length: least + pick(5) }, () => signs[pick(signs.length)]).join('');
	for (let turn = 0; turn < 100; turn++) {
		const [user, label, key, value] = [text(1), text(0), text(1), text(0)];
		const { session, cookies } = await visit(options, async (one) => {
			await one.setData({ [key]: value });
			await one.login(user, { label, keep: [key] as never[] });
		});
		const all = [session, (await visit(options, () => undefined, cookies[0])).session];
		for (const { userId, data } of all)
			expect([userId, data]).toEqual([user, { [key]: value }]);
		const users = sessions(options).of(user);
		const listed = (await users.list(session)).filter(({ current }) => current);
		expect(listed).toMatchObject([{ label }]);
		const [{ handle } = { handle: '' }] = listed;
		await users.revoke(handle + text(1));
		expect((await users.list(session)).some(({ current }) => current)).toBe(true);
		await users.revoke(handle);
		expect((await visit(options, () => undefined, cookies[0])).session.isNew).toBe(true);
	}
});
