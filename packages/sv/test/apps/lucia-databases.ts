import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { createConnection } from 'mysql2/promise';
import pg from 'pg';

import { run } from '../../../vestiary/test/runtimes/run.ts';
import { startMySql } from '../../../vestiary/test/stores/mysql-server.ts';
import { startPostgres } from '../../../vestiary/test/stores/postgres-server.ts';
import type { FormerApp, Language, Started } from './former-apps.ts';

/** A database in which an app has its users, and the sessions of lucia or of its code by hand. */
export interface Database extends Pick<FormerApp, 'overrides' | 'prepare'> {
	readonly name: string;
	/** The languages of the app with the package, and of the one by hand. */
	readonly library: readonly Language[];
	readonly byHand: readonly Language[];
	readonly packages: Readonly<Record<string, string>>;
	/** The package of lucia's adapter. */
	readonly adapter: Readonly<Record<string, string>>;
	/** The files of the client. The module `src/lib/server/db` exports it. */
	readonly files: Readonly<Record<string, string>>;
	/** The imports of the modules that have queries. */
	readonly imports: string;
	/** The import of lucia's adapter, and the adapter. */
	readonly lucia: readonly [string, string];
	/** The type of a user's ID. Default: a string. */
	readonly id?: 'number';
	/** An expression: the user with the name `name`. What stands between ⟦ and ⟧ has the type `any`. */
	readonly userByName: string;
	/** A statement: the sessions of the user with the ID `id` are over. */
	readonly expire: string;
	/** The code by hand. */
	readonly code: ByHand;
	/** Starts the server, and makes the tables and the users. */
	readonly start: (folder: string) => Promise<Started>;
}

/** The code by hand of a database, between that which is the same for all. */
interface ByHand {
	/** Whether the client answers without a promise. */
	readonly sync?: true;
	readonly insert: string;
	/** Declares `session` and `user` for the token, or returns. */
	readonly find: string;
	readonly remove: (id: string) => string;
	readonly prolong: string;
}

const ABSENT = 'return { session: null, user: null };';

/** Makes tables in a file. */
export function inFile(...statements: string[]) {
	return async (folder: string): Promise<Started> => {
		const database = new DatabaseSync(join(folder, 'app.db'));
		database.exec(statements.join(';\n'));
		database.close();
		return { variables: '', stop: async () => undefined };
	};
}

const SQLITE = [
	'CREATE TABLE user (id TEXT PRIMARY KEY, username TEXT NOT NULL)',
	'CREATE TABLE session (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, expires_at INTEGER NOT NULL)',
	"INSERT INTO user VALUES ('1', 'ada'), ('2', 'grace')"
];

const LIBSQL = '0.18.0';

const DRIZZLE: Database = {
	name: 'drizzle',
	library: ['ts', 'js'],
	byHand: ['ts', 'js'],
	packages: { '@libsql/client': LIBSQL, 'drizzle-orm': '0.45.4' },
	adapter: { '@lucia-auth/adapter-drizzle': '1.1.0' },
	files: {
		'src/lib/server/db/schema.LANG': `import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const user = sqliteTable('user', {
	id: text('id').primaryKey(),
	username: text('username').notNull()
});

export const session = sqliteTable('session', {
	id: text('id').primaryKey(),
	userId: text('user_id')
		.notNull()
		.references(() => user.id),
	expiresAt: integer('expires_at', { mode: 'MODE' }).notNull()
});
`,
		'src/lib/server/db/index.LANG': `import { createClient } from '@libsql/client';
import { drizzle } from 'drizzle-orm/libsql';
import * as schema from './schema';

export const db = drizzle(createClient({ url: 'file:app.db' }), { schema });
`
	},
	imports: `import { eq } from 'drizzle-orm';
import { db } from './db';
import * as table from './db/schema';`,
	lucia: [
		"import { DrizzleSQLiteAdapter } from '@lucia-auth/adapter-drizzle';",
		'new DrizzleSQLiteAdapter(db, table.session, table.user)'
	],
	userByName: '(await db.select().from(table.user).where(eq(table.user.username, name)))[0]',
	expire: 'await db.update(table.session).set({ expiresAt: EXPIRED }).where(eq(table.session.userId, id));',
	code: {
		insert: 'await db.insert(table.session).values(session);',
		find: `const [result] = await db
		.select({
			// The app shows these.
			user: { id: table.user.id, username: table.user.username },
			session: table.session
		})
		.from(table.session)
		.innerJoin(table.user, eq(table.session.userId, table.user.id))
		.where(eq(table.session.id, idOf(token)));
	if (!result) {
		${ABSENT}
	}
	const { session, user } = result;`,
		remove: (id) => `await db.delete(table.session).where(eq(table.session.id, ${id}));`,
		prolong:
			'await db.update(table.session).set({ expiresAt: session.expiresAt }).where(eq(table.session.id, session.id));'
	},
	start: inFile(...SQLITE)
};

const PRISMA_VERSION = '7.10.0';
const BETTER_SQLITE3 = '13.2.0';

/** Prisma, whose engine is a part of its client. */
const PRISMA: Database = {
	name: 'prisma',
	library: ['js'],
	byHand: ['ts'],
	packages: {
		'@prisma/adapter-better-sqlite3': PRISMA_VERSION,
		'@prisma/client': PRISMA_VERSION,
		'better-sqlite3': BETTER_SQLITE3,
		prisma: PRISMA_VERSION
	},
	adapter: { '@lucia-auth/adapter-prisma': '4.0.1' },
	// The adapter wants Prisma 5, and another better-sqlite3 would have to be compiled.
	overrides: {
		'@lucia-auth/adapter-prisma': { '@prisma/client': PRISMA_VERSION },
		'@prisma/adapter-better-sqlite3': { 'better-sqlite3': BETTER_SQLITE3 },
		prisma: { 'better-sqlite3': BETTER_SQLITE3 }
	},
	files: {
		'prisma.config.ts': `import { defineConfig } from 'prisma/config';

export default defineConfig({ schema: 'prisma/schema.prisma', datasource: { url: 'file:app.db' } });
`,
		'prisma/schema.prisma': `generator client {
  provider = "prisma-client"
  output   = "../src/generated/prisma"
}

datasource db {
  provider = "sqlite"
}

model User {
  id       String    @id
  username String    @unique
  sessions Session[]
}

model Session {
  id        String   @id
  userId    String
  expiresAt DateTime
  user      User     @relation(fields: [userId], references: [id], onDelete: Cascade)
}
`,
		'src/lib/server/db/index.LANG': `import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import { PrismaClient } from '../../../generated/prisma/client';

export const prisma = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: 'file:app.db' }) });
`
	},
	imports: "import { prisma } from './db';",
	lucia: [
		"import { PrismaAdapter } from '@lucia-auth/adapter-prisma';",
		'new PrismaAdapter(prisma.session, prisma.user)'
	],
	userByName: 'await prisma.user.findUnique({ where: { username: name } })',
	expire: 'await prisma.session.updateMany({ where: { userId: id }, data: { expiresAt: new Date(0) } });',
	code: {
		insert: 'await prisma.session.create({ data: session });',
		find: `const result = await prisma.session.findUnique({
		where: { id: idOf(token) },
		include: { user: true }
	});
	if (result === null) {
		${ABSENT}
	}
	const { user, ...session } = result;`,
		remove: (id) => `await prisma.session.deleteMany({ where: { id: ${id} } });`,
		prolong:
			'await prisma.session.update({ where: { id: session.id }, data: { expiresAt: session.expiresAt } });'
	},
	start: inFile(
		'CREATE TABLE User (id TEXT PRIMARY KEY, username TEXT NOT NULL UNIQUE)',
		'CREATE TABLE Session (id TEXT PRIMARY KEY, userId TEXT NOT NULL, expiresAt DATETIME NOT NULL)',
		"INSERT INTO User VALUES ('1', 'ada'), ('2', 'grace')"
	),
	// Only migrations need the engine that Prisma would download, and the client is made without it.
	prepare: async (folder) => {
		await run('node_modules/.bin/svelte-kit', ['sync'], folder);
		await run('node_modules/.bin/prisma', ['generate'], folder, {
			PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
			CHECKPOINT_DISABLE: '1'
		});
	}
};

const SECONDS = 'Math.floor(session.expiresAt.getTime() / 1000)';

const BETTER: Database = {
	name: 'better-sqlite3',
	library: ['js'],
	byHand: ['ts'],
	packages: { '@types/better-sqlite3': '9.6.0', 'better-sqlite3': BETTER_SQLITE3 },
	adapter: { '@lucia-auth/adapter-sqlite': '3.0.2' },
	overrides: { '@lucia-auth/adapter-sqlite': { 'better-sqlite3': BETTER_SQLITE3 } },
	files: {
		'src/lib/server/db/index.LANG': `import Sqlite from 'better-sqlite3';

export const db = new Sqlite('app.db');
`
	},
	imports: "import { db } from './db';",
	lucia: [
		"import { BetterSqlite3Adapter } from '@lucia-auth/adapter-sqlite';",
		"new BetterSqlite3Adapter(db, { user: 'user', session: 'session' })"
	],
	userByName: "⟦db.prepare('SELECT * FROM user WHERE username = ?').get(name)⟧",
	expire: "db.prepare('UPDATE session SET expires_at = 1 WHERE user_id = ?').run(id);",
	code: {
		sync: true,
		insert: `db.prepare('INSERT INTO session (id, user_id, expires_at) VALUES (?, ?, ?)').run(
		session.id,
		session.userId,
		${SECONDS}
	);`,
		find: `const sessionId = idOf(token);
	const row = ⟦db
		.prepare(
			'SELECT session.id, session.user_id, session.expires_at, user.id, user.username FROM session INNER JOIN user ON user.id = session.user_id WHERE session.id = ?'
		)
		.raw()
		.get(sessionId)⟧;
	if (!row) {
		${ABSENT}
	}
	const session = { id: row[0], userId: row[1], expiresAt: new Date(row[2] * 1000) };
	const user = { id: row[3], username: row[4] };`,
		remove: (id) => `db.prepare('DELETE FROM session WHERE id = ?').run(${id});`,
		prolong: `db.prepare('UPDATE session SET expires_at = ? WHERE id = ?').run(${SECONDS}, session.id);`
	},
	start: inFile(...SQLITE)
};

const LIB: Database = {
	name: 'libsql',
	library: ['ts'],
	byHand: ['js'],
	packages: { '@libsql/client': LIBSQL },
	adapter: { '@lucia-auth/adapter-sqlite': '3.0.2' },
	overrides: { '@lucia-auth/adapter-sqlite': { '@libsql/client': LIBSQL } },
	files: {
		'src/lib/server/db/index.LANG': `import { createClient } from '@libsql/client';

export const client = createClient({ url: 'file:app.db' });
`
	},
	imports: "import { client } from './db';",
	lucia: [
		"import { LibSQLAdapter } from '@lucia-auth/adapter-sqlite';",
		"new LibSQLAdapter(client, { user: 'user', session: 'session' })"
	],
	userByName:
		"⟦(await client.execute({ sql: 'SELECT * FROM user WHERE username = ?', args: [name] })).rows[0]⟧",
	expire: "await client.execute({ sql: 'UPDATE session SET expires_at = 1 WHERE user_id = ?', args: [id] });",
	code: {
		insert: `await client.execute({
		sql: 'INSERT INTO session (id, user_id, expires_at) VALUES (?, ?, ?)',
		args: [session.id, session.userId, ${SECONDS}]
	});`,
		// With a query for each of them.
		find: `const found = await client.execute({ sql: 'SELECT * FROM session WHERE id = ?', args: [idOf(token)] });
	const [row] = found.rows;
	if (!row) {
		${ABSENT}
	}
	const session = {
		id: String(row.id),
		userId: String(row.user_id),
		expiresAt: new Date(Number(row.expires_at) * 1000)
	};
	const users = await client.execute({
		sql: 'SELECT id, username FROM user WHERE id = ?',
		args: [session.userId]
	});
	const [owner] = users.rows;
	if (!owner) {
		${ABSENT}
	}
	const user = { id: String(owner.id), username: String(owner.username) };`,
		remove: (id) =>
			`await client.execute({ sql: 'DELETE FROM session WHERE id = ?', args: [${id}] });`,
		prolong: `await client.execute({
			sql: 'UPDATE session SET expires_at = ? WHERE id = ?',
			args: [${SECONDS}, session.id]
		});`
	},
	start: inFile(...SQLITE)
};

const POSTGRES = [
	'CREATE TABLE auth_user (id TEXT PRIMARY KEY, username TEXT NOT NULL)',
	'CREATE TABLE user_session (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, expires_at TIMESTAMPTZ NOT NULL)',
	"INSERT INTO auth_user VALUES ('1', 'ada'), ('2', 'grace')"
];

async function startPostgresWithUsers(): Promise<Started> {
	const server = await startPostgres();
	const client = new pg.Client(server.url);
	await client.connect();
	await client.query(POSTGRES.join('; '));
	await client.end();
	return { variables: `DATABASE_URL=${server.url}\n`, stop: () => server.stop() };
}

/** The query that joins the session with its user, as the site of lucia has it. */
const JOINED = `SELECT user_session.id, user_session.user_id, user_session.expires_at, auth_user.username
			FROM user_session INNER JOIN auth_user ON auth_user.id = user_session.user_id
			WHERE user_session.id =`;

const FROM_ROW = `if (!row) {
		${ABSENT}
	}
	const session = { id: row.id, userId: row.user_id, expiresAt: row.expires_at };
	const user = { id: row.user_id, username: row.username };`;

const PG: Database = {
	name: 'pg',
	library: ['ts'],
	byHand: ['js'],
	packages: { '@types/pg': '8.23.1', pg: '8.23.1' },
	adapter: { '@lucia-auth/adapter-postgresql': '3.1.2' },
	files: {
		'src/lib/server/db/index.LANG': `import { env } from '$env/dynamic/private';
import pg from 'pg';

export const pool = new pg.Pool({ connectionString: env.DATABASE_URL ?? '' });
pool.on('error', console.error);
`
	},
	imports: "import { pool } from './db';",
	lucia: [
		"import { NodePostgresAdapter } from '@lucia-auth/adapter-postgresql';",
		"new NodePostgresAdapter(pool, { user: 'auth_user', session: 'user_session' })"
	],
	userByName: "(await pool.query('SELECT * FROM auth_user WHERE username = $1', [name])).rows[0]",
	expire: "await pool.query('UPDATE user_session SET expires_at = to_timestamp(1) WHERE user_id = $1', [id]);",
	code: {
		insert: `await pool.query('INSERT INTO user_session (id, user_id, expires_at) VALUES ($1, $2, $3)', [
		session.id,
		session.userId,
		session.expiresAt
	]);`,
		find: `const { rows } = await pool.query(
		\`${JOINED} $1\`,
		[idOf(token)]
	);
	const row = rows[0];
	${FROM_ROW}`,
		remove: (id) => `await pool.query('DELETE FROM user_session WHERE id = $1', [${id}]);`,
		prolong:
			"await pool.query('UPDATE user_session SET expires_at = $1 WHERE id = $2', [session.expiresAt, session.id]);"
	},
	start: startPostgresWithUsers
};

const POSTGRES_JS: Database = {
	...PG,
	name: 'postgres-js',
	library: ['js'],
	byHand: ['ts'],
	packages: { postgres: '3.4.9' },
	files: {
		'src/lib/server/db/index.LANG': `import { env } from '$env/dynamic/private';
import postgres from 'postgres';

export const sql = postgres(env.DATABASE_URL ?? '');
`
	},
	imports: "import { sql } from './db';",
	lucia: [
		"import { PostgresJsAdapter } from '@lucia-auth/adapter-postgresql';",
		"new PostgresJsAdapter(sql, { user: 'auth_user', session: 'user_session' })"
	],
	userByName: '(await sql`SELECT * FROM auth_user WHERE username = ${name}`)[0]',
	expire: 'await sql`UPDATE user_session SET expires_at = to_timestamp(1) WHERE user_id = ${id}`;',
	code: {
		insert: 'await sql`INSERT INTO user_session (id, user_id, expires_at) VALUES (${session.id}, ${session.userId}, ${session.expiresAt})`;',
		find: `const [row] = await sql\`
		${JOINED} \${idOf(token)}
	\`;
	${FROM_ROW}`,
		remove: (id) => `await sql\`DELETE FROM user_session WHERE id = \${${id}}\`;`,
		prolong:
			'await sql`UPDATE user_session SET expires_at = ${session.expiresAt} WHERE id = ${session.id}`;'
	}
};

const MYSQL: Database = {
	name: 'mysql2',
	library: ['ts'],
	byHand: ['js'],
	packages: { mysql2: '3.24.6' },
	adapter: { '@lucia-auth/adapter-mysql': '3.0.2' },
	files: {
		'src/lib/server/db/index.LANG': `import { env } from '$env/dynamic/private';
import mysql from 'mysql2/promise';

export const pool = mysql.createPool(env.DATABASE_URL ?? '');
`
	},
	imports: "import { pool } from './db';",
	lucia: [
		"import { Mysql2Adapter } from '@lucia-auth/adapter-mysql';",
		"new Mysql2Adapter(pool, { user: 'user', session: 'user_session' })"
	],
	id: 'number',
	userByName: "⟦await pool.query('SELECT * FROM user WHERE username = ?', [name])⟧[0][0]",
	expire: "await pool.query('UPDATE user_session SET expires_at = FROM_UNIXTIME(1) WHERE user_id = ?', [id]);",
	code: {
		insert: `await pool.query('INSERT INTO user_session (id, user_id, expires_at) VALUES (?, ?, ?)', [
		session.id,
		session.userId,
		session.expiresAt
	]);`,
		find: `const [rows] = ⟦await pool.query(
		'SELECT s.id, s.user_id, s.expires_at, u.username FROM user_session s JOIN user u ON s.user_id = u.id WHERE s.id = ?',
		[idOf(token)]
	)⟧;
	const row = rows[0];
	${FROM_ROW}`,
		remove: (id) => `await pool.query('DELETE FROM user_session WHERE id = ?', [${id}]);`,
		prolong:
			"await pool.query('UPDATE user_session SET expires_at = ? WHERE id = ?', [session.expiresAt, session.id]);"
	},
	start: async () => {
		const server = await startMySql();
		const client = await createConnection(server.url);
		await client.query('CREATE TABLE user (id INT PRIMARY KEY, username VARCHAR(99) NOT NULL)');
		await client.query(
			'CREATE TABLE user_session (id VARCHAR(255) PRIMARY KEY, user_id INT NOT NULL, expires_at DATETIME NOT NULL)'
		);
		await client.query("INSERT INTO user VALUES (1, 'ada'), (2, 'grace')");
		await client.end();
		return { variables: `DATABASE_URL=${server.url}\n`, stop: () => server.stop() };
	}
};

/** The databases. The first one is that of `sv`. */
export const DATABASES: readonly Database[] = [
	DRIZZLE,
	PRISMA,
	BETTER,
	LIB,
	PG,
	POSTGRES_JS,
	MYSQL
];

/** The database with this name. */
export function databaseOf(name: string): Database {
	const database = DATABASES.find((one) => one.name === name);
	if (!database) throw new Error(`there is no database ${name}`);
	return database;
}
