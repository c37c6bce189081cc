import type { RequestEvent } from '@sveltejs/kit';

import type { SveltekitSessionConfig } from './types.js';

/** Seconds after which browsers drop any cookie (RFC 6265bis section 5.5): 400 days. */
const LONGEST_LIFE = 34_560_000;

/** Secrets out of tutorials. */
const LITERALS = [
	'secret',
	'changeme',
	'keyboard cat',
	'password',
	'your-secret',
	'session-secret'
];

/** What is probably a mistake in these options, for a developer to read. */
export function hintsFor(options: SveltekitSessionConfig): string[] {
	const { cookie = {}, secret, store } = options;
	const secrets = Array.isArray(secret) ? secret : [secret];
	const hints: string[] = [];
	if (cookie.maxAge !== undefined && cookie.maxAge > LONGEST_LIFE) {
		hints.push(
			`\`cookie.maxAge\` is ${cookie.maxAge} seconds, more than the 400 days for which browsers keep a cookie: is it in milliseconds?`
		);
	}
	if (secrets.some((one) => LITERALS.includes(one.toLowerCase()))) {
		hints.push('`secret` is one that everybody knows: read a random one from the environment');
	} else if (secrets.some((one) => new TextEncoder().encode(one).length < 32)) {
		hints.push(
			'`secret` has fewer than 32 bytes: make a better one with `openssl rand -base64 32`'
		);
	}
	if (cookie.path !== undefined && cookie.path !== '/') {
		hints.push(
			`\`cookie.path\` is \`${cookie.path}\`: outside of it the browser sends no cookie, and visitors have no session`
		);
	}
	if (!store) {
		hints.push(
			'sessions are kept in memory, until this process ends: in production pass a `store`'
		);
	}
	return hints;
}

/** What is probably a mistake, given where this request came from. */
export function hintFor(event: RequestEvent, secure: boolean | undefined): string | undefined {
	const { hostname, protocol } = event.url;
	const local = hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
	return secure === true && protocol === 'http:' && !local
		? `\`cookie.secure\` is true, but this page came over http from ${hostname}: the browser will not keep the cookie`
		: undefined;
}

const given = new Set<string>();

/** Prints a hint, once. */
export function hint(text: string): void {
	if (given.has(text)) return;
	given.add(text);
	// eslint-disable-next-line no-console -- for the developer who watches the terminal
	console.warn(`[vestiary] ${text}`);
}
