import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { ConfigError, MemoryStore, sveltekitSessionHandle, type Telemetry } from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';
const FORGED = `connect.sid=${'x'.repeat(32)}.${'y'.repeat(43)}`;

const unhandled = vi.fn();

beforeEach(() => {
	unhandled.mockClear();
	process.on('unhandledRejection', unhandled);
});

afterEach(async () => {
	// A rejection counts as unhandled when the microtasks are done.
	await new Promise((resolve) => setTimeout(resolve, 0));
	process.off('unhandledRejection', unhandled);
	expect(unhandled).not.toHaveBeenCalled();
	vi.unstubAllEnvs();
	vi.resetModules();
});

async function rejects(): Promise<never> {
	throw new Error('of the application');
}

function throws(): never {
	throw new Error('of the application');
}

const LISTENERS: [string, () => unknown][] = [
	['rejects', rejects],
	['throws', throws],
	[
		'returns what is no promise, and throws',
		() => ({
			then: throws
		})
	]
];

describe.each(LISTENERS)('a listener that %s', (_, listener) => {
	test('fails no request, and ends no process', async () => {
		const telemetry: Telemetry = { event: listener, store: async (__, run) => run() };
		const onEvent = vi.fn(listener);
		const handle = sveltekitSessionHandle({
			secret: SECRET,
			store: new MemoryStore(),
			onEvent: onEvent,
			telemetry
		});
		const { event } = testEvent(FORGED);
		const response = await handle({
			event,
			resolve: async () => {
				await event.locals.session.save();
				await event.locals.session.destroy();
				return new Response();
			}
		});
		expect(response.status).toBe(200);
		// Also the calls of `onEvent`, although `telemetry` came first.
		expect(onEvent).toHaveBeenCalledTimes(3);
	});

	test('is a hint in development', async () => {
		vi.stubEnv('NODE_ENV', 'development');
		vi.resetModules();
		const fresh = await import('../src/index.js');
		const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
		const { event } = testEvent(FORGED);
		await fresh.sveltekitSessionHandle({ secret: SECRET, onEvent: listener })({
			event,
			resolve: () => new Response()
		});
		await Promise.resolve();
		await new Promise((resolve) => setTimeout(resolve, 0));
		expect(warn.mock.calls.join()).toContain('`onEvent` has thrown: Error: of the application');
		warn.mockRestore();
	});
});

const STORES: [string, Telemetry['store']][] = [
	['throws', throws],
	['rejects', rejects],
	['drops the answer', async () => undefined as never],
	[
		'does not wait for it',
		async (_, run) => {
			void run();
			return undefined as never;
		}
	],
	['never ends', async () => new Promise<never>(() => undefined)],
	[
		'never ends once it has the answer',
		async (_, run) => {
			await run();
			return new Promise<never>(() => undefined);
		}
	]
];

test.each(STORES)('telemetry that %s changes no answer of the store', async (_, measure) => {
	const memory = new MemoryStore();
	const telemetry: Telemetry = { event: () => undefined, store: measure };
	const handle = sveltekitSessionHandle({ secret: SECRET, store: memory, telemetry });
	const { event } = testEvent();
	const response = await handle({
		event,
		resolve: async () => {
			await event.locals.session.save();
			return new Response();
		}
	});
	expect(memory.size).toBe(1);
	expect(response.headers.getSetCookie()).toHaveLength(1);
	const failing = sveltekitSessionHandle({
		secret: SECRET,
		telemetry,
		store: { get: rejects, set: rejects, destroy: rejects, touch: rejects }
	});
	const next = testEvent(response.headers.getSetCookie()[0]?.split(';')[0]);
	await expect(
		failing({ event: next.event, resolve: () => new Response() })
	).rejects.toMatchObject({ code: 'store_failed' });
});

test.each([
	['skip', { skip: rejects }],
	['passive', { passive: rejects }],
	['genid', { genid: rejects }],
	['encode', { cookie: { encode: rejects } }]
])('a promise of `%s` is refused: it would be taken for an answer', async (_, options) => {
	const { event } = testEvent();
	const request = (async () =>
		sveltekitSessionHandle({
			secret: SECRET,
			store: new MemoryStore(),
			...(options as object)
		})({
			event,
			resolve: async () => {
				await event.locals.session.save();
				return new Response();
			}
		}))();
	await expect(request).rejects.toBeInstanceOf(ConfigError);
	await expect(request).rejects.toThrow('must not be async');
});

test('options may come by a function, but not by a promise', async () => {
	const handle = sveltekitSessionHandle(rejects as never);
	const { event } = testEvent();
	await expect(handle({ event, resolve: () => new Response() })).rejects.toBeInstanceOf(
		ConfigError
	);
});
