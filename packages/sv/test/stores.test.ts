import { describe, expect, test } from 'vitest';

import { detectStore } from '../src/detect.ts';
import { project, settled } from './projects.ts';

const manifest = (...names: string[]): string =>
	JSON.stringify({ devDependencies: Object.fromEntries(names.map((name) => [name, '^1.0.0'])) });

/** A module with a client of drizzle, as `sv add drizzle` writes it. */
const drizzle = (driver: string): string => `import { drizzle } from 'drizzle-orm/${driver}';
import * as schema from './schema';

export const db = drizzle(client, { schema });
`;

const OPTIONS = 'src/lib/server/session-options.ts';
const SCHEMA = `import { sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const task = sqliteTable('task', { id: text('id').primaryKey() });
`;

describe('the default store', () => {
	test.each([
		[[], 'sqlite'],
		[['pg'], 'postgres'],
		[['postgres', 'ioredis'], 'postgres'],
		[['mysql2'], 'mysql'],
		[['@libsql/client'], 'libsql'],
		[['redis'], 'redis'],
		[['@upstash/redis'], 'upstash'],
		[['@sveltejs/adapter-vercel'], 'upstash'],
		[['@sveltejs/adapter-netlify', 'pg'], 'postgres'],
		[['@sveltejs/adapter-cloudflare', '@upstash/redis'], 'upstash'],
		[['@sveltejs/adapter-cloudflare', 'ioredis'], 'durable-objects']
	])('of an app with %s is %s', (names, store) => {
		expect(detectStore(project({ 'package.json': manifest(...names) }))).toBe(store);
	});

	test.each([
		['better-sqlite3', 'sqlite'],
		['libsql', 'sqlite'],
		['node-sqlite', 'sqlite'],
		['postgres-js', 'postgres'],
		['node-postgres', 'postgres'],
		['neon-http', 'postgres'],
		['mysql2', 'mysql'],
		['d1', 'd1']
	])('of an app with drizzle on %s is %s', (driver, store) => {
		const files = { 'package.json': manifest('ioredis') };
		const db = drizzle(driver).replace(
			'const db',
			driver === 'd1' ? 'const getDb' : 'const db'
		);
		expect(detectStore(project({ ...files, 'src/lib/server/db/index.ts': db }))).toBe(store);
		expect(detectStore(project({ ...files, 'src/lib/server/db.js': db }))).toBe(store);
	});
});

describe('drizzle', () => {
	const files = {
		'src/lib/server/db/index.ts': drizzle('libsql'),
		'src/lib/server/db/schema.ts': SCHEMA
	};

	test.each(['sqlite', 'libsql'] as const)(
		'gives its client to the store %s, and has its table',
		(store) => {
			const { written, dependencies } = settled(project(files), { store });
			expect(written.get(OPTIONS)).toContain(`import { SqliteStore } from 'vestiary/sqlite';

import { db } from './db';
`);
			expect(written.get(OPTIONS)).toContain(
				'store: new SqliteStore({ database: db.$client }),'
			);
			expect([...dependencies.keys()]).toEqual(['vestiary']);
			expect(written.get('src/lib/server/db/schema.ts'))
				.toBe(`import { sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { index, integer } from 'drizzle-orm/sqlite-core';

export const task = sqliteTable('task', { id: text('id').primaryKey() });

/** The table of the sessions. Only Vestiary writes to it. */
export const sessions = sqliteTable(
	'sessions',
	{
		key: text().primaryKey(),
		record: text().notNull(),
		expires: integer().notNull()
	},
	(table) => [index('sessions_expires').on(table.expires)]
);
`);
		}
	);

	test('with another table of this name has one beside it', () => {
		const schema = `${SCHEMA}export const sessions = sqliteTable('sessions', { id: text() });\n`;
		const from = project({ ...files, 'src/lib/server/db/schema.ts': schema });
		const { written } = settled(from, { store: 'sqlite' });
		expect(written.get(OPTIONS)).toContain(
			"database: db.$client, table: 'vestiary_sessions' }"
		);
		expect(written.get('src/lib/server/db/schema.ts')).toContain(
			"export const vestiarySessions = sqliteTable(\n	'vestiary_sessions',"
		);
	});

	test('on another server leaves the store alone', () => {
		const { written } = settled(project(files), { store: 'redis' });
		expect(written.get(OPTIONS)).toContain('new Redis(env.REDIS_URL');
		expect(written.has('src/lib/server/db/schema.ts')).toBe(false);
	});
});

describe('a server without drizzle', () => {
	test('Postgres: with the client of the app, and a program for the table', () => {
		for (const [names, client] of [
			[[], "import postgres from 'postgres';"],
			[['pg'], "import pg from 'pg';"]
		] as const) {
			const from = project({ 'package.json': `${manifest(...names)}\n` });
			const { written, dependencies } = settled(from, { store: 'postgres' });
			expect(written.get(OPTIONS)).toContain(client);
			expect(dependencies.has('postgres')).toBe(names.length === 0);
			expect(written.get('migrations/sessions.js')).toContain('.migrate();');
			const { scripts } = JSON.parse(written.get('package.json') ?? '') as {
				scripts: object;
			};
			expect(scripts).toEqual({
				'db:sessions': 'node --env-file=.env migrations/sessions.js'
			});
			expect(written.get('.env')).toContain('DATABASE_URL="postgres://');
		}
	});

	test('an address of the application stays', () => {
		const { written } = settled(project({ '.env': 'DATABASE_URL=mine\n' }), { store: 'mysql' });
		expect(written.get('.env')).toMatch(/^DATABASE_URL=mine\n/);
	});

	test('Redis: with the client of the app', () => {
		const text = (...names: string[]) =>
			settled(project({ 'package.json': manifest(...names) }), {
				store: 'redis'
			}).written.get(OPTIONS);
		expect(text()).toContain("import { Redis } from 'ioredis';");
		expect(text('redis')).toContain('if (!building) await client.connect();');
	});

	test('Upstash: its client, and the address without a value', () => {
		const { written, dependencies } = settled(project(), { store: 'upstash' });
		expect(written.get(OPTIONS)).toContain("from 'vestiary/upstash-redis';");
		expect([...dependencies.keys()]).toEqual(['vestiary', '@upstash/redis']);
		expect(written.get('.env')).toMatch(/^UPSTASH_REDIS_REST_URL=""$/m);
	});
});
