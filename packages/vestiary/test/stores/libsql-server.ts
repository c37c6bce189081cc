import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { started, type Killable } from './killable.ts';
import { freePort } from './servers.ts';

/** A server of libSQL, as Turso runs it, of this test's own. */
export interface LibsqlServer extends Killable {
	readonly url: string;
}

export async function startLibsql(): Promise<LibsqlServer> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-libsql-'));
	const address = `127.0.0.1:${await freePort()}`;
	const url = `http://${address}`;
	const launch = (): ChildProcess =>
		spawn(
			process.env.SQLD_SERVER ?? 'sqld',
			['--db-path', join(folder, 'data'), '--http-listen-addr', address],
			{ stdio: 'ignore', detached: true, cwd: folder }
		);
	const answers = async (): Promise<boolean> =>
		fetch(`${url}/health`).then(
			({ ok }) => ok,
			() => false
		);
	return { url, ...(await started({ launch, answers, folder, end: 'SIGTERM' })) };
}
