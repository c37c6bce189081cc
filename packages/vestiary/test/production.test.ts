import { afterEach, beforeEach, expect, test, vi, type MockInstance } from 'vitest';

import type { SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';

/* In production nothing is written to the console, whatever development would hint at. */

const FORGED = `connect.sid=${'x'.repeat(32)}.${'y'.repeat(43)}`;

let warn: MockInstance<typeof console.warn>;
let vestiary: typeof import('../src/index.js');

async function start(env: string): Promise<void> {
	vi.stubEnv('NODE_ENV', env);
	vi.resetModules();
	vestiary = await import('../src/index.js');
}

beforeEach(() => {
	warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
});

afterEach(() => {
	vi.unstubAllEnvs();
	vi.restoreAllMocks();
	vi.resetModules();
});

/** A request that makes every mistake that gives a hint in development. */
async function request(errors: Error[]): Promise<void> {
	const options: SveltekitSessionConfig = {
		secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82',
		store: new vestiary.MemoryStore(),
		onEvent: (happened) => {
			if (happened.type === 'failed') errors.push(happened.error);
			throw new Error('of the application');
		}
	};
	const { event } = testEvent(FORGED, 'http://app.example/');
	const [one, other] = [
		vestiary.sveltekitSessionHandle(options),
		vestiary.sveltekitSessionHandle({ ...options, namespace: 'other' })
	];
	await one({
		event,
		resolve: async () =>
			other({
				event,
				resolve: async () => {
					const { session } = event.locals;
					await session.setData({ at: 1 });
					await session.save();
					return new Response();
				}
			})
	});
	// Nothing waits for it any more.
	const fails = (thrown: unknown): void =>
		void event.locals.session.update(() => {
			throw thrown;
		});
	fails('a string');
	fails(Object.create(null));
	fails(new RangeError('an error'));
	await new Promise((resolve) => setTimeout(resolve, 0));
}

test('production hints at nothing', async () => {
	await start('production');
	for (let n = 0; n < 4; n++) await request([]);
	expect(warn).not.toHaveBeenCalled();
});

test('development hints at what has failed, and whatever was thrown, an event has an Error', async () => {
	await start('development');
	const errors: Error[] = [];
	await request(errors);
	expect(errors.map(({ name, message }) => [name, message])).toEqual([
		['Error', 'a string'],
		['Error', 'an error without a text'],
		['RangeError', 'an error']
	]);
	expect(warn.mock.calls.join()).toContain('was not awaited has failed: RangeError: an error');
});

test('two handles that share neither cookie nor property get no hint, nor does one that comes twice', async () => {
	await start('development');
	const store = new vestiary.MemoryStore();
	const options = { secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82', store };
	const shop = vestiary.sveltekitSessionHandle({ ...options, name: 'shop' });
	const admin = vestiary.sveltekitSessionHandle({ ...options, name: 'admin', as: 'admin' });
	const { event } = testEvent();
	await shop({
		event,
		resolve: async () =>
			shop({
				event,
				resolve: async () => admin({ event, resolve: () => new Response() })
			})
	});
	expect(warn.mock.calls).toEqual([]);
});

test('a handle with another cookie and one property gets the hint for the property alone', async () => {
	for (const [more, hint] of [
		[{ name: 'admin' }, 'another `as`'],
		[{ as: 'admin', namespace: 'admin' }, 'another `name`']
	] as const) {
		await start('development');
		const store = new vestiary.MemoryStore();
		const options = { secret: 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82', store };
		const { event } = testEvent();
		warn.mockClear();
		await vestiary.sveltekitSessionHandle(options)({
			event,
			resolve: async () =>
				vestiary.sveltekitSessionHandle({ ...options, ...more })({
					event,
					resolve: () => new Response()
				})
		});
		expect(warn.mock.calls).toEqual([[expect.stringContaining(hint)]]);
	}
});
