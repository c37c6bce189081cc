import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { install, KITS, type Kit } from './kits.js';

const TARGET = new URL('../../../../target/runtimes/', import.meta.url).pathname;

/** The configuration that SvelteKit 3 needs when it builds. */
const ORIGIN = `			...(process.env.ORIGIN && { paths: { origin: process.env.ORIGIN } }),
`;

const VITE_CONFIG = `import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
	plugins: [
		sveltekit({
			compilerOptions: {
				runes: ({ filename }) =>
					filename.split(/[/\\\\]/).includes('node_modules') ? undefined : true
			},
			adapter: adapter(),
${ORIGIN}			experimental: { remoteFunctions: true }
		})
	],
	test: {
		expect: { requireAssertions: true },
		projects: [
			{
				extends: './vite.config.ts',
				test: {
					name: 'server',
					environment: 'node',
					include: ['src/**/*.{test,spec}.{js,ts}'],
					exclude: ['src/**/*.svelte.{test,spec}.{js,ts}']
				}
			}
		]
	}
});
`;

const OPTIONS = `"compilerOptions": {
		"rewriteRelativeImportExtensions": true,
		"allowJs": true,
		"checkJs": true,
		"esModuleInterop": true,
		"forceConsistentCasingInFileNames": true,
		"resolveJsonModule": true,
		"skipLibCheck": true,
		"sourceMap": true,
		"strict": true,
		"moduleResolution": "bundler"
	}`;

/**
 * The app that `sv create --template minimal --types ts` makes, with the add-on vitest: with SvelteKit 2, which
 * it installs, and with SvelteKit 3.
 */
export const NEW_APPS: Kit[] = KITS.map(({ name, packages }) => ({
	name: `new-${name}`,
	packages,
	files: {
		'vite.config.ts': name === 'kit3' ? VITE_CONFIG : VITE_CONFIG.replace(ORIGIN, ''),
		'tsconfig.json':
			name === 'kit3'
				? `{ "extends": "$app/tsconfig", ${OPTIONS}, "include": ["src"] }\n`
				: `{ "extends": "./.svelte-kit/tsconfig.json", ${OPTIONS} }\n`
	}
}));

/** Makes the app anew for the tests of a file, with the packed package installed; gives its folder. */
export async function newApp(kit: Kit, tests: string): Promise<string> {
	const folder = join(TARGET, `${kit.name}-${tests}`);
	await rm(join(folder, '.env'), { force: true });
	// Sessions of another run.
	for (const end of ['', '-shm', '-wal'])
		await rm(join(folder, `sessions.db${end}`), { force: true });
	await install(kit, folder, 'new/');
	return folder;
}
