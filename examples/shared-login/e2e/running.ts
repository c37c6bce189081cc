import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { startRedis } from '../../../packages/vestiary/test/stores/servers.ts';

/** The Rust service, built by `cargo build -p shared-login-api`. */
const SERVICE =
	process.env.SHARED_LOGIN_API ??
	new URL('../../../target/debug/shared-login-api', import.meta.url).pathname;

export const ORIGIN = `http://localhost:${process.env.PORT ?? '3000'}`;

const API = `http://127.0.0.1:${process.env.PROVIDER_PORT ?? '4000'}`;

/** The stores of both halves. */
export interface Backend {
	url: string;
	stop: () => Promise<void>;
}

export interface Both {
	/** Ends the Rust half. */
	stopService: () => Promise<void>;
	stop: () => Promise<void>;
}

export async function sqlite(): Promise<Backend> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-shared-'));
	return {
		url: `sqlite:${join(folder, 'sessions.db')}`,
		stop: () => rm(folder, { recursive: true })
	};
}

export async function redis(): Promise<Backend> {
	const { ports, stop } = await startRedis();
	return { url: `redis://127.0.0.1:${ports[0] ?? 0}`, stop };
}

/** Starts both halves, and waits until both answer on the one origin. */
export async function startBoth(store: string): Promise<Both> {
	const env = {
		...process.env,
		API,
		HOST: '127.0.0.1',
		ORIGIN,
		PORT: new URL(ORIGIN).port,
		SESSION_SECRET: 'the secret of the browser test, long enough',
		SESSION_STORE: store
	};
	const cwd = new URL('..', import.meta.url).pathname;
	const service = spawn(SERVICE, { cwd, env, stdio: 'inherit' });
	const app = spawn(process.execPath, ['serve.js'], { cwd, env, stdio: 'inherit' });
	for (const path of ['/', '/api']) {
		for (let tries = 0; ; tries++) {
			if ((await fetch(ORIGIN + path).catch(() => undefined))?.ok) break;
			if (tries > 200) throw new Error(`${path} does not answer`);
			await sleep(100);
		}
	}
	return {
		stopService: () => ended(service),
		stop: async () => {
			await ended(app);
			await ended(service);
		}
	};
}

async function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exit = once(child, 'exit');
	child.kill();
	await exit;
}
