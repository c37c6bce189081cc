import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { vestiary, type VestiaryPlugin } from '../src/vite.js';

const PAGE = '/app/src/routes/+page.svelte';

const CLIENT = { environment: { config: { consumer: 'client' } } } as const;
const SERVER = { environment: { config: { consumer: 'server' } } } as const;

interface Asked {
	readonly context?: typeof CLIENT | typeof SERVER | object;
	readonly source?: string;
	readonly importer?: string | undefined;
	readonly options?: { readonly ssr?: boolean; readonly scan?: boolean };
}

let plugin: VestiaryPlugin;

/** Resolves an import as Vite does. */
function resolve(asked: Asked = {}): void {
	const { context = CLIENT, source = 'vestiary', options = {} } = asked;
	const importer = 'importer' in asked ? asked.importer : PAGE;
	plugin.resolveId.handler.call(context, source, importer, options);
}

beforeEach(() => {
	plugin = vestiary();
	vi.stubEnv('VITEST', undefined);
});
afterEach(() => {
	vi.unstubAllEnvs();
});

test.each<[string, Asked]>([
	['in a page', {}],
	['of a store', { source: 'vestiary/redis' }],
	['in a module that Vite has compiled', { importer: `${PAGE}?svelte&type=script` }],
	['in Vite 5, which has no environments', { context: {}, options: { ssr: false } }]
])('an import %s is refused with the name of the file', (_, asked) => {
	const source = asked.source ?? 'vestiary';
	expect(() => {
		resolve(asked);
	}).toThrow(
		new Error(
			`vestiary is for the server only: import it in hooks.server.ts, +page.server.ts, +server.ts or src/lib/server, and its types with \`import type\`. The import of '${source}' is in ${PAGE}`
		)
	);
});

test.each<[string, Asked]>([
	['on the server', { context: SERVER }],
	['on the server of Vite 5', { context: {}, options: { ssr: true } }],
	['of the client', { source: 'vestiary/client' }],
	['of another package', { source: 'vestiary-theme' }],
	['while Vite looks for dependencies', { options: { scan: true } }],
	['in another package', { importer: '/app/node_modules/some-package/index.js' }],
	['that nothing has asked for', { importer: undefined }]
])('an import %s is left to Vite', (_, asked) => {
	expect(() => {
		resolve(asked);
	}).not.toThrow();
});

test('vitest may test components together with the package', () => {
	vi.unstubAllEnvs();
	expect(process.env.VITEST).toBe('true');
	expect(() => {
		resolve();
	}).not.toThrow();
});

test('the pages are loaded again once after the file of a refused import has changed', () => {
	const send = vi.fn();
	const change = (file: string): void => {
		plugin.handleHotUpdate({ file, server: { ws: { send } } });
	};
	expect(() => {
		resolve({ importer: `${PAGE}?svelte` });
	}).toThrow('server only');
	change('/app/src/routes/other/+page.svelte');
	expect(send).not.toHaveBeenCalled();
	change(PAGE);
	change(PAGE);
	expect(send.mock.calls).toEqual([[{ type: 'full-reload' }]]);
});
