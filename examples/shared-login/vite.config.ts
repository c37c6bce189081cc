import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

// The address of the built app, such as http://localhost:3000. Without it, adapter-node assumes https, and SvelteKit
// refuses forms that were sent over http.
const origin = process.env['ORIGIN'];

export default defineConfig({
	plugins: [sveltekit({ adapter: adapter(), ...(origin && { paths: { origin } }) })],
	// `vite dev`: one origin for both, as in serve.js.
	server: {
		proxy: { '/api': { target: process.env['API'] ?? 'http://127.0.0.1:4000', ws: true } }
	}
});
