import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { compile } from 'svelte/compiler';
import { expect, test } from 'vitest';

const ROOT = new URL('../../../', import.meta.url).pathname;
const FOLDER = join(ROOT, 'packages/vestiary/test/generated');
const PAGES = [
	'README.md',
	'packages/vestiary/README.md',
	...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
		.filter((name) => name.endsWith('.md') && !name.startsWith('site/'))
		.map((name) => `docs/${name}`)
];

/** The modules that SvelteKit makes for an app. */
const APP = `
declare module '$app/env/private' { export const SESSION_SECRET: string; }
declare module '$app/env' { export const building: boolean; }
declare module '$env/dynamic/private' { export const env: Record<string, string | undefined>; }
declare module '@playwright/test' {
	import type { BrowserContext, Locator, Page } from 'playwright-core';
	type Run = (fixtures: { page: Page; context: BrowserContext }) => Promise<void>;
	export const test: ((name: string, run: Run) => void) & { afterEach(run: Run): void };
	export const expect: (locator: Locator) => { toBeVisible(): Promise<void> };
	export function defineConfig(config: object): object;
}
`;

/** The types that SvelteKit makes beside each route. */
const ROUTE_TYPES = `
import type { Actions as KitActions, ServerLoad } from '@sveltejs/kit';
export type Actions = KitActions;
export type LayoutServerLoad = ServerLoad;
export type PageServerLoad = ServerLoad;
`;

/** The samples of a page in a language. */
function samples(page: string, language: string): string[] {
	const text = readFileSync(join(ROOT, page), 'utf8');
	const fences = text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'));
	return [...fences].map(([, code]) => code ?? '');
}

test('docs/reference/errors.md names each code of an error, under its class', () => {
	const source = readFileSync(join(ROOT, 'packages/vestiary/src/errors.ts'), 'utf8');
	const page = readFileSync(join(ROOT, 'docs/reference/errors.md'), 'utf8');
	for (const name of ['ConfigError', 'DataError', 'StoreError']) {
		const [, union = ''] = new RegExp(`type ${name}Code =([^;]*);`).exec(source) ?? [];
		const [, row = ''] = new RegExp(`\\| \\x60${name}\\x60 *\\|([^|]*)\\|`).exec(page) ?? [];
		const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code).sort();
		expect(codes.length).toBeGreaterThan(5);
		expect([...row.matchAll(/`(\w+)`/g)].map(([, code]) => code).sort()).toEqual(codes);
	}
});

test('every TypeScript sample of the documentation compiles', () => {
	rmSync(FOLDER, { recursive: true, force: true });
	mkdirSync(FOLDER, { recursive: true });
	let count = 0;
	writeFileSync(join(FOLDER, 'app.d.ts'), APP);
	for (const page of PAGES) {
		const pageFolder = join(FOLDER, page.replaceAll(/\W/g, '-'));
		for (const code of samples(page, 'ts')) {
			// The files of a page import each other. If two of them are for different versions, each is checked
			// separately.
			const [, name = `sample-${count}.ts`] =
				/^\/\/ (src\/\S+?\.ts)(?:,|$)/m.exec(code) ?? [];
			const together = join(pageFolder, name);
			const file = existsSync(together) ? join(pageFolder, `${count}`, name) : together;
			mkdirSync(dirname(file), { recursive: true });
			writeFileSync(file, `// ${page}\n${code}`);
			writeFileSync(join(dirname(file), '$types.d.ts'), ROUTE_TYPES);
			count++;
		}
	}
	expect(count).toBeGreaterThan(20);
	const config = {
		extends: '../../tsconfig.json',
		// The versions of the clients are installed under names of their own.
		compilerOptions: {
			module: 'ESNext',
			moduleResolution: 'Bundler',
			rewriteRelativeImportExtensions: false,
			paths: {
				ioredis: [join(ROOT, 'node_modules/ioredis6/built/index.d.ts')],
				redis: [join(ROOT, 'node_modules/redis6/dist/index.d.ts')]
			},
			types: ['node']
		}
	};
	// A registered schema types the data of all samples that are compiled with it.
	const folders = PAGES.map((page) => page.replaceAll(/\W/g, '-'));
	const registers = PAGES.flatMap((page, place) =>
		samples(page, 'ts').some((code) => code.includes('interface Register'))
			? [`${folders[place]}`]
			: []
	);
	expect(registers).toEqual([
		'docs-how-to-all-together-md',
		'docs-how-to-session-in-the-browser-md',
		'docs-how-to-typed-data-md'
	]);
	// The native compiler takes a third of the time.
	const tsc = join(ROOT, 'node_modules/typescript-native/bin/tsc');
	for (const include of [
		['**/*.ts'],
		...registers.map((one) => ['app.d.ts', `${one}/**/*.ts`])
	]) {
		const exclude = include.length === 1 ? registers : [];
		writeFileSync(
			join(FOLDER, 'tsconfig.json'),
			JSON.stringify({ ...config, include, exclude })
		);
		const { stdout } = spawnSync(tsc, ['-p', FOLDER], { encoding: 'utf8' });
		expect(stdout).toBe('');
	}
}, 300_000);

test('every JavaScript sample of the documentation parses', () => {
	for (const page of PAGES) {
		for (const code of samples(page, 'js')) {
			const file = join(FOLDER, 'sample.mjs');
			writeFileSync(file, code);
			const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' });
			expect(stderr, `${page}\n${code}`).toBe('');
		}
	}
});

test('every Svelte sample of the documentation compiles', () => {
	let count = 0;
	for (const page of PAGES) {
		for (const code of samples(page, 'svelte')) {
			const { warnings } = compile(code, { generate: 'server' });
			expect(warnings, `${page}\n${code}`).toEqual([]);
			count++;
		}
	}
	expect(count).toBeGreaterThan(5);
});

test('the README tells the commands that there are', () => {
	const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
	const cli = readFileSync(join(ROOT, 'xtask/src/main.rs'), 'utf8');
	for (const [, task = ''] of readme.matchAll(/cargo xtask (\w+)/g)) {
		expect(cli.toLowerCase()).toContain(`\t${task}`.replace('\t', '    '));
	}
});

/** The cells of the requirements of docs/explanation/security.md, by their number. */
function requirements(): Map<number, string[]> {
	const page = readFileSync(join(ROOT, 'docs/explanation/security.md'), 'utf8');
	const rows = page.matchAll(/^\| (\d+) +\|(.*)\|$/gm);
	return new Map(
		[...rows].map(([, number = '', cells = '']) => [
			Number(number),
			cells.split('|').map((cell) => cell.trim())
		])
	);
}

/** Requirements that the application, or SvelteKit, meets, so that no test here can prove them. */
const WITHOUT_A_TEST = { svelteKit: [20, 31, 43], rust: [20, 31, 32, 43, 45, 47] };

test('every requirement of docs/explanation/security.md names tests of both products, and they are there', () => {
	const rows = requirements();
	expect([...rows.keys()]).toEqual(Array.from({ length: 51 }, (_, i) => i + 1));
	const named = (cell: string, roots: string[]): string[] => {
		const found: string[] = [];
		for (const [, file = '', titles = ''] of cell.matchAll(
			/`([\w/.-]+\.(?:ts|rs))` ((?:“[^”]+”(?:, )?)+)/g
		)) {
			const path = roots.map((root) => join(ROOT, root, file)).find(existsSync);
			const text = path === undefined ? '' : readFileSync(path, 'utf8');
			for (const [, title = ''] of titles.matchAll(/“([^”]+)”/g)) {
				expect(text, `${file}: ${title}`).toContain(
					file.endsWith('.rs') ? `fn ${title}(` : title
				);
				found.push(title);
			}
		}
		return found;
	};
	for (const [number, [, , svelteKit = '', rust = '', ...more]] of rows) {
		expect(more, String(number)).toEqual([]);
		const roots = ['packages/vestiary', 'examples/sveltekit', 'crates'];
		const here = named(svelteKit, roots).length;
		expect(here > 0, `${number}`).toBe(!WITHOUT_A_TEST.svelteKit.includes(number));
		const there = named(rust, ['crates']).length;
		expect(there > 0, `${number} in Rust`).toBe(!WITHOUT_A_TEST.rust.includes(number));
		// Requirements without a test give a reason.
		expect(svelteKit.length > 5 && rust.length > 5, String(number)).toBe(true);
		// Tests of the core alone do not prove that a product applies the rule.
		if (here > 0) expect(svelteKit, String(number)).toMatch(/`test\//);
		if (there > 0) expect(rust, String(number)).toMatch(/`vestiary-(tower|store)\//);
	}
});

test('docs/reference/platforms.md tells the size of the WebAssembly, give or take a tenth', () => {
	const page = readFileSync(join(ROOT, 'docs/reference/platforms.md'), 'utf8');
	const wasm = readFileSync(join(ROOT, 'packages/vestiary/src/generated/vestiary.wasm'));
	const [, size, gzipped] = /the WebAssembly +\| (\d+) KB, (\d+) KB gzipped/.exec(page) ?? [];
	expect(Math.abs(wasm.length / 1_000 / Number(size) - 1)).toBeLessThan(0.1);
	expect(Math.abs(gzipSync(wasm).length / 1_000 / Number(gzipped) - 1)).toBeLessThan(0.1);
});
