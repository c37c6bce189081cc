/** The processes of the application. */
import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Reply, Request, Setup } from './messages.ts';
import { killed, tied } from './servers.ts';

type Waiting = Map<number, (reply: Reply) => void>;

interface Worker {
	process: ChildProcess;
	/** Requests that it has, by number. */
	waiting: Waiting;
	ready: boolean;
}

export class Workers {
	readonly #setups: Setup[];
	readonly #workers: Worker[] = [];
	#requests = 0;

	private constructor(setups: Setup[]) {
		this.#setups = setups;
	}

	static async launch(setups: Setup[]): Promise<Workers> {
		const workers = new Workers(setups);
		await Promise.all(setups.map(async (_, at) => workers.#start(at)));
		return workers;
	}

	get count(): number {
		return this.#setups.length;
	}

	/** Sends a request to a worker, or to the next one that is there. */
	async ask(preferred: number, request: Omit<Request, 'number'>): Promise<Reply> {
		const number = ++this.#requests;
		for (;;) {
			for (let n = 0; n < this.count; n++) {
				const worker = this.#workers[(preferred + n) % this.count];
				if (!worker?.ready) continue;
				return new Promise((resolve) => {
					worker.waiting.set(number, resolve);
					// If it has already ended, its `exit` event reports that.
					worker.process.send({ ...request, number } satisfies Request, () => undefined);
				});
			}
			await sleep(10);
		}
	}

	/** Kills a worker in the middle of its work, and starts another one. */
	async replace(at: number): Promise<void> {
		const worker = this.#workers[at];
		if (worker) await killed(worker.process);
		await this.#start(at);
	}

	/** Suspends a worker for a while, as an overloaded machine does. */
	async freeze(at: number, milliseconds: number): Promise<void> {
		const process = this.#workers[at]?.process;
		process?.kill('SIGSTOP');
		await sleep(milliseconds);
		process?.kill('SIGCONT');
	}

	async stop(): Promise<void> {
		await Promise.all(this.#workers.map(async ({ process }) => killed(process)));
	}

	async #start(at: number): Promise<void> {
		const file = new URL('./worker.ts', import.meta.url).pathname;
		const child = tied(
			fork(file, [JSON.stringify(this.#setups[at])], {
				// Not the arguments of the test runner, which may be the parent.
				execArgv: [],
				env: { ...process.env, NODE_ENV: 'production' }
			})
		);
		const worker: Worker = { process: child, waiting: new Map(), ready: false };
		this.#workers[at] = worker;
		await new Promise<void>((resolve, reject) => {
			child.on('message', (message: 'ready' | Reply) => {
				if (message === 'ready') {
					worker.ready = true;
					resolve();
					return;
				}
				worker.waiting.get(message.number)?.(message);
				worker.waiting.delete(message.number);
			});
			child.once('exit', (code) => {
				worker.ready = false;
				for (const [number, answer] of worker.waiting)
					answer({ number, outcome: 'died', steps: [] });
				worker.waiting.clear();
				reject(new Error(`a worker ended by itself: ${code ?? 'killed'}`));
			});
		});
	}
}
