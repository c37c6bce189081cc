import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

import { defineConfig } from 'rolldown';

const MODULES = new URL('../../node_modules/', import.meta.url);
const UTILITIES = '@sveltejs/sv-utils';

/** One file with everything but `sv` itself, which installs nothing for an add-on. */
export default defineConfig({
	input: 'src/index.ts',
	platform: 'node',
	external: ['sv'],
	output: { file: 'dist/index.mjs', format: 'esm' },
	plugins: [{ name: 'licenses', writeBundle: writeLicenses }]
});

/** Writes the licenses of this package, and of all code in the bundle. */
function writeLicenses() {
	for (const name of ['LICENSE-APACHE', 'LICENSE-MIT'])
		copyFileSync(new URL(`../../${name}`, import.meta.url), new URL(name, import.meta.url));
	const intro =
		'dist/index.mjs contains code of these packages, with these licenses.\nThose without a text here have that of their license in the text of another one.\n';
	const notices = [UTILITIES, ...inside(UTILITIES)].map(notice);
	writeFileSync(
		new URL('THIRD-PARTY-NOTICES', import.meta.url),
		[intro, ...notices].join(`\n${'-'.repeat(72)}\n`)
	);
}

/** The packages that another one has in its own bundle, by the comments that its bundler has left. */
function inside(name) {
	const bundle = readFileSync(new URL(`${name}/dist/index.mjs`, MODULES), 'utf8');
	const folders = bundle.matchAll(/node_modules\/\.pnpm\/(@?[\w+.-]+?)@\d/g);
	return [...new Set([...folders].map(([, folder]) => folder.replace('+', '/')))].sort();
}

/** The name, the license and its text of a package. */
function notice(name) {
	const folder = new URL(`${name}/`, MODULES);
	const { license } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
	const file = existsSync(folder) && readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
	return `${name}: ${license ?? 'the license below'}\n${file ? `\n${readFileSync(new URL(file, folder), 'utf8')}` : ''}`;
}
