import adapter from '@sveltejs/adapter-static';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

// The path under which the site is served, such as /vestiary; empty for the root of a host.
const base = (process.env['BASE_PATH'] ?? '') as '' | `/${string}`;

export default defineConfig({
	plugins: [
		sveltekit({
			adapter: adapter(),
			paths: { base, relative: false },
			// A link to a page or a heading that does not exist fails the build.
			prerender: { handleHttpError: 'fail', handleMissingId: 'fail' }
		})
	],
	// The core is read from the package of this repository, which is built before the site.
	server: { fs: { allow: ['../..'] } }
});
