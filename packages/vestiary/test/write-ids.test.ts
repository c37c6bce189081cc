import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { MemoryStore, sveltekitSessionHandle, type Session } from '../src/index.js';
import { testEvent } from './event.js';

const options = { secret: '0123456789abcdef0123456789abcdef', store: new MemoryStore() };

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }));

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

async function visit(does: (session: Session) => Promise<unknown>): Promise<void> {
	const { event } = testEvent();
	await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await does(event.locals.session);
			return new Response('ok');
		}
	});
}

test('each write has a write ID of its own, and asks for random bytes only now and then', async () => {
	const random = vi.spyOn(crypto, 'getRandomValues');
	const writeIds = new Set<string | undefined>();
	await visit(async (session) => {
		await session.save();
		random.mockClear();
		for (let n = 0; n < 1_000; n++) {
			await session.save();
			writeIds.add((await options.store.get(session.id))?.v);
		}
	});
	expect(writeIds.size).toBe(1_000);
	expect(random.mock.calls.length).toBeLessThan(20);
});

test('random bytes in the memory of a copied process are worthless after a second', async () => {
	const random = vi.spyOn(crypto, 'getRandomValues');
	await visit(async (session) => {
		await session.save();
		for (const later of [1_001, -5_000]) {
			random.mockClear();
			vi.setSystemTime(Date.now() + later);
			await session.save();
			expect(random, `${later} ms`).toHaveBeenCalledTimes(1);
		}
	});
});
