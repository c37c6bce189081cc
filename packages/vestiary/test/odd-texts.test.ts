import { beforeEach, expect, test } from 'vitest';

import { MemoryStore, sessions, type SveltekitSessionConfig } from '../src/index.js';
import { loggedIn, remote, visit } from './visits.js';

/* Names and labels with characters that have a meaning elsewhere: in the core, in JSON, in headers. */

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
