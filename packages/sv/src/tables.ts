import type { Drizzle } from './drizzle.ts';
import { edited, insertion, printedLike } from './edits.ts';
import type { Draft } from './project.ts';
import { Script } from './script.ts';
import type { StoreCode } from './stores.ts';

/** The name of the table: another one, if the tables of drizzle have one of this name already. */
export function tableName(draft: Draft, drizzle: Drizzle | undefined): string {
	const schema = drizzle && draft.read(draft.existing(drizzle.schema));
	return /(['"])sessions\1|\bsessions\s*=/.test(schema ?? '') ? 'vestiary_sessions' : 'sessions';
}

interface Definition {
	readonly from: string;
	readonly imports: readonly string[];
	readonly before?: string;
	readonly table: (constant: string, name: string) => string;
}

const DEFINITIONS: Record<Drizzle['kind'], Definition> = {
	postgres: {
		from: 'drizzle-orm/pg-core',
		imports: ['bigint', 'customType', 'index', 'pgTable', 'text'],
		before: `/** Keys are compared by their bytes, whatever the language of the database is. */
const sessionKey = customType({ dataType: () => 'text COLLATE "C"' });`,
		table: (constant, name) => `export const ${constant} = pgTable(
	'${name}',
	{
		key: sessionKey().primaryKey(),
		record: text().notNull(),
		expires: bigint({ mode: 'number' }).notNull()
	},
	(table) => [index('${name}_expires').on(table.expires)]
);`
	},
	sqlite: {
		from: 'drizzle-orm/sqlite-core',
		imports: ['index', 'integer', 'sqliteTable', 'text'],
		table: sqlite
	},
	d1: {
		from: 'drizzle-orm/sqlite-core',
		imports: ['index', 'integer', 'sqliteTable', 'text'],
		table: sqlite
	},
	mysql: {
		from: 'drizzle-orm/mysql-core',
		imports: ['bigint', 'customType', 'index', 'mysqlTable', 'varbinary'],
		before: "const sessionRecord = customType({ dataType: () => 'longblob' });",
		table: (constant, name) => `export const ${constant} = mysqlTable(
	'${name}',
	{
		key: varbinary({ length: 767 }).primaryKey(),
		record: sessionRecord().notNull(),
		expires: bigint({ mode: 'number' }).notNull()
	},
	(table) => [index('expires').on(table.expires)]
);`
	}
};

function sqlite(constant: string, name: string): string {
	return `export const ${constant} = sqliteTable(
	'${name}',
	{
		key: text().primaryKey(),
		record: text().notNull(),
		expires: integer().notNull()
	},
	(table) => [index('${name}_expires').on(table.expires)]
);`;
}

/** Adds the store's table to those of drizzle, whose migrations then create it, and whose `push` does not drop it. */
export function declareTable(draft: Draft, drizzle: Drizzle, name: string): void {
	const path = draft.existing(drizzle.schema);
	const source = draft.read(path) ?? '';
	const { from, imports, before, table } = DEFINITIONS[drizzle.kind];
	const script = new Script(source);
	const missing = imports.filter((value) => script.imported(value, from) === undefined);
	const constant = name === 'sessions' ? 'sessions' : 'vestiarySessions';
	const comment = '/** The table of the sessions. Only Vestiary writes to it. */';
	const added = [before, `${comment}\n${table(constant, name)}`].filter(Boolean).join('\n\n');
	const lines = missing.length === 0 ? [] : [`import { ${missing.join(', ')} } from '${from}';`];
	const end = insertion(source.trimEnd().length, `${source.trim() === '' ? '' : '\n\n'}${added}`);
	draft.write(path, edited(source, [...script.afterImports(lines), end]));
	draft.notes.push(
		'Create the table of the sessions with a migration of drizzle, or with `db:push`.'
	);
}

/** Writes a program that creates the table, and the npm script that runs it. */
export function writeTableScript(
	draft: Draft,
	{ lines, end }: NonNullable<StoreCode['table']>
): void {
	const path = 'migrations/sessions.js';
	draft.add(
		path,
		`// Creates the table of the sessions. It may run more than once.\n${lines.join('\n')}\n${end}\n`
	);
	const manifest = draft.read('package.json') ?? '{}';
	const data = JSON.parse(manifest) as { scripts?: Record<string, string> };
	if (data.scripts?.['db:sessions'] === undefined) {
		data.scripts = { ...data.scripts, 'db:sessions': `node --env-file=.env ${path}` };
		draft.write('package.json', printedLike(manifest, data));
	}
	draft.notes.push('Set DATABASE_URL in .env, and create the table: `npm run db:sessions`.');
}
