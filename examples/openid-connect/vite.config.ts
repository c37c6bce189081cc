import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

// The address of the built app, such as http://localhost:3000. Without it, adapter-node assumes https, and SvelteKit
// refuses forms that were sent over http.
const origin = process.env['ORIGIN'];
// The folder of the built app. Two apps are built for two addresses.
const out = process.env['BUILD'] ?? 'build';

export default defineConfig({
	plugins: [
		sveltekit({
			adapter: adapter({ out }),
			csrf: { trustedOrigins: ['*'] },
			...(origin && { paths: { origin } })
		})
	]
});
