/** The measured requests, created for each library, and checked for their effect. */
import assert from 'node:assert/strict';

import type { Candidate } from './measure.ts';
import {
	dataOf,
	type App,
	type Exchange,
	type Options,
	type Peer,
	type Wait,
	type Work
} from './peers/peer.ts';

export interface Case {
	name: string;
	work: Work;
	cookie: 'none' | 'valid' | 'forged' | 'unknown' | 'signed by the last secret';
	options: Partial<Omit<Options, 'data' | 'secrets'>>;
	/** The number of secrets. */
	secrets: number;
	/** Bytes of the session's data as JSON. */
	bytes: number;
	/** Bytes of other cookies in the header. */
	others?: number;
	/** Whether a response to this sets the cookie. */
	sets: boolean;
}

const READ: Case = {
	name: 'valid cookie, read',
	work: 'read',
	cookie: 'valid',
	options: {},
	secrets: 1,
	bytes: 64,
	sets: false
};

export const CASES: Case[] = [
	{ ...READ, name: 'no cookie', work: 'nothing', cookie: 'none' },
	{ ...READ, name: 'forged cookie', work: 'nothing', cookie: 'forged' },
	{ ...READ, name: 'unknown ID', work: 'nothing', cookie: 'unknown' },
	{ ...READ, name: 'valid cookie, not looked at', work: 'nothing' },
	READ,
	{ ...READ, name: 'read and save', work: 'save', sets: true },
	{ ...READ, name: 'login', work: 'login', sets: true },
	{ ...READ, name: 'rolling, read', options: { rolling: true }, sets: true },
	{
		...READ,
		name: '5 secrets, signed by the last',
		cookie: 'signed by the last secret',
		secrets: 5
	},
	{ ...READ, name: '256 B of data, read', bytes: 256 },
	{ ...READ, name: '1 KiB of data, read', bytes: 1_024 },
	{ ...READ, name: '16 KiB of data, read', bytes: 16_384 },
	{ ...READ, name: 'hashed IDs, read', options: { hashIds: true } },
	{ ...READ, name: 'encrypted, read', options: { encrypt: true } },
	{
		...READ,
		name: 'encrypted, read and save',
		options: { encrypt: true },
		work: 'save',
		sets: true
	}
];

/** Cases for the growth of a read's cost with one parameter. */
export const GROWTH: Record<'header' | 'secrets' | 'data', Case[]> = {
	header: [0, 1_024, 4_096, 16_384, 65_536].map((others) => ({
		...READ,
		name: `${others}`,
		others
	})),
	secrets: [1, 2, 5, 10].map((secrets) => ({
		...READ,
		name: `${secrets}`,
		cookie: 'signed by the last secret' as const,
		secrets
	})),
	data: [64, 256, 1_024, 4_096, 16_384, 65_000].map((bytes) => ({
		...READ,
		name: `${bytes}`,
		bytes
	}))
};

/** Sessions that take turns, so that concurrent requests are those of different visitors. */
export const VISITORS = 256;

/** A case of a library, after a check of its effect. */
export async function sceneOf(
	peer: Peer,
	made: Case,
	visitors: number,
	wait?: Wait
): Promise<Scene | undefined> {
	if (!isFor(peer, made)) return undefined;
	const store = peer.store(wait);
	const options: Options = {
		...made.options,
		secrets: secretsOf(made.secrets),
		data: dataOf(made.bytes)
	};
	const app = peer.app(options, store);
	const issuers: Record<Case['cookie'], () => App | undefined> = {
		none: () => undefined,
		valid: () => app,
		forged: () => app,
		// The same secret, another store.
		unknown: () => peer.app(options, peer.store(wait)),
		'signed by the last secret': () =>
			peer.app({ ...options, secrets: options.secrets.slice(-1) }, store)
	};
	const issuer = issuers[made.cookie]();
	const cookies: string[] = [];
	for (let n = 0; issuer && n < visitors; n++) {
		const cookie = await login(issuer);
		cookies.push(made.cookie === 'forged' ? tampered(cookie) : cookie);
	}
	const others = otherCookies(made.others ?? 0);
	/** A login takes its session's ID out of use, so each needs a session of its own. */
	const once = made.work === 'login' && peer.stateless !== true;
	const next = async (n: number): Promise<Exchange> => {
		const own = once ? await login(app) : cookies[n % visitors];
		return app.exchange(own === undefined ? undefined : `${others}${own}`, made.work);
	};
	await check(peer, made, options, app, await next(0));
	return new Scene(next);
}

async function login(app: App): Promise<string> {
	const exchange = app.exchange(undefined, 'login');
	await exchange.run();
	const cookie = cookiesOf(exchange);
	assert.notEqual(cookie, '', 'a login sets a cookie');
	return cookie;
}

/** The cookies that a response sets, as a browser sends them back. */
function cookiesOf(exchange: Exchange): string {
	const set = exchange.setCookies().filter((cookie) => !/; Max-Age=0(;|$)/i.test(cookie));
	return set.map((cookie) => cookie.split(';', 1)[0] ?? '').join('; ');
}

/** A comparison counts only if each library has done the work. */
async function check(
	peer: Peer,
	made: Case,
	options: Options,
	app: App,
	exchange: Exchange
): Promise<void> {
	await exchange.run();
	const about = `${peer.name}: ${made.name}`;
	const set = cookiesOf(exchange);
	const keeps = peer.keeps === true && made.work === 'save';
	const renews = peer.renews === true && made.secrets > 1;
	assert.equal(set !== '', (made.sets && !keeps) || renews, `${about}: cookie`);
	const known = ['valid', 'signed by the last secret'].includes(made.cookie);
	const { userId, cart } = options.data;
	if (made.work !== 'nothing') {
		const seen = { userId: exchange.seen?.userId, cart: exchange.seen?.cart };
		assert.deepEqual(seen, { userId, cart }, `${about}: seen`);
	}
	// The browser's next request.
	const again = app.exchange(set === '' ? exchange.cookie : set, 'read');
	await again.run();
	assert.equal(again.seen?.userId, known ? userId : undefined, `${about}: afterwards`);
	const visits = made.work === 'save' ? 2 : 1;
	assert.equal(again.seen?.visits, known ? visits : undefined, `${about}: stored`);
}

/** Whether a library supports the case. */
function isFor(peer: Peer, { cookie, options, bytes }: Case): boolean {
	if (peer.stateless && (cookie === 'unknown' || bytes > 8_192)) return false;
	return (['hashIds', 'encrypt'] as const).every(
		(name) => !options[name] || peer.can?.includes(name)
	);
}

/** Changes a character in the middle of the signature, or of the encrypted part. */
function tampered(cookie: string): string {
	const at = cookie.length - 12;
	return `${cookie.slice(0, at)}${cookie[at] === 'a' ? 'b' : 'a'}${cookie.slice(at + 1)}`;
}

/** Secrets of 32 characters. */
function secretsOf(count: number): string[] {
	return Array.from({ length: count }, (_, n) =>
		`${n}-bench-secret-`.padEnd(32, `${n}5f1b7c3e9`)
	);
}

function otherCookies(bytes: number): string {
	let header = '';
	for (let n = 0; header.length < bytes; n++)
		header += `other_${n}=${'0123456789abcdef'.repeat(4)}; `;
	return bytes === 0 ? '' : `${header.slice(0, Math.max(bytes - 2, 8))}; `;
}

/** Handles requests, one after the other or many at a time. */
export class Scene {
	readonly #next: (n: number) => Promise<Exchange>;

	constructor(next: (n: number) => Promise<Exchange>) {
		this.#next = next;
	}

	sequential(base?: Candidate): Candidate {
		return {
			...(base && { base }),
			prepare: async (runs) => {
				const exchanges = await this.#exchanges(runs);
				return async () => {
					for (const exchange of exchanges) await exchange.run();
				};
			}
		};
	}

	inFlight(many: number, base?: Candidate): Candidate {
		return {
			...(base && { base }),
			prepare: async (runs) => {
				const exchanges = await this.#exchanges(runs);
				return async () => {
					const waiting = exchanges.values();
					const one = async (): Promise<void> => {
						for (const exchange of waiting) await exchange.run();
					};
					await Promise.all(Array.from({ length: many }, one));
				};
			}
		};
	}

	/** The number of calls per request. */
	async count(counter: () => number, runs: number): Promise<number> {
		const exchanges = await this.#exchanges(runs);
		const before = counter();
		for (const exchange of exchanges) await exchange.run();
		return (counter() - before) / runs;
	}

	async #exchanges(runs: number): Promise<Exchange[]> {
		const exchanges: Exchange[] = [];
		for (let n = 0; n < runs; n++) exchanges.push(await this.#next(n));
		return exchanges;
	}
}
