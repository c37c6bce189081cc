import { describe, expect, test } from 'vitest';

import packed from '../package.json' with { type: 'json' };
import vestiary from '../../vestiary/package.json' with { type: 'json' };
import { plan } from '../src/plan.ts';
import { isPerRequest } from '../src/options.ts';
import { STORES, VERSIONS, type StoreKind } from '../src/stores.ts';
import { ANSWERS, APP_TYPES, changed, changes, project, settled } from './projects.ts';

const LOCKED = { '.gitignore': 'node_modules\n.env\n.env.*\n!.env.example\n' };

describe('a new app', () => {
	test('gets hooks, options, types, a secret, and nothing else', () => {
		const from = project({ ...LOCKED, 'src/app.d.ts': APP_TYPES });
		const { written, dependencies } = settled(from);
		expect([...written.keys()].sort()).toEqual([
			'.env',
			'.env.example',
			'.gitignore',
			'src/app.d.ts',
			'src/hooks.server.ts',
			'src/lib/server/session-options.ts'
		]);
		expect([...dependencies]).toEqual([['vestiary', VERSIONS.vestiary]]);
		expect(written.get('.gitignore')).toBe(`${LOCKED['.gitignore']}sessions.db*\n`);
		expect(written.get('src/lib/server/session-options.ts'))
			.toBe(`import { env } from '$env/dynamic/private';
import type { SveltekitSessionConfig } from 'vestiary';
import { SqliteStore } from 'vestiary/sqlite';

/** The options of the sessions: for the handle in hooks.server, and for \`sessions()\`. */
export const options: SveltekitSessionConfig = {
	secret: env.SESSION_SECRET ?? '',
	store: new SqliteStore({ database: 'sessions.db' }),
	cookie: { maxAge: 60 * 60 * 24 * 7 }, // a week
	rolling: true // from the last visit
};
`);
	});

	test('in JavaScript has JavaScript', () => {
		const { written } = settled(project(LOCKED, { language: 'js' }), { demo: true });
		const files = [...written.keys()];
		expect(files).toContain('src/routes/login/+page.server.js');
		expect(files.filter((file) => file.endsWith('.ts'))).toEqual([]);
		for (const file of files.filter((name) => name.endsWith('.js')))
			expect(written.get(file), file).not.toMatch(/import type|, type | as unknown/);
	});

	test('with other folders has its files there', () => {
		const folders = { lib: 'src/shared', routes: 'src/pages' };
		const { written } = settled(project(LOCKED, folders), { demo: true });
		expect(written.get('src/hooks.server.ts')).toContain("'./shared/server/session-options'");
		expect(written.get('src/pages/devices/+page.server.ts')).toContain(
			"'../../shared/server/session-options'"
		);
	});
});

describe('the secret', () => {
	const secret = (env: string | undefined): string =>
		/SESSION_SECRET="?([^"\n]*)/.exec(env ?? '')?.[1] ?? '';

	test('is random, in .env only, and 32 bytes long', () => {
		const [one, other] = [changes(project()), changes(project())];
		const first = secret(one.written.get('.env'));
		expect(Buffer.from(first, 'base64')).toHaveLength(32);
		expect(secret(other.written.get('.env'))).not.toBe(first);
		expect(one.written.get('.env.example')).toContain('SESSION_SECRET=""\n');
		for (const [file, text] of one.written)
			if (file !== '.env') expect(text, file).not.toContain(first);
	});

	test('of the application stays, an empty one is filled, and others stay', () => {
		const kept = settled(project({ '.env': 'A=1\nexport SESSION_SECRET=mine\n' }));
		expect(kept.written.has('.env')).toBe(false);
		for (const empty of ['SESSION_SECRET=', 'SESSION_SECRET=""', "SESSION_SECRET=''  "]) {
			const env =
				settled(project({ '.env': `A=1\n${empty}\nB=2` })).written.get('.env') ?? '';
			expect(env).toMatch(/^A=1\nSESSION_SECRET="[^"]{44}"\nB=2$/);
		}
	});

	test('is kept out of git', () => {
		const ignored = (lines?: string): string | undefined =>
			changes(project(lines === undefined ? {} : { '.gitignore': lines })).written.get(
				'.gitignore'
			);
		expect(ignored()).toBe('.env\nsessions.db*\n');
		expect(ignored('node_modules')).toBe('node_modules\n.env\nsessions.db*\n');
		expect(ignored('.env.local\n# .env\n')).toContain('\n.env\n');
		for (const known of ['.env', '/.env', '.env*', '.env.*'])
			expect(ignored(`${known}\n`)).toBe(`${known}\nsessions.db*\n`);
	});
});

describe('SvelteKit 3', () => {
	test('declares its variables', () => {
		const { written } = settled(project({}, { kit: 3 }));
		expect(written.get('src/env.ts')).toBe(`import { defineEnvVars } from '@sveltejs/kit/env';

export const variables = defineEnvVars({
	SESSION_SECRET: {
		description: 'Signs the session cookie',
		// The build does not need it.
		schema: (value) => value ?? ''
	}
});
`);
		expect(written.get('src/lib/server/session-options.ts')).toContain(
			"import { SESSION_SECRET } from '$app/env/private';"
		);
	});

	test('has them beside those of the application', () => {
		const env = `import { defineEnvVars } from '@sveltejs/kit/env';

export const variables = defineEnvVars({ OTHER: { public: true } });
`;
		const { written } = settled(project({ 'src/env.ts': env }, { kit: 3 }), { oidc: true });
		const text = written.get('src/env.ts') ?? '';
		expect(text).toContain('	SESSION_SECRET: {');
		expect(text).toContain("description: 'The address of the provider'");
		expect(text).toContain(', OTHER: { public: true } });');
	});

	test('with variables that cannot be found is refused', () => {
		const from = project({ 'src/env.ts': 'export const variables = more();\n' }, { kit: 3 });
		expect(plan(from, ANSWERS)).toMatchObject({ kind: 'refused' });
	});
});

describe('app.d.ts', () => {
	const types = (source: string): string | undefined =>
		settled(project({ 'src/app.d.ts': source })).written.get('src/app.d.ts');

	test('keeps what is there', () => {
		const locals = APP_TYPES.replace(
			'// interface Locals {}',
			'interface Locals { user: string }'
		);
		expect(types(locals)).toMatch(/^import 'vestiary';\n\ndeclare module 'vestiary' \{/);
		expect(types(locals)?.endsWith(locals)).toBe(true);
	});

	test('with imports has them first', () => {
		const source =
			"import type { A } from './a';\n\ndeclare global { namespace App { interface Locals { a: A } } }\n";
		expect(types(source)).toMatch(
			/^import type \{ A \} from '.\/a';\nimport 'vestiary';\n\ndeclare module/
		);
	});

	test('that is no module stays one', () => {
		const source = 'declare namespace App { interface Locals { a: 1 } }\n';
		const { written } = settled(project({ 'src/app.d.ts': source }));
		expect(written.has('src/app.d.ts')).toBe(false);
		expect(written.get('src/session.d.ts')).toContain('interface SessionData');
	});

	test('that declares the data already stays as it is', () => {
		expect(
			types(
				'import "vestiary";\ndeclare module "vestiary" { interface SessionData { a: 1 } }\n'
			)
		).toBe(undefined);
	});

	test('with the session of another library is refused, and nothing is written', () => {
		const refused = (locals: string) =>
			plan(
				project({ 'src/app.d.ts': APP_TYPES.replace('// interface Locals {}', locals) }),
				ANSWERS
			);
		const other = refused(
			"interface Locals { user: User; session?: import('lucia').Session | null }"
		);
		expect(other).toMatchObject({ kind: 'refused' });
		expect(refused('interface Locals { a: { b: 1 }; session: 1 }').kind).toBe('refused');
		expect(refused('interface Locals { /* session: 1 */ sessions: 2 }').kind).toBe('changes');
		expect(refused('interface Locals { a: { session: 1 } } let session: 1;').kind).toBe(
			'changes'
		);
		expect(refused("interface Locals { session: import('vestiary').Session }").kind).toBe(
			'changes'
		);
	});
});

describe('the demo', () => {
	test('has its pages, and needs bowser', () => {
		const { written, dependencies, notes } = settled(project(LOCKED), { demo: true });
		const pages = [...written.keys()].filter((file) => file.endsWith('+page.svelte'));
		expect(pages.map((page) => page.split('/').at(-2)).sort()).toEqual([
			'account',
			'devices',
			'login'
		]);
		expect(dependencies.get('bowser')).toBe(VERSIONS.bowser);
		expect(notes.join()).toContain('ada');
	});

	test('leaves pages of the application alone, and says so', () => {
		const from = project({ 'src/routes/login/+page.svelte': 'mine' });
		const { written, notes } = settled(from, { demo: true });
		expect([...written.keys()].filter((file) => file.includes('routes'))).toEqual([]);
		expect(notes).toContain('The app has /login already, so there are no demo pages.');
	});

	test('uses modules of the application that have its names', () => {
		const from = project({ ...LOCKED, 'src/lib/server/users.ts': 'mine' });
		expect(settled(from, { demo: true }).written.has('src/lib/server/users.ts')).toBe(false);
	});

	test('stays as the application has changed it', () => {
		const from = project(LOCKED);
		const mine = changed(from, settled(from, { demo: true }));
		const read = (path: string) =>
			path.endsWith('login/+page.svelte') ? 'mine' : mine.read(path);
		expect([...changes({ ...mine, read }, { demo: true }).written.keys()]).toEqual([]);
	});

	test('by OpenID Connect asks for the provider, and has no passwords', () => {
		const { written, dependencies } = settled(project(LOCKED), { demo: true, oidc: true });
		expect(written.get('.env')).toMatch(/OIDC_ISSUER=""[^]*OIDC_CLIENT_SECRET=""/);
		expect(dependencies.get('openid-client')).toBe(VERSIONS['openid-client']);
		expect(written.has('src/lib/server/users.ts')).toBe(false);
		expect(written.get('src/routes/login/callback/+server.ts')).toBe(
			"export { finishLogin as GET } from '../../../lib/server/login';\n"
		);
		expect(written.get('src/lib/server/login.ts')).not.toContain('external');
		const three = settled(project(LOCKED, { kit: 3 }), { oidc: true });
		expect(three.written.get('src/lib/server/login.ts')).toContain('{ external: true }');
	});
});

/** An app that may have this store. */
function filesFor(store: StoreKind): Record<string, string> {
	if (!isPerRequest(store)) return LOCKED;
	const adapter = { '@sveltejs/adapter-cloudflare': '^7.0.0' };
	const files = { 'package.json': JSON.stringify({ devDependencies: adapter }) };
	return { ...LOCKED, ...files, 'wrangler.jsonc': '{}' };
}

test('every store with every language and version settles', () => {
	for (const { value: store } of STORES)
		for (const language of ['ts', 'js'] as const)
			for (const kit of [2, 3] as const)
				for (const oidc of [false, true])
					settled(project(filesFor(store), { language, kit }), {
						store,
						demo: true,
						oidc
					});
});

test('an app gets the versions that the tests of the stores have', () => {
	const tested = vestiary.devDependencies as Record<string, string>;
	const names = { ioredis: 'ioredis5', 'openid-client': undefined } as Record<
		string,
		string | undefined
	>;
	for (const [name, version] of Object.entries(VERSIONS)) {
		if (name === 'vestiary') continue;
		const known = name in names ? names[name] : name;
		if (known === undefined) continue;
		expect(`^${(tested[known] ?? '').replace(/^npm:.*@/, '')}`, name).toBe(version);
	}
	expect(VERSIONS.vestiary).toBe(`^${vestiary.version}`);
	expect(packed.version).toBe(vestiary.version);
	// `sv` refuses an add-on with dependencies, and one that does not name the version of `sv`.
	expect(packed).not.toHaveProperty('dependencies');
	expect(packed.peerDependencies.sv).toBe('^0.17.0');
});
