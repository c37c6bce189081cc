/** The handle in workerd, timed from outside: inside, the clock stands still while code runs. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Context } from '../context.ts';
import { Load } from '../http/servers.ts';
import { bundle, KIT_JAR } from '../kit.ts';
import { shuffled } from '../measure.ts';
import type { Work } from '../peers/peer.ts';
import { spread, write, type Measured } from '../results.ts';
import { Workerd } from './process.ts';

const PEERS = ['bare', 'vestiary', 'svelte-kit-sessions'] as const;
type Name = (typeof PEERS)[number];

interface Asked {
	name: string;
	work: Work;
	cookie: 'none' | 'valid' | 'forged';
}

const READ: Asked = { name: 'valid cookie, read', work: 'read', cookie: 'valid' };
const ASKED: Asked[] = [
	{ name: 'no cookie', work: 'nothing', cookie: 'none' },
	{ name: 'forged cookie', work: 'nothing', cookie: 'forged' },
	READ,
	{ name: 'read and save', work: 'save', cookie: 'valid' }
];

export async function workerd(context: Context): Promise<void> {
	const folder = `${context.build}/workerd`;
	mkdirSync(folder, { recursive: true });
	const files = new Map<Name, string[]>();
	for (const peer of PEERS) files.set(peer, await build(folder, peer));
	await measureStart(context, folder, files);
	const running = new Map<Name, Workerd>();
	const cookies = new Map<Name, string>();
	try {
		for (const [peer, made] of files) {
			const one = await Workerd.start(folder, made);
			running.set(peer, one);
			cookies.set(peer, await check(context, peer, one));
		}
		await measureHandle(context, running, cookies);
		await measureThroughput(context, running, cookies);
	} finally {
		for (const one of running.values()) await one.stop();
	}
}

/** The files of a Worker, its own first. */
async function build(folder: string, peer: Name): Promise<string[]> {
	const script = `worker-${peer}.js`;
	const wasm = new Set<string>();
	await bundle({
		input: fileURLToPath(new URL(`worker-${peer}.ts`, import.meta.url)),
		file: `${folder}/${script}`,
		platform: 'neutral',
		conditions: ['workerd', 'svelte'],
		plugins: [
			{
				name: 'worker',
				resolveId: (id, from) => {
					if (id === 'kit-jar') return KIT_JAR;
					if (!id.endsWith('.wasm') || from === undefined) return null;
					const name = 'vestiary.wasm';
					copyFileSync(fileURLToPath(new URL(id, `file://${from}`)), `${folder}/${name}`);
					wasm.add(name);
					return { id: name, external: true };
				}
			}
		]
	});
	return [script, ...wasm];
}

/** Logs in, and checks that the Worker does its work. Returns the cookie. */
async function check({ checked }: Context, peer: Name, one: Workerd): Promise<string> {
	const { cookie } = await one.get('/?work=login');
	assert.equal(cookie === '', peer === 'bare');
	for (const asked of ASKED) {
		const answer = await one.get(pathOf(asked, 2), sent(asked, cookie));
		assert.equal(answer.status, 200, asked.name);
		const known = asked.work !== 'nothing';
		assert.equal(answer.text !== 'anonymous', known, `${peer}: ${asked.name}`);
		const sets = peer !== 'bare' && asked.work === 'save';
		assert.equal(answer.cookie !== '', sets, `${peer}: ${asked.name}: cookie`);
		checked(`workerd, ${peer}: ${asked.name}`);
	}
	return cookie;
}

async function measureHandle(
	{ smoke, folder }: Context,
	running: Map<Name, Workerd>,
	cookies: Map<Name, string>
): Promise<void> {
	const times = smoke ? 2 : 500;
	const all = ASKED.flatMap((asked) =>
		PEERS.map((peer) => ({ asked, peer, micros: [] as number[] }))
	);
	const rounds = smoke ? 1 : 30;
	for (let round = smoke ? 0 : -5; round < rounds; round++) {
		for (const { asked, peer, micros } of shuffled(all)) {
			const begin = performance.now();
			await running.get(peer)?.get(pathOf(asked, times), sent(asked, cookies.get(peer)));
			const taken = ((performance.now() - begin) * 1_000) / times;
			if (round >= 0) micros.push(taken);
		}
	}
	const rows = all
		.filter(({ peer }) => peer !== 'bare')
		.map(({ asked, peer, micros }) => {
			const bare = all.find((one) => one.asked === asked && one.peer === 'bare');
			const over = micros.map((each, round) => each - (bare?.micros[round] ?? NaN));
			const absolute = spread(micros).median;
			return { case: asked.name, peer, ...spread(over), over: 'bare', absolute };
		});
	await save(folder, {
		group: 'workerd-handle',
		title: 'SvelteKit handle in workerd',
		unit: 'µs',
		lowerIsBetter: true,
		method:
			`A Worker runs the handle ${times} times in a request, and is timed from outside. The number is ` +
			'the cost over a Worker without sessions, which creates the same events. vestiary uses its ' +
			'memory store. svelte-kit-sessions uses a map of text, because the timers of its memory store ' +
			'end with the request that created them.',
		rows
	});
}

async function measureThroughput(
	{ smoke, folder }: Context,
	running: Map<Name, Workerd>,
	cookies: Map<Name, string>
): Promise<void> {
	const load = new Load();
	const all = PEERS.map((peer) => ({ peer, perSecond: [] as number[] }));
	for (let round = smoke ? 0 : -1; round < (smoke ? 1 : 10); round++) {
		for (const { peer, perSecond } of shuffled(all)) {
			const { answered, seconds } = await load.run({
				port: running.get(peer)?.port ?? 0,
				path: pathOf(READ, 1),
				cookies: [cookies.get(peer) ?? ''].filter(Boolean),
				connections: 16,
				milliseconds: smoke ? 50 : 500
			});
			if (round >= 0) perSecond.push(answered / seconds);
		}
	}
	await load.stop();
	await save(folder, {
		group: 'workerd-throughput',
		title: 'workerd over HTTP: throughput',
		unit: 'requests/s',
		lowerIsBetter: false,
		method:
			'The same Workers run one handle per request. 16 connections each send the next request when ' +
			'they have a response.',
		rows: all.map(({ peer, perSecond }) => ({ case: READ.name, peer, ...spread(perSecond) }))
	});
}

/** The time until a process listens, and then until its first answer. */
async function measureStart(
	{ smoke, folder }: Context,
	build: string,
	files: Map<Name, string[]>
): Promise<void> {
	const all = PEERS.map((peer) => ({ peer, start: [] as number[], first: [] as number[] }));
	for (let round = 0; round < (smoke ? 1 : 15); round++) {
		for (const { peer, start, first } of shuffled(all)) {
			const one = await Workerd.start(build, files.get(peer) ?? []);
			const begin = performance.now();
			const { status } = await one.get('/');
			first.push(performance.now() - begin);
			start.push(one.startedIn);
			await one.stop();
			assert.equal(status, 200);
		}
	}
	await save(folder, {
		group: 'workerd-start',
		title: 'workerd: start, and first request',
		unit: 'ms',
		lowerIsBetter: true,
		method:
			'A new process each time. The rows are the time until it listens, and from then until it has ' +
			'answered one request, which creates the handle.',
		rows: all.flatMap(({ peer, start, first }) => [
			{ case: 'until it listens', peer, ...spread(start) },
			{ case: 'first request', peer, ...spread(first) }
		])
	});
}

function pathOf({ work }: Asked, times: number): string {
	return `/?work=${work}&times=${times}`;
}

function sent({ cookie }: Asked, valid: string | undefined): string | undefined {
	if (cookie === 'none' || !valid) return undefined;
	if (cookie === 'valid') return valid;
	const at = valid.length - 12;
	return `${valid.slice(0, at)}${valid[at] === 'a' ? 'b' : 'a'}${valid.slice(at + 1)}`;
}

function save(folder: string, measured: Measured): Promise<void> {
	return write(folder, measured, ['workerd', 'vestiary', 'svelte-kit-sessions']);
}
