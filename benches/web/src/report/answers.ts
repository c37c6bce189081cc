/** The answers, as a page of one screen: the few numbers out of all tables that a reader looks for first. */
import { number, table } from './page.ts';
import type { Results } from './results.ts';

/** A row: a question, and where each library's number is. Undefined where a library was not measured. */
interface Question {
	asked: string;
	unit: string;
	group: string;
	name: string;
}

const WEB = ['vestiary', 'svelte-kit-sessions', 'express-session'];
const NATIVE = ['vestiary', 'tower-sessions', 'axum_session'];

const IN_PROCESS: Question[] = (
	[
		['A visitor without a cookie', 'no cookie'],
		['A forged cookie', 'forged cookie'],
		['Read the session', 'valid cookie, read'],
		['Read it, change it and save', 'read and save'],
		['Log in', 'login'],
		['Read a rolling session', 'rolling, read']
	] as const
).map(([asked, name]) => ({ asked, unit: 'µs', group: 'handle-sequential', name }));

const ROUND_TRIPS: Question[] = (
	[
		['Read the session', 'valid cookie, read'],
		['Read the session of a logged-in user', 'logged in, read'],
		['Read it, change it and save', 'read and save'],
		['Read a rolling session', 'rolling, read'],
		['Log in a new visitor', 'login of a new visitor'],
		['End all sessions of a user', 'all sessions of a user ended']
	] as const
).map(([asked, name]) => ({ asked, unit: '', group: 'redis-round-trips', name }));

const OVER_HTTP: Question[] = (
	[
		['An endpoint that reads the session', 'endpoint, valid cookie, read'],
		['An endpoint that reads and saves', 'endpoint, read and save'],
		['A page that reads the session', 'page, valid cookie, read']
	] as const
).map(([asked, name]) => ({ asked, unit: '%', group: 'http-share', name }));

const IN_RUST: Question[] = (
	[
		['A handler that does not ask for the session', 'valid cookie, untouched'],
		['Read the session', 'valid cookie, read'],
		['Read it and change it', 'valid cookie, write'],
		['Read a session of 16 KB', '16 KB session, read']
	] as const
).map(([asked, name]) => ({ asked, unit: 'ns', group: 'native-layer', name }));

const MEMORY_AND_SIZE: Question[] = [
	{
		asked: 'A session of 200 bytes in memory, of a million',
		unit: 'B',
		group: 'scale-web-memory',
		name: '1,000,000 sessions'
	},
	{ asked: 'The WebAssembly, gzipped', unit: 'kB', group: 'size', name: 'WebAssembly, gzip' },
	{ asked: 'Import in Node.js', unit: 'ms', group: 'start', name: 'the package' }
];

/** The page's middle: a small table for each question that a reader has. */
export function answersOf(results: Results): string {
	const compare = (questions: Question[], peers: string[]): string =>
		table(
			['', ...peers],
			questions.map((question) => [
				question.asked,
				...peers.map((peer) => answer(results, question, peer))
			])
		);
	return [
		'## What a request costs in SvelteKit',
		'The time that the handle adds to a request, sessions in memory, one request after the other. Less is better.',
		compare(IN_PROCESS, WEB),
		'## Round trips to Redis',
		'How often a request waits for Redis. Less is better.',
		compare(ROUND_TRIPS, WEB),
		'## Throughput of a server',
		'Requests per second, as a share of the same app without sessions; one core, 32 connections. More is better.',
		compare(OVER_HTTP, WEB.slice(0, 2)),
		'## What a request costs in Rust',
		'The time that the layer adds to a request, sessions in memory. Less is better.',
		compare(IN_RUST, NATIVE),
		'## Memory and size',
		compare(MEMORY_AND_SIZE, WEB)
	].join('\n\n');
}

function answer(results: Results, { group, name, unit }: Question, peer: string): string {
	const median = results.median(group, name, peer);
	return median === undefined ? '–' : `${number(median)} ${unit}`.trim();
}
