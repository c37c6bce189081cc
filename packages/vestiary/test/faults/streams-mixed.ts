/** The other kinds of processes for the runs with streams: a built SvelteKit app with a live query, and an axum service. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../stores/servers.ts';
import {
	COOKIE,
	now,
	opening,
	openStream,
	SECRET,
	type Stream,
	type StreamProcess,
	type StreamStore
} from '../stores/streams.ts';
import { tied } from './servers.ts';

const APP = new URL('live-app/', import.meta.url).pathname;
const VITE = new URL('../../../../node_modules/vite/bin/vite.js', import.meta.url).pathname;
const QUIET: StdioOptions = ['ignore', 'ignore', 'inherit'];

/** Builds the SvelteKit app of {@link liveQueries}. */
export async function buildLiveApp(): Promise<void> {
	await rm(join(APP, 'build'), { recursive: true, force: true });
	const build = spawn(process.execPath, [VITE, 'build'], { cwd: APP, stdio: QUIET });
	const [code] = (await once(build, 'exit')) as [number | null];
	if (code !== 0) throw new Error(`the app with the live query was not built: ${code ?? ''}`);
}

/** Starts the built app, whose live query gives the time. */
export async function liveQueries(
	{ kind, address }: StreamStore,
	recheckAfter: number
): Promise<StreamProcess> {
	const port = await freePort();
	const origin = `http://127.0.0.1:${port}`;
	const child = spawn(process.execPath, ['build'], {
		cwd: APP,
		stdio: QUIET,
		env: {
			...process.env,
			ORIGIN: origin,
			HOST: '127.0.0.1',
			PORT: `${port}`,
			SESSION_COOKIE: COOKIE,
			SESSION_SECRET: SECRET,
			STREAM_STORE: kind,
			STREAM_ADDRESS: address,
			RECHECK_AFTER: `${recheckAfter}`
		}
	});
	await listening(tied(child), port);
	const url = `${origin}/_app/remote/${await remoteHash()}/times`;
	return {
		kind: 'live queries',
		logins: origin,
		open: async (cookie) => openStream(url, { cookie, origin, 'x-sveltekit-pathname': '/' }),
		stop: () => child.kill()
	};
}

/** The name that the build has given to the module of remote functions. */
async function remoteHash(): Promise<string> {
	const manifest = await readFile(join(APP, 'build/server/manifest.js'), 'utf8');
	const hash = /remotes: \{\s*'?"?(\w+)/.exec(manifest)?.[1];
	if (hash === undefined) throw new Error('the built app has no remote function');
	return hash;
}

/** Starts the axum service of `examples/shared-login`, which says each second for how long a WebSocket has been open. */
export async function webSockets({ kind, address }: StreamStore): Promise<StreamProcess> {
	const program = process.env.SHARED_LOGIN_API;
	if (program === undefined) throw new Error('SHARED_LOGIN_API is not set');
	const port = await freePort();
	const child = spawn(program, [], {
		stdio: QUIET,
		env: {
			...process.env,
			SESSION_SECRET: SECRET,
			SESSION_STORE: kind === 'SQLite' ? `sqlite:${address}` : `redis://127.0.0.1:${address}`,
			API: `http://127.0.0.1:${port}`
		}
	});
	await listening(tied(child), port);
	return {
		kind: 'WebSockets in Rust',
		open: async (cookie) => openSocket(`ws://127.0.0.1:${port}/api/live`, cookie),
		stop: () => child.kill()
	};
}

async function openSocket(url: string, cookie: string): Promise<Stream> {
	// The headers are an extension of Node.js.
	const socket = new WebSocket(url, { headers: { cookie } } as never);
	const { stream, over } = opening(() => {
		socket.close();
	});
	socket.addEventListener('message', () => {
		stream.chunks++;
		stream.last = now();
	});
	socket.addEventListener('close', over);
	await new Promise<void>((resolve, reject) => {
		socket.addEventListener('open', () => {
			resolve();
		});
		socket.addEventListener('error', () => {
			reject(new Error('a socket was refused'));
		});
	});
	return stream;
}

/** Waits until a process listens on a port. */
async function listening(child: ChildProcess, port: number): Promise<void> {
	for (;;) {
		if (child.exitCode !== null) throw new Error('a process ended before it listened');
		const socket = connect(port, '127.0.0.1');
		const connected = await once(socket, 'connect').then(
			() => true,
			() => false
		);
		socket.destroy();
		if (connected) return;
		await sleep(50);
	}
}
