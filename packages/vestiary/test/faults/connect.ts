/** Opens the store of a worker, with the client that an application has. */
import { createClient as createLibsql } from '@libsql/client';
import BetterSqlite from 'better-sqlite3';
import connectPgSimple from 'connect-pg-simple';
import expressSession from 'express-session';
import { Cluster, Redis } from 'ioredis6';
import * as mariadb from 'mariadb';
import mysql from 'mysql2/promise';
import pg from 'pg';
import postgres from 'postgres';
import { createClient } from 'redis6';

import { fromExpressStore, type Store } from '../../dist/index.js';
import { D1Store } from '../../dist/stores/d1.js';
import { DurableObjectStore } from '../../dist/stores/durable-objects.js';
import { MySqlStore } from '../../dist/stores/mysql.js';
import { PostgresStore } from '../../dist/stores/postgres.js';
import { RedisStore } from '../../dist/stores/redis.js';
import { SqliteStore } from '../../dist/stores/sqlite.js';
import type { Setup } from './messages.ts';
import { d1At, objectsAt } from './workerd.ts';

export async function connect(to: Setup['store']): Promise<Store> {
	switch (to.kind) {
		case 'sqlite':
			return sqlite(to.client, to.file);
		case 'libsql':
			return new SqliteStore({ database: createLibsql({ url: to.url }) });
		case 'postgres':
			return new PostgresStore({ client: postgresClient(to.client, to.url) });
		case 'mysql':
			return new MySqlStore({ client: mysqlClient(to.client, to.url) });
		case 'd1':
			return new D1Store({ client: d1At(to.url) });
		case 'durable-objects':
			return new DurableObjectStore({ client: objectsAt(to.url) });
		case 'connect-pg-simple': {
			const PgStore = connectPgSimple(expressSession);
			const pool = poolOf(to.url);
			return fromExpressStore(new PgStore({ pool, pruneSessionInterval: false }));
		}
		case 'cluster': {
			const nodes = to.ports.map((port) => ({ host: '127.0.0.1', port }));
			return new RedisStore({ client: quiet(new Cluster(nodes)) });
		}
		case 'redis': {
			if (to.client === 'ioredis')
				return new RedisStore({ client: quiet(new Redis(to.port, '127.0.0.1')) });
			const client = quiet(createClient({ url: `redis://127.0.0.1:${to.port}` }));
			// A process that starts while there is no server keeps retrying.
			void client.connect();
			return new RedisStore({ client });
		}
	}
}

function sqlite(client: 'node:sqlite' | 'better-sqlite3' | 'libsql', file: string): SqliteStore {
	if (client === 'node:sqlite') return new SqliteStore({ database: file });
	if (client === 'better-sqlite3') return new SqliteStore({ database: new BetterSqlite(file) });
	return new SqliteStore({ database: createLibsql({ url: `file:${file}`, timeout: 250 }) });
}

function postgresClient(client: 'pg' | 'postgres.js', url: string): pg.Pool | postgres.Sql {
	return client === 'pg'
		? poolOf(url)
		: // Without prepared statements, as PgBouncer needs it.
			postgres(url, { prepare: false, max: 10, onnotice: () => undefined });
}

function mysqlClient(client: 'mysql2' | 'mariadb', url: string): mysql.Pool | mariadb.Pool {
	return client === 'mysql2'
		? mysql.createPool({ uri: url, connectionLimit: 10 })
		: mariadb.createPool(url.replace(/^mysql/, 'mariadb'));
}

function poolOf(url: string): pg.Pool {
	return quiet(new pg.Pool({ connectionString: url, max: 10 }));
}

/** Lets a client report lost connections to those who wait for a reply, and not end the process. */
function quiet<Client extends { on(event: 'error', listener: () => void): unknown }>(
	client: Client
): Client {
	client.on('error', () => undefined);
	return client;
}
