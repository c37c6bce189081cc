import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { createConnection } from 'mysql2/promise';

import { started, userFor, type Killable } from './killable.ts';
import { freePort } from './servers.ts';

/** A MariaDB of this test's own. */
export interface MySqlServer extends Killable {
	readonly port: number;
	readonly url: string;
}

/**
 * Starts MariaDB on a free port, or the server of MySQL that `MARIADB_SERVER` names. Default settings: it does not wait
 * for the disk. Its database and user are called `app`.
 */
export async function startMySql(...settings: string[]): Promise<MySqlServer> {
	const program = await found();
	const user = await userFor('mysql');
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-mysql-'));
	if (user) await chown(folder, user.uid, user.gid);
	// A server removes temporary tables that it finds where it starts, also those of others.
	const own = [`--datadir=${join(folder, 'data')}`, `--tmpdir=${folder}`];
	const options = { cwd: folder, ...user };
	const makes = await initialisation(program, folder);
	await promisify(execFile)(makes.program, ['--no-defaults', ...own, ...makes.options], options);
	const port = await freePort();
	const launch = (): ChildProcess =>
		spawn(
			program,
			[
				...['--no-defaults', ...own, `--port=${port}`],
				...['--bind-address=127.0.0.1', `--socket=${join(folder, 'socket')}`],
				...['--skip-name-resolve', '--max-connections=500', ...makes.later],
				...(settings.length > 0 ? settings : ['--innodb-flush-log-at-trx-commit=0'])
			],
			{ stdio: 'ignore', detached: true, ...options }
		);
	const answers = async (): Promise<boolean> => prepared(port);
	const server = await started({ launch, answers, folder, end: 'SIGKILL' });
	return { port, url: `mysql://app@127.0.0.1:${port}/app`, ...server };
}

/** Whether this is the server of MySQL itself. No package that CI can install has it. */
export function isMySql(program = process.env.MARIADB_SERVER ?? ''): boolean {
	return basename(program) === 'mysqld';
}

/** How the server's data is created: with a user `root`, who needs no password. */
async function initialisation(
	program: string,
	folder: string
): Promise<{ program: string; options: string[]; later: string[] }> {
	if (isMySql(program)) {
		const file = join(folder, 'init.sql');
		const root = "root@'127.0.0.1'";
		const grant = `GRANT ALL ON *.* TO ${root} WITH GRANT OPTION;`;
		await writeFile(file, `CREATE USER IF NOT EXISTS ${root};\n${grant}\n`);
		const later = [`--init-file=${file}`, '--mysqlx=OFF', '--secure-file-priv='];
		return { program, options: ['--initialize-insecure'], later };
	}
	const options = ['--auth-root-authentication-method=normal', '--skip-test-db'];
	return {
		program: await beside(program, 'mariadb-install-db'),
		options: [...options, '--skip-name-resolve'],
		later: []
	};
}

/** Creates the database and its user, once the server answers. */
async function prepared(port: number): Promise<boolean> {
	try {
		const root = await createConnection({ host: '127.0.0.1', port, user: 'root' });
		await root.query('CREATE DATABASE IF NOT EXISTS app');
		await root.query("CREATE USER IF NOT EXISTS app@'127.0.0.1'");
		await root.query("GRANT ALL ON *.* TO app@'127.0.0.1' WITH GRANT OPTION");
		await root.end();
		return true;
	} catch {
		return false;
	}
}

/** The server's name and version. */
export async function mySqlVersion(): Promise<string> {
	const { stdout } = await promisify(execFile)(await found(), ['--version']);
	const version = /Ver ([\d.]+)/.exec(stdout)?.[1] ?? '';
	return `${isMySql() ? 'MySQL' : 'MariaDB'} ${version}`;
}

/** Debian keeps the server where only root looks for programs. */
async function found(): Promise<string> {
	const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
	const places = folders.map((folder) => join(folder, 'mariadbd'));
	const all = [process.env.MARIADB_SERVER ?? '', ...places];
	for (const place of all) if (await isFile(place)) return place;
	throw new Error('MariaDB is missing: `apt-get install mariadb-server`, or set MARIADB_SERVER');
}

/** Another program of the same installation. */
async function beside(program: string, name: string): Promise<string> {
	const prefix = dirname(dirname(program));
	for (const folder of ['bin', 'scripts', basename(dirname(program))]) {
		const place = join(prefix, folder, name);
		if (await isFile(place)) return place;
	}
	return name;
}

async function isFile(path: string): Promise<boolean> {
	return stat(path).then(
		(found) => found.isFile(),
		() => false
	);
}
