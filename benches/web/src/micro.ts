/** The single steps of a request, in WebAssembly and in alternatives. */
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
	/** Returns the result of many runs. */
	run: () => unknown;
	/** Whether a result is right. */
	right: (result: unknown) => boolean;
}

export async function micro(context: Context): Promise<void> {
	const groups = [
		{ name: 'signatures', title: 'signatures', steps: await signatures() },
		{ name: 'headers', title: 'a header without our cookie', steps: await headers() },
		{ name: 'records', title: 'records', steps: await records() },
		{ name: 'encryption', title: 'encrypted records', steps: await encryption() }
	];
	const all = groups.flatMap(({ steps }) => steps);
	for (const { case: name, peer, run, right } of all) {
		assert.ok(right(await run()), `${peer}: ${name}`);
		context.checked(`${peer}: ${name}`);
	}
	const candidates = new Map(all.map((step) => [step, candidateOf(step)]));
	const times = await measure(
		[...candidates.values()],
		context.smoke ? SMOKE : { rounds: 30, slice: 5, multiple: 1 }
	);
	for (const { name, title, steps } of groups) {
		const rows = steps.map((step) => {
			const candidate = candidates.get(step);
			const { absolute } = (candidate && times.get(candidate)) ?? { absolute: [] };
			return { case: step.case, peer: step.peer, ...spread(absolute) };
		});
		await write(
			context.folder,
			{
				group: `micro-web-${name}`,
				title: `Single steps, from JavaScript: ${title}`,
				unit: 'µs',
				lowerIsBetter: true,
				method: METHOD,
				rows
			},
			PACKAGES
		);
	}
}

const METHOD =
	'Each step runs many times in a loop, in random order in each round. The time includes the call into ' +
	'WebAssembly and its return. The key of WebCrypto is imported beforehand. SHA-256 of one block is the limit: an ' +
	'HMAC with a prepared key is two of them. A record is created and read by the operations that create ' +
	'and open a session, without a store.';

// Exported, so that no result can be optimised away.
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

/** More visitors than a core remembers the cookies of, so that each cookie is verified as that of a new one. */
const VISITORS = 8_192;

async function signatures(): Promise<Step[]> {
	const core = await loadCore(SECRET, false);
	const visitors = Array.from({ length: VISITORS }, (_, n) => `${n}`.padStart(ID.length, 'A'));
	const value = core.sign(ID);
	const cookies = visitors.map((id) => `connect.sid=${encodeURIComponent(core.sign(id))}`);
	let visit = 0;
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
			run: () => core.readCookies(cookies[visit++ % cookies.length] ?? ''),
			right: (result) =>
				Array.isArray(result) && result[0] === visitors[(visit - 1) % cookies.length]
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
			peer: 'crypto.hash',
			run: () => hash('sha256', block, 'base64url'),
			right: (result) => typeof result === 'string' && result.length === 43
		}
	];
}

async function headers(): Promise<Step[]> {
	const core = await loadCore(SECRET, false);
	return [60, 4_096, 65_536].flatMap((bytes): Step[] => {
		let header = 'theme=dark';
		for (let n = 0; header.length < bytes; n++)
			header += `; other_${n}=${'0123456789abcdef'.repeat(4)}`;
		header = header.slice(0, bytes);
		const name = `header of ${named(bytes)}`;
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

const SIZES = [256, 1_024, 16_384];

async function records(): Promise<Step[]> {
	const core = await loadCore(SECRET, false);
	return SIZES.flatMap((bytes): Step[] => {
		const data = dataOf(bytes);
		const text = core.encode(ID, JSON.stringify(data));
		const isData = (result: unknown): boolean =>
			JSON.stringify(result) === JSON.stringify(data);
		const holds = (record: unknown): boolean => isData((record as { data: unknown }).data);
		return [
			{
				case: `decode, ${named(bytes)}`,
				peer: 'vestiary',
				run: () => core.decode(ID, text),
				right: isData
			},
			{
				case: `decode, ${named(bytes)}`,
				peer: 'JSON',
				run: () => JSON.parse(text) as unknown,
				right: holds
			},
			{
				case: `encode, ${named(bytes)}`,
				peer: 'vestiary',
				run: () => core.encode(ID, JSON.stringify(data)),
				right: (result) => holds(JSON.parse(result as string))
			},
			{
				case: `encode, ${named(bytes)}`,
				peer: 'JSON',
				run: () => JSON.stringify({ cookie: { path: '/' }, data }),
				right: (result) => holds(JSON.parse(result as string))
			}
		];
	});
}

async function encryption(): Promise<Step[]> {
	const [plain, core] = [await loadCore(SECRET, false), await loadCore(SECRET, true)];
	const steps: Step[] = [];
	for (const bytes of SIZES) {
		const [seal, open] = [`seal, ${named(bytes)}`, `open, ${named(bytes)}`];
		const data = dataOf(bytes);
		const json = JSON.stringify(data);
		const text = plain.encode(ID, json);
		const sealed = core.encode(ID, json);
		const cipherKey = randomBytes(32);
		const encrypted = encrypt(cipherKey, text);
		const password = SECRET;
		const iron = await sealData(data, { password });
		const isText = (result: unknown): boolean => result === text;
		steps.push(
			{
				case: seal,
				peer: 'vestiary',
				run: () => core.encode(ID, json),
				right: (result) => JSON.stringify(core.decode(ID, result as string)) === json
			},
			{
				case: seal,
				peer: 'node:crypto',
				run: () => encrypt(cipherKey, text),
				right: (result) => decrypt(cipherKey, result as string) === text
			},
			{
				case: seal,
				peer: 'iron-session',
				run: () => sealData(data, { password }),
				right: (result) => typeof result === 'string' && result !== iron
			},
			{
				case: open,
				peer: 'vestiary',
				run: () => core.decode(ID, sealed),
				right: (result) => JSON.stringify(result) === json
			},
			{
				case: open,
				peer: 'node:crypto',
				run: () => decrypt(cipherKey, encrypted),
				right: isText
			},
			{
				case: open,
				peer: 'iron-session',
				run: () => unsealData(iron, { password }),
				right: (result) => JSON.stringify(result) === JSON.stringify(data)
			}
		);
	}
	return steps;
}

function named(bytes: number): string {
	return bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KiB`;
}

const NONCE = 12;
const TAG = 16;

/** ChaCha20-Poly1305 with an existing key, in base64 as a store receives it. */
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
