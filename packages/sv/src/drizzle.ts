import type { Project } from './project.ts';

/** The database of drizzle, if the app has drizzle with a client that a store takes. */
export interface Drizzle {
	readonly kind: 'sqlite' | 'postgres' | 'mysql' | 'd1';
	/** The module that exports `db`, and the one with the tables, without their endings. */
	readonly client: string;
	readonly schema: string;
}

const DRIZZLE_CLIENTS: readonly [RegExp, Drizzle['kind']][] = [
	[/(['"])drizzle-orm\/(?:better-sqlite3|libsql(?:\/\w+)?|node-sqlite|bun-sqlite)\1/, 'sqlite'],
	[
		/(['"])drizzle-orm\/(?:postgres-js|node-postgres|neon-http|neon-serverless|pglite)\1/,
		'postgres'
	],
	[/(['"])drizzle-orm\/(?:mysql2|planetscale-serverless)\1/, 'mysql'],
	[/(['"])drizzle-orm\/d1\1/, 'd1']
];

export function findDrizzle(project: Project): Drizzle | undefined {
	const folder = `${project.lib}/server/db`;
	for (const path of [`${folder}/index`, folder]) {
		const source = project.read(`${path}.ts`) ?? project.read(`${path}.js`) ?? '';
		const kind = DRIZZLE_CLIENTS.find(([driver]) => driver.test(source))?.[1];
		if (kind === undefined) continue;
		// That of D1 comes with the request; the others must be there for the whole process.
		if (kind !== 'd1' && !/\bexport\s+(?:const|let)\s+db\b/.test(source)) continue;
		return { kind, client: path, schema: `${folder}/schema` };
	}
	return undefined;
}
