import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Miniflare } from 'miniflare';
import { beforeAll, expect, test } from 'vitest';

import { installOthers, OTHERS } from './others.js';
import { link, TARBALL } from './packages.js';
import { run } from './run.js';

const FOLDER = new URL('../../../../target/runtimes/plain', import.meta.url).pathname;

/** The versions that `engines` promises: the oldest, the oldest for SvelteKit 3, and the current one. */
const VERSIONS = { node20: '20.20.2', node22: '22.17.0', node24: '24.21.0' };

const SCRIPT = `
import { MemoryStore, Session } from 'vestiary';

const sent = [];
const options = { secret: 'a secret that is long enough', store: new MemoryStore() };
const event = (cookie) => ({
	url: new URL('https://app.example/'),
	request: new Request('https://app.example/', { headers: cookie ? { cookie } : {} }),
	locals: {},
	cookies: { set: (name, value) => sent.push(name + '=' + value) }
});

const session = await Session.initialize(event(), options);
await session.setData({ user: 'Ada' });
await session.save();
for (const store of ['redis', 'postgres', 'mysql', 'sqlite', 'd1', 'durable-objects', 'unstorage', 'upstash-redis', 'cloudflare-kv', 'testing', 'testing/server']) await import('vestiary/' + store);
const { bun, deno, node } = process.versions;
const again = await Session.initialize(event(sent[0]), options);
console.log(JSON.stringify({ same: again.id === session.id, data: again.data, version: bun ?? deno ?? node }));
`;

beforeAll(async () => {
	const nodes = Object.entries(VERSIONS).map(([name, version]) => [name, `npm:node@${version}`]);
	const manifest = {
		type: 'module',
		dependencies: {
			vestiary: `file:${TARBALL}`,
			...(Object.fromEntries(nodes) as Record<string, string>)
		}
	};
	await link(manifest, FOLDER, ['--legacy-peer-deps']);
	await writeFile(join(FOLDER, 'script.mjs'), SCRIPT);
});

test.each(Object.entries(VERSIONS))('plain ESM in %s', async (name, version) => {
	const node = join(FOLDER, 'node_modules', name, 'bin/node');
	const output = await run(node, ['script.mjs'], FOLDER);
	expect(JSON.parse(output)).toEqual({ same: true, data: { user: 'Ada' }, version });
});

test.each([
	['deno', ['run', '--allow-all', 'script.mjs']],
	['bun', ['script.mjs']]
] as const)('plain ESM in %s', async (name, args) => {
	const output = await run(join(await installOthers(), name), [...args], FOLDER);
	expect(JSON.parse(output)).toEqual({
		same: true,
		data: { user: 'Ada' },
		version: OTHERS[name]
	});
});

test('the Workers entry in workerd: WebAssembly imported as a module, nothing random at start', async () => {
	const root = join(FOLDER, 'node_modules/vestiary/dist');
	const worker = SCRIPT.replace("'vestiary'", "'./index.workerd.js'")
		.replace(/^for .*$|^if .*$|^const { bun.*$/gm, '')
		.replace(/version: .* }/, "version: 'workerd' }")
		.replace('const sent', 'export default { async fetch() {\nconst sent')
		.replace(/console.log\((.*)\);/, 'return new Response($1); } };');
	const workerd = new Miniflare({
		modules: true,
		modulesRoot: root,
		scriptPath: join(root, 'worker.js'),
		script: worker,
		compatibilityDate: '2025-05-01',
		modulesRules: [
			{ type: 'ESModule', include: ['**/*.js'] },
			{ type: 'CompiledWasm', include: ['**/*.wasm'] }
		]
	});
	try {
		const response = await workerd.dispatchFetch('https://app.example/');
		expect(await response.json()).toEqual({
			same: true,
			data: { user: 'Ada' },
			version: 'workerd'
		});
	} finally {
		await workerd.dispose();
	}
});
