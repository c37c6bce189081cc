import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import ts from 'typescript-eslint';

export default defineConfig(
	globalIgnores([
		'**/dist',
		'**/generated',
		'**/build',
		'**/.svelte-kit',
		'docs/site/static/api',
		'target',
		// Compiled as apps, or inside the apps that they are copied into.
		'packages/vestiary/test/faults/live-app',
		'packages/vestiary/test/runtimes/app',
		'packages/vestiary/test/runtimes/client',
		'packages/vestiary/test/runtimes/readme',
		'packages/vestiary/test/runtimes/elsewhere',
		'packages/vestiary/test/runtimes/new',
		'packages/vestiary/test/runtimes/remote'
	]),
	js.configs.recommended,
	{
		files: [
			'packages/vestiary/**/*.ts',
			'packages/sv/**/*.ts',
			'benches/web/{src,test}/**/*.ts',
			'examples/sveltekit/e2e/*.ts',
			'examples/openid-connect/{e2e,provider}/*.ts',
			'examples/shared-login/e2e/*.ts'
		],
		extends: [ts.configs.strictTypeChecked, ts.configs.stylisticTypeChecked],
		languageOptions: { parserOptions: { projectService: true } },
		rules: {
			// The interface of a store is asynchronous, whether an implementation waits or not.
			'@typescript-eslint/require-await': 'off',
			// The core packs enums into one number.
			'@typescript-eslint/no-unsafe-enum-assignment': 'off',
			'@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
			'@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }]
		}
	},
	{
		files: ['vectors/*.mjs'],
		languageOptions: { globals: { Buffer: false, URL: false, process: false } }
	},
	{
		files: ['packages/vestiary/test/runtimes/hosts/bun-stores.js'],
		languageOptions: { globals: { console: false, process: false } }
	},
	{
		files: ['packages/sv/rolldown.config.js', 'packages/vestiary/typedoc.config.js'],
		languageOptions: { globals: { URL: false } }
	},
	{
		files: ['packages/vestiary/bin/*.js'],
		languageOptions: { globals: { URL: false, console: false, process: false } }
	},
	{
		files: ['packages/vestiary/mutate.mjs'],
		languageOptions: { globals: { URL: false, console: false } }
	},
	{
		files: ['packages/vestiary/src/**/*.ts'],
		rules: {
			'no-console': 'error'
		}
	}
);
