import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from './run.js';

/** Runtimes that are not Node.js, of the npm packages of these names. */
export const OTHERS = { deno: '2.9.6', bun: '1.4.5' };

const FOLDER = new URL('../../../../target/runtimes/others', import.meta.url).pathname;

/** Installs them, and gives their folder: `deno` and `bun` are in it. */
export async function installOthers(): Promise<string> {
	await mkdir(FOLDER, { recursive: true });
	const manifest = { private: true, dependencies: OTHERS };
	await writeFile(join(FOLDER, 'package.json'), JSON.stringify(manifest));
	await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], FOLDER);
	return join(FOLDER, 'node_modules/.bin');
}
