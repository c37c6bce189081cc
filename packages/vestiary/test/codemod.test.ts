import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import manifestOfPackage from '../package.json' with { type: 'json' };
import { migrateManifest, migrateSource } from '../src/codemod/svelte-kit-sessions.js';

const PROGRAM = new URL('../bin/codemod.js', import.meta.url).pathname;

test('no module that an app loads imports it, and npx finds it by the name of the package', () => {
	const src = new URL('../src/', import.meta.url).pathname;
	const others = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
		(name) => name.endsWith('.ts') && !name.startsWith('codemod/')
	);
	expect(others.length).toBeGreaterThan(50);
	for (const name of others)
		expect(readFileSync(join(src, name), 'utf8'), name).not.toContain('codemod/');
	expect(JSON.stringify(manifestOfPackage.exports)).not.toContain('codemod');
	// Of several programs, npx runs the one that has the name of the package. That name is the operator's tool's.
	expect(manifestOfPackage.bin).toEqual({ 'vestiary-codemod': 'bin/codemod.js' });
});

describe('source files', () => {
	test.each([
		["import { sveltekitSessionHandle } from 'svelte-kit-sessions';", "'vestiary'"],
		["import type { Session } from 'svelte-kit-sessions'", "'vestiary'"],
		['import "svelte-kit-sessions";', '"vestiary"'],
		["export * from 'svelte-kit-sessions';", "'vestiary'"],
		[
			"import {\n\tsveltekitSessionHandle,\n\ttype Session\n}\nfrom\n'svelte-kit-sessions';",
			"'vestiary'"
		],
		["declare module 'svelte-kit-sessions' {", "'vestiary'"],
		["session: import('svelte-kit-sessions').Session;", "'vestiary'"],
		["/** @type {import('svelte-kit-sessions').Session} */", "'vestiary'"],
		['const { Session } = await import( `svelte-kit-sessions` );', '`vestiary`'],
		["const { Session } = require('svelte-kit-sessions');", "'vestiary'"],
		["vi.mock('svelte-kit-sessions', () => ({}));", "'vestiary'"],
		["import RedisStore from 'svelte-kit-connect-redis';", "'vestiary/redis'"],
		["import RedisStore from 'svelte-kit-connect-upstash-redis';", "'vestiary/upstash-redis'"],
		["import KvStore from 'svelte-kit-connect-cloudflare-kv';", "'vestiary/cloudflare-kv'"]
	])('%s', (source, module) => {
		const expected = source.replace(/(['"`])svelte-kit-[\w-]+\1/, module);
		expect(expected).not.toBe(source);
		const migrated = migrateSource(`// before\n${source}\n// after\n`);
		expect(migrated).toEqual({
			text: `// before\n${expected}\n// after\n`,
			changes: 1,
			mentions: []
		});
		expect(migrateSource(migrated.text)).toEqual({ ...migrated, changes: 0 });
	});

	test('text, other modules and other packages stay, and their lines are listed', () => {
		const source = `import a from 'svelte-kit-sessions-extra';
import b from './svelte-kit-sessions';
import KnexStore from 'svelte-kit-connect-knex';
const title = 'svelte-kit-sessions';
// svelte-kit-sessions
`;
		expect(migrateSource(source)).toEqual({ text: source, changes: 0, mentions: [4, 5] });
	});
});

describe('package.json', () => {
	const manifest = (packages: object) =>
		`${JSON.stringify({ name: 'app', ...packages }, null, 2)}\n`;
	const nothing = () => false;

	test('has vestiary in place of the packages, and stays as it is otherwise', () => {
		const before = manifest({
			scripts: { dev: 'vite' },
			dependencies: {
				a: '1',
				'svelte-kit-connect-redis': '^0.0.4',
				'svelte-kit-sessions': '^0.4.0',
				z: '1'
			},
			devDependencies: { b: '1' }
		});
		const after = manifest({
			scripts: { dev: 'vite' },
			dependencies: { a: '1', vestiary: '^0.1.0', z: '1' },
			devDependencies: { b: '1' }
		});
		expect(migrateManifest(before, '^0.1.0', nothing)).toBe(after);
		expect(migrateManifest(after, '^0.1.0', nothing)).toBe(after);
	});

	test('keeps its own version of vestiary, and stores of others', () => {
		const before = manifest({
			dependencies: { vestiary: 'file:x' },
			devDependencies: { 'svelte-kit-sessions': '1', 'svelte-kit-connect-knex': '1' }
		});
		const after = migrateManifest(before, '^0.1.0', nothing);
		expect(JSON.parse(after)).toEqual({
			name: 'app',
			dependencies: { vestiary: 'file:x' },
			devDependencies: { 'svelte-kit-connect-knex': '1' }
		});
	});

	test('names a client that came with a store, if the app uses it', () => {
		const before = manifest({
			dependencies: { 'svelte-kit-connect-redis': '1', 'svelte-kit-sessions': '1' }
		});
		const after = migrateManifest(before, '^0.1.0', (name) => name === 'ioredis');
		expect(JSON.parse(after)).toMatchObject({
			dependencies: { ioredis: '^5.3.2', vestiary: '^0.1.0' }
		});
		expect(after).not.toContain('"redis"');
	});

	test('keeps its indentation and its end', () => {
		const before = '{\n\t"dependencies": {\n\t\t"svelte-kit-sessions": "1"\n\t}\n}';
		expect(migrateManifest(before, '1', nothing)).toBe(
			'{\n\t"dependencies": {\n\t\t"vestiary": "1"\n\t}\n}'
		);
	});
});

describe('npx vestiary migrate', () => {
	let folder = '';
	afterEach(() => {
		rmSync(folder, { recursive: true, force: true });
	});

	const app = (files: Record<string, string>): void => {
		folder = mkdtempSync(join(tmpdir(), 'vestiary-codemod-'));
		for (const [name, text] of Object.entries(files)) {
			mkdirSync(dirname(join(folder, name)), { recursive: true });
			writeFileSync(join(folder, name), text);
		}
	};
	const migrate = (...args: string[]): string =>
		execFileSync(process.execPath, [PROGRAM, 'migrate', folder, ...args], { encoding: 'utf8' });
	const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

	const HOOKS = "import { sveltekitSessionHandle } from 'svelte-kit-sessions';\n";
	const FILES = {
		'package.json': '{\n  "dependencies": {\n    "svelte-kit-sessions": "^0.4.0"\n  }\n}\n',
		'src/hooks.server.js': HOOKS,
		'src/lib/Login.svelte': `<script>\n${HOOKS}</script>\n`,
		'src/docs.ts': "export const name = 'svelte-kit-sessions';\n",
		'node_modules/other/index.js': HOOKS,
		'.svelte-kit/generated.js': HOOKS
	};

	test('changes the files of the application, and a second run none', () => {
		app(FILES);
		const output = migrate();
		expect(output.split('\n').slice(0, 4).sort()).toEqual([
			'package.json',
			'src/docs.ts:1 names svelte-kit-sessions in another way: look at it',
			'src/hooks.server.js',
			'src/lib/Login.svelte'
		]);
		expect(read('src/hooks.server.js')).toBe(
			"import { sveltekitSessionHandle } from 'vestiary';\n"
		);
		expect(read('src/lib/Login.svelte')).toContain("from 'vestiary'");
		expect(read('package.json')).toMatch(/"vestiary": "\^\d+\.\d+\.\d+"/);
		expect(read('node_modules/other/index.js')).toBe(HOOKS);
		expect(read('.svelte-kit/generated.js')).toBe(HOOKS);
		expect(migrate()).toContain('Nothing here uses svelte-kit-sessions.');
	});

	test('with --dry-run only names them', () => {
		app(FILES);
		expect(migrate('--dry-run')).toContain('src/hooks.server.js\n');
		expect(read('src/hooks.server.js')).toBe(HOOKS);
		expect(read('package.json')).toBe(FILES['package.json']);
	});

	test.each([
		['doctor'],
		['migrate', '--from', 'redis://localhost', '--to', 'sqlite:a'],
		['migrate', 'a', 'b']
	])('%s %s leads to the tool of operators', (...args) => {
		const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
			encoding: 'utf8'
		});
		expect(status).toBe(2);
		expect(stderr).toContain('cargo install vestiary-cli');
	});

	test('in a folder without an app says so', () => {
		app({});
		const args = [PROGRAM, 'migrate', folder];
		const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
		expect(status).toBe(1);
		expect(stderr).toContain('package.json');
	});
});
