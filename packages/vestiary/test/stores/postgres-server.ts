import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import pg from 'pg';

import { ended, freePort } from './servers.ts';

const run = promisify(execFile);

/** A server of this test's own. */
export interface PostgresServer {
	readonly port: number;
	readonly url: string;
	/** Kills the server and all processes of its connections. Its folder stays. */
	kill(): Promise<void>;
	/** Starts it again after {@link kill}, and waits until it answers. */
	start(): Promise<void>;
	stop(): Promise<void>;
}

/** A user of the system. */
interface User {
	readonly uid: number;
	readonly gid: number;
}

/** Starts Postgres on a free port. Default options: it does not wait for the disk. */
export async function startPostgres(...settings: string[]): Promise<PostgresServer> {
	const bin = await programs();
	const user = await another();
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
		// A process group of its own, so that its connections' processes can be killed with it.
		spawn(join(bin, 'postgres'), [...fixed, ...more], {
			stdio: 'ignore',
			detached: true,
			...options
		});
	// It ends at once, with its connections.
	return started(launch, folder, port, 'SIGQUIT');
}

/** The pooler of Debian, in front of a server: each transaction may get another connection. */
export async function startPgBouncer(server: PostgresServer): Promise<PostgresServer> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-pgbouncer-'));
	const user = await another();
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
	return started(launch, folder, port, 'SIGTERM');
}

/** The server's name and version. */
export async function postgresVersion(): Promise<string> {
	const { stdout } = await run(join(await programs(), 'postgres'), ['--version']);
	return `Postgres ${/[\d.]+/.exec(stdout)?.[0] ?? ''}`;
}

/** A server, once it answers. Its folder goes with it. */
async function started(
	launch: () => ChildProcess,
	folder: string,
	port: number,
	end: NodeJS.Signals
): Promise<PostgresServer> {
	const url = `postgres://app@127.0.0.1:${port}/postgres`;
	let server = launch();
	const killWithChildren = (): void => {
		if (server.pid !== undefined && server.exitCode === null && server.signalCode === null)
			process.kill(-server.pid, 'SIGKILL');
	};
	// A process group of its own does not end with that of the tests.
	process.once('exit', killWithChildren);
	const ready = async (): Promise<void> => {
		while (!(await answers(url))) await sleep(50);
	};
	await ready();
	return {
		port,
		url,
		kill: async () => {
			const exit = new Promise((resolve) => server.once('exit', resolve));
			killWithChildren();
			await exit;
		},
		start: async () => {
			server = launch();
			await ready();
		},
		stop: async () => {
			process.off('exit', killWithChildren);
			await ended(server, end);
			await rm(folder, { recursive: true, force: true });
		}
	};
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

/** The user to run it as, since it refuses to run as root: its own, or one without any rights. */
async function another(): Promise<User | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	const users = (await readFile('/etc/passwd', 'utf8')).split('\n');
	const line = users.find((one) => one.startsWith('postgres:'));
	const [, , uid = UNPRIVILEGED, gid = UNPRIVILEGED] = line?.split(':').map(Number) ?? [];
	return { uid, gid };
}

const UNPRIVILEGED = 65_534;
