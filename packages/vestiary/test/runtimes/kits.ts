import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from './run.js';

/** The tarball of `npm pack`. */
export const TARBALL = process.env.VESTIARY_TARBALL ?? '';
if (TARBALL === '') {
	throw new Error(
		'VESTIARY_TARBALL is not set: `cargo xtask test` packs the package and sets it'
	);
}

/** A SvelteKit that the packed package is installed beside: what differs between the versions. */
export interface Kit {
	name: string;
	packages: Record<string, string>;
	files: Record<string, string>;
}

export const TOOLS = {
	'@sveltejs/vite-plugin-svelte': '7.3.1',
	'@types/node': '^24.0.0',
	svelte: '5.57.3',
	typescript: '^6.0.0',
	vite: '8.3.8'
};

export const COMPILER_OPTIONS = '"compilerOptions": { "strict": true, "types": ["node"] }';

const KIT3: Kit = {
	name: 'kit3',
	packages: { ...TOOLS, '@sveltejs/kit': '3.2.0', '@sveltejs/adapter-node': '6.0.1' },
	files: {
		'vite.config.ts': `import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';

export default {
	plugins: [sveltekit({ adapter: adapter(), experimental: { remoteFunctions: true } })]
};
`,
		'tsconfig.json': `{ "extends": "$app/tsconfig", ${COMPILER_OPTIONS}, "include": ["src"] }\n`
	}
};

export const KIT2: Kit = {
	name: 'kit2',
	packages: { ...TOOLS, '@sveltejs/kit': '2.70.4', '@sveltejs/adapter-node': '5.5.7' },
	files: {
		'vite.config.ts': `import { sveltekit } from '@sveltejs/kit/vite';

export default { plugins: [sveltekit()] };
`,
		'svelte.config.js': `import adapter from '@sveltejs/adapter-node';

export default { kit: { adapter: adapter(), experimental: { remoteFunctions: true } } };
`,
		'tsconfig.json': `{ "extends": "./.svelte-kit/tsconfig.json", ${COMPILER_OPTIONS} }\n`
	}
};

export const KITS: Kit[] = [KIT3, KIT2];

/** Makes a fresh app of a folder beside this file, with the packed package installed as a user would. */
export async function install(kit: Kit, folder: string, source = 'app/'): Promise<void> {
	await rm(join(folder, 'src'), { recursive: true, force: true });
	await mkdir(folder, { recursive: true });
	await cp(new URL(source, import.meta.url).pathname, folder, { recursive: true });
	for (const [name, text] of Object.entries(kit.files)) await writeFile(join(folder, name), text);
	await installPackages(kit.packages, folder);
}

/** Installs the packed package, and these for development, unless another test of this folder has installed the same. */
export async function installPackages(
	packages: Record<string, string>,
	folder: string
): Promise<void> {
	const manifest = JSON.stringify({
		private: true,
		type: 'module',
		dependencies: { vestiary: `file:${TARBALL}` },
		devDependencies: packages
	});
	// The tarball has the same name with every build, but not the same contents.
	const hash = createHash('sha256').update(await readFile(TARBALL));
	const wanted = `${hash.digest('hex')} ${manifest}`;
	const record = join(folder, 'node_modules/.installed-by-tests');
	if ((await readFile(record, 'utf8').catch(() => '')) === wanted) return;
	await writeFile(join(folder, 'package.json'), manifest);
	await rm(join(folder, 'package-lock.json'), { force: true });
	await rm(join(folder, 'node_modules/vestiary'), { recursive: true, force: true });
	await rm(record, { force: true });
	await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], folder);
	await writeFile(record, wanted);
}
