import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Runs a program to its end; what it printed is in the error if it fails. */
export async function run(
	command: string,
	args: string[],
	cwd: string,
	env: NodeJS.ProcessEnv = {}
): Promise<string> {
	const { stdout } = await promisify(execFile)(command, args, {
		cwd,
		env: { ...process.env, ...env },
		maxBuffer: 1 << 26
	});
	return stdout;
}

export interface Server {
	url: string;
	/** The origin that the app believes to have. */
	origin: string;
	stop: () => Promise<void>;
}

/** Starts a server on a free port and waits until it answers as itself. */
export async function serve(
	command: string,
	args: (port: number) => string[],
	cwd: string,
	env: (port: number) => NodeJS.ProcessEnv
): Promise<Server> {
	const port = await freePort();
	const nonce = randomUUID();
	const server = spawn(command, args(port), {
		cwd,
		env: { ...process.env, NONCE: nonce, ...env(port) },
		stdio: ['ignore', 'pipe', 'pipe']
	});
	let output = '';
	server.stdout.on('data', (data: Buffer) => (output += data.toString()));
	server.stderr.on('data', (data: Buffer) => (output += data.toString()));
	const url = `http://localhost:${port}`;
	const stop = async (): Promise<void> => {
		if (server.exitCode !== null || server.signalCode !== null) return;
		const ended = new Promise((resolve) => server.once('exit', resolve));
		server.kill();
		await ended;
	};
	for (let tries = 0; tries < 300 && server.exitCode === null; tries++) {
		await sleep(100);
		const answer = await fetch(`${url}/api/nonce`).catch(() => undefined);
		if (!answer?.ok) continue;
		const body = (await answer.json()) as { nonce?: string; origin: string };
		if (body.nonce === nonce) return { url, origin: body.origin, stop };
	}
	await stop();
	throw new Error(`no answer from ${command} ${args(port).join(' ')}:\n${output}`);
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}
