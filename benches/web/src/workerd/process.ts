/** workerd with one Worker, as its own process. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';

import { ended, guarded } from '../children.ts';
import { answerOf, pinned, type Answer, type Command } from '../http/servers.ts';

const PROGRAM = (createRequire(import.meta.url)('workerd') as { default: string }).default;
const COMPATIBLE = '2026-07-01';

export class Workerd {
	readonly port: number;
	/** Milliseconds from its start until it listened. */
	readonly startedIn: number;
	readonly #process: ChildProcess;

	private constructor(port: number, startedIn: number, child: ChildProcess) {
		this.port = port;
		this.startedIn = startedIn;
		this.#process = child;
	}

	/** Starts a Worker made of these files; the first has its `fetch`. */
	static async start(folder: string, files: string[]): Promise<Workerd> {
		const config = join(folder, `${basename(files[0] ?? '')}.capnp`);
		writeFileSync(config, configOf(files));
		const begin = performance.now();
		const program: Command = [PROGRAM, 'serve', '--control-fd=3', config];
		const [command, ...args] = pinned('servers', program);
		const stdio: StdioOptions = ['ignore', 'inherit', 'inherit', 'pipe'];
		const child = guarded(spawn(command, args, { stdio }));
		const control = child.stdio[3] as Readable;
		const port = await new Promise<number>((resolve, reject) => {
			let told = '';
			control.on('data', (chunk: Buffer) => {
				told += chunk.toString();
				const found = /"event":"listen".*"port":(\d+)/.exec(told)?.[1];
				if (found !== undefined) resolve(Number(found));
			});
			child.once('error', reject);
			child.once('exit', () => {
				reject(new Error('workerd has ended'));
			});
		});
		return new Workerd(port, performance.now() - begin, child);
	}

	get(path: string, cookie?: string): Promise<Answer> {
		return answerOf(this.port, path, cookie);
	}

	stop(): Promise<void> {
		return ended(this.#process);
	}
}

function configOf(files: string[]): string {
	const modules = files.map((file) => {
		const kind = file.endsWith('.wasm') ? 'wasm' : 'esModule';
		return `(name = "${file}", ${kind} = embed "${file}")`;
	});
	return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]
);
const main :Workerd.Worker = (
  modules = [${modules.join(', ')}],
  compatibilityDate = "${COMPATIBLE}"
);
`;
}
