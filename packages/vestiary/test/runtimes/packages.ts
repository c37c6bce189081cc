import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from './run.js';

/** The tarball of `npm pack`. */
export const TARBALL = process.env.VESTIARY_TARBALL ?? '';
if (TARBALL === '') {
	throw new Error(
		'VESTIARY_TARBALL is not set: `cargo xtask test` packs the package and sets it'
	);
}

/** Packages that npm has installed, in a folder for each manifest. */
const INSTALLED = new URL('../../../../target/runtimes/packages/', import.meta.url).pathname;

/** Installs the packed package into an app, and these for development. */
export async function installPackages(
	packages: Record<string, string>,
	folder: string
): Promise<void> {
	const dependencies = { vestiary: `file:${TARBALL}` };
	await link({ type: 'module', dependencies, devDependencies: packages }, folder);
}

/** Writes this manifest, and installs what it names. The packages are links to the same files in all folders. */
export async function link(
	manifest: object,
	folder: string,
	options: string[] = []
): Promise<void> {
	const from = await installed(manifest, options);
	await mkdir(folder, { recursive: true });
	await writeFile(join(folder, 'package.json'), text(manifest));
	const record = join(folder, 'node_modules/.installed-by-tests');
	if ((await readFile(record, 'utf8').catch(() => '')) === from) return;
	await rm(join(folder, 'node_modules'), { recursive: true, force: true });
	await run('cp', ['-al', join(from, 'node_modules'), folder], folder);
	await writeFile(record, from);
}

function text(manifest: object): string {
	return JSON.stringify({ private: true, ...manifest });
}

/** Installs what this manifest names, and gives the folder. npm runs once for all tests that name the same. */
export async function installed(manifest: object, options: string[] = []): Promise<string> {
	const named = digest(text(manifest) + options.join(' '));
	// The tarball has the same name with every build, but not the same contents.
	const wanted = `${named}-${digest(await readFile(TARBALL))}`;
	const folder = join(INSTALLED, wanted);
	await mkdir(INSTALLED, { recursive: true });
	const all = await readdir(INSTALLED);
	if (all.includes(wanted)) return folder;
	for (const older of all)
		if (older.startsWith(named)) await rm(join(INSTALLED, older), { recursive: true });
	const fresh = await mkdtemp(join(INSTALLED, 'fresh-'));
	await writeFile(join(fresh, 'package.json'), text(manifest));
	const quiet = ['--no-audit', '--no-fund', '--prefer-offline'];
	await run('npm', ['install', ...quiet, ...options], fresh);
	// Another test file may have been faster.
	await rename(fresh, folder).catch(() => rm(fresh, { recursive: true }));
	return folder;
}

function digest(data: string | Buffer): string {
	return createHash('sha256').update(data).digest('hex').slice(0, 16);
}
