import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { chromium, type Browser } from 'playwright-core';

import { LAUNCH } from '../../sveltekit/e2e/chromium.ts';
import { CLIENT, type Client } from '../provider/clients.ts';

export const ORIGIN = `http://localhost:${process.env.PORT ?? '3000'}`;
export const PROVIDER_PORT = Number(process.env.PROVIDER_PORT ?? '4000');
export const ISSUER = `http://127.0.0.1:${PROVIDER_PORT}`;
export const COOKIE = 'cloakroom-oidc';

export interface App {
	/** All that it has printed. */
	log: () => string;
	stop: () => Promise<void>;
}

const FOLDER = new URL('..', import.meta.url).pathname;

/** An app that was built, and its address. */
export interface Built {
	folder: string;
	origin: string;
	client: Client;
	/** The address of the other app. Default: none. */
	other?: string;
}

/** The app, as the test finds it. */
export const BUILT: Built = { folder: 'build', origin: ORIGIN, client: CLIENT };

/** Builds the app for another address. */
export async function buildApp(folder: string, origin: string): Promise<void> {
	const vite = fileURLToPath(import.meta.resolve('vite/package.json')).replace(
		/package\.json$/,
		'bin/vite.js'
	);
	const env = { ...process.env, NODE_ENV: 'production', ORIGIN: origin, BUILD: folder };
	await promisify(execFile)(process.execPath, [vite, 'build'], { cwd: FOLDER, env });
}

/** Starts a built app, and waits until it answers. */
export async function startApp({ folder, origin, client, other }: Built = BUILT): Promise<App> {
	const server = spawn(process.execPath, [folder], {
		cwd: FOLDER,
		env: {
			...process.env,
			HOST: '127.0.0.1',
			PORT: new URL(origin).port,
			SESSION_SECRET: 'the secret of the browser test, long enough',
			OIDC_ISSUER: ISSUER,
			OIDC_CLIENT_ID: client.id,
			OIDC_CLIENT_SECRET: client.secret,
			APP_NAME: client.name,
			...(other !== undefined && { OTHER_APP: other })
		},
		stdio: ['ignore', 'pipe', 'pipe']
	});
	let printed = '';
	for (const stream of [server.stdout, server.stderr]) {
		stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
	}
	const ended = once(server, 'exit');
	for (let tries = 0; ; tries++) {
		if ((await fetch(origin).catch(() => undefined))?.ok) break;
		if (server.exitCode !== null || tries === 100) {
			server.kill();
			throw new Error(`the app does not answer at ${origin}:\n${printed}`);
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
