import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, expect, test } from 'vitest';

import { run } from './run.js';

const TARBALL = process.env.VESTIARY_TARBALL ?? '';
const FOLDER = new URL('../../../target/runtimes/node', import.meta.url).pathname;

/** The versions that `engines` promises: the oldest, SvelteKit 3's oldest, and the one of today. */
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
for (const store of ['redis', 'upstash-redis', 'cloudflare-kv', 'testing']) await import('vestiary/' + store);
if (parseInt(process.versions.node) >= 22) await import('vestiary/sqlite');
const again = await Session.initialize(event(sent[0]), options);
console.log(JSON.stringify({ same: again.id === session.id, data: again.data, node: process.versions.node }));
`;

beforeAll(async () => {
	await mkdir(FOLDER, { recursive: true });
	const nodes = Object.entries(VERSIONS).map(([name, version]) => [name, `npm:node@${version}`]);
	const manifest = {
		private: true,
		type: 'module',
		dependencies: {
			vestiary: `file:${TARBALL}`,
			...(Object.fromEntries(nodes) as Record<string, string>)
		}
	};
	await writeFile(join(FOLDER, 'package.json'), JSON.stringify(manifest));
	await writeFile(join(FOLDER, 'script.mjs'), SCRIPT);
	await rm(join(FOLDER, 'package-lock.json'), { force: true });
	await rm(join(FOLDER, 'node_modules/vestiary'), { recursive: true, force: true });
	await run(
		'npm',
		['install', '--no-audit', '--no-fund', '--prefer-offline', '--legacy-peer-deps'],
		FOLDER
	);
});

test.each(Object.entries(VERSIONS))('plain ESM in %s', async (name, version) => {
	const node = join(FOLDER, 'node_modules', name, 'bin/node');
	const output = await run(node, ['script.mjs'], FOLDER);
	expect(JSON.parse(output)).toEqual({ same: true, data: { user: 'Ada' }, node: version });
});
