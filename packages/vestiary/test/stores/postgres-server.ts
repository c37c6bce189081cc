import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import pg from 'pg';

import { started, userFor, type Killable } from './killable.ts';
import { freePort } from './servers.ts';

const run = promisify(execFile);

/** A server of this test's own. */
export interface PostgresServer extends Killable {
	readonly port: number;
	readonly url: string;
}

/** Starts Postgres on a free port. Default options: it does not wait for the disk. */
export async function startPostgres(...settings: string[]): Promise<PostgresServer> {
	const bin = await programs();
	const user = await userFor('postgres');
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-postgres-'));
	if (user) await chown(folder, user.uid, user.gid);
	const data = join(folder, 'data');
	const options = { cwd: folder, ...user };
	await run(
		join(bin, 'initdb'),
		[
			...['--pgdata', data, '--username=app', '--auth=trust', '--encoding=UTF8'],
			...['--locale=C.UTF-8', '--no-sync', '--no-instructions']
		],
		options
	);
	const port = await freePort();
	const fixed = ['-D', data, '-p', `${port}`, '-h', '127.0.0.1', '-k', folder];
	const more = settings.length > 0 ? settings : ['-F'];
	const launch = (): ChildProcess =>
		spawn(join(bin, 'postgres'), [...fixed, ...more], {
			stdio: 'ignore',
			detached: true,
			...options
		});
	// It ends at once, with its connections.
	return reachable(launch, folder, port, 'SIGQUIT');
}

/** The pooler of Debian, in front of a server: each transaction may get another connection. */
export async function startPgBouncer(server: PostgresServer): Promise<PostgresServer> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-pgbouncer-'));
	const user = await userFor('postgres');
	if (user) await chown(folder, user.uid, user.gid);
	const port = await freePort();
	const file = join(folder, 'pgbouncer.ini');
	const settings = {
		listen_addr: '127.0.0.1',
		listen_port: port,
		unix_socket_dir: folder,
		auth_type: 'any',
		pool_mode: 'transaction',
		default_pool_size: 2,
		max_client_conn: 500
	};
	const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
	await writeFile(
		file,
		`[databases]
postgres = host=127.0.0.1 port=${server.port} user=app
[pgbouncer]
${lines.join('\n')}
`
	);
	const launch = (): ChildProcess =>
		spawn(process.env.PGBOUNCER ?? '/usr/sbin/pgbouncer', [file], {
			stdio: 'ignore',
			cwd: folder,
			detached: true,
			...user
		});
	return reachable(launch, folder, port, 'SIGTERM');
}

/** The server's name and version. */
export async function postgresVersion(): Promise<string> {
	const { stdout } = await run(join(await programs(), 'postgres'), ['--version']);
	return `Postgres ${/[\d.]+/.exec(stdout)?.[0] ?? ''}`;
}

async function reachable(
	launch: () => ChildProcess,
	folder: string,
	port: number,
	end: NodeJS.Signals
): Promise<PostgresServer> {
	const url = `postgres://app@127.0.0.1:${port}/postgres`;
	const server = await started({ launch, answers: async () => answers(url), folder, end });
	return { port, url, ...server };
}

async function answers(url: string): Promise<boolean> {
	const client = new pg.Client({ connectionString: url });
	client.on('error', () => undefined);
	try {
		await client.connect();
		await client.query('SELECT 1');
		await client.end();
		return true;
	} catch {
		return false;
	}
}

/** The folder of its programs. Debian keeps them out of `PATH`, in a folder for each version. */
async function programs(): Promise<string> {
	if (process.env.POSTGRES_BIN !== undefined) return process.env.POSTGRES_BIN;
	const versions = await readdir('/usr/lib/postgresql').catch(() => []);
	const newest = versions.sort((one, other) => Number(other) - Number(one))[0];
	if (newest === undefined) throw new Error('Postgres is missing: `apt-get install postgresql`');
	return join('/usr/lib/postgresql', newest, 'bin');
}
