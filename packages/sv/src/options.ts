import { findDrizzle } from './drizzle.ts';
import { declare, environment, ignore, SECRET } from './environment.ts';
import { importPath, printer, type Draft } from './project.ts';
import { storeCode, type StoreCode, type StoreKind } from './stores.ts';
import { declareTable, tableName, writeTableScript } from './tables.ts';
import { bindWorker } from './workers.ts';

/** The module with the options of the sessions, without its ending. */
export const optionsModule = ({ lib }: { lib: string }): string => `${lib}/server/session-options`;

/** Whether the options come with each request, because the store is a binding of Workers. */
export function isPerRequest(store: StoreKind): store is 'd1' | 'durable-objects' {
	return store === 'd1' || store === 'durable-objects';
}

/** Writes the module of the options, and what the store needs: variables, dependencies, its table. */
export function writeOptions(draft: Draft, store: StoreKind): void {
	const { project } = draft;
	const path = draft.existing(optionsModule(project));
	if (draft.read(path) !== undefined) return;
	const drizzle = findDrizzle(project);
	const table = tableName(draft, drizzle);
	const raw = (name: string): string => (project.declaresEnvironment ? name : `env.${name}`);
	const code = storeCode(store, project, drizzle, table, raw);
	const { variables, dependencies } = code;
	draft.write(path, text(draft, path, code));
	// The application may have given its own variables another value than the example.
	declare(draft, [SECRET, ...variables]);
	for (const [name, version] of Object.entries(dependencies)) draft.depend(name, version);
	if (store === 'sqlite' && code.own === undefined)
		ignore(draft, 'sessions.db*', /^\/?(?:sessions|\*)\.db/m);
	if (store === 'libsql' && code.own === undefined)
		ignore(draft, 'sessions.db*', /^\/?(?:sessions|\*)\.db/m);
	if (drizzle?.kind === (store === 'libsql' ? 'sqlite' : store))
		declareTable(draft, drizzle, table);
	else if (code.table) writeTableScript(draft, code.table);
	if (isPerRequest(store)) bindWorker(draft, store, drizzle?.kind === 'd1');
}

function text(draft: Draft, path: string, code: StoreCode): string {
	const { project } = draft;
	const { ts, js } = printer(project);
	const names = [SECRET, ...code.variables].map(({ name }) => name);
	const { line, of } = environment(project, names);
	const { binding, store } = code;
	const type = "import type { SveltekitSessionConfig } from 'vestiary';";
	const event = "import type { RequestEvent } from '@sveltejs/kit';";
	const [first, ...stores] = [...code.imports].reverse();
	const imports = [
		line,
		...(project.language === 'ts' && binding ? [event] : []),
		...stores.reverse(),
		...(project.language === 'ts' ? [type] : []),
		...(first === undefined ? [] : [first]),
		...(code.own === undefined
			? []
			: ['', `import { db } from '${importPath(path, code.own.replace(/\/index$/, ''))}';`])
	];
	const before = code.before ? `\n${code.before.join('\n')}\n` : '';
	const members = (indent: string): string =>
		[
			`secret: ${of('SESSION_SECRET')},`,
			...(store === undefined ? [] : [`store: ${store},`]),
			'cookie: { maxAge: 60 * 60 * 24 * 7 }, // a week',
			'rolling: true // from the last visit'
		]
			.map((member) => `${indent}${member}\n`)
			.join('');
	const about =
		'The options of the sessions: for the handle in hooks.server, and for `sessions()`.';
	const head = `${imports.join('\n')}\n${before}\n`;
	if (!binding) {
		const typed = js("\n *\n * @type {import('vestiary').SveltekitSessionConfig}\n");
		const comment = typed === '' ? `/** ${about} */` : `/**\n * ${about}${typed} */`;
		const options = `export const options${ts(': SveltekitSessionConfig')} = {\n${members('\t')}};\n`;
		return `${head}${comment}\n${options}`;
	}
	const bindings = `{ ${binding.name}: ${binding.type} }`;
	const types = js(
		"\n *\n * @param {import('@sveltejs/kit').RequestEvent} event\n * @returns {import('vestiary').SveltekitSessionConfig}"
	);
	return `${head}/**
 * ${about}
 * The binding comes with the request.${types}
 */
export function options({ platform }${ts(': RequestEvent')})${ts(': SveltekitSessionConfig')} {
	if (!platform) throw new Error('There is no platform: run the app with wrangler, or with vite dev');
	${js(`/** @type {{ env: ${bindings} }} */\n\t`)}const { env: bindings } = ${ts(`platform as unknown as { env: ${bindings} }`)}${js('/** @type {any} */ (platform)')};
	return {
${members('\t\t')}	};
}
`;
}
