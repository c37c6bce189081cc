/** `node --conditions=svelte --expose-gc benches/web/src/run.ts --group=… --out=…`: see `cargo xtask bench`. */
import { mkdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import type { Context } from './context.ts';

/** The groups, loaded only when they run. Each writes its results. */
const GROUPS: Record<string, () => Promise<(context: Context) => Promise<void>>> = {
	handle: async () => (await import('./handle.ts')).handle,
	workerd: async () => (await import('./workerd/group.ts')).workerd,
	http: async () => (await import('./http/group.ts')).http,
	micro: async () => (await import('./micro.ts')).micro,
	scale: async () => (await import('./scale/group.ts')).scale,
	size: async () => (await import('./size/group.ts')).size,
	redis: async () => (await import('./redis/group.ts')).redis,
	stores: async () => (await import('./stores/group.ts')).stores
};

const { values } = parseArgs({
	options: {
		group: { type: 'string', multiple: true, default: Object.keys(GROUPS) },
		out: { type: 'string', default: 'target/bench' },
		/** Runs everything once, with as little as possible, to check that it works. */
		smoke: { type: 'boolean', default: false }
	}
});
if (globalThis.gc === undefined) throw new Error('Node.js has to be run with --expose-gc');
const build = new URL('../../../target/bench/build', import.meta.url).pathname;
await mkdir(build, { recursive: true });
let checks = 0;
for (const name of values.group) {
	const load = GROUPS[name];
	if (!load) throw new Error(`no group ${name}; there are ${Object.keys(GROUPS).join(', ')}`);
	console.log(`${name} …`);
	const run = await load();
	const begin = performance.now();
	await run({
		folder: values.out,
		build,
		smoke: values.smoke,
		checked: (what) => {
			checks++;
			console.log(`  checked: ${what}`);
		}
	});
	console.log(`${name}: ${((performance.now() - begin) / 1_000).toFixed(1)} s`);
}
console.log(`${checks} passed, 0 failed`);
