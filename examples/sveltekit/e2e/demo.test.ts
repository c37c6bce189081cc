import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { cloakroom, type Demo } from './cloakroom.js';

const PORT = process.env.PORT ?? '3000';
const FOLDER = new URL('..', import.meta.url).pathname;

cloakroom(start, '', { movesClock: true });

async function start(): Promise<Demo> {
	const origin = `http://localhost:${PORT}`;
	const server = spawn(process.execPath, ['--import', './e2e/clock.js', 'build'], {
		cwd: FOLDER,
		env: {
			...process.env,
			HOST: '127.0.0.1',
			PORT,
			SESSION_SECRET: 'the secret of the browser test, long enough'
		},
		stdio: ['inherit', 'inherit', 'inherit', 'ipc']
	});
	for (let tries = 0; tries < 100; tries++) {
		if ((await fetch(`${origin}/about`).catch(() => undefined))?.ok) break;
		await sleep(100);
	}
	const pass = async (seconds: number): Promise<void> => {
		const moved = once(server, 'message');
		server.send(seconds);
		await moved;
	};
	return { origin, pass, stop: () => void server.kill() };
}
