import { join } from 'node:path';

import { installed } from './packages.js';

/** Runtimes that are not Node.js, of the npm packages of these names. */
export const OTHERS = { deno: '2.9.6', bun: '1.4.5' };

/** Installs them, and gives their folder: `deno` and `bun` are in it. */
export async function installOthers(): Promise<string> {
	return join(await installed({ dependencies: OTHERS }), 'node_modules/.bin');
}
