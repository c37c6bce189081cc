import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect } from 'vitest';

/** Text of the panel, and the name under which a handle looks for it. */
const SIGNS = [
	'__vestiary',
	'Sessions of the requests',
	'another secret has signed it',
	'second-browser.localhost'
];

/** Adds the plugin to an app, as docs/how-to/dev-panel.md says. */
export async function addPlugin(folder: string): Promise<void> {
	const file = join(folder, 'vite.config.ts');
	const text = await readFile(file, 'utf8');
	const added = text
		.replace(/^/, "import { vestiary } from 'vestiary/vite';\n")
		.replace(/plugins: \[\s*/, 'plugins: [vestiary(), ');
	await writeFile(file, added);
}

/** Checks that a build has nothing of the panel. */
export async function expectNoPanel(built: string): Promise<void> {
	const names = await readdir(built, { recursive: true });
	const read = names.filter((one) => /\.(?:m?js|html|css)$/.test(one));
	expect(read.length).toBeGreaterThan(5);
	for (const name of read) {
		const text = await readFile(join(built, name), 'utf8');
		for (const sign of SIGNS) expect(text.includes(sign), `${sign} in ${name}`).toBe(false);
	}
}
