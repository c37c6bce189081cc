/** The SQL databases of the scenarios. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection } from 'mysql2/promise';
import pg from 'pg';

import { D1Store } from '../../dist/stores/d1.js';
import { MySqlStore } from '../../dist/stores/mysql.js';
import { PostgresStore } from '../../dist/stores/postgres.js';
import { startGalera } from '../stores/galera-server.ts';
import type { Killable } from '../stores/killable.ts';
import { startLibsql } from '../stores/libsql-server.ts';
import { startMySql } from '../stores/mysql-server.ts';
import { startPgBouncer, startPostgres } from '../stores/postgres-server.ts';
import type { Setup } from './messages.ts';
import { Proxy, TROUBLES } from './proxy.ts';
import { WORKERS, type Disturbed, type Stage } from './stage.ts';
import { d1At, startWorkerd } from './workerd.ts';

/** Processes that share a SQLite file, each with another driver, and are killed. */
export async function sqliteWithKilledProcesses(): Promise<Stage> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-faults-'));
	const file = join(folder, 'sessions.db');
	const clients = ['node:sqlite', 'better-sqlite3', 'libsql'] as const;
	return {
		setups: Array.from({ length: WORKERS }, (_, n) => ({
			store: { kind: 'sqlite', client: clients[n % clients.length] ?? 'node:sqlite', file },
			plain: false,
			sealed: true
		})),
		disturb: async ({ workers, chance, over, fault }) => {
			while (!over()) {
				await sleep(500 + chance.below(1_000));
				fault('killed');
				await workers.replace(chance.below(workers.count));
			}
		},
		check: () => {
			const database = new DatabaseSync(file);
			const rows = database.prepare('PRAGMA integrity_check').all();
			database.close();
			const said = rows.map((row) => String(row.integrity_check)).join(', ');
			return said === 'ok' ? undefined : said;
		},
		end: async () => rm(folder, { recursive: true, force: true })
	};
}

/** A Postgres that is killed with all its connections, and recovers from its log. */
export async function postgresKilled(): Promise<Stage> {
	// One setting, so that it waits for the disk.
	const server = await startPostgres('-c', 'fsync=on');
	await migrate(server.url);
	return {
		setups: postgresSetups(server.url),
		disturb: async (disturbed) => killAgainAndAgain(server, disturbed),
		end: async () => server.stop()
	};
}

/** A MariaDB that is killed, and recovers from its log. */
export async function mariadbKilled(): Promise<Stage> {
	const server = await startMySql('--innodb-flush-log-at-trx-commit=1');
	const client = await createConnection(server.url);
	await new MySqlStore({ client }).migrate();
	await client.end();
	return {
		setups: Array.from({ length: WORKERS }, (_, n) => ({
			store: { kind: 'mysql', client: n % 2 === 0 ? 'mysql2' : 'mariadb', url: server.url },
			plain: false,
			sealed: false
		})),
		disturb: async (disturbed) => killAgainAndAgain(server, disturbed),
		end: async () => server.stop()
	};
}

/** Two servers of a MariaDB cluster, which both take writes; one or the other stays behind for a while. */
export async function galeraBehind(): Promise<Stage> {
	const cluster = await startGalera();
	const urls = cluster.servers.map(({ url }) => url);
	const [first = ''] = urls;
	const client = await createConnection(first);
	await new MySqlStore({ client }).migrate();
	await client.end();
	return {
		setups: Array.from({ length: WORKERS }, (_, n) => ({
			store: {
				kind: 'mysql',
				client: n % 2 === 0 ? 'mysql2' : 'mariadb',
				url: urls[n % urls.length] ?? first
			},
			plain: false,
			sealed: false
		})),
		disturb: async ({ workers, chance, over, fault }) => {
			const servers = await Promise.all(urls.map(async (url) => createConnection(url)));
			while (!over()) {
				await sleep(300 + chance.below(900));
				if (chance.percent(20)) {
					fault('process killed');
					await workers.replace(chance.below(workers.count));
					continue;
				}
				const server = servers[chance.below(servers.length)];
				fault('behind');
				// It neither applies nor makes writes meanwhile.
				await server?.query('FLUSH TABLES WITH READ LOCK');
				await sleep(chance.below(700));
				await server?.query('UNLOCK TABLES');
			}
			for (const server of servers) await server.end();
		},
		end: async () => cluster.stop()
	};
}

/** A server of libSQL that is killed, over HTTP. */
export async function libsqlKilled(): Promise<Stage> {
	const server = await startLibsql();
	const store = { kind: 'libsql', url: server.url } as const;
	return {
		setups: Array.from({ length: WORKERS }, () => ({ store, plain: false, sealed: false })),
		disturb: async (disturbed) => killAgainAndAgain(server, disturbed),
		end: async () => server.stop()
	};
}

/** A workerd that is killed, with D1 or with Durable Objects. */
export async function workerdKilled(kind: 'd1' | 'durable-objects'): Promise<Stage> {
	const server = await startWorkerd();
	if (kind === 'd1') await new D1Store({ client: d1At(server.url) }).migrate();
	const store = { kind, url: server.url };
	return {
		setups: Array.from({ length: WORKERS }, () => ({
			store,
			plain: false,
			sealed: false,
			// Their simulation takes hundreds of milliseconds on a busy machine.
			storeTimeout: 2_000
		})),
		// It takes seconds to start.
		disturb: async (disturbed) => killAgainAndAgain(server, disturbed, 5_000),
		end: async () => server.stop()
	};
}

/** PgBouncer in transaction mode before a Postgres, over a bad network; processes are killed, too. */
export async function postgresOverBadNetwork(): Promise<Stage> {
	const server = await startPostgres('-c', 'fsync=on');
	await migrate(server.url);
	const pooler = await startPgBouncer(server);
	const proxy = await Proxy.launch(pooler.port);
	const url = pooler.url.replace(`:${pooler.port}`, `:${proxy.port}`);
	return {
		setups: postgresSetups(url, { sealed: true }),
		disturb: async (disturbed) => disturbNetwork(proxy, disturbed),
		end: async () => {
			await proxy.stop();
			await pooler.stop();
			await server.stop();
		}
	};
}

/** The control: a store of express-session on a healthy Postgres. */
export async function connectPgSimple(): Promise<Stage> {
	const server = await startPostgres('-c', 'fsync=on');
	const schema = import.meta.resolve('connect-pg-simple/table.sql');
	const client = await connected(server.url);
	await client.query(await readFile(new URL(schema), 'utf8'));
	await client.end();
	const store = { kind: 'connect-pg-simple', url: server.url } as const;
	return {
		setups: Array.from({ length: WORKERS }, () => ({ store, plain: true, sealed: false })),
		disturb: async ({ over }) => {
			while (!over()) await sleep(100);
		},
		end: async () => server.stop()
	};
}

/** Kills a server that has run for so many milliseconds, and starts it again after a moment. */
export async function killAgainAndAgain(
	server: Pick<Killable, 'kill' | 'start'>,
	{ chance, over, fault }: Disturbed,
	runs = 1_500
): Promise<void> {
	while (!over()) {
		await sleep(runs + chance.below(1_000));
		await server.kill();
		fault('killed');
		await sleep(chance.below(700));
		await server.start();
	}
}

/** Disturbs connections, one after another; now and then a process is killed instead. */
export async function disturbNetwork(
	proxy: Proxy,
	{ workers, chance, over, fault }: Disturbed
): Promise<void> {
	while (!over()) {
		await sleep(100 + chance.below(500));
		if (chance.percent(5)) {
			fault('process killed');
			await workers.replace(chance.below(workers.count));
			continue;
		}
		const trouble = TROUBLES[chance.below(TROUBLES.length)] ?? 'cut';
		if (proxy.trouble(trouble, chance)) fault(trouble);
	}
}

/** The clients that most applications have, by turns. */
function postgresSetups(url: string, more: { sealed?: boolean } = {}): Setup[] {
	return Array.from({ length: WORKERS }, (_, n) => ({
		store: { kind: 'postgres', client: n % 2 === 0 ? 'pg' : 'postgres.js', url },
		plain: false,
		sealed: false,
		...more
	}));
}

async function migrate(url: string): Promise<void> {
	const client = await connected(url);
	await new PostgresStore({ client }).migrate();
	await client.end();
}

async function connected(url: string): Promise<pg.Client> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	return client;
}
