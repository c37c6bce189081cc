// For tests only. No published adapter-cloudflare builds with SvelteKit 3: they ask for
// `generateManifest`, which is gone. This gets it out of the server that SvelteKit generates instead.
// Delete it once there is an adapter for SvelteKit 3.
import fs from 'node:fs';

import adapter from '@sveltejs/adapter-cloudflare';

export default function (options) {
	const inner = adapter(options);
	return {
		...inner,
		adapt(builder) {
			const withManifest = Object.create(builder);
			withManifest.generateManifest = () => {
				const file = `${builder.getBuildDirectory('cloudflare-tmp')}/server.js`;
				builder.generateServerInstance(file);
				const text = fs.readFileSync(file, 'utf8');
				fs.rmSync(file);
				return /const manifest = ([\s\S]*?);\s*export const server/.exec(text)[1];
			};
			return inner.adapt(withManifest);
		}
	};
}
