import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startRedis, startUpstash, type Servers } from '../stores/servers.js';
import { install } from './kits.js';
import { addPlugin, expectNoPanel } from './panel-plugin.js';
import { run, serve } from './run.js';
import {
	CLOUDFLARE_KIT2,
	CLOUDFLARE_KIT3,
	COMPATIBLE,
	WRANGLER_ENV,
	wranglerDev
} from './workers.js';
import { works } from './works.js';

const TARGET = new URL('../../../../target/runtimes/', import.meta.url).pathname;

const CONFIG = {
	name: 'vestiary-runtimes',
	main: '.svelte-kit/cloudflare/_worker.js',
	compatibility_date: '2026-11-01',
	assets: { directory: '.svelte-kit/cloudflare', binding: 'ASSETS' },
	kv_namespaces: [{ binding: 'SESSIONS', id: 'sessions' }]
};

/** Replaces `session.ts`, as `session.workers.ts` does, but with sessions in Upstash. */
const UPSTASH_SESSION = `import { Redis } from '@upstash/redis/cloudflare';
import { sveltekitSessionHandle } from 'vestiary';
import { RedisStore } from 'vestiary/upstash-redis';
import { counts } from './counts';

class CountingRedisStore extends RedisStore {
	override get(id: string): ReturnType<RedisStore['get']> {
		counts.reads++;
		return super.get(id);
	}
}

export const session = sveltekitSessionHandle(({ platform }) => {
	const { env } = platform as { env: { URL: string; TOKEN: string } };
	return {
		secret: 'the fixed secret of the runtime tests',
		cookie: { maxAge: 600 },
		client: true,
		recheckAfter: 1,
		store: new CountingRedisStore({ client: new Redis({ url: env.URL, token: env.TOKEN }) })
	};
});
`;

function build(folder: string): Promise<string> {
	const env = { ...WRANGLER_ENV, NODE_ENV: 'production' };
	return run('node_modules/.bin/vite', ['build'], folder, env);
}

for (const kit of [CLOUDFLARE_KIT2, CLOUDFLARE_KIT3]) {
	const folder = join(TARGET, kit.name);

	beforeAll(async () => {
		await install(
			{
				...kit,
				files: {
					...kit.files,
					'wrangler.json': JSON.stringify(CONFIG),
					'src/session.ts': "export { session } from './session.workers';\n"
				}
			},
			folder
		);
		await build(folder);
	});

	describe(kit.name, () => {
		test('the worker imports the WebAssembly as a module, and has no copy inline', async () => {
			await rm(join(folder, 'dry'), { recursive: true, force: true });
			const args = ['deploy', '--dry-run', '--outdir', 'dry'];
			await run('node_modules/.bin/wrangler', args, folder, WRANGLER_ENV);
			const wasm = (await readdir(join(folder, 'dry'))).filter((name) =>
				name.endsWith('.wasm')
			);
			expect(wasm).toHaveLength(1);
			const worker = await readFile(join(folder, 'dry/_worker.js'), 'utf8');
			expect(worker).toContain(`from "./${wasm[0] ?? ''}"`);
			// How every WebAssembly begins in base64.
			expect(worker).not.toContain('AGFzbQ');
		});

		test('a build of an app with the dev panel has nothing of it', async () => {
			const config = join(folder, 'vite.config.ts');
			const before = await readFile(config, 'utf8');
			await addPlugin(folder);
			try {
				await build(folder);
			} finally {
				await writeFile(config, before);
			}
			await expectNoPanel(join(folder, '.svelte-kit/cloudflare'));
			await expectNoPanel(join(folder, '.svelte-kit/output/server'));
		});

		describe.each(COMPATIBLE)(
			'wrangler dev, compatible with %s %s, sessions in KV',
			(date, flag) => {
				const flags = flag === '' ? [] : ['--compatibility-flag', flag];
				works(() => wranglerDev(folder, ['--compatibility-date', date, ...flags]));
			}
		);
	});
}

describe('cloudflare-kit2, vite dev, sessions in an emulated KV', () => {
	const folder = join(TARGET, CLOUDFLARE_KIT2.name);

	works(
		() =>
			serve(
				join(folder, 'node_modules/.bin/vite'),
				(port) => ['dev', '--port', `${port}`, '--strictPort'],
				folder,
				() => ({ ...WRANGLER_ENV, NODE_ENV: 'development' })
			),
		{ built: false }
	);
});

describe('cloudflare-kit2, Pages, sessions in KV', () => {
	const folder = join(TARGET, CLOUDFLARE_KIT2.name);

	beforeAll(async () => {
		const { name, compatibility_date, kv_namespaces } = CONFIG;
		const pages_build_output_dir = '.svelte-kit/cloudflare';
		const config = { name, compatibility_date, kv_namespaces, pages_build_output_dir };
		await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config));
		await build(folder);
	});

	works(() =>
		serve(
			join(folder, 'node_modules/.bin/wrangler'),
			(port, nonce) => [
				...['pages', 'dev', '--port', `${port}`, '--inspector-port', '0'],
				...['--binding', `NONCE=${nonce}`]
			],
			folder,
			() => WRANGLER_ENV
		)
	);
});

describe('cloudflare-kit2, sessions in Upstash, which is a REST bridge to Redis here', () => {
	const folder = join(TARGET, 'cloudflare-upstash');
	const token = 'the token of the test';
	let redis: Servers;
	let bridge: Servers;

	beforeAll(async () => {
		redis = await startRedis();
		bridge = await startUpstash(redis.ports[0] ?? 0, token);
		const files = {
			...CLOUDFLARE_KIT2.files,
			'wrangler.json': JSON.stringify(CONFIG),
			'src/session.ts': UPSTASH_SESSION
		};
		await install({ ...CLOUDFLARE_KIT2, files }, folder);
		await build(folder);
	});
	afterAll(async () => {
		await bridge.stop();
		await redis.stop();
	});

	works(() => {
		const url = `http://127.0.0.1:${bridge.ports[0] ?? 0}`;
		return wranglerDev(folder, ['--var', `URL:${url}`, '--var', `TOKEN:${token}`]);
	});
});
