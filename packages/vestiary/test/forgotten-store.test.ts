import { afterEach, describe, expect, test, vi } from 'vitest';

import type { SveltekitSessionConfig } from '../src/index.js';
import { testEvent } from './event.js';

/* `sessions()` without the store of the handle would end nothing, and say that it did. */

const SECRET = 'gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';

async function start(env: string): Promise<typeof import('../src/index.js')> {
	vi.stubEnv('NODE_ENV', env);
	vi.resetModules();
	return import('../src/index.js');
}

afterEach(() => {
	vi.unstubAllEnvs();
	vi.resetModules();
});

describe.each(['production', 'test'])('in %s', (env) => {
	test('options without the store of the handle are refused, whatever they are for', async () => {
		const { MemoryStore, sessions, sveltekitSessionHandle } = await start(env);
		sveltekitSessionHandle({ secret: SECRET, store: new MemoryStore() });
		const forgotten = sessions({ secret: SECRET });
		for (const call of [
			async () => forgotten.of('ada').revokeAll(),
			async () => forgotten.of('ada').revoke('handle'),
			async () => forgotten.of('ada').list(),
			async () => forgotten.read('connect.sid=x'),
			async () => forgotten.open({ headers: {} }),
			async () => forgotten.health()
		])
			await expect(call()).rejects.toMatchObject({
				code: 'options',
				message: expect.stringContaining('with its `store`') as string
			});
	});

	test.each<[name: string, function_: boolean]>([
		['options', false],
		['a function of options', true]
	])(
		'a handle that keeps its sessions in memory, with %s, shares them',
		async (_, isFunction) => {
			const { sessions, sveltekitSessionHandle } = await start(env);
			const options = (): SveltekitSessionConfig => ({ secret: SECRET, name: 'memory' });
			const handle = sveltekitSessionHandle(isFunction ? options : options());
			const { event } = testEvent();
			await handle({
				event,
				resolve: async () => {
					await event.locals.session.login('ada');
					return new Response();
				}
			});
			const user = sessions(options()).of('ada');
			expect(await user.list()).toHaveLength(1);
			await user.revokeAll();
			expect(await user.list()).toEqual([]);
		}
	);

	test('a handle of another cookie, or another secret, is no reason to refuse', async () => {
		const { MemoryStore, sessions, sveltekitSessionHandle } = await start(env);
		const store = new MemoryStore();
		sveltekitSessionHandle({ secret: SECRET, store, name: 'admin' });
		sveltekitSessionHandle({ secret: `${SECRET} of another`, store });
		expect(await sessions({ secret: SECRET }).of('ada').list()).toEqual([]);
	});
});

test('a process without a handle may read in memory, and in production not end sessions there', async () => {
	for (const env of ['production', 'test', 'development']) {
		const { sessions } = await start(env);
		const forgotten = sessions({ secret: SECRET });
		expect(await forgotten.of('ada').list()).toEqual([]);
		expect(await forgotten.read('connect.sid=x')).toBeUndefined();
		const ending = forgotten.of('ada').revokeAll();
		if (env === 'production') await expect(ending).rejects.toMatchObject({ code: 'options' });
		else await ending;
	}
});
