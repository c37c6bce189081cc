import { describe, expect, test } from 'vitest';

import { inPackageManager, withCommands } from '../src/commands.ts';
import { detectStore } from '../src/detect.ts';
import { plan } from '../src/plan.ts';
import type { StoreKind } from '../src/stores.ts';
import { ANSWERS, project, settled } from './projects.ts';

const OPTIONS = 'src/lib/server/session-options.ts';
const JSON_FILE = `{
	// The name of the Worker
	"name": "app",
	"main": ".svelte-kit/cloudflare/_worker.js", /* by the adapter */
	"compatibility_date": "2026-11-01",
}
`;
const TOML = `# The name of the Worker
name = "app"
main = ".svelte-kit/cloudflare/_worker.js"
`;

/** An app for Workers, with these files. */
const worker = (files: Record<string, string>, scripts: Record<string, string> = {}) =>
	project({ 'package.json': `${manifest(['cloudflare'], scripts)}\n`, ...files });

function manifest(adapters: readonly string[], scripts: Record<string, string> = {}): string {
	const names = adapters.map((name) => [`@sveltejs/adapter-${name}`, '^1.0.0'] as const);
	return JSON.stringify({ scripts, devDependencies: Object.fromEntries(names) as object });
}

/** Why the add-on refuses a store. */
function refusal(from: ReturnType<typeof project>, store: StoreKind): string {
	const planned = plan(from, { ...ANSWERS, store });
	return planned.kind === 'refused' ? planned.reason : '';
}

describe('the default store of a Worker', () => {
	test.each([
		['wrangler.jsonc', '{ "d1_databases": [{ "binding": "MINE" }] }', 'd1'],
		['wrangler.json', '{ "d1_databases": [{ "binding": "MINE" }] }', 'd1'],
		['wrangler.toml', '[[d1_databases]]\nbinding = "MINE"\n', 'd1'],
		['wrangler.jsonc', '{ "pages_build_output_dir": ".svelte-kit/cloudflare" }', 'd1'],
		['wrangler.jsonc', JSON_FILE, 'durable-objects'],
		['wrangler.jsonc', '{ "name"', 'durable-objects']
	])('with %s %s is %s', (name, text, store) => {
		expect(detectStore(worker({ [name]: text }))).toBe(store);
	});
});

describe('D1', () => {
	test('binds a database, and keeps the comments of the file', () => {
		const from = worker({ 'wrangler.jsonc': JSON_FILE }, { gen: 'wrangler types' });
		const { written, notes } = settled(from, { store: 'd1', demo: true });
		const config = written.get('wrangler.jsonc') ?? '';
		expect(config).toContain('// The name of the Worker');
		expect(config).toContain('/* by the adapter */');
		expect(config).toMatch(/"binding": "DB",\s+"database_name": "app"/);
		expect(written.get('migrations/0001_sessions.sql')).toContain(
			'CREATE TABLE IF NOT EXISTS sessions'
		);
		expect(written.get('src/routes/devices/+page.server.ts')).toContain(
			'sessions(options(event)).of('
		);
		expect(notes.join('\n')).toContain('`npx wrangler d1 create app`');
		expect(notes.join('\n')).toContain('`npx wrangler d1 migrations apply DB --local`');
		expect(notes.join('\n')).toContain('`npm run gen`');
		expect(notes.join('\n')).toContain('`npx wrangler secret put SESSION_SECRET`');
	});

	test('takes the database that the app has, by its name', () => {
		const config = '{ "d1_databases": [{ "binding": "MINE" }] }';
		const { written, notes } = settled(worker({ 'wrangler.jsonc': config }), { store: 'd1' });
		expect(written.has('wrangler.jsonc')).toBe(false);
		expect(written.get(OPTIONS)).toContain('new D1Store({ client: bindings.MINE })');
		expect(notes.join('\n')).toContain('`npx wrangler d1 migrations apply MINE --local`');
		expect(notes.join('\n')).not.toContain('d1 create');
	});

	test('has its migration in the folder of the database', () => {
		const config = '{ "d1_databases": [{ "binding": "DB", "migrations_dir": "./sql/" }] }';
		const { written } = settled(worker({ 'wrangler.jsonc': config }), { store: 'd1' });
		expect(written.get('sql/0001_sessions.sql')).toContain('CREATE TABLE');
		expect(written.has('migrations/0001_sessions.sql')).toBe(false);
	});

	test('for Pages names the secret of a project of Pages', () => {
		const config = '{ "pages_build_output_dir": ".svelte-kit/cloudflare" }';
		const { notes } = settled(worker({ 'wrangler.jsonc': config }), { store: 'd1' });
		expect(notes.join('\n')).toContain('`npx wrangler pages secret put SESSION_SECRET`');
	});

	test('of several databases takes DB', () => {
		const config = '{ "d1_databases": [{ "binding": "LOGS" }, { "binding": "DB" }] }';
		const { written } = settled(worker({ 'wrangler.jsonc': config }), { store: 'd1' });
		expect(written.get(OPTIONS)).toContain('client: bindings.DB }');
	});

	test('in TOML is a table at the end', () => {
		const { written } = settled(worker({ 'wrangler.toml': TOML }), { store: 'd1' });
		expect(written.get('wrangler.toml')).toBe(
			`${TOML}\n[[d1_databases]]\nbinding = "DB"\ndatabase_name = "app"\n`
		);
	});
});

test('the secret is in .dev.vars, too, beside which wrangler does not read .env', () => {
	const from = worker({ 'wrangler.jsonc': JSON_FILE, '.dev.vars': 'OTHER=1\n' });
	const { written } = settled(from, { store: 'd1' });
	const [secret = ''] = /^SESSION_SECRET=".{44}"$/m.exec(written.get('.env') ?? '') ?? [];
	expect(secret).not.toBe('');
	expect(written.get('.dev.vars')).toContain('OTHER=1\n');
	expect(written.get('.dev.vars')).toContain(secret);
	expect(written.get('.gitignore')).toMatch(/^\.dev\.vars$/m);
});

describe('Durable Objects', () => {
	const vite = `import adapter from '@sveltejs/adapter-cloudflare';

export default { plugins: [sveltekit({ adapter: adapter() })] };
`;

	test('get their class, their binding, and the main module', () => {
		const from = worker(
			{ 'wrangler.jsonc': JSON_FILE, 'vite.config.ts': vite },
			{ preview: 'wrangler dev .svelte-kit/cloudflare/_worker.js --port 4173' }
		);
		const { written } = settled(from, { store: 'durable-objects' });
		const config = written.get('wrangler.jsonc') ?? '';
		expect(config).toContain('// The name of the Worker');
		expect(config).toContain('"main": "worker.js", /* by the adapter */');
		const lines = config.replace(/\/\/.*|\/\*.*\*\//g, '').replace(/,(\s*\})/g, '$1');
		expect(JSON.parse(lines)).toMatchObject({
			durable_objects: { bindings: [{ name: 'SESSIONS', class_name: 'SessionObject' }] },
			migrations: [{ tag: 'v1', new_sqlite_classes: ['SessionObject'] }]
		});
		expect(written.get('worker.js')).toContain('SessionObject');
		expect(written.get('vite.config.ts')).toContain(
			"adapter({ config: 'wrangler.build.jsonc' })"
		);
		// The module of the adapter has no SessionObject.
		expect(JSON.parse(written.get('package.json') ?? '')).toMatchObject({
			scripts: { preview: 'wrangler dev --port 4173' }
		});
	});

	test('in TOML are tables at the end', () => {
		const { written } = settled(worker({ 'wrangler.toml': TOML, 'vite.config.ts': vite }), {
			store: 'durable-objects'
		});
		expect(written.get('wrangler.toml')).toBe(`# The name of the Worker
name = "app"
main = "worker.js"

[[durable_objects.bindings]]
name = "SESSIONS"
class_name = "SessionObject"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["SessionObject"]
`);
	});

	test('that the app has already are taken', () => {
		const config = `{ "durable_objects": { "bindings": [{ "name": "MINE", "class_name": "SessionObject" }] } }`;
		const from = worker({ 'wrangler.jsonc': config });
		const { written } = settled(from, { store: 'durable-objects' });
		expect(written.get(OPTIONS)).toContain('client: bindings.MINE }');
		expect(written.has('wrangler.jsonc')).toBe(false);
		expect(written.has('worker.js')).toBe(false);
	});

	test('have another name beside a binding SESSIONS, and a tag of their own', () => {
		const config = `{ "kv_namespaces": [{ "binding": "SESSIONS", "id": "1" }], "migrations": [{ "tag": "v2", "new_sqlite_classes": ["Room"] }] }`;
		const { written } = settled(worker({ 'wrangler.jsonc': config, 'vite.config.ts': vite }), {
			store: 'durable-objects'
		});
		expect(written.get(OPTIONS)).toContain('client: bindings.SESSION_OBJECTS }');
		const after = JSON.parse(written.get('wrangler.jsonc') ?? '') as object;
		expect(after).toMatchObject({
			durable_objects: { bindings: [{ name: 'SESSION_OBJECTS' }] },
			migrations: [{ tag: 'v2' }, { tag: 'v3' }]
		});
	});
});

describe('what cannot work is refused, with what to do', () => {
	test.each([
		[
			'd1',
			'a database of the app',
			'wrangler.jsonc',
			'{ "name"',
			'wrangler.jsonc cannot be read'
		],
		['d1', 'inline tables', 'wrangler.toml', 'd1_databases = []\n', '[[d1_databases]]'],
		[
			'durable-objects',
			'Pages',
			'wrangler.jsonc',
			'{ "pages_build_output_dir": "x" }',
			'Pages'
		],
		[
			'durable-objects',
			'a main module of the app',
			'wrangler.jsonc',
			'{ "main": "src/worker.ts" }',
			"export { SessionObject } from 'vestiary/durable-objects/object';"
		],
		['d1', 'no configuration', 'other.json', '{}', 'the app has no wrangler.jsonc']
	] as const)('%s with %s', (store, _, name, text, reason) => {
		expect(refusal(worker({ [name]: text }), store)).toContain(reason);
	});

	const on = (...adapters: string[]) => project({ 'package.json': manifest(adapters) });

	test('a platform without the store', () => {
		for (const store of ['d1', 'durable-objects'] as const)
			expect(refusal(on('node'), store)).toContain('adapter:cloudflare+cfTarget:workers');
		for (const store of ['sqlite', 'memory', 'redis', 'postgres', 'mysql'] as const)
			expect(refusal(on('cloudflare'), store)).toContain('does not work in Workers');
		for (const adapter of ['vercel', 'netlify'])
			for (const store of ['sqlite', 'memory'] as const)
				expect(refusal(on(adapter), store)).toContain('loses sessions in functions');
	});

	test('adapter-static, unless the app is built by another one, too', () => {
		expect(refusal(on('static'), 'sqlite')).toContain('sv add sveltekit-adapter=adapter:node');
		expect(refusal(on('static', 'node'), 'sqlite')).toBe('');
	});

	test.each([
		[['vercel'], 'redis'],
		[['netlify'], 'upstash'],
		[['cloudflare'], 'upstash'],
		[['cloudflare'], 'libsql'],
		[['node', 'cloudflare'], 'durable-objects'],
		[['auto'], 'sqlite'],
		[['node', 'cloudflare'], 'sqlite'],
		[[], 'memory']
	] as const)('but %s with %s is not', (adapters, store) => {
		const from = project({ 'package.json': manifest(adapters), 'wrangler.jsonc': '{}' });
		expect(refusal(from, store)).toBe('');
	});

	test('nor is the client of drizzle, which the app has chosen', () => {
		const db =
			"import { drizzle } from 'drizzle-orm/neon-http';\nexport const db = drizzle(url);\n";
		const from = project({
			'package.json': manifest(['cloudflare']),
			'src/lib/server/db/index.ts': db
		});
		expect(refusal(from, 'postgres')).toBe('');
	});
});

test('the next steps are commands of the package manager that the app uses', () => {
	const as = (agent: Parameters<typeof inPackageManager>[1]): string[] =>
		['npm run gen', 'npx wrangler types', 'npx sv add x', '/login'].map((command) =>
			inPackageManager(command, agent)
		);
	expect(as('npm')).toEqual(['npm run gen', 'npx wrangler types', 'npx sv add x', '/login']);
	expect(as('pnpm')).toEqual([
		'pnpm run gen',
		'pnpm exec wrangler types',
		'pnpm dlx sv add x',
		'/login'
	]);
	expect(as('bun')).toEqual(['bun run gen', 'bun x wrangler types', 'bun x sv add x', '/login']);
	expect(withCommands('Run `npm run gen` here.', 'bun', (code) => `<${code}>`)).toBe(
		'Run <bun run gen> here.'
	);
});
