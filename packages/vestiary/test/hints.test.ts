import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';

const GOOD: SveltekitSessionConfig = {
	secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82',
	store: { get: vi.fn(), set: vi.fn(), destroy: vi.fn(), touch: vi.fn() }
};

let warnings: string[];

beforeEach(() => {
	vi.resetModules();
	warnings = [];
	vi.spyOn(console, 'warn').mockImplementation((text: string) => {
		warnings.push(text);
	});
});

afterEach(() => {
	vi.unstubAllEnvs();
	vi.restoreAllMocks();
});

async function use(
	options: Partial<SveltekitSessionConfig>,
	env = 'development',
	url = 'http://localhost/'
): Promise<void> {
	vi.stubEnv('NODE_ENV', env);
	const { sveltekitSessionHandle } = await import('../src/index.js');
	for (let twice = 0; twice < 2; twice++) {
		const handle = sveltekitSessionHandle({ ...GOOD, ...options });
		await handle({ event: testEvent(undefined, url).event, resolve: () => new Response() });
	}
}

test.each<[Partial<SveltekitSessionConfig>, string]>([
	[{ cookie: { maxAge: 86_400_000 } }, 'is it in milliseconds?'],
	[{ secret: 'keyboard cat' }, 'a well-known example'],
	[
		{ secret: ['gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82', 'short but random x7'] },
		'fewer than 32 bytes'
	],
	[{ secret: 'wk4p-'.repeat(10) }, 'can be guessed, and production refuses it'],
	[{ cookie: { maxAge: 3_600_000 } }, '`cookie.maxAge` is 3600000 seconds, which is 42 days'],
	[{ cookie: { maxAge: 1_800_000 } }, 'write 1800'],
	[{ absoluteTimeout: 28_800_000 }, '`absoluteTimeout` is 28800000 seconds'],
	[{ storeTimeout: 5 }, 'is it in seconds?'],
	[{ secret: 'super-secret-key' }, 'a well-known example'],
	[{ secret: 'your-session-secret-here' }, 'a well-known example'],
	[{ secret: 'Change me in production, please!' }, 'a well-known example'],
	[{ cookie: { path: '/app' } }, '`cookie.path` is `/app`'],
	[{ store: undefined }, 'kept in memory']
])('%j: a hint, once, in development only', async (options, text) => {
	await use(options);
	expect(warnings).toEqual([expect.stringContaining(text)]);
	warnings.length = 0;
	vi.resetModules();
	await use({ ...options, secret: GOOD.secret }, 'production');
	vi.resetModules();
	await use(options, 'test');
	expect(warnings).toEqual([]);
});

test('a secure cookie over http gives a hint, except on localhost', async () => {
	await use({ cookie: { secure: true } });
	expect(warnings).toEqual([]);
	await use({ cookie: { secure: true } }, 'development', 'http://192.168.1.5/');
	expect(warnings).toEqual([expect.stringContaining('over http from 192.168.1.5')]);
});

test('a known secret is known in capitals, too', async () => {
	await use({ secret: 'Keyboard Cat' });
	expect(warnings).toEqual([expect.stringContaining('a well-known example')]);
});

test.each([
	'super-secret-key',
	'your-session-secret-here',
	'a-very-long-secret-that-is-32-bytes',
	'abcdefghijklmnopqrstuvwxyz123456',
	'Shhhhhhhhhhhh, it is a secret!!!'
])('%s is a well-known example', async (secret) => {
	await use({ secret });
	expect(warnings).toEqual([expect.stringContaining('a well-known example')]);
});

test.each(['x'.repeat(98), '1'.repeat(98), 'todo'.repeat(24), 'a'.repeat(98)])(
	'a secret that begins like an example is looked at in no time: %s',
	async (beginning) => {
		await use({ secret: `${beginning}q` });
		expect(warnings).toEqual([expect.stringContaining('can be guessed')]);
	}
);

test('a secret of 31 bytes gets a hint, and one of 32 none', async () => {
	await use({ secret: 'r4nd0m-J8fQ2mZr7LxPw0Ks-Yt5-abcd' });
	expect(warnings).toEqual([]);
	vi.resetModules();
	await use({ secret: 'r4nd0m-J8fQ2mZr7LxPw0Ks-Yt5-abc' });
	expect(warnings).toEqual([expect.stringContaining('fewer than 32 bytes')]);
});

test('http gives no hint to this machine, whatever its name, nor to a cookie that is not always Secure', async () => {
	for (const host of ['localhost', '127.0.0.1', '[::1]'])
		await use({ cookie: { secure: true } }, 'development', `http://${host}:5173/`);
	await use({ cookie: { secure: false } }, 'development', 'http://192.168.1.5/');
	expect(warnings).toEqual([]);
});

test('valid options give no hint', async () => {
	await use({ cookie: { maxAge: 31_536_000 } });
	expect(warnings).toEqual([]);
});

test('no hint repeats a secret', async () => {
	await use({ secret: 'hunter2-hunter2' });
	expect(warnings.join()).not.toContain('hunter2');
});

test('times that people mean in seconds give no hint', async () => {
	for (const maxAge of [
		60, 900, 3_600, 86_400, 129_600, 604_800, 2_592_000, 7_776_000, 34_560_000
	])
		await use({ cookie: { maxAge }, absoluteTimeout: maxAge });
	expect(warnings).toEqual([]);
});

test('SvelteKit 2 makes cookies Secure on another host, which http does not keep', async () => {
	vi.stubEnv('NODE_ENV', 'development');
	const { sveltekitSessionHandle } = await import('../src/index.js');
	const { event } = testEvent(undefined, 'http://192.168.1.5/');
	event.cookies.serialize = () => 'sample=; Path=/; Secure';
	await sveltekitSessionHandle(GOOD)({ event, resolve: () => new Response() });
	expect(warnings).toEqual([expect.stringContaining('SvelteKit makes cookies `Secure`')]);
});
