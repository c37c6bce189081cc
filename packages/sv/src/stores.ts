import type { Drizzle } from './drizzle.ts';
import type { Variable } from './environment.ts';
import type { Project } from './project.ts';
import { databaseBinding, objectsBinding } from './workers.ts';

/** The stores that the add-on can set up. */
export const STORES = [
	{ value: 'sqlite', label: 'SQLite', hint: 'a file; no server' },
	{ value: 'postgres', label: 'Postgres' },
	{ value: 'mysql', label: 'MySQL, MariaDB' },
	{ value: 'libsql', label: 'libSQL, Turso' },
	{ value: 'redis', label: 'Redis, Valkey' },
	{ value: 'upstash', label: 'Upstash Redis', hint: 'over HTTP' },
	{ value: 'durable-objects', label: 'Cloudflare Durable Objects' },
	{ value: 'd1', label: 'Cloudflare D1' },
	{ value: 'memory', label: 'memory', hint: 'sessions end with the process' }
] as const;

export type StoreKind = (typeof STORES)[number]['value'];

/** The code of a store in the module of the options, and what it needs around it. */
export interface StoreCode {
	/** Imports of packages, and those of the app's own modules. */
	readonly imports: readonly string[];
	readonly own?: string;
	/** Statements before the options. */
	readonly before?: readonly string[];
	/** The value of the option `store`. */
	readonly store?: string;
	/** The type of the Workers binding from which each request makes the store. */
	readonly binding?: { readonly name: string; readonly type: string };
	readonly variables: readonly Variable[];
	readonly dependencies: Readonly<Record<string, string>>;
	/** A script that creates the table: its statements, with `client` as the open client. */
	readonly table?: { readonly lines: readonly string[]; readonly end: string };
}

/** Versions of the packages that an app gets. A test compares them with those that the tests of the stores use. */
export const VERSIONS = {
	'@libsql/client': '^0.18.0',
	'@upstash/redis': '^1.39.0',
	bowser: '^2.15.1',
	ioredis: '^5.11.1',
	mysql2: '^3.24.6',
	'openid-client': '^6.9.0',
	postgres: '^3.4.9',
	vestiary: '^0.1.0'
} as const;

const DATABASE_URL = (example: string, local?: string): Variable => ({
	name: 'DATABASE_URL',
	description: 'The database',
	example,
	...(local !== undefined && { value: () => local })
});

/** A comment of the generated module. */
const TABLE = '// `npm run db:sessions` creates the table.';

const DRIZZLE_STORES = {
	sqlite: { module: 'sqlite', store: 'SqliteStore', option: 'database' },
	postgres: { module: 'postgres', store: 'PostgresStore', option: 'client' },
	mysql: { module: 'mysql', store: 'MySqlStore', option: 'client' }
} as const;

/** The code for a store. `variable` gives the expression of a variable of the environment. */
export function storeCode(
	kind: StoreKind,
	project: Project,
	drizzle: Drizzle | undefined,
	table: string,
	variable: (name: string) => string
): StoreCode {
	const plain = { variables: [], dependencies: {} };
	const named = table === 'sessions' ? '' : `, table: '${table}'`;
	if (
		drizzle &&
		drizzle.kind !== 'd1' &&
		drizzle.kind === (kind === 'libsql' ? 'sqlite' : kind)
	) {
		const { module, store, option } = DRIZZLE_STORES[drizzle.kind];
		return {
			...plain,
			imports: [`import { ${store} } from 'vestiary/${module}';`],
			own: drizzle.client,
			store: `new ${store}({ ${option}: db.$client${named} })`
		};
	}
	switch (kind) {
		case 'memory':
			return { ...plain, imports: [] };
		case 'sqlite':
			return {
				...plain,
				imports: ["import { SqliteStore } from 'vestiary/sqlite';"],
				store: "new SqliteStore({ database: 'sessions.db' })"
			};
		case 'libsql':
			return {
				imports: [
					"import { createClient } from '@libsql/client';",
					"import { SqliteStore } from 'vestiary/sqlite';"
				],
				before: [
					`const client = createClient({ url: ${variable('DATABASE_URL')} || 'file:sessions.db' });`
				],
				store: 'new SqliteStore({ database: client })',
				variables: [DATABASE_URL('file:sessions.db')],
				dependencies: { '@libsql/client': VERSIONS['@libsql/client'] }
			};
		case 'postgres':
			return postgres(project, variable);
		case 'mysql':
			return {
				imports: [
					"import { createPool } from 'mysql2/promise';",
					"import { MySqlStore } from 'vestiary/mysql';"
				],
				before: [
					TABLE,
					`const client = createPool(${variable('DATABASE_URL')} || 'mysql://localhost/app');`
				],
				store: 'new MySqlStore({ client })',
				variables: [DATABASE_URL('mysql://user:password@localhost:3306/app')],
				dependencies: { mysql2: VERSIONS.mysql2 },
				table: {
					lines: [
						"import { createPool } from 'mysql2/promise';",
						"import { MySqlStore } from 'vestiary/mysql';",
						'',
						"const client = createPool(process.env.DATABASE_URL ?? 'mysql://localhost/app');",
						'await new MySqlStore({ client }).migrate();'
					],
					end: 'await client.end();'
				}
			};
		case 'redis':
			return redis(project, variable);
		case 'upstash':
			return upstash(variable);
		case 'd1': {
			const name = databaseBinding(project);
			return {
				...plain,
				imports: ["import { D1Store } from 'vestiary/d1';"],
				store: `new D1Store({ client: bindings.${name}${named} })`,
				binding: { name, type: "import('vestiary/d1').D1Binding" }
			};
		}
		case 'durable-objects': {
			const name = objectsBinding(project);
			return {
				...plain,
				imports: ["import { DurableObjectStore } from 'vestiary/durable-objects';"],
				// Known at run time: a build with another NODE_ENV would have sessions in memory, and say nothing.
				before: [
					'// `vite dev` runs the app in Node.js, without the objects of its Worker: there, sessions are in memory.',
					"const inWorker = navigator.userAgent === 'Cloudflare-Workers';"
				],
				store: `inWorker ? new DurableObjectStore({ client: bindings.${name} }) : undefined`,
				binding: { name, type: "import('vestiary/durable-objects').SessionNamespace" }
			};
		}
	}
}

function postgres(project: Project, variable: (name: string) => string): StoreCode {
	const variables = [DATABASE_URL('postgres://user:password@localhost:5432/app')];
	const store = "import { PostgresStore } from 'vestiary/postgres';";
	const address = `${variable('DATABASE_URL')} || 'postgres://localhost'`;
	const migrate = 'await new PostgresStore({ client }).migrate();';
	const url = "process.env.DATABASE_URL ?? 'postgres://localhost'";
	if (project.version('pg') !== undefined) {
		return {
			imports: ["import pg from 'pg';", store],
			before: [
				TABLE,
				`const client = new pg.Pool({ connectionString: ${address} });`,
				"client.on('error', console.error);"
			],
			store: 'new PostgresStore({ client })',
			variables,
			dependencies: {},
			table: {
				lines: [
					"import pg from 'pg';",
					store,
					'',
					`const client = new pg.Pool({ connectionString: ${url} });`,
					migrate
				],
				end: 'await client.end();'
			}
		};
	}
	return {
		imports: ["import postgres from 'postgres';", store],
		before: [TABLE, `const client = postgres(${address});`],
		store: 'new PostgresStore({ client })',
		variables,
		dependencies: { postgres: VERSIONS.postgres },
		table: {
			lines: [
				"import postgres from 'postgres';",
				store,
				'',
				`const client = postgres(${url});`,
				migrate
			],
			end: 'await client.end();'
		}
	};
}

function upstash(variable: (name: string) => string): StoreCode {
	const variables = ['UPSTASH_REDIS_REST_URL', 'UPSTASH_REDIS_REST_TOKEN'] as const;
	const [url, token] = variables;
	return {
		imports: [
			"import { Redis } from '@upstash/redis';",
			"import { RedisStore } from 'vestiary/upstash-redis';"
		],
		before: [`const client = new Redis({ url: ${variable(url)}, token: ${variable(token)} });`],
		store: 'new RedisStore({ client })',
		variables: variables.map((name) => ({ name, description: 'Upstash', example: '' })),
		dependencies: { '@upstash/redis': VERSIONS['@upstash/redis'] }
	};
}

function redis(project: Project, variable: (name: string) => string): StoreCode {
	const has = (name: string): boolean => project.version(name) !== undefined;
	const url = `${variable('REDIS_URL')} || 'redis://localhost'`;
	const store = "import { RedisStore } from 'vestiary/redis';";
	const variables = [
		{ name: 'REDIS_URL', description: 'The Redis server', example: 'redis://localhost' }
	];
	if (has('redis') && !has('ioredis')) {
		const building = project.declaresEnvironment ? '$app/env' : '$app/environment';
		return {
			imports: [
				`import { building } from '${building}';`,
				"import { createClient } from 'redis';",
				store
			],
			before: [
				`const client = createClient({ url: ${url} });`,
				"client.on('error', console.error);",
				'if (!building) await client.connect();'
			],
			store: 'new RedisStore({ client })',
			variables,
			dependencies: {}
		};
	}
	return {
		imports: ["import { Redis } from 'ioredis';", store],
		before: [
			'// Lazily, or it would connect while the app is built.',
			`const client = new Redis(${url}, { lazyConnect: true });`
		],
		store: 'new RedisStore({ client })',
		variables,
		dependencies: { ioredis: VERSIONS.ioredis }
	};
}
