import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { COMPILER_OPTIONS, TOOLS, type Kit } from './kits.js';
import { serve, type Server } from './run.js';

const CLOUDFLARE = {
	...TOOLS,
	'@upstash/redis': '1.39.0',
	bowser: '2.15.1',
	wrangler: '4.164.0'
};

/**
 * Dates and flags to be compatible with. Before 2025-06-01 workerd refuses to compile WebAssembly that
 * is not a module of its own.
 */
export const COMPATIBLE = [
	['2024-09-23', ''],
	['2026-11-01', ''],
	['2026-11-01', 'nodejs_compat']
] as const;

/** SvelteKit with the Cloudflare adapter. */
export const CLOUDFLARE_KIT2: Kit = {
	name: 'cloudflare-kit2',
	packages: {
		...CLOUDFLARE,
		'@sveltejs/kit': '2.70.4',
		'@sveltejs/adapter-cloudflare': '7.2.9'
	},
	files: {
		'vite.config.ts': `import { sveltekit } from '@sveltejs/kit/vite';

export default { plugins: [sveltekit()] };
`,
		'svelte.config.js': `import adapter from '@sveltejs/adapter-cloudflare';

export default { kit: { adapter: adapter() } };
`,
		'tsconfig.json': `{ "extends": "./.svelte-kit/tsconfig.json", ${COMPILER_OPTIONS} }\n`
	}
};

/** With a stand-in for an adapter that does not exist yet. */
export const CLOUDFLARE_KIT3: Kit = {
	name: 'cloudflare-kit3',
	packages: {
		...CLOUDFLARE,
		'@sveltejs/kit': '3.2.0',
		'@sveltejs/adapter-cloudflare': '8.0.0-next.6'
	},
	files: {
		'cloudflare-kit3.js': readFileSync(new URL('cloudflare-kit3.js', import.meta.url), 'utf8'),
		'vite.config.ts': `import { sveltekit } from '@sveltejs/kit/vite';

import adapter from './cloudflare-kit3.js';

export default { plugins: [sveltekit({ adapter: adapter() })] };
`,
		'tsconfig.json': `{ "extends": "$app/tsconfig", ${COMPILER_OPTIONS}, "include": ["src"] }\n`
	}
};

/** wrangler leaves files here that it would not remove when it is killed. */
const TMPDIR = new URL('../../../../target/runtimes/tmp', import.meta.url).pathname;
mkdirSync(TMPDIR, { recursive: true });

/** The environment of wrangler: it asks for no login and sends no telemetry. */
export const WRANGLER_ENV = { CI: '1', TMPDIR, WRANGLER_SEND_METRICS: 'false' };

/** Serves the output of the Cloudflare adapter in workerd. */
export function wranglerDev(
	folder: string,
	more: string[] = [],
	noncePath?: string
): Promise<Server> {
	return serve(
		join(folder, 'node_modules/.bin/wrangler'),
		(port, nonce) => [
			...['dev', '--local', '--port', `${port}`, '--inspector-port', '0'],
			...['--var', `NONCE:${nonce}`, ...more]
		],
		folder,
		() => WRANGLER_ENV,
		noncePath
	);
}
