import { printedLike } from './edits.ts';
import type { Draft, Project } from './project.ts';
import { Refusal } from './refusal.ts';
import { addSettings, findWorker, type Database, type Worker } from './wrangler.ts';

const TABLE = `CREATE TABLE IF NOT EXISTS sessions (key TEXT PRIMARY KEY, record TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires);
`;

const CLASS = 'SessionObject';

/** The name of the binding to the database: that of the app, or a new one. */
export function databaseBinding(project: Project): string {
	return databaseOf(findWorker(project))?.binding ?? 'DB';
}

/** The database of a Worker for the sessions: of several, `DB` or the first one. */
function databaseOf(worker: Worker | undefined): Database | undefined {
	const databases = worker?.settings.d1_databases ?? [];
	return databases.find(({ binding }) => binding === 'DB') ?? databases[0];
}

/** The name of the binding to the objects with the sessions: that of the app, or one that is free. */
export function objectsBinding(project: Project): string {
	const worker = findWorker(project);
	const bindings = worker?.settings.durable_objects?.bindings ?? [];
	const own = bindings.find(({ class_name: name }) => name === CLASS);
	if (own) return own.name;
	const taken = /(['"])SESSIONS\1/.test(worker?.source ?? '');
	return taken ? 'SESSION_OBJECTS' : 'SESSIONS';
}

/**
 * Gives the Worker of the app the store's binding, and its table or its class.
 * @throws Refusal if the app has no Worker to give it to
 */
export function bindWorker(
	draft: Draft,
	store: 'd1' | 'durable-objects',
	hasDrizzle: boolean
): void {
	const worker = findWorker(draft);
	if (!worker)
		throw new Refusal(
			'the app has no wrangler.jsonc, which names the bindings of its Worker: run `npx sv add sveltekit-adapter=adapter:cloudflare+cfTarget:workers` first, and then this again'
		);
	if (store === 'd1') bindDatabase(draft, worker, hasDrizzle);
	else bindObjects(draft, worker);
	const { scripts } = JSON.parse(draft.read('package.json') ?? '{}') as {
		scripts?: Record<string, string>;
	};
	if (scripts?.gen !== undefined)
		draft.notes.push('Make the types of the bindings: `npm run gen`.');
	const put =
		worker.settings.pages_build_output_dir === undefined ? 'secret put' : 'pages secret put';
	draft.notes.push(
		`Before you deploy, give the Worker a secret of its own: \`npx wrangler ${put} SESSION_SECRET\`.`
	);
}

function bindDatabase(draft: Draft, worker: Worker, hasDrizzle: boolean): void {
	const { settings, path } = worker;
	const known = databaseOf(worker);
	const binding = databaseBinding(draft.project);
	if (!known) {
		const name = settings.name ?? 'sessions';
		addSettings(draft, worker, { database: { binding, database_name: name } });
		draft.notes.push(
			`Before you deploy, create the database, and write its ID into ${path}: \`npx wrangler d1 create ${name}\`.`
		);
	}
	if (hasDrizzle) return;
	const folder = (known?.migrations_dir ?? 'migrations').replace(/^\.\/|\/$/g, '');
	draft.add(`${folder}/0001_sessions.sql`, TABLE);
	draft.notes.push(
		`Create the table: \`npx wrangler d1 migrations apply ${binding} --local\`, and with \`--remote\` before you deploy.`
	);
}

/** The files of docs/how-to/platforms.md. */
function bindObjects(draft: Draft, worker: Worker): void {
	const { settings, path } = worker;
	if (settings.pages_build_output_dir !== undefined)
		throw new Refusal(
			`${path} is of a project of Pages, which has no objects of its own: choose the store d1, or move the app to Workers with \`npx sv add sveltekit-adapter=adapter:cloudflare+cfTarget:workers\``
		);
	const bindings = settings.durable_objects?.bindings ?? [];
	if (bindings.some(({ class_name: name }) => name === CLASS)) return;
	const { main } = settings;
	if (main !== undefined && !main.endsWith('.svelte-kit/cloudflare/_worker.js'))
		throw new Refusal(
			`${path} has a main module of the app's own, ${main}: export the class from it (\`export { ${CLASS} } from 'vestiary/durable-objects/object';\`), bind it in ${path}, and run this again`
		);
	draft.add(
		'worker.js',
		`// @ts-nocheck: the module of the adapter is there after a build.
export { default } from './.svelte-kit/cloudflare/_worker.js';
export { ${CLASS} } from 'vestiary/durable-objects/object';
`
	);
	draft.add('wrangler.build.jsonc', '{ "assets": { "directory": ".svelte-kit/cloudflare" } }\n');
	addSettings(draft, worker, {
		main: 'worker.js',
		object: { name: objectsBinding(draft.project), class_name: CLASS }
	});
	previewWhole(draft);
	configureAdapter(draft);
}

/** The script `preview` of the adapter starts the module of the adapter, which does not have the class. */
function previewWhole(draft: Draft): void {
	const manifest = draft.read('package.json') ?? '{}';
	const data = JSON.parse(manifest) as { scripts?: Record<string, string> };
	for (const [name, script] of Object.entries(data.scripts ?? {}))
		data.scripts = {
			...data.scripts,
			[name]: script.replace('wrangler dev .svelte-kit/cloudflare/_worker.js', 'wrangler dev')
		};
	draft.write('package.json', printedLike(manifest, data));
}

/** Gives the adapter a configuration without a main module, because it would replace worker.js. */
function configureAdapter(draft: Draft): void {
	for (const name of [
		'vite.config.ts',
		'vite.config.js',
		'svelte.config.js',
		'svelte.config.ts'
	]) {
		const source = draft.read(name);
		if (source?.includes('wrangler.build.jsonc')) return;
		if (!source?.includes('adapter-cloudflare') || !/\badapter\(\)/.test(source)) continue;
		draft.write(
			name,
			source.replace(/\badapter\(\)/, "adapter({ config: 'wrangler.build.jsonc' })")
		);
		return;
	}
	draft.notes.push(
		"Pass `config: 'wrangler.build.jsonc'` to the adapter, so that it leaves worker.js alone."
	);
}
