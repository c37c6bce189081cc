/** `node packages/vestiary/test/faults/streams.ts`: how soon streams end. See docs/explanation/reliability.md. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { Redis } from 'ioredis6';
import * as mysql from 'mysql2/promise';
import pg from 'pg';

import { MySqlStore } from '../../dist/stores/mysql.js';
import { PostgresStore } from '../../dist/stores/postgres.js';
import { started, type Killable } from '../stores/killable.ts';
import { mySqlVersion, startMySql } from '../stores/mysql-server.ts';
import { postgresVersion, startPostgres } from '../stores/postgres-server.ts';
import { freePort } from '../stores/servers.ts';
import { DroppingProxy, ofPostgres } from '../stores/streams-proxy.ts';
import { goOn, StreamRun, within } from '../stores/streams-run.ts';
import { eventStreams, type StreamStore } from '../stores/streams.ts';
import { REDIS_SERVER } from './servers.ts';
import { buildLiveApp, liveQueries, webSockets } from './streams-mixed.ts';
import { tableOf, writeDocs, type StreamResult } from './streams-report.ts';

const { values } = parseArgs({
	options: {
		/** The option `recheckAfter` of the processes, in seconds. */
		recheck: { type: 'string', default: '10' },
		/** Only stores with this in their name. */
		only: { type: 'string', default: '' },
		/** Puts the table and the plot into docs/. */
		write: { type: 'boolean', default: false }
	}
});
if (values.write && values.only !== '') throw new Error('`--write` wants all of them');

/** A store, and what can go wrong with it. */
interface Subject extends StreamStore {
	readonly server?: Killable;
	readonly proxy?: DroppingProxy;
	/** Whether all kinds of processes have it. The others are tried with three processes of one kind. */
	readonly mixed?: true;
	stop(): Promise<unknown>;
}

async function redis(): Promise<Subject> {
	const port = await freePort();
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-streams-'));
	const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
	const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];
	const admin = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 50 });
	admin.on('error', () => undefined);
	const server = await started({
		launch: () =>
			spawn(REDIS_SERVER, [...args, ...durable], { detached: true, stdio: 'ignore' }),
		answers: async () => (await admin.ping().catch(() => '')) === 'PONG',
		folder,
		end: 'SIGTERM'
	});
	const proxy = await DroppingProxy.launch(port);
	return {
		kind: 'Redis',
		mixed: true,
		address: `${proxy.port}`,
		server,
		proxy,
		listeners: async () => {
			const found = (await admin.pubsub('NUMSUB', 'sess:feed').catch(() => [])) as unknown[];
			return Number(found[1]);
		},
		stop: async () => {
			admin.disconnect();
			await proxy.stop();
			await server.stop();
		}
	};
}

async function postgres(): Promise<Subject> {
	const server = await startPostgres('-c', 'max_connections=100');
	const pool = new pg.Pool({ connectionString: server.url, max: 2 });
	pool.on('error', () => undefined);
	await new PostgresStore({ client: pool }).migrate();
	const proxy = await DroppingProxy.launch(server.port, ofPostgres);
	const listening = "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
	return {
		kind: 'Postgres',
		address: server.url.replace(`${server.port}`, `${proxy.port}`),
		server,
		proxy,
		listeners: async () =>
			pool.query(listening).then(
				({ rowCount }) => rowCount ?? 0,
				() => 0
			),
		stop: async () => {
			await pool.end();
			await proxy.stop();
			await server.stop();
		}
	};
}

async function sqlite(): Promise<Subject> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-streams-'));
	return {
		kind: 'SQLite',
		mixed: true,
		address: join(folder, 'sessions.db'),
		stop: async () => rm(folder, { recursive: true, force: true })
	};
}

async function mariadb(): Promise<Subject> {
	// A server that is killed must keep the sessions.
	const server = await startMySql('--innodb-flush-log-at-trx-commit=1');
	const client = mysql.createPool({ uri: server.url, connectionLimit: 1 });
	await new MySqlStore({ client }).migrate();
	await client.end();
	return { kind: 'MariaDB', address: server.url, server, stop: async () => server.stop() };
}

const results: StreamResult[] = [];

/** Plays all that can go wrong with a store. */
async function play(subject: Subject): Promise<void> {
	const { kind, server, proxy } = subject;
	const recheckAfter = Number(values.recheck);
	const run = subject.mixed
		? new StreamRun(
				subject,
				await Promise.all([
					eventStreams(subject, recheckAfter),
					liveQueries(subject, recheckAfter),
					webSockets(subject)
				])
			)
		: await StreamRun.launch(subject, recheckAfter);
	const measure = async (how: string, fault?: () => Promise<void>): Promise<void> => {
		const name = `${kind}, ${how}`;
		const streams = await run.openAll(`${kind}-${results.length}`);
		if (fault) {
			await fault();
			await run.connected();
			await goOn(streams);
		}
		for (const [streamKind, ends] of await run.revokeHalf(streams)) {
			results.push({ name: subject.mixed ? `${name}: ${streamKind}` : name, ends });
			const [median, all] = [within(ends, 0.5), within(ends, 1)];
			console.log(
				`${name}: ${ends.ends.length} ${streamKind} ended within ${all} ms, half of them within ${median}`
			);
		}
	};
	await measure(proxy ? 'connected' : 'looked at twice in a second');
	if (proxy) {
		for (const [drops, how] of [
			[0.1, 'one message in ten lost'],
			[1, 'all messages lost']
		] as const) {
			proxy.drops = drops;
			await measure(how);
		}
		proxy.drops = 0;
	}
	if (server)
		await measure('after the server was killed', async () => {
			await server.kill();
			await server.start();
		});
	run.stop();
	await subject.stop();
}

await buildLiveApp();
for (const start of [redis, postgres, sqlite, mariadb])
	if (start.name.includes(values.only)) await play(await start());
console.log(`\n${tableOf(results)}\n`);
if (values.write) {
	const version = execFileSync(REDIS_SERVER, ['--version'], { encoding: 'utf8' });
	const servers = [
		`Redis ${/v=(\S+)/.exec(version)?.[1] ?? ''}`,
		await postgresVersion(),
		`SQLite ${process.versions.sqlite ?? ''}`,
		await mySqlVersion()
	];
	await writeDocs(
		results,
		`\`recheckAfter: ${values.recheck}\`, on ${availableParallelism()} cores, with ${servers.join(', ')}, Node.js ${process.version}.`
	);
}
process.exit(0);
