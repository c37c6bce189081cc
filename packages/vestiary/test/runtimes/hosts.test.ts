import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { COMPILER_OPTIONS, install, TOOLS, type Kit } from './kits.js';
import { installOthers } from './others.js';
import { run, serve } from './run.js';
import { works } from './works.js';

const FOLDER = new URL('../../../../target/runtimes/hosts', import.meta.url).pathname;
const VERCEL = '.vercel/output/functions/![-]/catchall.func';

const SCRIPTS = ['vercel-edge.js', 'node-function.js', 'netlify-edge.js', 'trace.js'];

/** The adapters of Vercel and Netlify know only SvelteKit 2. */
const KIT: Kit = {
	name: 'hosts',
	packages: {
		...TOOLS,
		'@sveltejs/kit': '2.70.4',
		'@sveltejs/adapter-netlify': '6.0.4',
		'@sveltejs/adapter-vercel': '6.3.4',
		'@vercel/nft': '1.11.5',
		'edge-runtime': '4.0.1',
		esbuild: '0.28.2'
	},
	files: {
		'vite.config.ts': `import { sveltekit } from '@sveltejs/kit/vite';

export default { plugins: [sveltekit()] };
`,
		'svelte.config.js': `import netlify from '@sveltejs/adapter-netlify';
import vercel from '@sveltejs/adapter-vercel';

const adapters = {
	'vercel-edge': () => vercel({ runtime: 'edge' }),
	'vercel-serverless': () => vercel({ runtime: 'nodejs24.x' }),
	'netlify-edge': () => netlify({ edge: true }),
	'netlify-functions': () => netlify()
};

export default { kit: { adapter: adapters[process.env.ADAPTER ?? 'netlify-functions']() } };
`,
		'tsconfig.json': `{ "extends": "./.svelte-kit/tsconfig.json", ${COMPILER_OPTIONS} }\n`,
		...Object.fromEntries(
			SCRIPTS.map((name) => [
				name,
				readFileSync(new URL(`hosts/${name}`, import.meta.url), 'utf8')
			])
		)
	}
};

/** Away from every `node_modules`, as a function is where it runs. */
let away: string;

beforeAll(async () => {
	away = await mkdtemp(join(tmpdir(), 'vestiary-functions-'));
	await install(KIT, FOLDER);
});

afterAll(() => rm(away, { recursive: true, force: true }));

function build(adapter: string): Promise<string> {
	return run('node_modules/.bin/vite', ['build'], FOLDER, {
		ADAPTER: adapter,
		NODE_ENV: 'production'
	});
}

function node(...args: string[]): () => ReturnType<typeof serve> {
	return () =>
		serve(
			process.execPath,
			(port) => [...args, `${port}`],
			FOLDER,
			() => ({ NODE_ENV: 'production' })
		);
}

describe('adapter-vercel, edge, in edge-runtime', () => {
	beforeAll(() => build('vercel-edge'));

	test('the function imports the WebAssembly as a module, and has no copy inline', async () => {
		const folder = join(FOLDER, VERCEL);
		const wasm = (await readdir(folder)).filter((name) => name.endsWith('.wasm'));
		expect(wasm).toHaveLength(1);
		const text = await readFile(join(folder, 'index.js'), 'utf8');
		expect(text).toContain(`from "./${wasm[0] ?? ''}?module"`);
		expect(text).not.toContain('AGFzbQ');
	});

	works(node('vercel-edge.js', join(FOLDER, VERCEL)));
});

describe('adapter-vercel, serverless, its folder in Node.js', () => {
	beforeAll(async () => {
		await build('vercel-serverless');
		await cp(join(FOLDER, VERCEL), join(away, 'vercel'), {
			recursive: true,
			verbatimSymlinks: true
		});
	});

	works(() => node('node-function.js', join(away, 'vercel/.svelte-kit/vercel-tmp/index.js'))());
});

describe('adapter-netlify, edge, in Deno', () => {
	beforeAll(() => build('netlify-edge'));

	works(async () => {
		const command = join(await installOthers(), 'deno');
		return serve(
			command,
			(port) => [
				...['run', '--allow-all', '--no-config', 'netlify-edge.js'],
				...['.netlify/edge-functions/render.js', `${port}`]
			],
			FOLDER,
			() => ({})
		);
	});
});

describe('adapter-netlify, functions, traced, in Node.js', () => {
	const FILE = '.netlify/functions-internal/sveltekit-render.mjs';

	beforeAll(async () => {
		await build('netlify-functions');
		await run(process.execPath, ['trace.js', FILE, join(away, 'netlify')], FOLDER);
	});

	works(() => node('node-function.js', join(away, 'netlify', FILE))());
});
