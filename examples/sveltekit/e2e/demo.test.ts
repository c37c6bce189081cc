import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import { passTime } from 'vestiary/testing';

import { cloakroom, type Demo } from './cloakroom.js';

const PORT = process.env.PORT ?? '3000';
const FOLDER = new URL('..', import.meta.url).pathname;

cloakroom(start, '', { isTestServer: true });

async function start(): Promise<Demo> {
	const origin = `http://localhost:${PORT}`;
	const server = spawn(process.execPath, ['--import', 'vestiary/testing/server', 'build'], {
		cwd: FOLDER,
		env: {
			...process.env,
			HOST: '127.0.0.1',
			PORT,
			SESSION_SECRET: 'the secret of the browser test, long enough'
		},
		stdio: 'inherit'
	});
	for (let tries = 0; tries < 100; tries++) {
		if ((await fetch(`${origin}/about`).catch(() => undefined))?.ok) break;
		await sleep(100);
	}
	const pass = async (seconds: number): Promise<void> => passTime(seconds, origin);
	return { origin, pass, stop: () => void server.kill() };
}
