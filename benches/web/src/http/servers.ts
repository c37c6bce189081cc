/** The processes of a measurement over HTTP: servers on one core, the load on another. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../../../../packages/vestiary/test/stores/servers.ts';
import { ended, guarded } from '../children.ts';
import type { Job, Outcome } from './load.ts';

const CORES = { servers: '0', load: '1' };

/** Whether processes can be pinned to a core. */
const PINS = process.platform === 'linux' && availableParallelism() > 1;

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]];

export interface Answer {
	status: number;
	text: string;
	/** Names and values of the cookies that it sets. */
	cookie: string;
}

/** A server's response to a browser with this cookie. */
export async function answerOf(port: number, path: string, cookie?: string): Promise<Answer> {
	const headers = cookie === undefined ? {} : { cookie };
	const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
	const set = answer.headers.getSetCookie().map((one) => one.split(';', 1)[0] ?? '');
	return { status: answer.status, text: await answer.text(), cookie: set.join('; ') };
}

/** The command that runs another command on the core of the servers, or on that of the load. */
export function pinned(to: keyof typeof CORES, command: Command): Command {
	return PINS ? ['taskset', '-c', CORES[to], ...command] : command;
}

export class HttpServer {
	readonly port: number;
	readonly #process: ChildProcess;

	private constructor(port: number, child: ChildProcess) {
		this.port = port;
		this.#process = child;
	}

	/** Starts a program that listens on the given port, and waits until it answers. */
	static async start(
		program: Command,
		env: (port: number) => NodeJS.ProcessEnv,
		path: string
	): Promise<HttpServer> {
		const port = await freePort();
		const [command, ...args] = pinned('servers', program);
		const child = spawn(command, args, {
			env: { ...process.env, ...env(port) },
			stdio: ['ignore', 'inherit', 'inherit']
		});
		const server = new HttpServer(port, guarded(child));
		for (let tries = 0; tries < 6_000 && child.exitCode === null; tries++) {
			const answer = await server.get(path).catch(() => undefined);
			if (answer?.status === 200) return server;
			await sleep(10);
		}
		await server.stop();
		throw new Error(`no answer from ${program.join(' ')}`);
	}

	get(path: string, cookie?: string): Promise<Answer> {
		return answerOf(this.port, path, cookie);
	}

	/** Seconds of processor time that it has used. */
	get processorTime(): number {
		// The name of the program, in parentheses, may contain spaces.
		const stat = readFileSync(`/proc/${this.#process.pid ?? 0}/stat`, 'utf8');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		const ticks = Number(fields[11]) + Number(fields[12]);
		return ticks / TICKS_PER_SECOND;
	}

	stop(): Promise<void> {
		return ended(this.#process);
	}
}

/** The unit of processor time in Linux, the same on all machines. */
const TICKS_PER_SECOND = 100;

export class Load {
	readonly #process: ChildProcess;

	constructor() {
		const script = new URL('load.ts', import.meta.url).pathname;
		const [command, ...args] = pinned('load', [process.execPath, script]);
		const stdio: StdioOptions = ['ignore', 'inherit', 'inherit', 'ipc'];
		this.#process = guarded(spawn(command, args, { stdio }));
	}

	run(job: Job): Promise<Outcome> {
		return new Promise((resolve, reject) => {
			this.#process.once('message', (answer: Outcome | { error: string }) => {
				if ('error' in answer) reject(new Error(answer.error));
				else resolve(answer);
			});
			this.#process.send(job);
		});
	}

	stop(): Promise<void> {
		return ended(this.#process);
	}
}
