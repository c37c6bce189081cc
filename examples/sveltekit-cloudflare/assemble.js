// Assembles an app in a folder: the pages of ../sveltekit, and the files that differ on Cloudflare.
import { cpSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';

const [, , folder] = process.argv;
if (folder === undefined) throw new Error('usage: node assemble.js FOLDER');

const here = import.meta.dirname;
/** Files that only SvelteKit 3 knows. */
const OTHERS = ['env.ts'];
const NOT_OURS = ['assemble.js', 'node_modules', '.svelte-kit', '.wrangler', '.dev.vars'];

cpSync(join(here, '../sveltekit/src'), join(folder, 'src'), {
	recursive: true,
	filter: (source) => !OTHERS.includes(basename(source))
});
cpSync(here, folder, {
	recursive: true,
	filter: (source) => !NOT_OURS.includes(basename(source))
});
