import { describe, expect, test } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	VestiaryError,
	type Session,
	type SveltekitSessionConfig
} from '../src/index.js';
import { visit } from './visits.js';
import { SECRET, WatchedStore } from './watched-store.js';

/* The stack of an error shows the line of the application, whatever happens inside of the package. */

/** A store that fails after the session was read. */
function failing(): SveltekitSessionConfig {
	const store = new WatchedStore();
	store.before = async (call) => {
		await Promise.resolve();
		if (call !== 'read') throw new Error('down');
	};
	return { secret: SECRET, store, autoSave: false };
}

async function thrownBy(line: () => unknown): Promise<VestiaryError> {
	try {
		await line();
	} catch (error) {
		if (error instanceof VestiaryError) return error;
		throw error;
	}
	throw new Error('nothing was thrown');
}

/** The error of a line in an application, whose function has a name that is nowhere else. */
async function within(
	config: SveltekitSessionConfig,
	line: (session: Session) => unknown
): Promise<VestiaryError> {
	let error: VestiaryError | undefined;
	await visit(config, async (session) => {
		error = await thrownBy(async function lineOfTheApp() {
			await line(session);
		});
	});
	if (!error) throw new Error('nothing was thrown');
	return error;
}

describe('the stack of an error has the line of the application', () => {
	test.each<[name: string, line: (session: Session) => unknown]>([
		['save', async (session) => session.save()],
		['setData', async (session) => (await session.setData({ at: 1 }), session.save())],
		['update', async (session) => session.update((data) => ({ ...data, n: 1 }))],
		['login', async (session) => session.login('ada')]
	])('that calls `%s` while the store fails', async (_, line) => {
		const { stack } = await within(failing(), async (session) => {
			Object.assign(session.data, { n: 1 });
			await line(session);
		});
		expect(stack).toContain('lineOfTheApp');
	});

	test('that saves too much', async () => {
		const config = { secret: SECRET, store: new MemoryStore(), maxBytes: 1_024 };
		const { code, stack } = await within({ ...config, autoSave: false }, async (session) => {
			Object.assign(session.data, { text: 'x'.repeat(2_000) });
			await session.save();
		});
		expect(code).toBe('too_large');
		expect(stack).toContain('lineOfTheApp');
	});

	test('that ends the sessions of a user', async () => {
		const config = failing();
		const { stack } = await thrownBy(async function lineOfTheApp() {
			await sessions(config).of('ada').revokeAll();
		});
		expect(stack).toContain('lineOfTheApp');
	});

	test('that makes a handle without a secret', async () => {
		/** As deep as the modules of a server. */
		function deep(depth: number): unknown {
			return depth === 0 ? sveltekitSessionHandle({ secret: '' }) : deep(depth - 1);
		}
		const { code, stack } = await thrownBy(function lineOfTheApp() {
			deep(10);
		});
		expect(code).toBe('secret_missing');
		expect(stack).toContain('lineOfTheApp');
	});

	test('and the limit of other errors stays as it was', async () => {
		const before = Error.stackTraceLimit;
		await within(failing(), async (session) => session.save());
		expect(Error.stackTraceLimit).toBe(before);
		Error.stackTraceLimit = 0;
		try {
			expect(new VestiaryError('options', 'wrong').stack).not.toContain(' at ');
		} finally {
			Error.stackTraceLimit = before;
		}
	});
});
