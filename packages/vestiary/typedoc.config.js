/** The reference of the TypeScript API, which `cargo xtask docs --with-api` puts into the site of the documentation. */
import { readFileSync } from 'node:fs';

import { Converter } from 'typedoc';

const { name, exports } = JSON.parse(
	readFileSync(new URL('package.json', import.meta.url), 'utf8')
);

/** The module of an entry of the package, by the source that its declarations come from. */
const modules = new Map(
	Object.entries(exports)
		.filter(([, entry]) => entry.types)
		.map(([path, { types }]) => [
			types.replace('./dist/', '').replace('.d.ts', ''),
			path.replace('.', name)
		])
);

export default {
	name,
	entryPoints: [...modules.keys()].map((source) => `src/${source}.ts`),
	tsconfig: 'tsconfig.json',
	out: '../../docs/site/static/api/typescript',
	readme: 'none',
	excludeInternal: true,
	excludePrivate: true,
	excludeExternals: true,
	disableSources: true,
	highlightLanguages: [
		'bash',
		'css',
		'html',
		'javascript',
		'json',
		'sql',
		'svelte',
		'typescript'
	],
	// A link to a name that does not exist is an error.
	treatValidationWarningsAsErrors: true,
	validation: { notExported: false, invalidLink: true, notDocumented: false },
	plugin: [
		(app) => {
			app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
				reflection.name = modules.get(reflection.name) ?? reflection.name;
			});
		}
	]
};
