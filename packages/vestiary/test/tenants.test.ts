import { error, isHttpError } from '@sveltejs/kit';
import type { RequestEvent } from '@sveltejs/kit';
import { describe, expect, test } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	sveltekitSessionHandle,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const SECRETS: Record<string, string> = {
	'blue.example': 'the secret of blue, 32 bytes long',
	'green.example': 'the secret of green, 32 bytes long'
};

/** An app with a tenant for each host, and the hosts for which options were made. */
function app(): { handle: SessionHandle; made: string[] } {
	const made: string[] = [];
	const store = new MemoryStore();
	const optionsOf = ({ url }: RequestEvent): SveltekitSessionConfig => {
		const secret = SECRETS[url.hostname] ?? error(404, 'no such tenant');
		made.push(url.hostname);
		const namespace = url.hostname;
		return { secret, namespace, store, cookie: { domain: url.hostname } };
	};
	return {
		handle: sveltekitSessionHandle(optionsOf, { tenant: ({ url }) => url.hostname }),
		made
	};
}

/** One request, which logs `user` in if there is one. Returns the user, and the cookie of the response. */
async function visit(
	handle: SessionHandle,
	host: string,
	{ cookie, user }: { cookie?: string | undefined; user?: string } = {}
): Promise<{ userId: string | undefined; setCookie: string }> {
	const { event } = testEvent(cookie, `https://${host}/`);
	const response = await handle({
		event,
		resolve: async () => {
			if (user !== undefined) await event.locals.session.login(user);
			return new Response();
		}
	});
	const setCookie = response.headers.get('set-cookie') ?? '';
	return { userId: event.locals.session.userId, setCookie };
}

describe('many tenants', () => {
	test('each has its own secret, lists and cookie; its options are made once', async () => {
		const { handle, made } = app();
		const { setCookie } = await visit(handle, 'blue.example', { user: 'ada' });
		expect(setCookie).toContain('Domain=blue.example');
		const [cookie] = setCookie.split(';', 1);
		expect((await visit(handle, 'blue.example', { cookie })).userId).toBe('ada');
		const elsewhere = await visit(handle, 'green.example', { cookie, user: 'ada' });
		expect(elsewhere.setCookie).toContain('Domain=green.example');
		expect((await visit(handle, 'green.example', { cookie })).userId).toBeUndefined();
		expect((await visit(handle, 'blue.example', { cookie })).userId).toBe('ada');
		expect(made).toEqual(['blue.example', 'green.example']);
	});

	test('one that does not exist is the answer of the app, and is not kept', async () => {
		const { handle, made } = app();
		for (let i = 0; i < 2; i++) {
			const refused = await visit(handle, 'red.example').catch((thrown: unknown) => thrown);
			expect(isHttpError(refused, 404)).toBe(true);
		}
		expect(made).toEqual([]);
	});

	test('beyond a thousand, the options of the one that was used least recently are made again', async () => {
		let made = 0;
		const store = new MemoryStore();
		const handle = sveltekitSessionHandle(
			() => {
				made++;
				return { secret: SECRETS['blue.example'] ?? '', store };
			},
			{ tenant: ({ url }) => url.hostname }
		);
		for (let i = 0; i < 1_000; i++) await visit(handle, `tenant-${i}.example`);
		await visit(handle, 'tenant-0.example');
		await visit(handle, 'tenant-1000.example');
		expect(made).toBe(1_001);
		await visit(handle, 'tenant-0.example');
		expect(made).toBe(1_001);
		await visit(handle, 'tenant-1.example');
		expect(made).toBe(1_002);
	});
});

describe('a mistake is a ConfigError that says what to do', () => {
	const options = { secret: SECRETS['blue.example'] ?? '', store: new MemoryStore() };

	test.each([
		['options without a function', options, { tenant: () => 'a' }, /needs a function/],
		['no `tenant`', () => options, {}, /`tenant` must be a function/],
		['a misspelt `tenant`', () => options, { tenants: () => 'a' }, /did you mean `tenant`/],
		['no object', () => options, 'a', /`tenants` must be an object/]
	])('%s', (_, one, two, message) => {
		const make = sveltekitSessionHandle as (...given: unknown[]) => SessionHandle;
		expect(() => make(one, two)).toThrow(ConfigError);
		expect(() => make(one, two)).toThrow(message);
	});

	test.each([
		['no string', () => undefined, /`tenant` must return a string/],
		['a promise', async () => Promise.reject(new Error('late')), /`tenant` must not be async/]
	])('a key that is %s', async (_, tenant: () => unknown, message) => {
		const handle = sveltekitSessionHandle(() => options, { tenant: tenant as () => string });
		await expect(visit(handle, 'blue.example')).rejects.toThrow(message);
	});
});
