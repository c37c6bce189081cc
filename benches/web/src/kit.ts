/** The cookie jar of the installed SvelteKit, extracted from it. */
import { fileURLToPath } from 'node:url';

import { rolldown, type RolldownPlugin } from 'rolldown';

import { Kit, type Jar } from './kit-request.ts';

/** Bundles the jar: SvelteKit's sources import modules that only the build of an app creates. */
export async function loadKit(folder: string): Promise<Kit> {
	const file = `${folder}/kit-jar.mjs`;
	await bundle({ input: KIT_JAR, file, platform: 'node' });
	return new Kit((await import(file)) as Jar);
}

export interface Bundle {
	input: string;
	file: string;
	platform: 'node' | 'neutral';
	/** Conditions of package exports, beside those of production. */
	conditions?: string[];
	plugins?: RolldownPlugin[];
}

export async function bundle({
	input,
	file,
	platform,
	conditions = [],
	plugins = []
}: Bundle): Promise<void> {
	const made = await rolldown({
		input,
		platform,
		// Only SvelteKit's jar is needed, without the side effects of its other modules.
		treeshake: { moduleSideEffects: [{ test: /@sveltejs/, sideEffects: false }] },
		transform: { define: { __SVELTEKIT_DEV__: 'false' } },
		external: /^node:/,
		resolve: {
			conditionNames: [...conditions, 'production', 'import', 'default'],
			mainFields: ['module', 'main']
		},
		plugins: [generatedByAnApp(), ...plugins]
	});
	await made.write({ file });
	await made.close();
}

export const KIT_JAR = fileURLToPath(
	new URL('src/runtime/server/cookie.js', import.meta.resolve('@sveltejs/kit/package.json'))
);

// Modules that the build of an app creates are empty.
function generatedByAnApp(): RolldownPlugin {
	const prefix = '<sveltekit:generated>';
	return {
		name: 'generated-by-an-app',
		resolveId: (id) => (id.startsWith(prefix) ? `\0${id}` : null),
		load: (id) => (id.startsWith(`\0${prefix}`) ? 'export const get_hooks = undefined;' : null)
	};
}
