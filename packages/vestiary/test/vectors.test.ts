import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, test, vi } from 'vitest';

import '../src/index.js';
import { Core, type Given } from '../src/core.js';
import { Answer, Ended, Task, type Running } from '../src/generated/vestiary.js';
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

/** An operation of a core, and its first question to the store. */
function asked(one: Core, task: Task, given: Given): { running: Running; asked: string[] } {
	const running = one.begin(task, given);
	one.answered(running, Answer.Begin);
	return { running, asked: running.asked };
}

/** Opens the session of this ID with a core whose store has this text. */
function opened(one: Core, id: string, text: string): Running {
	const { running } = asked(one, Task.Open, { id });
	one.answered(running, Answer.Text, text);
	return running;
}

const ID = 'an-id-of-a-session';

test('records', () => {
	for (const { record, fault, express } of vectors<StoredRecord>('records')) {
		const { ended, texts, told } = opened(core({}), ID, record);
		if (fault === null) {
			expect(ended, record).toBe(Ended.Done);
			expect(JSON.parse(texts[2] ?? ''), record).toEqual(
				express ?? (JSON.parse(record) as { data: object }).data
			);
		} else {
			expect(told, record.slice(0, 80)).toEqual([`unreadable\n${fault}`]);
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
		const session = { id: ID, text: `{"data":{},"meta":{"created":${created}}}`, at: now };
		vi.setSystemTime(now);
		const write = (): string => {
			const given = { session, data: '{}', other: JSON.stringify(data) };
			return asked(writer, Task.Save, given).asked[1] ?? '';
		};
		if (record === undefined) {
			expect(write).toThrow(expect.objectContaining({ code: fault }));
			continue;
		}
		const text = write();
		expect(text.replace(/"v":"[\w-]{16}"/, '"v":"<16>"')).toBe(record);
		expect(JSON.parse(opened(writer, ID, text).texts[2] ?? '')).toEqual(data);
	}
	vi.useRealTimers();
});

test('sealed records', () => {
	// How they are sealed is a vector of the core; here, that records are.
	for (const { secret, namespace, id } of vectors<Sealed>('sealed')) {
		const options = { namespace: namespace ?? undefined, secrets: [secret] };
		const [sealer, opener] = [0, 1].map(() => core({ ...options, sealSecrets: [secret] }));
		if (!sealer || !opener) throw new Error('no cores');
		const { running } = asked(sealer, Task.Create, { data: '{"user":"ada"}' });
		sealer.answered(running, Answer.NewId, id);
		const [, sealed = ''] = running.asked;
		expect(sealed).not.toContain('ada');
		expect(opened(opener, id, sealed).texts[2]).toBe('{"user":"ada"}');
		expect(opened(opener, `${id}x`, sealed).told).toEqual(['unreadable\nunsealable']);
	}
});

test('namespaces', () => {
	for (const one of vectors<Namespaced>('namespaces')) {
		const { id, user, cookie } = one;
		const namespace = one.namespace ?? undefined;
		const plain = core({ namespace, secrets: [one.secret] });
		expect(plain.sign(id)).toBe(cookie);
		expect(plain.readCookies(`connect.sid=${cookie}`)).toEqual([id]);
		expect(asked(plain, Task.Open, { id }).asked[0]).toBe(one.key);
		expect(asked(plain, Task.List, { user }).asked[0]).toBe(one.userKey);
		const hashing = core({ namespace, hashIds: true });
		expect(asked(hashing, Task.Open, { id }).asked[0]).toBe(one.hashed);
	}
});

test('retired records', () => {
	for (const { id, record, next } of vectors<Retired>('retired')) {
		// A logout follows the tombstone of a renewal, however late it is.
		const lead = (from: string): string | undefined => {
			const session = { id: from, text: record, at: Date.now() };
			return asked(core(), Task.Destroy, { session }).asked[0];
		};
		expect(lead(id)).toBe(next);
		// To the holder of another ID it is nobody's, or nothing at all.
		let other: string | undefined;
		try {
			other = lead('another-id-that-is-not-this-one');
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
		const { running } = asked(lives, Task.Create, { data: '{}' });
		lives.answered(running, Answer.NewId, ID);
		expect(running.ttl, what).toBe(ttl ?? Infinity);
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
