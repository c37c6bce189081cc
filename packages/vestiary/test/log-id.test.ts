import { beforeEach, describe, expect, test } from 'vitest';

import {
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { loggedIn, remote, visit, visitor } from './visits.js';

/* The name of a session for logs. */

let store: MemoryStore;
let options: SveltekitSessionConfig;

beforeEach(() => {
	store = new MemoryStore();
	options = { secret: '0123456789abcdef0123456789abcdef', store };
});

describe.each([
	['on a table', (): Store => store],
	['on a store that is awaited', (): Store => remote(store)]
])('a name for logs, %s', (_, storeOf) => {
	beforeEach(() => {
		options = { ...options, store: storeOf() };
	});

	test('stays the same over renewals, and is no part of the ID', async () => {
		let cookie = await visitor(options, { n: 1 });
		const names = new Set<string | undefined>();
		const ids = new Set<string>();
		for (let time = 0; time < 3; time++) {
			const { cookies } = await visit(
				options,
				async (session) => {
					names.add(session.logId);
					ids.add(session.id);
					await session.renew();
					names.add(session.logId);
				},
				cookie
			);
			cookie = cookies[0] ?? '';
		}
		expect([names.size, ids.size]).toEqual([1, 3]);
		const [name = ''] = names;
		expect(name).toMatch(/^[\w-]{16}$/);
		for (const id of ids) expect(id).not.toContain(name.slice(0, 4));
		const read = await sessions(options).read(cookie);
		expect(read?.logId).toBe(name);
	});

	test('is the handle of the session of a user, and no name without a session', async () => {
		const cookie = await loggedIn(options);
		const { session } = await visit(options, () => undefined, cookie);
		const [listed] = await sessions(options).of('ada').list();
		expect(session.logId).toBe(listed?.handle);
		await visit(options, (anonymous) => {
			expect(anonymous.logId).toBeUndefined();
		});
	});
});

test('in a listener it is that of the session before the operation', async () => {
	const named: unknown[] = [];
	const { event } = testEvent();
	await sveltekitSessionHandle({
		...options,
		onEvent: ({ type }, { locals }) => named.push([type, locals.session.logId])
	})({
		event,
		resolve: async () => {
			await event.locals.session.setData({ n: 1 });
			await event.locals.session.save();
			await event.locals.session.renew();
			const { logId } = event.locals.session;
			await event.locals.session.destroy();
			named.push(logId);
			return new Response();
		}
	});
	const logId = named.pop();
	expect(logId).toBeTypeOf('string');
	expect(named).toEqual([
		['created', undefined],
		['rotated', logId],
		['destroyed', logId]
	]);
});
