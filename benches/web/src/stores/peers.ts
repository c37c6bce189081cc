/** Vestiary with the databases that it takes, and other libraries with theirs. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import BetterSqlite from 'better-sqlite3';
import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import { Redis } from 'ioredis';
import mysql from 'mysql2/promise';
import pg from 'pg';
import postgres from 'postgres';
import { MySqlStore } from 'vestiary/mysql';
import { PostgresStore } from 'vestiary/postgres';
import { RedisStore } from 'vestiary/redis';
import { SqliteStore } from 'vestiary/sqlite';

import type { Kit } from '../kit-request.ts';
import { expressSession } from '../peers/express-session.ts';
import type { Peer } from '../peers/peer.ts';
import { vestiary } from '../peers/vestiary.ts';
import { betterAuth } from './better-auth.ts';

export interface StorePeers {
	peers: Peer[];
	close: () => Promise<void>;
}

/** Where the servers listen. */
export interface Servers {
	postgres: number;
	mysql: number;
	redis: number;
}

const EXPRESS_TABLE = 'express_session';

/** The libraries whose databases are servers. */
export async function serverPeers(kit: Kit, servers: Servers): Promise<StorePeers> {
	const url = `postgres://app@127.0.0.1:${servers.postgres}/postgres`;
	const pool = new pg.Pool({ connectionString: url });
	// When the server stops, an error of a scene is worth more than its lost connections.
	pool.on('error', () => undefined);
	const sql = postgres(url, { onnotice: () => undefined });
	const redis = new Redis(servers.redis, '127.0.0.1');
	const PgStore = connectPgSimple(session);
	const schema = await readFile(
		new URL(import.meta.resolve('connect-pg-simple/table.sql')),
		'utf8'
	);
	await pool.query(`DROP TABLE IF EXISTS ${EXPRESS_TABLE}`);
	// better-auth has a table of the usual name.
	await pool.query(schema.replaceAll('"session"', EXPRESS_TABLE));
	await new PostgresStore({ client: pool }).migrate();
	const mysqlPool = mysql.createPool({ uri: `mysql://app@127.0.0.1:${servers.mysql}/app` });
	await new MySqlStore({ client: mysqlPool }).migrate();
	let stores = 0;
	const prefix = (): string => `bench${stores++}:`;
	const peers = [
		{
			...vestiary(kit),
			name: 'vestiary, Redis',
			store: () => new RedisStore({ client: redis, prefix: prefix() })
		},
		{
			...vestiary(kit),
			name: 'vestiary, Postgres (pg)',
			store: () => new PostgresStore({ client: pool, prefix: prefix() })
		},
		{
			...vestiary(kit),
			name: 'vestiary, Postgres (postgres.js)',
			store: () => new PostgresStore({ client: sql, prefix: prefix() })
		},
		{
			...vestiary(kit),
			name: 'vestiary, MariaDB (mysql2)',
			store: () => new MySqlStore({ client: mysqlPool, prefix: prefix() })
		},
		{
			...expressSession,
			name: 'express-session, connect-pg-simple',
			store: () =>
				new PgStore({ pool, tableName: EXPRESS_TABLE, pruneSessionInterval: false })
		},
		{ ...(await betterAuth(kit, pool)), name: 'better-auth, Postgres (pg)' }
	];
	return {
		peers: peers as unknown as Peer[],
		close: async () => {
			redis.disconnect();
			await sql.end();
			await mysqlPool.end();
			await pool.end();
		}
	};
}

/** The libraries whose database is a file. */
export async function filePeers(kit: Kit): Promise<StorePeers> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-bench-'));
	const node = new DatabaseSync(join(folder, 'node.db'));
	const better = new BetterSqlite(join(folder, 'better.db'));
	const peers = (
		[
			['vestiary, SQLite (node:sqlite)', node],
			['vestiary, SQLite (better-sqlite3)', better]
		] as const
	).map(([name, database]) => {
		let stores = 0;
		const store = (): SqliteStore => new SqliteStore({ database, prefix: `bench${stores++}:` });
		return { ...vestiary(kit), name, store };
	});
	return {
		peers: peers as unknown as Peer[],
		close: async () => {
			node.close();
			better.close();
			await rm(folder, { recursive: true, force: true });
		}
	};
}
