import { defineConfig } from 'vitest/config';

// The one condition under which svelte-kit-sessions can be imported.
export default defineConfig({ ssr: { resolve: { conditions: ['svelte', 'node', 'default'] } } });
