// Serves an edge function of Vercel in their `edge-runtime`, in the way of `vercel dev`: that runs
// scripts, so the module is made one, and what `x.wasm?module` imports comes from a global.
/* global WebAssembly */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';

import { EdgeRuntime, runServer } from 'edge-runtime';
import { build } from 'esbuild';

const [, , folder, port] = process.argv;

const modules = {};

const wasm = {
	name: 'wasm-module',
	setup({ onLoad, onResolve }) {
		onResolve({ filter: /\.wasm\?module$/ }, ({ path }) => ({ path, namespace: 'wasm' }));
		onLoad({ filter: /.*/, namespace: 'wasm' }, async ({ path }) => {
			const bytes = await readFile(join(folder, path.replace('?module', '')));
			// Compiled out here, so of another realm than the function's.
			modules[path] = await WebAssembly.compile(bytes);
			return { contents: `export default WASM_MODULES[${JSON.stringify(path)}]` };
		});
	}
};

const { outputFiles } = await build({
	entryPoints: [join(folder, 'index.js')],
	bundle: true,
	write: false,
	format: 'iife',
	globalName: 'edgeFunction',
	external: ['node:*'],
	plugins: [wasm]
});

const runtime = new EdgeRuntime({
	extend: (context) =>
		Object.assign(context, { WASM_MODULES: modules, process: { env: process.env } }),
	initialCode: `${outputFiles[0].text}
addEventListener('fetch', (event) => event.respondWith(edgeFunction.default(event.request, {})));`
});

await runServer({ runtime, port: Number(port), host: 'localhost' });
