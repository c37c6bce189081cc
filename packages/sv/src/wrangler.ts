import { parse } from '@sveltejs/sv-utils';
import { evaluate, patch } from 'silver-fleece';

import type { Draft } from './project.ts';
import { Refusal } from './refusal.ts';

/** A database of D1 to which a Worker is bound. */
export interface Database {
	readonly binding: string;
	readonly database_name?: string;
	/** The folder with its migrations. Default: `migrations`. */
	readonly migrations_dir?: string;
}

/** The settings of wrangler that the add-on reads and writes. */
export interface Settings {
	name?: string;
	main?: string;
	pages_build_output_dir?: string;
	d1_databases?: Database[];
	durable_objects?: { bindings: { name: string; class_name: string }[] };
	migrations?: { tag: string; new_sqlite_classes?: string[] }[];
}

/** The file with the settings of the app's Worker. */
export interface Worker {
	readonly path: string;
	readonly source: string;
	readonly settings: Settings;
}

/** In the order in which wrangler looks for them. */
const FILES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml'];

/**
 * The Worker of an app, if it has a file of settings.
 * @throws Refusal if that file cannot be read
 */
export function findWorker(project: Pick<Draft, 'read'>): Worker | undefined {
	for (const path of FILES) {
		const source = project.read(path);
		if (source !== undefined) return { path, source, settings: settingsOf(path, source) };
	}
	return undefined;
}

function settingsOf(path: string, source: string): Settings {
	try {
		const data: unknown = path.endsWith('.toml')
			? parse.toml(source).data
			: evaluate(source.trim() === '' ? '{}' : source);
		if (typeof data === 'object' && data !== null) return data;
	} catch {
		// The message names the file, and wrangler itself the place in it.
	}
	throw new Refusal(
		`${path} cannot be read: correct it (\`npx wrangler types\` says where it is wrong), and run this again`
	);
}

/** Settings to add. What is there stays. */
export interface Added {
	/** The main module, in place of the one that the adapter writes. */
	readonly main?: string;
	readonly database?: { readonly binding: string; readonly database_name: string };
	readonly object?: { readonly name: string; readonly class_name: string };
}

/**
 * Writes settings into the file of the Worker, whose comments and form stay.
 * @throws Refusal if the file has a form in which they cannot be added
 */
export function addSettings(draft: Draft, { path, source, settings }: Worker, added: Added): void {
	const wanted = withSettings(settings, added);
	const text = path.endsWith('.toml')
		? withTables(source, settings, added)
		: patch(source, wanted);
	try {
		if (JSON.stringify(sorted(settingsOf(path, text))) === JSON.stringify(sorted(wanted))) {
			draft.write(path, text);
			return;
		}
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
	}
	throw new Refusal(
		`${path} has a form that this add-on does not know: add this to it yourself, and run this again:\n${withTables('', settings, added).trim()}`
	);
}

function withSettings(settings: Settings, { main, database, object }: Added): Settings {
	const { d1_databases: databases = [], durable_objects: objects, migrations = [] } = settings;
	return {
		...settings,
		...(main !== undefined && { main }),
		...(database && { d1_databases: [...databases, database] }),
		...(object && {
			durable_objects: { ...objects, bindings: [...(objects?.bindings ?? []), object] },
			migrations: [...migrations, migration(settings, object.class_name)]
		})
	};
}

/** The migration that creates a class of objects, with a tag that the others do not have. */
function migration(
	{ migrations = [] }: Settings,
	name: string
): NonNullable<Settings['migrations']>[number] {
	let number = migrations.length + 1;
	while (migrations.some(({ tag }) => tag === `v${number}`)) number++;
	return { tag: `v${number}`, new_sqlite_classes: [name] };
}

/** A file of TOML with more tables at its end, and with another main module. */
function withTables(source: string, settings: Settings, { main, database, object }: Added): string {
	const line = `main = ${JSON.stringify(main)}`;
	const known = /^main\s*=.*$/m;
	let text = source;
	if (main !== undefined)
		text = known.test(text) ? text.replace(known, line) : `${line}\n${text}`;
	const tables: string[] = [];
	if (database) tables.push(table('d1_databases', database));
	if (object) {
		tables.push(table('durable_objects.bindings', object));
		tables.push(table('migrations', migration(settings, object.class_name)));
	}
	return `${[text.trimEnd(), ...tables].join('\n\n')}\n`;
}

function table(name: string, members: object): string {
	const lines = Object.entries(members).map(
		([key, value]) => `${key} = ${JSON.stringify(value)}`
	);
	return [`[[${name}]]`, ...lines].join('\n');
}

/** The same settings, whatever the order in which they were written. */
function sorted(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(sorted);
	if (typeof value !== 'object' || value === null) return value;
	const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
	return Object.fromEntries(members.map(([key, member]) => [key, sorted(member)]));
}
