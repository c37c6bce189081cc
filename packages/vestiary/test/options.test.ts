import { execFileSync } from 'node:child_process';

import { afterEach, describe, expect, test, vi } from 'vitest';

import { ConfigError, MemoryStore, StoreError, sveltekitSessionHandle } from '../src/index.js';

const SECRET = '0123456789abcdef0123456789abcdef';

afterEach(() => {
	vi.unstubAllEnvs();
	vi.resetModules();
});

function refusal(options: unknown): ConfigError {
	try {
		sveltekitSessionHandle(options as never);
	} catch (error) {
		expect(error).toBeInstanceOf(ConfigError);
		return error as ConfigError;
	}
	throw new Error('accepted');
}

describe('options are refused at once, with what to do', () => {
	test.each([
		[undefined, 'options', '`options` must be an object'],
		[{}, 'secret_missing', 'openssl rand'],
		[{ secret: '' }, 'secret_missing', 'openssl rand'],
		[{ secret: [] }, 'secret_missing', 'openssl rand'],
		[{ secret: [SECRET, ''] }, 'secret_missing', 'openssl rand'],
		[{ secret: 5 }, 'options', '`secret` must be a string or a list of strings'],
		[{ secret: SECRET, name: 'a b' }, 'cookie_name', '`name` is not a valid cookie name'],
		[{ secret: SECRET, rolling: 'yes' }, 'options', '`rolling` must be a boolean, not string'],
		[
			{ secret: SECRET, cookie: { maxAge: '60' } },
			'options',
			'`cookie.maxAge` must be a number'
		],
		[
			{ secret: SECRET, cookie: { maxAge: NaN } },
			'cookie_option',
			'a finite number of seconds'
		],
		[{ secret: SECRET, cookie: { expires: 5 } }, 'options', '`cookie.expires` must be a Date'],
		[
			{ secret: SECRET, cookie: { httponly: true } },
			'options',
			'`cookie.httponly` is not a cookie option'
		],
		[
			{ secret: SECRET, idleTimout: 5 },
			'options',
			'`idleTimout` is not an option: did you mean `idleTimeout`?'
		],
		[{ secret: SECRET, maxAge: 5 }, 'options', 'write `cookie: { maxAge }`'],
		[{ secret: SECRET, resave: true }, 'options', '`resave` is not an option: use'],
		[{ secret: SECRET, cookie: { path: 'app' } }, 'cookie_option', 'an absolute path'],
		[{ secret: SECRET, name: '' }, 'cookie_name', '`name` must not be empty'],
		[{ secret: SECRET, cookie: [] }, 'options', '`cookie` must be an object, not list'],
		[{ secret: SECRET, require: 'atomic' }, 'options', '`require` must be a list, not string'],
		[
			{ secret: SECRET, name: '__Host-id', cookie: { secure: false } },
			'cookie_prefix',
			'must be Secure'
		]
	])('%j', (options, code, message) => {
		const error = refusal(options);
		expect(error.code).toBe(code);
		expect(error.message).toContain(message);
	});

	test('an encoder whose cookies could not be read back', () => {
		const encode = (value: string): string => btoa(value);
		const error = refusal({ secret: SECRET, cookie: { encode } });
		expect(error).toMatchObject({ code: 'cookie_option' });
		expect(error.message).toContain('cannot be read back');
		const whole = (value: string): string =>
			value.replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`);
		for (const good of [whole, encodeURIComponent, (value: string) => value]) {
			expect(() =>
				sveltekitSessionHandle({ secret: SECRET, cookie: { encode: good } })
			).not.toThrow();
		}
	});

	test('no message repeats a secret', () => {
		vi.stubEnv('NODE_ENV', 'production');
		expect(refusal({ secret: ['', 'hunter2-hunter2'] }).message).not.toContain('hunter2');
	});
});

/** 24 random bytes. */
const STRONG = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';

describe('a weak secret', () => {
	test('that is short is refused in production, by its position', async () => {
		vi.stubEnv('NODE_ENV', 'production');
		const { sveltekitSessionHandle: handle } = await import('../src/index.js');
		expect(() => handle({ secret: [STRONG, 'hunter2'] })).toThrow(
			/`secret` number 2 has fewer than 16 bytes/
		);
	});

	test('that can be guessed is refused in production, however long, by its position', async () => {
		vi.stubEnv('NODE_ENV', 'production');
		const { sveltekitSessionHandle: handle, ConfigError: Refusal } =
			await import('../src/index.js');
		for (const secret of [
			'a'.repeat(64),
			'changeme-changeme-changeme',
			'a long random secret, from the environment',
			'qwertyuiopasdfghjklzxcvbnm'
		]) {
			const made = (): unknown => handle({ secret: [STRONG, secret] });
			expect(made).toThrow(Refusal);
			expect(made).toThrow(/^`secret` number 2 can be guessed: .*`openssl rand -base64 32`$/);
			expect(made).not.toThrow(secret);
			expect(() => handle({ secret: STRONG })).not.toThrow();
		}
	});

	test('will do in development', () => {
		for (const secret of ['secret', 'a'.repeat(64)])
			expect(() => sveltekitSessionHandle({ secret })).not.toThrow();
	});
});

test('a missing secret stops no build, because builds have no visitors', async () => {
	vi.stubEnv('SVELTEKIT_FORK', 'true');
	const { sveltekitSessionHandle: handle } = await import('../src/index.js');
	expect(() => handle({ secret: '' })).not.toThrow();
	expect(() => handle({ secret: SECRET, name: 'a b' })).toThrow();
});

test('in development the memory store outlives an edit of the hooks', async () => {
	vi.stubEnv('NODE_ENV', 'development');
	const { Session } = await import('../src/index.js');
	const { testEvent } = await import('./event.js');
	const store = (name: string): unknown =>
		new Session(testEvent().event, { secret: SECRET, name }).store;
	expect(store('a')).toBe(store('a'));
	expect(store('a')).not.toBe(store('b'));
});

describe('MemoryStore', () => {
	const record = { cookie: { path: '/' }, data: {} };

	test('keeps, touches, expires and frees', async () => {
		vi.useFakeTimers();
		const store = new MemoryStore({ ttl: 5_000 });
		await store.set('short', record, 1_000);
		await store.set('default', record, Infinity);
		await store.touch('none', 1_000);
		expect(store.size).toBe(2);
		vi.advanceTimersByTime(999);
		expect(await store.get('short')).toEqual(record);
		await store.touch('short', 3_000);
		vi.advanceTimersByTime(2_999);
		expect(await store.get('short')).toEqual(record);
		vi.advanceTimersByTime(1);
		expect(await store.get('short')).toBeNull();
		vi.advanceTimersByTime(2_000);
		expect(store.size).toBe(0);
		vi.useRealTimers();
	});

	test('destroys, and gives copies', async () => {
		const store = new MemoryStore();
		await store.set('id', record, Infinity);
		expect(await store.get('id')).not.toBe(await store.get('id'));
		await store.destroy('id');
		await store.destroy('id');
		expect(await store.get('id')).toBeNull();
	});

	test('is bounded, and says so', async () => {
		const few = new MemoryStore({ maxEntries: 1 });
		await few.set('a', record, Infinity);
		await expect(few.set('b', record, Infinity)).rejects.toBeInstanceOf(StoreError);
		const small = new MemoryStore({ maxBytes: 1_000 });
		const large = { ...record, data: { text: 'x'.repeat(1_000) } };
		await expect(small.set('a', large, Infinity)).rejects.toMatchObject({ code: 'store_full' });
	});

	test('uses prefix and serializer', async () => {
		const seen: string[] = [];
		const serializer = {
			parse: async (text: string) => JSON.parse(atob(text)) as typeof record,
			stringify: (data: unknown) => {
				const text = btoa(JSON.stringify(data));
				seen.push(text);
				return text;
			}
		};
		const store = new MemoryStore({ prefix: 'p:', serializer });
		await store.set('id', record, Infinity);
		expect(await store.get('id')).toEqual(record);
		expect(seen).toHaveLength(1);
	});
});

test('the package imports nothing but types of SvelteKit, and three subpaths what they are for', () => {
	const lines = execFileSync('grep', ['-rE', "^import .* from '[^.]|^} from '[^.]", 'src'], {
		encoding: 'utf8'
	});
	const imports = lines.split('\n').filter((line) => line && !line.startsWith('src/generated'));
	const others = imports.filter((line) => !/import type .* from '@sveltejs\/kit'/.test(line));
	expect(others.sort()).toEqual([
		...['$app/state', '$app/navigation', 'svelte'].map(
			(name) =>
				expect.stringMatching(
					`^src/client/use-session.*'${name.replace('$', '\\$')}'`
				) as unknown
		),
		expect.stringMatching(/^src\/opentelemetry\.ts:.*'@opentelemetry\/api'/),
		expect.stringMatching(/^src\/stores\/session-object\.ts:.*'cloudflare:workers'/)
	]);
});
