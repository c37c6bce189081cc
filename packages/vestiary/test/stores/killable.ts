import type { ChildProcess } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { ended } from './servers.ts';

/** A server of the tests that can be killed and started again. */
export interface Killable {
	/** Kills the server and all processes that it has started. Its folder stays. */
	kill(): Promise<void>;
	/** Starts it again after {@link kill}, and waits until it answers. */
	start(): Promise<void>;
	/** Ends it, and removes its folder. */
	stop(): Promise<void>;
}

/** How to start a server, how to know that it answers, and how to end it. */
export interface Launch {
	/** Starts it in a process group of its own (`detached`), which is killed as a whole. */
	launch: () => ChildProcess;
	answers: () => Promise<boolean>;
	folder: string;
	end: NodeJS.Signals;
}

/** Starts a server, and waits until it answers. */
export async function started({ launch, answers, folder, end }: Launch): Promise<Killable> {
	let server = launch();
	const killGroup = (): void => {
		if (server.pid !== undefined && server.exitCode === null && server.signalCode === null)
			process.kill(-server.pid, 'SIGKILL');
	};
	// The group does not end with that of the tests.
	process.once('exit', killGroup);
	const ready = async (): Promise<void> => {
		let launches = 1;
		while (!(await answers())) {
			// It refuses to start while a process of the killed one still ends.
			if (server.exitCode !== null || server.signalCode !== null) {
				if (++launches > LAUNCHES) throw new Error('the server ends while it starts');
				server = launch();
			}
			await sleep(50);
		}
	};
	await ready();
	return {
		kill: async () => {
			const exit = new Promise((resolve) => server.once('exit', resolve));
			killGroup();
			await exit;
		},
		start: async () => {
			server = launch();
			await ready();
		},
		stop: async () => {
			process.off('exit', killGroup);
			await ended(server, end);
			await rm(folder, { recursive: true, force: true });
		}
	};
}

/** How often a server is launched until it answers. */
const LAUNCHES = 100;

/** A user of the system. */
export interface SystemUser {
	readonly uid: number;
	readonly gid: number;
}

/** The user to run a server as that refuses to run as root: its own, or one without any rights. */
export async function userFor(name: string): Promise<SystemUser | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	const users = (await readFile('/etc/passwd', 'utf8')).split('\n');
	const line = users.find((one) => one.startsWith(`${name}:`));
	const [, , uid = UNPRIVILEGED, gid = UNPRIVILEGED] = line?.split(':').map(Number) ?? [];
	return { uid, gid };
}

const UNPRIVILEGED = 65_534;
