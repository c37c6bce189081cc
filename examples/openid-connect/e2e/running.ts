import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { chromium, type Browser } from 'playwright-core';

import { LAUNCH } from '../../sveltekit/e2e/chromium.ts';
import { CLIENT } from '../provider/provider.ts';

export const ORIGIN = `http://localhost:${process.env.PORT ?? '3000'}`;
export const PROVIDER_PORT = Number(process.env.PROVIDER_PORT ?? '4000');
export const ISSUER = `http://127.0.0.1:${PROVIDER_PORT}`;
export const COOKIE = 'cloakroom-oidc';

export interface App {
	/** All that it has printed. */
	log: () => string;
	stop: () => Promise<void>;
}

/** Starts the built app, and waits until it answers. */
export async function startApp(): Promise<App> {
	const server = spawn(process.execPath, ['build'], {
		cwd: new URL('..', import.meta.url).pathname,
		env: {
			...process.env,
			HOST: '127.0.0.1',
			PORT: new URL(ORIGIN).port,
			SESSION_SECRET: 'the secret of the browser test, long enough',
			OIDC_ISSUER: ISSUER,
			OIDC_CLIENT_ID: CLIENT.id,
			OIDC_CLIENT_SECRET: CLIENT.secret
		},
		stdio: ['ignore', 'pipe', 'pipe']
	});
	let printed = '';
	for (const stream of [server.stdout, server.stderr]) {
		stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
	}
	const ended = once(server, 'exit');
	for (let tries = 0; ; tries++) {
		if ((await fetch(ORIGIN).catch(() => undefined))?.ok) break;
		if (server.exitCode !== null || tries === 100) {
			server.kill();
			throw new Error(`the app does not answer at ${ORIGIN}:\n${printed}`);
		}
		await sleep(100);
	}
	return {
		log: () => printed,
		stop: async () => {
			server.kill();
			await ended;
		}
	};
}

export function startBrowser(): Promise<Browser> {
	return chromium.launch(LAUNCH);
}

/** Sends a request with this cookie, and follows no redirect. */
export function ask(path: string, cookie?: string, init: RequestInit = {}): Promise<Response> {
	const headers = new Headers(init.headers);
	if (cookie !== undefined) headers.set('cookie', `${COOKIE}=${cookie}`);
	if (!headers.has('accept')) headers.set('accept', 'text/html');
	return fetch(new URL(path, ORIGIN), { ...init, headers, redirect: 'manual' });
}

/** The session cookie that a response sets. */
export function cookieOf(response: Response): string {
	const header = response.headers.getSetCookie().find((line) => line.startsWith(`${COOKIE}=`));
	return header?.slice(COOKIE.length + 1).split(';')[0] ?? '';
}

/** The address that a response redirects to. */
export function locationOf(response: Response): URL {
	return new URL(response.headers.get('location') ?? '', response.url);
}
