import adapter from '@sveltejs/adapter-static';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig, type Plugin } from 'vite';

// The path under which the site is served, such as /vestiary; empty for the root of a host.
const base = (process.env['BASE_PATH'] ?? '') as '' | `/${string}`;

export default defineConfig({
	plugins: [
		anySecret(),
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

/**
 * Lets the inspector check cookies of any secret, as tests can. In production, the package refuses secrets that are short or
 * can be guessed, such as those of a development server.
 */
function anySecret(): Plugin {
	const flags = { building: false, developing: false, testing: true, isolated: false };
	return {
		name: 'any-secret',
		load: (id) =>
			id.endsWith('/packages/vestiary/dist/environment.js')
				? Object.entries(flags)
						.map(([name, value]) => `export const ${name} = ${value};`)
						.join('\n')
				: undefined
	};
}
