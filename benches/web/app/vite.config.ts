import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

// One build: which sessions it has, and where they are kept, is in the environment of the server.
export default defineConfig({ plugins: [sveltekit({ adapter: adapter() })] });
