import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, test, vi } from 'vitest';

import '../src/index.js';
import { Core, readRecord } from '../src/core.js';
import { ConfigError, VestiaryError } from '../src/errors.js';
import { CookieStep, Known, Operation, Stage, StoreStep } from '../src/generated/vestiary.js';
import {
	vectors,
	type CookieHeader,
	type Decision,
	type Life,
	type Namespaced,
	type Retired,
	type Sealed,
	type SetCookieHeader,
	type SignedValue,
	type StoredRecord,
	type WrittenRecord
} from './vectors.js';

const SECRET = '0123456789abcdef';
const folder = new URL('../../../vectors/', import.meta.url);

interface Generated {
	FILES: Record<string, { cases: () => unknown[] }>;
}

function core(options: Partial<ConstructorParameters<typeof Core>[0]> = {}): Core {
	return new Core({
		name: undefined,
		cookie: {},
		secrets: [SECRET],
		sealSecrets: undefined,
		migrates: false,
		resends: false,
		atomic: true,
		storeTtl: 86_400_000,
		production: true,
		...options
	});
}

test('every file is read here and made as it says', async () => {
	const generate = (await import(new URL('generate.mjs', folder).href)) as Generated;
	const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
	const byHand = [
		'cookie-header-attacks',
		'decisions',
		'lives',
		'names',
		'records',
		'scenarios',
		'set-cookie-refusals',
		'written-records'
	];
	const known = [...byHand, ...Object.keys(generate.FILES)].sort();
	expect(files.map((file) => file.replace('.json', '')).sort()).toEqual(known);
	for (const [name, { cases }] of Object.entries(generate.FILES)) {
		const file = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as {
			cases: unknown;
		};
		expect(file.cases, name).toEqual(cases());
	}
});

test('signed values', () => {
	for (const { secrets, value, id, ours, format } of vectors<SignedValue>('signed-values')) {
		const signer = core({ secrets, format, production: false });
		expect(signer.readCookies(`a=1; connect.sid=${value}`), value).toEqual(
			id === null ? [] : [id]
		);
		if (ours && id !== null) expect(signer.sign(id)).toBe(value);
	}
});

test('cookie headers, seen through the IDs that are found in them', () => {
	const cases = [
		...vectors<CookieHeader>('cookie-header'),
		...vectors<CookieHeader>('cookie-header-attacks')
	];
	for (const { name, header, values } of cases) {
		const reader = core({ name, secrets: [SECRET] });
		// Values become genuine ones, so that what is found can be told.
		const ids = values.map((_, i) => `id-number-${i}-of-the-header`);
		let text = header;
		for (const [i, value] of values.entries()) {
			const at = text.lastIndexOf(value);
			if (value !== '' && values.length === 1 && i === 0) {
				text =
					text.slice(0, at) + reader.sign(ids[0] ?? '') + text.slice(at + value.length);
			}
		}
		const found = reader.readCookies(text);
		if (values.length === 0) expect(found, header).toBeUndefined();
		else if (values.length === 1 && values[0] !== '') expect(found, header).toEqual(ids);
		else expect(found, header).toEqual([]);
	}
});

test('Set-Cookie headers', () => {
	for (const { name, value, cookie, header } of vectors<SetCookieHeader>('set-cookie')) {
		const { expires, ...attributes } = cookie;
		const date = expires === undefined ? {} : { expires: new Date(expires) };
		const setter = core({ name, cookie: { ...attributes, ...date } });
		expect(setter.setCookie(value, false, false)).toBe(header);
	}
});

test('refused Set-Cookie headers', () => {
	for (const { name, cookie, code } of vectors<SetCookieHeader>('set-cookie-refusals')) {
		const { expires, ...attributes } = cookie;
		const date = expires === undefined ? {} : { expires: new Date(expires) };
		const make = (): Core => core({ name, cookie: { ...attributes, ...date } });
		expect(make).toThrow(ConfigError);
		expect(make).toThrow(expect.objectContaining({ code }) as VestiaryError);
	}
});

test('records', () => {
	for (const { record, fault, express } of vectors<StoredRecord>('records')) {
		const read = (): unknown => readRecord(record, core({}).inspect(record));
		if (fault === null) {
			expect(read(), record).toMatchObject({
				data: express ?? (JSON.parse(record) as { data: object }).data
			});
		} else {
			expect(read, record.slice(0, 80)).toThrow(expect.objectContaining({ code: fault }));
		}
	}
});

test('written records', () => {
	for (const { format, cookie, data, created, now, record, fault } of vectors<WrittenRecord>(
		'written-records'
	)) {
		const { expires, ...attributes } = cookie;
		const date = expires === undefined ? {} : { expires: new Date(expires) };
		const writer = core({ format, cookie: { ...attributes, ...date } });
		const before = `{"data":{},"meta":{"created":${created}}}`;
		vi.setSystemTime(now);
		const write = (): string => writer.encode(JSON.stringify(data), before);
		if (record === undefined) {
			expect(write).toThrow(expect.objectContaining({ code: fault }));
			continue;
		}
		const text = write();
		expect(text.replace(/"v":"[\w-]{16}"/, '"v":"<16>"')).toBe(record);
		expect(readRecord(text, writer.inspect(text))).toMatchObject({ data, meta: { created } });
	}
	vi.useRealTimers();
});

test('sealed records', () => {
	for (const { secret, namespace, id, key, nonce, text, sealed } of vectors<Sealed>('sealed')) {
		const sealer = core({
			namespace: namespace ?? undefined,
			secrets: [secret],
			sealSecrets: [secret]
		});
		expect(sealer.open(id, key, sealed)).toBe(text);
		expect(() => sealer.open(id, `${key}x`, sealed)).toThrow(
			expect.objectContaining({ code: 'unsealable' }) as VestiaryError
		);
		const random = vi.spyOn(crypto, 'getRandomValues').mockImplementation((bytes) => {
			(bytes as Uint8Array).set(Buffer.from(nonce, 'hex'));
			return bytes;
		});
		expect(sealer.seal(id, key, text)).toBe(sealed);
		random.mockRestore();
	}
});

test('namespaces', () => {
	for (const one of vectors<Namespaced>('namespaces')) {
		const { id, user, cookie } = one;
		const namespace = one.namespace ?? undefined;
		const plain = core({ namespace, secrets: [one.secret] });
		expect(plain.sign(id)).toBe(cookie);
		expect(plain.readCookies(`connect.sid=${cookie}`)).toEqual([id]);
		expect(plain.storeKey(id)).toBe(one.key);
		expect(plain.userKey(user)).toBe(one.userKey);
		expect(core({ namespace, hashIds: true }).storeKey(id)).toBe(one.hashed);
	}
});

test('retired records', () => {
	for (const { id, record, next } of vectors<Retired>('retired')) {
		expect(core().nextId(id, record)).toBe(next);
		// To the holder of another ID it is nobody's, or nothing at all.
		let other: string | undefined;
		try {
			other = core().nextId('another-id-that-is-not-this-one', record);
		} catch (error) {
			expect(error).toMatchObject({ code: 'json' });
		}
		expect(other).not.toBe(next);
	}
});

test('lives', () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	for (const { maxAge, expires, now, ttl } of vectors<Life>('lives')) {
		const date = expires === undefined ? {} : { expires: new Date(expires) };
		const cookie = { ...(maxAge !== undefined && { maxAge }), ...date };
		vi.setSystemTime(now);
		const lives = core({ cookie });
		const what = JSON.stringify({ maxAge, expires });
		expect(lives.ttlOf(lives.encode('{}')), what).toBe(ttl ?? Infinity);
	}
	vi.useRealTimers();
});

describe('decisions', () => {
	for (const { policy, stage, operation, known, plan } of vectors<Decision>('decisions')) {
		const title = `${stage}.${operation} [${[...policy, ...known].join(' ')}]`;
		test(`${title} -> ${plan.store}, ${plan.cookie}`, () => {
			const decider = core({
				rolling: policy.includes('rolling'),
				cookie: { maxAge: 60 },
				saveUninitialized: policy.includes('saveUninitialized'),
				autoSave: policy.includes('autoSave')
			});
			const bits = known.reduce((bits, name) => bits | Known[name], 0);
			const decided = decider.decide(Stage[stage], Operation[operation], bits, Date.now());
			expect({
				store: StoreStep[decided.store],
				cookie: CookieStep[decided.cookie],
				stage: Stage[decided.stage]
			}).toEqual(plan);
		});
	}
});
