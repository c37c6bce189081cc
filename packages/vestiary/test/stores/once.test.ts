import { fork, type ChildProcess } from 'node:child_process';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { FromWorker, ToWorker } from './once-worker.ts';
import { startRedis, type Servers } from './servers.js';

/* `session.once()` in three processes with one Redis. The provider rotates refresh tokens, and takes the second use of one
   for a theft. */

const WORKER = new URL('once-worker.ts', import.meta.url).pathname;
const PROCESSES = 3;
const REQUESTS = 8;

let redis: Servers;
let workers: Worker[];

beforeAll(async () => {
	redis = await startRedis();
	workers = Array.from({ length: PROCESSES }, () => new Worker());
});

afterAll(async () => {
	for (const worker of workers) worker.kill();
	await redis.stop();
});

/** A process that handles requests. */
class Worker {
	readonly #process: ChildProcess;
	/** Called with each message. */
	told: (message: FromWorker) => void = () => undefined;

	constructor() {
		this.#process = fork(WORKER, [`${redis.ports[0]}`]);
		this.#process.on('message', (message: FromWorker) => {
			this.told(message);
		});
	}

	tell(message: ToWorker): void {
		if (this.#process.connected) this.#process.send(message);
	}

	kill(): void {
		this.#process.kill('SIGKILL');
	}
}

/** The tokens of one session at the provider. */
class Provider {
	grants = 0;
	isRevoked = false;
	#current: string;

	constructor(first: string) {
		this.#current = first;
	}

	grant(refresh: string): string {
		if (refresh !== this.#current) this.isRevoked = true;
		return (this.#current = `${refresh}+`);
	}
}

/** A session whose access token has expired. */
async function begun(refresh: string): Promise<string> {
	const [worker] = workers;
	return new Promise((resolve, reject) => {
		if (!worker) {
			reject(new Error('there is no worker'));
			return;
		}
		worker.told = (message) => {
			if (message.kind === 'begun') resolve(message.cookie);
		};
		worker.tell({ kind: 'begin', number: 0, refresh });
	});
}

test.each([
	['all processes live', false],
	['the process that refreshes is killed', true],
	['all processes live, again', false],
	['the process that refreshes is killed, again', true]
])('one of eight requests refreshes the token: %s', async (name, kills) => {
	const provider = new Provider(name);
	const cookie = await begun(name);
	const answers = new Map<number, string>();
	const dead = new Set<number>();
	let isKilled = !kills;
	await new Promise<void>((resolve) => {
		const done = (): void => {
			if (answers.size + dead.size === REQUESTS) resolve();
		};
		for (const [place, worker] of workers.entries())
			worker.told = (message) => {
				switch (message.kind) {
					case 'grant':
						if (isKilled) {
							provider.grants++;
							const refresh = provider.grant(message.refresh);
							worker.tell({ kind: 'granted', number: message.number, refresh });
							return;
						}
						// Before the provider has heard of it.
						isKilled = true;
						worker.kill();
						for (let n = place; n < REQUESTS; n += PROCESSES)
							if (!answers.has(n)) dead.add(n);
						workers[place] = new Worker();
						done();
						return;
					case 'answered':
						answers.set(message.number, message.access ?? message.error ?? '');
						done();
						return;
					case 'begun':
				}
			};
		for (let number = 0; number < REQUESTS; number++)
			workers[number % PROCESSES]?.tell({ kind: 'ask', number, cookie });
	});
	expect({ grants: provider.grants, isRevoked: provider.isRevoked }).toEqual({
		grants: 1,
		isRevoked: false
	});
	expect(new Set(answers.values())).toEqual(new Set([`access of ${name}+`]));
	expect(dead.size > 0).toBe(kills);
});
