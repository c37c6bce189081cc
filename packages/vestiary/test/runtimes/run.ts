import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Runs a program to its end. If it fails, the error contains its output. */
export async function run(
	command: string,
	args: string[],
	cwd: string,
	env: NodeJS.ProcessEnv = {}
): Promise<string> {
	const child = start(command, args, cwd, env);
	let stdout = '';
	let output = '';
	child.stdout?.on('data', (data: Buffer) => {
		stdout += data.toString();
		output += data.toString();
	});
	child.stderr?.on('data', (data: Buffer) => (output += data.toString()));
	// A process that is left of the group holds the pipes open.
	child.once('exit', () => {
		end(child);
	});
	const code = await new Promise<number | null>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
	if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${code ?? 'killed'}\n${output}`);
	return stdout;
}

export interface Server {
	url: string;
	/** The origin that the app believes to have. */
	origin: string;
	stop: () => Promise<void>;
	/** Its output so far. */
	output: () => string;
}

/** Starts `vite dev` of the app in this folder, with this environment beside the rest. */
export async function serveDev(folder: string, more: NodeJS.ProcessEnv = {}): Promise<Server> {
	return serve(
		join(folder, 'node_modules/.bin/vite'),
		(port) => ['dev', '--port', `${port}`, '--strictPort'],
		folder,
		() => ({ NODE_ENV: 'development', ...more })
	);
}

/**
 * Builds the app in this folder with adapter-node, and starts it.
 * @param more Its environment, beside the rest; `ORIGIN` is where browsers see it
 */
export async function serveBuilt(
	folder: string,
	given?: number,
	more: NodeJS.ProcessEnv = {}
): Promise<Server> {
	const port = given ?? (await freePort());
	await run('node_modules/.bin/vite', ['build'], folder, {
		NODE_ENV: 'production',
		ORIGIN: `http://localhost:${port}`,
		...more
	});
	return startBuilt(folder, port, more);
}

/** Starts the app that was built in this folder with adapter-node. */
export async function startBuilt(
	folder: string,
	port: number,
	more: NodeJS.ProcessEnv = {}
): Promise<Server> {
	const env = {
		NODE_ENV: 'production',
		HOST: 'localhost',
		PORT: `${port}`,
		ORIGIN: `http://localhost:${port}`,
		...more
	};
	const args = ['--env-file=.env', 'build'];
	return serve(
		process.execPath,
		() => args,
		folder,
		() => env,
		'/api/nonce',
		port
	);
}

/** Starts a server on a free port and waits until it answers as itself: with the nonce in its environment. */
export async function serve(
	command: string,
	args: (port: number, nonce: string) => string[],
	cwd: string,
	env: (port: number) => NodeJS.ProcessEnv,
	noncePath = '/api/nonce',
	given?: number
): Promise<Server> {
	const port = given ?? (await freePort());
	const nonce = randomUUID();
	const server = start(command, args(port, nonce), cwd, { NONCE: nonce, ...env(port) });
	let output = '';
	server.stdout?.on('data', (data: Buffer) => (output += data.toString()));
	server.stderr?.on('data', (data: Buffer) => (output += data.toString()));
	const url = `http://localhost:${port}`;
	const stop = async (): Promise<void> => {
		if (server.exitCode === null && server.signalCode === null) {
			const ended = new Promise((resolve) => server.once('exit', resolve));
			server.kill();
			await ended;
		}
		end(server);
	};
	for (let tries = 0; tries < 300 && server.exitCode === null; tries++) {
		await sleep(100);
		const answer = await fetch(url + noncePath).catch(() => undefined);
		if (!answer?.ok) continue;
		const body = (await answer.json()) as { nonce?: string; origin: string };
		if (body.nonce === nonce) return { url, origin: body.origin, stop, output: () => output };
	}
	await stop();
	throw new Error(`no answer from ${command} ${args(port, nonce).join(' ')}:\n${output}`);
}

/** Programs that may still have processes. */
const started = new Set<ChildProcess>();

/**
 * Starts a program as the leader of its process group: wrangler, and a build with the Cloudflare
 * adapter, start a workerd that outlives them and that does not listen to SIGTERM.
 */
function start(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): ChildProcess {
	const child = spawn(command, args, {
		cwd,
		env: { ...process.env, ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
		detached: true
	});
	started.add(child);
	return child;
}

function end(child: ChildProcess): void {
	started.delete(child);
	try {
		if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
	} catch {
		// No process is left in the group.
	}
}

// A terminal's Ctrl-C does not reach other process groups.
process.once('exit', endAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
	process.once(signal, () => {
		endAll();
		process.kill(process.pid, signal);
	});
}

function endAll(): void {
	for (const child of started) end(child);
}

export async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}
