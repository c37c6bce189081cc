import { createHmac } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { MemoryStore, type SessionEvent, type SveltekitSessionConfig } from '../src/index.js';
import { base64url, BoundBrowser, newKey, type Forged } from './bound-browser.js';
import { SECRET } from './watched-store.js';

/*
 * Proofs that no browser with the key has made. The Rust crates refuse the same: crates/vestiary-tower/tests/.
 */

let events: SessionEvent[];
let options: SveltekitSessionConfig;

beforeEach(() => {
	events = [];
	options = {
		secret: SECRET,
		store: new MemoryStore(),
		deviceBound: true,
		onEvent: (event) => events.push(event)
	};
});

afterEach(() => {
	vi.useRealTimers();
});

type Attack = (browser: BoundBrowser, registers: boolean) => Promise<string>;

/** A proof of the browser itself, but for these members. */
const with_ =
	(forged: (browser: BoundBrowser) => Forged | Promise<Forged>): Attack =>
	async (browser, registers) =>
		browser.proof(await forged(browser), registers);

/** Changes the text of a proof after it was signed. */
const changed =
	(change: (proof: string) => string): Attack =>
	async (browser, registers) =>
		change(await browser.proof({}, registers));

const hmac =
	(alg: string): Attack =>
	async (browser, registers) => {
		const { x, y } = await browser.jwk();
		const jwk = registers ? { jwk: await browser.jwk() } : {};
		const header = base64url(JSON.stringify({ alg, ...jwk, typ: 'dbsc+jwt' }));
		const text = `${header}.${base64url(JSON.stringify({ jti: browser.challenge }))}`;
		const key = Buffer.concat([Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
		return browser.sign(text, {
			signature: createHmac('sha256', key).update(text).digest('base64url')
		});
	};

/** Another session of the same store, with a challenge that waits. */
async function other(): Promise<BoundBrowser> {
	const browser = await BoundBrowser.open(options);
	await browser.bind('bea');
	return browser;
}

const ATTACKS: [name: string, attack: Attack][] = [
	['without a signature', with_(() => ({ signature: '' }))],
	['with a signature of zeros', with_(() => ({ signature: base64url(new Uint8Array(64)) }))],
	[
		'with a signature in DER',
		with_(() => ({ signature: base64url(new Uint8Array(70).fill(0x30)) }))
	],
	['with a short signature', changed((proof) => proof.slice(0, -4))],
	['with a long signature', changed((proof) => `${proof}AAAA`)],
	['signed by another key', with_(async () => ({ key: (await newKey()).privateKey }))],
	['with `alg` none', with_(() => ({ header: { alg: 'none' }, signature: '' }))],
	['with `alg` none, signed', with_(() => ({ header: { alg: 'none' } }))],
	['with `alg` HS256, signed with the public key', hmac('HS256')],
	['with `alg` ES256, signed as HS256', hmac('ES256')],
	['with `alg` RS256', with_(() => ({ header: { alg: 'RS256' } }))],
	['with `alg` ES384', with_(() => ({ header: { alg: 'ES384' } }))],
	['with `alg` in lower case', with_(() => ({ header: { alg: 'es256' } }))],
	['without `alg`', with_(() => ({ header: { alg: undefined } }))],
	['with `alg` as a list', with_(() => ({ header: { alg: ['ES256'] } }))],
	['with another `typ`', with_(() => ({ header: { typ: 'JWT' } }))],
	['without `typ`', with_(() => ({ header: { typ: undefined } }))],
	['with `crit`', with_(() => ({ header: { crit: ['exp'] } }))],
	['of another challenge', with_(() => ({ payload: { jti: 'A'.repeat(32) } }))],
	[
		'of the challenge of another session',
		with_(async () => ({ payload: { jti: (await other()).challenge } }))
	],
	['without a challenge', with_(() => ({ payload: { jti: undefined } }))],
	['with an empty challenge', with_(() => ({ payload: { jti: '' } }))],
	['with a challenge that is a number', with_(() => ({ payload: { jti: 7 } }))],
	['with a challenge that is null', with_(() => ({ payload: { jti: null } }))],
	[
		'whose payload was changed',
		changed((proof) => {
			const [header, , signature] = proof.split('.');
			return [header, base64url('{"jti":"changed"}'), signature].join('.');
		})
	],
	['whose header is no JSON', with_(() => ({ header: '{"alg":"ES256"' }))],
	['whose header is a list', with_(() => ({ header: '["ES256"]' }))],
	['whose payload is no JSON', with_(() => ({ payload: 'jti' }))],
	['whose payload is empty', with_(() => ({ payload: '' }))],
	[
		'with data after the payload',
		with_(({ challenge }) => ({ payload: `{"jti":"${challenge}"} {}` }))
	],
	[
		'whose challenge stands twice',
		with_(({ challenge }) => ({ payload: `{"jti":"x","jti":"${challenge}"}` }))
	],
	[
		'whose algorithm stands twice',
		with_(() => ({ header: '{"alg":"none","alg":"ES256","typ":"dbsc+jwt"}' }))
	],
	['with one dot', changed((proof) => proof.replace('.', ''))],
	['with three dots', changed((proof) => `${proof}.`)],
	['with a part more', changed((proof) => `${proof}.AAAA`)],
	['with padding', changed((proof) => `${proof}=`)],
	['with another alphabet', changed((proof) => proof.replace('.', '+.'))],
	['with a space', changed((proof) => proof.replace('.', ' .'))],
	[
		'that is huge',
		with_(({ challenge }) => ({ payload: { jti: challenge, more: 'x'.repeat(100_000) } }))
	],
	['that is only dots', async () => '..'],
	['that is no JWT', async () => 'yes']
];

const KEYS: [name: string, jwk: object | undefined][] = [
	['without a key', undefined],
	['with a key that is no point of the curve', { x: 'A'.repeat(43), y: 'A'.repeat(43) }],
	['with a key of another curve', { crv: 'P-384' }],
	['with a key of another kind', { kty: 'RSA' }],
	['with a symmetric key', { kty: 'oct', k: 'A'.repeat(43) }],
	['with a short coordinate', { x: 'A'.repeat(42) }],
	['with a long coordinate', { y: 'A'.repeat(44) }],
	['with a coordinate of another alphabet', { x: `${'A'.repeat(42)}+` }],
	['with a coordinate that is a number', { x: 7 }]
];

describe('a registration', () => {
	let browser: BoundBrowser;

	beforeEach(async () => {
		browser = await BoundBrowser.open(options);
		await browser.logIn();
	});

	async function isRefused(proof: string): Promise<void> {
		const { challenge, identifier } = browser;
		events.length = 0;
		const answer = await browser.register(proof);
		expect(answer).toMatchObject({ status: 400, challenge: undefined, cookies: [] });
		expect(answer.instructions).toBeUndefined();
		expect(events).toEqual([{ type: 'bound', reason: 'refused' }]);
		// Nothing was written: the session is not bound, and its browser can still bind it.
		expect((await browser.visit()).session.bound).toBe(false);
		[browser.challenge, browser.identifier] = [challenge, identifier];
		expect((await browser.register()).status).toBe(200);
		expect((await browser.visit()).session.bound).toBe(true);
	}

	test.each(ATTACKS)('%s is refused', async (_, attack) => {
		await isRefused(await attack(browser, true));
	});

	test.each(KEYS)('%s is refused', async (_, jwk) => {
		const key = jwk && { ...(await browser.jwk()), ...jwk };
		await isRefused(await browser.proof({ header: { jwk: key } }, true));
	});

	test('of a session that another browser has bound is refused', async () => {
		const thief = await browser.stolen();
		await browser.register();
		events.length = 0;
		expect(await thief.register()).toMatchObject({ status: 400, cookies: [] });
		expect(events).toEqual([{ type: 'bound', reason: 'refused' }]);
		expect((await browser.refresh()).status).toBe(200);
	});

	test('of an anonymous visitor is refused', async () => {
		const anonymous = await BoundBrowser.open(options);
		anonymous.challenge = browser.challenge;
		expect((await anonymous.register()).status).toBe(400);
		await anonymous.visit(async (session) => session.save());
		expect((await anonymous.register()).status).toBe(400);
	});
});

describe('a refresh', () => {
	let browser: BoundBrowser;

	beforeEach(async () => {
		browser = await BoundBrowser.open(options);
		await browser.bind();
	});

	/** As {@link stale} says, but the browser would never ask again. */
	async function isRefused(proof: string): Promise<void> {
		events.length = 0;
		const answer = await (await browser.stolen()).ask(proof);
		expect(answer).toMatchObject({ status: 400, challenge: undefined, cookies: [] });
		expect(answer.instructions).toBeUndefined();
		expect(events).toEqual([{ type: 'bound', reason: 'refused' }]);
		await isAsBefore();
	}

	/** The refused proof has used no challenge. */
	async function isAsBefore(): Promise<void> {
		const waiting = browser.challenge;
		expect(await browser.ask(await browser.proof())).toMatchObject({ status: 200 });
		expect(browser.challenge).not.toBe(waiting);
	}

	/** Signed by the key, so it is one of the browser itself, sent late. */
	const STALE = new Set([
		'with an empty challenge',
		'of another challenge',
		'of the challenge of another session'
	]);

	test.each(ATTACKS.filter(([name]) => !STALE.has(name)))('%s is refused', async (_, attack) => {
		await isRefused(await attack(browser, false));
	});

	test.each(ATTACKS.filter(([name]) => STALE.has(name)))(
		'%s is answered by the challenge that waits',
		async (_, attack) => {
			const { challenge } = browser;
			const answer = await browser.ask(await attack(browser, false));
			expect(answer).toMatchObject({ status: 403, challenge, cookies: [] });
			await isAsBefore();
		}
	);

	test('by the key of another session is refused', async () => {
		const bea = await other();
		bea.challenge = browser.challenge;
		await isRefused(await bea.proof());
	});

	test('with the identifier of another session is refused', async () => {
		const { identifier } = await other();
		expect(await browser.ask(await browser.proof(), identifier)).toMatchObject({ status: 400 });
		expect(await browser.ask(await browser.proof(), 'x'.repeat(10_000))).toMatchObject({
			status: 400
		});
		await isAsBefore();
	});

	test('of a session that is not bound is refused', async () => {
		const plain = await BoundBrowser.open(options);
		await plain.logIn('bea');
		expect(await plain.ask()).toMatchObject({ status: 400, challenge: undefined });
		expect(await plain.ask(await plain.proof())).toMatchObject({ status: 400, cookies: [] });
		expect((await plain.register()).status).toBe(200);
	});

	test('without a proof writes nothing, so that a thief cannot keep the session from ending', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const idle = await BoundBrowser.open({ ...options, idleTimeout: 1_800 });
		await idle.bind();
		const thief = await idle.stolen();
		const waits = async (): Promise<void> => {
			const { challenge } = idle;
			vi.setSystemTime(Date.now() + 1_000_000);
			expect(await thief.ask()).toMatchObject({ status: 403, challenge, cookies: [] });
		};
		await waits();
		// Only the key changes a challenge that is too old.
		expect((await idle.refresh()).status).toBe(200);
		await waits();
		vi.setSystemTime(Date.now() + 1_000_000);
		expect((await idle.refresh()).status).toBe(400);
	});

	test('with a registration in its place is refused', async () => {
		await isRefused(await (await browser.stolen()).proof({}, true));
	});
});

describe('a bound cookie', () => {
	const BOUND = 'connect.sid.bound';
	let browser: BoundBrowser;

	beforeEach(async () => {
		browser = await BoundBrowser.open({ ...options, renewGrace: 0 });
		await browser.bind();
	});

	const isOpened = async (thief: BoundBrowser): Promise<boolean> => {
		events.length = 0;
		const { session } = await thief.visit((one) => one.isNew);
		const isIn = session.userId !== undefined;
		expect(events).toEqual(isIn ? [] : [{ type: 'bound', reason: 'missing' }]);
		return isIn;
	};

	test.each([
		['is empty', () => ''],
		['has no signature', (value: string) => value.split('.')[0] ?? ''],
		['has another end', (value: string) => `9999999999999.${value.split('.')[1] ?? ''}`],
		['has an end that is no number', (value: string) => `never.${value.split('.')[1] ?? ''}`],
		[
			'has a changed signature',
			(value: string) => value.slice(0, -2) + (value.endsWith('AA') ? 'BB' : 'AA')
		],
		['has more after it', (value: string) => `${value}.x`],
		['is huge', (value: string) => value + 'x'.repeat(3_000)]
	])('that %s opens nothing', async (_, change) => {
		expect(await isOpened(browser)).toBe(true);
		const thief = await browser.stolen();
		thief.jar.set(BOUND, change(thief.jar.get(BOUND) ?? ''));
		expect(await isOpened(thief)).toBe(false);
		thief.jar.delete(BOUND);
		expect(await isOpened(thief)).toBe(false);
	});

	test('of another session opens nothing', async () => {
		const thief = await browser.stolen();
		thief.jar.set(BOUND, (await other()).jar.get(BOUND) ?? '');
		expect(await isOpened(thief)).toBe(false);
	});

	test('that another secret has signed opens nothing', async () => {
		const elsewhere = await BoundBrowser.open({
			...options,
			secret: 'another-secret-of-the-same-length',
			store: new MemoryStore()
		});
		await elsewhere.bind();
		const thief = await browser.stolen();
		thief.jar.set(BOUND, elsewhere.jar.get(BOUND) ?? '');
		expect(await isOpened(thief)).toBe(false);
	});

	test('opens nothing by itself', async () => {
		const thief = await browser.stolen();
		thief.jar.delete('connect.sid');
		const { session } = await thief.visit((one) => one.isNew);
		expect(session.userId).toBeUndefined();
	});
});
