import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { installPackages } from './packages.js';

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

/** With what the pages and the samples of the README install that are tested in these apps: npm runs once for all of them. */
const NODE = {
	...TOOLS,
	bowser: '2.15.1',
	ioredis: '5.11.1',
	'openid-client': '6.9.0',
	'svelte-check': '4.6.0',
	vitest: '5.1.1'
};

export const COMPILER_OPTIONS = '"compilerOptions": { "strict": true, "types": ["node"] }';

const KIT3: Kit = {
	name: 'kit3',
	packages: { ...NODE, '@sveltejs/kit': '3.2.0', '@sveltejs/adapter-node': '6.0.1' },
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
	packages: { ...NODE, '@sveltejs/kit': '2.70.4', '@sveltejs/adapter-node': '5.5.7' },
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
	const sources = source === 'app/' && isForClient(kit) ? [source, 'client/'] : [source];
	for (const one of sources)
		await cp(new URL(one, import.meta.url).pathname, folder, { recursive: true });
	for (const [name, text] of Object.entries(kit.files)) await writeFile(join(folder, name), text);
	await installPackages(kit.packages, folder);
}

/** Whether `vestiary/client` is for the Svelte of an app. */
function isForClient({ packages }: Kit): boolean {
	return !packages.svelte?.startsWith('4.');
}
