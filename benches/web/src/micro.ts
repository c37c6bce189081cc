/** The steps of a request by themselves, in WebAssembly and in what else there is. */
import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, createHmac, hash, randomBytes } from 'node:crypto';

import { parseCookie } from 'cookie';
import { sign, unsign } from 'cookie-signature';
import { sealData, unsealData } from 'iron-session';

import type { Context } from './context.ts';
import { loadCore } from './core.ts';
import { measure, SMOKE, type Candidate } from './measure.ts';
import { dataOf } from './peers/peer.ts';
import { spread, write } from './results.ts';

const SECRET = 'a secret of 32 characters, or so.';
const ID = 'AbCdEfGhIjKlMnOpQrStUvWxYz012345';
const PACKAGES = ['vestiary', 'cookie', 'cookie-signature', 'iron-session'];

interface Step {
	case: string;
	peer: string;
	/** What it has to return, of many runs each. */
	run: () => unknown;
	/** Whether a result of it is right. */
	right: (result: unknown) => boolean;
}

export async function micro(context: Context): Promise<void> {
	const steps = await allSteps();
	for (const { case: name, peer, run, right } of steps) {
		assert.ok(right(await run()), `${peer}: ${name}`);
		context.checked(`${peer}: ${name}`);
	}
	const candidates = steps.map((step): [Step, Candidate] => [step, candidateOf(step)]);
	const times = await measure(
		candidates.map(([, candidate]) => candidate),
		context.smoke ? SMOKE : { rounds: 30, slice: 5, multiple: 1 }
	);
	await write(
		context.folder,
		{
			group: 'micro-web',
			title: 'The steps of a request, from JavaScript',
			unit: 'µs',
			lowerIsBetter: true,
			method:
				'Each called many times in a loop, in random order in each round, the way into ' +
				'WebAssembly and back included. WebCrypto has its key imported before. SHA-256 of one ' +
				'block is the limit: an HMAC with its key prepared is two of them.',
			rows: candidates.map(([{ case: name, peer }, candidate]) => ({
				case: name,
				peer,
				...spread(times.get(candidate)?.absolute ?? [])
			}))
		},
		PACKAGES
	);
}

/** Exported, so that no result can be optimised away. */
export let last: unknown;

function candidateOf({ run }: Step): Candidate {
	return {
		most: 20_000,
		prepare: async (runs) => {
			const first = run();
			if (!(first instanceof Promise))
				return () => {
					for (let n = 0; n < runs; n++) last = run();
				};
			await first;
			return async () => {
				for (let n = 0; n < runs; n++) last = await run();
			};
		}
	};
}

async function allSteps(): Promise<Step[]> {
	return [...(await signatures()), ...(await headers()), ...(await records())];
}

async function signatures(): Promise<Step[]> {
	const { core } = await loadCore(SECRET);
	const value = core.sign(ID);
	const header = `connect.sid=${encodeURIComponent(value)}`;
	const key = await crypto.subtle.importKey(
		'raw',
		new TextEncoder().encode(SECRET),
		{ name: 'HMAC', hash: 'SHA-256' },
		false,
		['sign', 'verify']
	);
	const id = new TextEncoder().encode(ID);
	const mac = Buffer.from(value.slice(ID.length + 1), 'base64');
	const block = randomBytes(64);
	const createHmacOnly = (): string => createHmac('sha256', SECRET).update(ID).digest('base64');
	const isMac = (result: unknown): boolean => result === mac.toString('base64');
	return [
		{
			case: 'verify',
			peer: 'vestiary',
			run: () => core.readCookies(header),
			right: (result) => Array.isArray(result) && result[0] === ID
		},
		{ case: 'verify', peer: 'createHmac', run: createHmacOnly, right: isMac },
		{
			case: 'verify',
			peer: 'cookie-signature',
			run: () => unsign(value, SECRET),
			right: (result) => result === ID
		},
		{
			case: 'verify',
			peer: 'WebCrypto',
			run: () => crypto.subtle.verify('HMAC', key, mac, id),
			right: (result) => result === true
		},
		{
			case: 'sign',
			peer: 'vestiary',
			run: () => core.sign(ID),
			right: (result) => result === sign(ID, SECRET)
		},
		{ case: 'sign', peer: 'createHmac', run: createHmacOnly, right: isMac },
		{
			case: 'sign',
			peer: 'cookie-signature',
			run: () => sign(ID, SECRET),
			right: (result) => result === value
		},
		{
			case: 'sign',
			peer: 'WebCrypto',
			run: () => crypto.subtle.sign('HMAC', key, id),
			right: (result) => Buffer.from(result as ArrayBuffer).equals(mac)
		},
		{
			case: 'SHA-256 of one block',
			peer: 'vestiary',
			run: () => core.storeKey(ID),
			right: (result) => result === hash('sha256', `vestiary.id.v1${ID}`, 'base64url')
		},
		{
			case: 'SHA-256 of one block',
			peer: 'crypto.hash',
			run: () => hash('sha256', block, 'base64url'),
			right: (result) => typeof result === 'string' && result.length === 43
		}
	];
}

async function headers(): Promise<Step[]> {
	const { core } = await loadCore(SECRET);
	return [60, 4_096, 65_536].flatMap((bytes): Step[] => {
		let header = 'theme=dark';
		for (let n = 0; header.length < bytes; n++)
			header += `; other_${n}=${'0123456789abcdef'.repeat(4)}`;
		header = header.slice(0, bytes);
		const name = `header of ${bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KiB`}`;
		return [
			{
				case: name,
				peer: 'vestiary',
				run: () => core.readCookies(header),
				right: (result) => result === undefined
			},
			{
				case: name,
				peer: 'cookie',
				run: () => parseCookie(header),
				right: (result) => (result as Record<string, string>).theme === 'dark'
			}
		];
	});
}

async function records(): Promise<Step[]> {
	const { core, readRecord } = await loadCore(SECRET);
	const steps: Step[] = [];
	for (const bytes of [256, 1_024, 16_384]) {
		const size = bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KiB`;
		const data = dataOf(bytes);
		const text = core.encode(JSON.stringify(data));
		const key = core.storeKey(ID);
		const sealed = core.seal(ID, key, text);
		const iron = await sealData(data, { password: SECRET });
		const cipherKey = randomBytes(32);
		const encrypted = encrypt(cipherKey, text);
		const isText = (result: unknown): boolean => result === text;
		const isData = (result: unknown): boolean =>
			JSON.stringify(result) === JSON.stringify(data);
		const isLonger = (result: unknown): boolean =>
			typeof result === 'string' && result.length > text.length;
		steps.push(
			{
				case: `decode, ${size}`,
				peer: 'vestiary',
				run: () => readRecord(text, core.inspect(text)),
				right: (result) => isData((result as { data: unknown }).data)
			},
			{
				case: `decode, ${size}`,
				peer: 'JSON',
				run: () => JSON.parse(text) as unknown,
				right: (result) => isData((result as { data: unknown }).data)
			},
			{
				case: `encode, ${size}`,
				peer: 'vestiary',
				run: () => core.encode(JSON.stringify(data)),
				right: (result) => isData((JSON.parse(result as string) as { data: unknown }).data)
			},
			{
				case: `encode, ${size}`,
				peer: 'JSON',
				run: () => JSON.stringify({ cookie: { path: '/' }, data }),
				right: (result) => typeof result === 'string'
			},
			{
				case: `seal, ${size}`,
				peer: 'vestiary',
				run: () => core.seal(ID, key, text),
				right: isLonger
			},
			{
				case: `seal, ${size}`,
				peer: 'node:crypto',
				run: () => encrypt(cipherKey, text),
				right: isLonger
			},
			{
				case: `seal, ${size}`,
				peer: 'iron-session',
				run: () => sealData(data, { password: SECRET }),
				right: (result) => typeof result === 'string'
			},
			{
				case: `open, ${size}`,
				peer: 'vestiary',
				run: () => core.open(ID, key, sealed),
				right: isText
			},
			{
				case: `open, ${size}`,
				peer: 'node:crypto',
				run: () => decrypt(cipherKey, encrypted),
				right: isText
			},
			{
				case: `open, ${size}`,
				peer: 'iron-session',
				run: () => unsealData(iron, { password: SECRET }),
				right: isData
			}
		);
	}
	return steps;
}

const NONCE = 12;
const TAG = 16;

/** ChaCha20-Poly1305 with a key that is there, in base64 as a store gets it. */
function encrypt(key: Buffer, text: string): string {
	const nonce = randomBytes(NONCE);
	const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG });
	const body = [cipher.update(text, 'utf8'), cipher.final()];
	return Buffer.concat([nonce, cipher.getAuthTag(), ...body]).toString('base64');
}

function decrypt(key: Buffer, encrypted: string): string {
	const bytes = Buffer.from(encrypted, 'base64');
	const nonce = bytes.subarray(0, NONCE);
	const cipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG });
	cipher.setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
	const body = [cipher.update(bytes.subarray(NONCE + TAG)), cipher.final()];
	return Buffer.concat(body).toString('utf8');
}
