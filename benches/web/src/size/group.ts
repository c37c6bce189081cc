/** The size of the package, and the time to import it. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

import type { Context } from '../context.ts';
import { shuffled } from '../measure.ts';
import { exactly, folderOf, spread, write, type Row } from '../results.ts';

const PEERS = ['vestiary', 'svelte-kit-sessions'];

export async function size(context: Context): Promise<void> {
	const vestiary = folderOf('vestiary');
	const wasm = readFileSync(`${vestiary}/dist/generated/vestiary.wasm`);
	const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
	const kilo = (bytes: number): ReturnType<typeof exactly> => exactly(bytes / 1_000);
	const rows: Row[] = [
		{ case: 'WebAssembly', peer: 'vestiary', ...kilo(wasm.length) },
		{
			case: 'WebAssembly, gzip',
			peer: 'vestiary',
			...kilo(gzipSync(wasm, { level: 9 }).length)
		},
		{
			case: 'WebAssembly, brotli',
			peer: 'vestiary',
			...kilo(brotliCompressSync(wasm, quality).length)
		}
	];
	for (const peer of PEERS) {
		const needed = [...dependenciesOf(peer)];
		const installed = needed.map(bytesOf).reduce((sum, bytes) => sum + bytes, 0);
		rows.push({ case: 'installed, with dependencies', peer, ...kilo(installed) });
		rows.push({ case: 'tarball', peer, ...kilo(await tarballOf(peer)) });
		context.checked(`${peer}: size`);
	}
	await write(
		context.folder,
		{
			group: 'size',
			title: 'Size',
			unit: 'kB',
			lowerIsBetter: true,
			method: 'The sizes of the packed packages, as npm installs them. A kB is 1,000 bytes.',
			rows
		},
		PEERS
	);
	await measureImport(context);
}

/** Imports a module in new processes, and measures the time. */
async function measureImport(context: Context): Promise<void> {
	const url = (path: string): string => new URL(path, import.meta.resolve('vestiary')).href;
	const imports = [
		{ case: 'nothing', peer: 'bare', module: 'data:text/javascript,' },
		{ case: 'the package', peer: 'vestiary', module: import.meta.resolve('vestiary') },
		{ case: 'only its WebAssembly', peer: 'vestiary', module: url('wasm/inline.js') },
		...['svelte-kit-sessions', 'express-session', 'iron-session'].map((peer) => ({
			case: 'the package',
			peer,
			module: import.meta.resolve(peer)
		}))
	].map((one) => ({ ...one, times: [] as number[] }));
	for (let round = 0; round < (context.smoke ? 1 : 20); round++) {
		for (const { module, times } of shuffled(imports)) times.push(await timeOfImport(module));
	}
	for (const { peer } of imports) context.checked(`${peer}: import`);
	await write(
		context.folder,
		{
			group: 'start',
			title: 'Import in Node.js',
			unit: 'ms',
			lowerIsBetter: true,
			method: 'Each import runs in a new process, in random order. The time includes reading the files.',
			rows: imports.map(({ case: name, peer, times }) => ({
				case: name,
				peer,
				...spread(times)
			}))
		},
		[...PEERS, 'express-session', 'iron-session']
	);
}

async function timeOfImport(module: string): Promise<number> {
	const script =
		`const begin = performance.now(); await import(${JSON.stringify(module)}); ` +
		'console.log(performance.now() - begin); process.exit(0);';
	const args = ['--conditions=svelte', '--input-type=module', '--eval', script];
	const { stdout } = await promisify(execFile)(process.execPath, args);
	return Number(stdout);
}

/** A package and all its dependencies. */
function dependenciesOf(name: string, found = new Set<string>()): Set<string> {
	found.add(name);
	const manifest = JSON.parse(readFileSync(`${folderOf(name)}/package.json`, 'utf8')) as {
		dependencies?: Record<string, string>;
	};
	for (const each of Object.keys(manifest.dependencies ?? {}))
		if (!found.has(each)) dependenciesOf(each, found);
	return found;
}

function bytesOf(name: string): number {
	const folder = folderOf(name);
	const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
	return files
		.map((file) => statSync(`${folder}/${file}`))
		.filter((file) => file.isFile())
		.reduce((sum, file) => sum + file.size, 0);
}

async function tarballOf(name: string): Promise<number> {
	const args = ['pack', '--dry-run', '--json', '--ignore-scripts', folderOf(name)];
	const cwd = fileURLToPath(new URL('.', import.meta.url));
	const { stdout } = await promisify(execFile)('npm', args, { cwd });
	const answer = JSON.parse(stdout) as Packed[] | Record<string, Packed>;
	const [packed] = Object.values(answer);
	if (!packed) throw new Error(`npm did not pack ${name}`);
	return packed.size;
}

interface Packed {
	size: number;
}
