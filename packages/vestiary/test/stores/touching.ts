import { expect, vi } from 'vitest';

import { Session, type Store } from '../../src/index.js';
import { testEvent } from '../event.js';

/** Checks that a touch is a single call to the store, and leaves the tombstone of a login unchanged. */
export async function touchesInOneCall(store: Store): Promise<void> {
	const { atomic } = store;
	if (!atomic) throw new Error('the store has no `atomic`');
	const options = { secret: '0123456789abcdef0123456789abcdef', store };
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, options);
	await session.save();
	const old = { id: session.id, cookie: encodeURIComponent(cookies.at(-1)?.value ?? '') };
	const late = await Session.initialize(testEvent(`connect.sid=${old.cookie}`).event, options);
	const [read, touch] = [vi.spyOn(atomic, 'read'), vi.spyOn(atomic, 'touch')];
	await session.touch();
	expect(read).not.toHaveBeenCalled();
	expect(touch).toHaveBeenCalledTimes(1);
	const writeId = /"v":"([\w-]{16})"/.exec((await atomic.read(old.id)) ?? '')?.[1] ?? '';
	await session.login('ada');
	touch.mockClear();
	await late.touch();
	expect(touch).toHaveBeenCalledTimes(1);
	await expect(touch.mock.results[0]?.value).resolves.toBe('conflict');
	expect(await atomic.touch(old.id, 60_000, writeId)).toBe('conflict');
	await session.destroy();
}
