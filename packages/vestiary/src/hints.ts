import type { RequestEvent } from '@sveltejs/kit';

import type { Core } from './core.js';
import { observer } from './observed.js';
import { isLocalHost } from './this-machine.js';
import type { SessionCookieOptions, SveltekitSessionConfig } from './types.js';

/** The longest lifetime that browsers accept for a cookie (RFC 6265bis section 5.5), in seconds: 400 days. */
const LONGEST_LIFE = 34_560_000;

/** Options in seconds, beside `cookie.maxAge`. */
const SECONDS = [
	'idleTimeout',
	'absoluteTimeout',
	'renewAfter',
	'renewGrace',
	'touchAfter'
] as const;

/** Words that the secrets of examples and tutorials consist of. */
const WORDS =
	'a|abcdefghijklmnopqrstuvwxyz|admin|an|and|app|application|are|at|auth|bar|base|be|better|by|bytes|can|cat|catkeyboard|change|changed|changeit|changeme|character|characters|chars|complex|cookie|default|demo|dev|development|do|dont|dummy|enter|env|example|express|foo|for|generate|generated|goes|h|hard|hash|hello|here|hex|hunter|in|insecure|insert|is|it|jwt|key|keyboard|keys|kit|least|length|local|long|me|min|minimum|must|my|new|no|not|null|of|old|only|own|pass|passphrase|password|phrase|placeholder|please|prod|production|put|qwerty|random|randomly|replace|s3cr3t|s3cret|safe|salt|sample|secret|secrets|secure|seed|session|sessions|set|sh|shared|should|sign|signing|snapcracklepop|so|some|something|string|strong|sup3r|super|svelte|sveltekit|test|testing|that|the|this|to|todo|token|top|undefined|unique|unsafe|use|value|very|vestiary|with|world|x|your'.split(
		'|'
	);

/**
 * Hints at probable mistakes in these options.
 * @param canGuess Whether a secret can be guessed, so that production refuses it
 */
export function hintsFor(
	options: SveltekitSessionConfig,
	canGuess: (secret: string) => boolean
): string[] {
	const { cookie = {}, secret, store, storeTimeout } = options;
	const secrets = Array.isArray(secret) ? secret : [secret];
	const hints: string[] = [];
	const inSeconds = [
		['cookie.maxAge', cookie.maxAge],
		...SECONDS.map((name) => [name, options[name]])
	] as [string, number | undefined][];
	for (const [name, value] of inSeconds) {
		if (value === undefined || !Number.isFinite(value)) continue;
		if (value > LONGEST_LIFE)
			hints.push(
				`\`${name}\` is ${value} seconds, more than the 400 days for which browsers keep a cookie: is it in milliseconds?`
			);
		else if (looksLikeMilliseconds(value))
			hints.push(
				`\`${name}\` is ${value} seconds, which is ${daysOf(value)}: is it in milliseconds? For ${value / 60_000} minutes write ${value / 1_000}`
			);
	}
	if (storeTimeout !== undefined && storeTimeout > 0 && storeTimeout < 50)
		hints.push(`\`storeTimeout\` is ${storeTimeout} milliseconds: is it in seconds?`);
	if (secrets.some(isKnown)) {
		hints.push(
			'`secret` is a well-known example: read a random one from the environment, made with `openssl rand -base64 32`'
		);
	} else if (secrets.some(canGuess)) {
		hints.push(
			'`secret` can be guessed, and production refuses it: make a better one with `openssl rand -base64 32`'
		);
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

/** Whether the value is whole minutes if read as milliseconds, and not whole days if read as seconds. */
function looksLikeMilliseconds(value: number): boolean {
	return value >= 60_000 && value % 60_000 === 0 && value % 86_400 !== 0;
}

function daysOf(seconds: number): string {
	const days = seconds / 86_400;
	return days < 2 ? `${Math.round(days * 24)} hours` : `${Math.round(days)} days`;
}

/** Whether a secret comes from an example: it consists only of such words and of numbers, in any notation. */
function isKnown(secret: string): boolean {
	const letters = secret.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
	if (letters === '' || letters.length >= 100) return false;
	// The positions where a word may end. A regular expression of the words would take exponential time.
	const ends = new Set([0]);
	for (let start = 0; start < letters.length; start++) {
		if (!ends.has(start)) continue;
		if (/[0-9]/.test(letters.charAt(start))) ends.add(start + 1);
		for (const word of WORDS)
			if (letters.startsWith(word, start)) ends.add(start + word.length);
	}
	return ends.has(letters.length);
}

/** The options of handles that have seen a request. */
const used = new WeakSet<object>();

/** The parts of a handle that the hints need. */
interface Used {
	readonly options: SveltekitSessionConfig;
	readonly core: Pick<Core, 'secure'>;
	readonly cookie: Readonly<SessionCookieOptions>;
}

/** Hints at probable mistakes that this request reveals. */
export function hintForUse(event: RequestEvent, { options, core, cookie }: Used): void {
	if (used.has(options) && cookie.expires && cookie.maxAge === undefined)
		hint(
			'`cookie.expires` is one fixed moment: all sessions end then, and no session begins after it. Use `cookie.maxAge`, in seconds'
		);
	used.add(options);
	const { url, cookies } = event as Partial<RequestEvent>;
	if (url?.protocol !== 'http:' || isLocalHost(url.hostname)) return;
	if (core.secure === true)
		hint(
			`\`cookie.secure\` is true, but this page came over http from ${url.hostname}: the browser will not keep the cookie`
		);
	else if (
		core.secure === undefined &&
		typeof cookies?.serialize === 'function' &&
		/;\s*secure\s*(?:;|$)/i.test(cookies.serialize('sample', '', { path: '/' }))
	)
		hint(
			`SvelteKit makes cookies \`Secure\`, but this page came over http from ${url.hostname}: the browser will not keep the cookie. Use https or localhost, or set \`cookie: { secure: false }\` in development`
		);
}

/** The number of requests with a cookie of an invalid signature, by the cookie's name. */
const rejected = new Map<string, number>();

/** Hints at cookies of another app. A single one may date from before a change of the secret. */
export function hintForEvent(type: string, cookieName: string): void {
	if (type !== 'rejected') return;
	const count = (rejected.get(cookieName) ?? 0) + 1;
	rejected.set(cookieName, count);
	if (count === 3)
		hint(
			`the browser sends a cookie \`${cookieName}\` that \`secret\` has not signed: another app on this host has a cookie of this name (ports make no difference), or the secret has changed. Give each app its own \`name\`, and keep the secret in \`.env\``
		);
}

const given = new Set<string>();

/** Prints a hint, once. */
export function hint(text: string): void {
	observer()?.hint(text);
	if (given.has(text)) return;
	given.add(text);
	// eslint-disable-next-line no-console -- for the developer who watches the terminal
	console.warn(`[vestiary] ${text}`);
}
