import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
	LIFETIME,
	startProvider,
	type TestProvider,
	type TokenRequest
} from './tokens-provider.ts';
import type { FromWorker, ToWorker } from './tokens-worker.ts';

/* Requests of one session in several processes, whose tokens expire again and again. In every second expiry, the process
   that refreshes them is killed. The time of the processes is set from here, so no test waits for it. */

const WORKER = new URL('tokens-worker.ts', import.meta.url).pathname;
const PAGE = new URL('../../../../docs/how-to/refresh-tokens.md', import.meta.url);
const FOLDER = new URL('generated', import.meta.url).pathname;
const PROCESSES = 3;
const REQUESTS = 50;

/** The lease of `session.tokens()`, in milliseconds. */
const LEASE = 10_000;

/** The moments at which a process that refreshes tokens is killed. */
export const MOMENTS = ['before', 'granted', 'answered'] as const;
export type Moment = (typeof MOMENTS)[number];

export interface Plan {
	readonly port: number;
	readonly expiries: number;
	/** The moments of the kills, in turn. */
	readonly moments: readonly Moment[];
	/** The time for which the provider accepts a refresh token again, in milliseconds. */
	readonly grace: number;
}

export interface Report {
	expiries: number;
	requests: number;
	kills: number;
	/** Grants of the provider, refused ones, and logins whose tokens it has revoked. */
	grants: number;
	refused: number;
	revoked: number;
	/** Expiries with more grants than one, and one for a kill. */
	excess: number;
	/** Expiries without a grant, or after which the surviving requests had different tokens. */
	wrong: number;
	errors: string[];
}

/** Writes the code of the guide to a file, and returns its path. */
function sample(): string {
	mkdirSync(FOLDER, { recursive: true });
	const page = readFileSync(PAGE, 'utf8');
	const code = /^\/\/ src\/lib\/server\/tokens\.ts\n.*?(?=^```)/ms.exec(page)?.[0] ?? '';
	const path = join(FOLDER, 'tokens.ts');
	writeFileSync(path, code);
	return path;
}

export async function run(plan: Plan): Promise<Report> {
	const provider = await startProvider(plan.grace);
	const all = new Processes(plan, provider);
	try {
		const { counts } = provider;
		const report: Report = {
			expiries: 0,
			requests: 0,
			kills: 0,
			...counts,
			excess: 0,
			wrong: 0,
			errors: []
		};
		const cookie = await all.begin(await provider.begin());
		while (report.expiries < plan.expiries) {
			const round = report.expiries++;
			const before = counts.grants;
			const moment = plan.moments[(round >> 1) % plan.moments.length];
			const kill = round % 2 === 1 ? moment : undefined;
			all.advance(LIFETIME * 1_000);
			const { answers, isKilled } = await all.expire(cookie, kill);
			report.requests += REQUESTS;
			if (isKilled) report.kills++;
			const given = counts.grants - before;
			if (given > (isKilled ? 2 : 1)) report.excess++;
			const tokens = new Set(answers);
			if (given === 0 || tokens.size !== 1 || tokens.has('none')) report.wrong++;
			for (const answer of tokens) if (answer.startsWith('!')) report.errors.push(answer);
		}
		return { ...report, ...counts };
	} finally {
		all.stop();
		await provider.stop();
	}
}

class Processes {
	readonly #plan: Plan;
	readonly #provider: TestProvider;
	readonly #sample = sample();
	readonly #processes: ChildProcess[];
	/** How far the clock of the processes is ahead, in milliseconds. */
	#offset = 0;
	/** Called with each message, and for each process that was killed. */
	#told: (message: FromWorker) => void = () => undefined;
	#died: (place: number) => void = () => undefined;

	constructor(plan: Plan, provider: TestProvider) {
		this.#plan = plan;
		this.#provider = provider;
		this.#processes = Array.from({ length: PROCESSES }, (_, place) => this.#start(place));
	}

	stop(): void {
		for (const process of this.#processes) process.kill('SIGKILL');
	}

	/** A session with tokens of a new login, as a cookie. */
	async begin(refresh: string): Promise<string> {
		return new Promise((resolve) => {
			this.#told = (message) => {
				if (message.kind === 'begun') resolve(message.cookie);
			};
			const response = {
				access_token: 'the first',
				refresh_token: refresh,
				expires_in: LIFETIME
			};
			this.#tell(0, { kind: 'begin', response });
		});
	}

	/** Moves the time of all processes. */
	advance(milliseconds: number): void {
		this.#offset += milliseconds;
		for (let place = 0; place < PROCESSES; place++)
			this.#tell(place, { kind: 'clock', offset: this.#offset });
	}

	/** All requests at once, after their token has expired. Errors begin with `!`. */
	async expire(
		cookie: string,
		kill: Moment | undefined
	): Promise<{ answers: string[]; isKilled: boolean }> {
		const answers = new Map<number, string>();
		const dead = new Set<number>();
		let isKilled = false;
		await new Promise<void>((resolve) => {
			const done = (): void => {
				if (answers.size + dead.size === REQUESTS) resolve();
			};
			this.#told = (message) => {
				if (message.kind !== 'answered') return;
				answers.set(message.number, message.access ?? `!${message.error}`);
				done();
			};
			this.#died = (place) => {
				isKilled = true;
				for (let number = place; number < REQUESTS; number += PROCESSES)
					if (!answers.has(number)) dead.add(number);
				// Its lease ends for the others.
				this.advance(LEASE);
				done();
			};
			this.#provider.onRequest = (asked) => {
				this.#asked(asked, isKilled ? undefined : kill);
			};
			for (let number = 0; number < REQUESTS; number++)
				this.#tell(number % PROCESSES, { kind: 'ask', number, cookie });
		});
		return { answers: [...answers.values()], isKilled };
	}

	/** Answers a request for tokens, and kills the process that has sent it. */
	#asked({ request, response, answer }: TokenRequest, kill: Moment | undefined): void {
		const place = Number(request.headers.worker);
		const ends = (): void => {
			this.#kill(place);
		};
		if (kill === 'before') {
			request.destroy();
			ends();
			return;
		}
		if (kill === 'answered') response.once('finish', ends);
		answer(kill === 'granted' ? ends : () => undefined);
	}

	#kill(place: number): void {
		this.#processes[place]?.kill('SIGKILL');
		this.#processes[place] = this.#start(place);
		this.#died(place);
	}

	#start(place: number): ChildProcess {
		const { port } = this.#plan;
		const given = [`${port}`, this.#provider.issuer, `${place}`, this.#sample];
		const process = fork(WORKER, [...given, `${this.#offset}`]);
		process.on('message', (message: FromWorker) => {
			// A message of a process that was killed meanwhile counts for nothing.
			if (this.#processes[place] === process) this.#told(message);
		});
		return process;
	}

	#tell(place: number, message: ToWorker): void {
		const process = this.#processes[place];
		if (process?.connected) process.send(message);
	}
}
