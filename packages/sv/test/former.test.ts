import { describe, expect, test } from 'vitest';

import { detectFormer } from '../src/former.ts';
import { APP_TYPES, project, settled } from './projects.ts';

const HOOKS = `import { sveltekitSessionHandle } from 'svelte-kit-sessions';
import RedisStore from 'svelte-kit-connect-redis';
import { Redis } from 'ioredis';

export const handle = sveltekitSessionHandle({
	secret: 'kept',
	store: new RedisStore({ client: new Redis() })
});
`;

const FILES = {
	'package.json': `${JSON.stringify({ dependencies: { 'svelte-kit-sessions': '^0.4.0', 'svelte-kit-connect-redis': '^0.0.4' } }, null, '\t')}\n`,
	'src/hooks.server.ts': HOOKS,
	'src/app.d.ts': `declare module 'svelte-kit-sessions' { interface SessionData { name: string } }\n${APP_TYPES.replace('// interface Locals {}', "interface Locals { session: import('svelte-kit-sessions').Session }")}`,
	'src/routes/+page.svelte': "<script>\nimport 'svelte-kit-sessions';\n</script>\n",
	'src/name.ts': "export const library = 'svelte-kit-sessions';\n"
};

test('the former library is found in package.json', () => {
	const { version } = project(FILES);
	expect(detectFormer(version)).toBe('svelte-kit-sessions');
	expect(detectFormer(project().version)).toBe('none');
});

describe('from svelte-kit-sessions', () => {
	const answers = { from: 'svelte-kit-sessions' } as const;

	test('modules and packages change, and secret, store and data stay', () => {
		const { written, dependencies, notes } = settled(project(FILES), answers);
		expect([...written.keys()].sort()).toEqual([
			'package.json',
			'src/app.d.ts',
			'src/hooks.server.ts',
			'src/routes/+page.svelte'
		]);
		expect(written.get('src/hooks.server.ts')).toBe(
			HOOKS.replace('svelte-kit-sessions', 'vestiary').replace(
				'svelte-kit-connect-redis',
				'vestiary/redis'
			)
		);
		expect(written.get('src/app.d.ts')).toContain(
			"declare module 'vestiary' { interface SessionData { name"
		);
		expect(JSON.parse(written.get('package.json') ?? '')).toEqual({
			dependencies: { ioredis: '^5.3.2', vestiary: '^0.1.0' }
		});
		expect([...dependencies.keys()]).toEqual([]);
		expect(notes).toEqual([
			'src/name.ts:1 names svelte-kit-sessions in another way: look at it.'
		]);
	});

	test('demo pages wait until the options have a module', () => {
		const { written, notes } = settled(project(FILES), { ...answers, demo: true });
		expect([...written.keys()].filter((name) => name.includes('routes/login'))).toEqual([]);
		expect(notes.join()).toContain('src/lib/server/session-options.ts');
		const options = {
			...FILES,
			'src/lib/server/session-options.ts': 'export const options = {};\n'
		};
		expect([...settled(project(options), { ...answers, demo: true }).written.keys()]).toContain(
			'src/routes/login/+page.svelte'
		);
	});
});
