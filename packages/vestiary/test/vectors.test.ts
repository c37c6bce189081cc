import { readdirSync, readFileSync } from 'node:fs';

import { expect, test, vi } from 'vitest';

import '../src/index.js';
import { Core } from '../src/core.js';
import type { Given } from '../src/progress.js';
import {
	Answer,
	Given as Flag,
	Task,
	VisitFlag,
	VisitState,
	type Running
} from '../src/generated/vestiary.js';
import { ConfigError, errorOf, VestiaryError } from '../src/errors.js';
import {
	vectors,
	type CookieHeader,
	type Life,
	type Namespaced,
	type Tombstone,
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
		production: false,
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
		// Values are replaced with valid ones, so that the core can find them.
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

/** An operation of a core and its first call to the store, in a visit before any operation. */
function asked(
	one: Core,
	task: Task,
	texts: string[],
	flags = 0
): { running: Running; asked: string[] } {
	return going(one, task, { flags, at: 0, texts: [...NEW, ...texts] });
}

function going(one: Core, task: Task, given: Given): { running: Running; asked: string[] } {
	const begun = one.begin(task, given, 0);
	if (begun.ended) throw errorOf(begun.ended.texts[0]?.replace('thrown\n', '') ?? '');
	const { running } = begun;
	return { running, asked: running.asked.split('\0') };
}

/** The texts of a visit before any operation. */
const NEW = ['', '', ''];

/** A new session with these data, whose ID is asked for. */
function created(one: Core, id: string, data: string): Running {
	const { running } = asked(one, Task.Save, ['{}', data, ''], Flag.Changes);
	one.answered(running, 0, Answer.NewId, id);
	return running;
}

/** Opens the session of this ID with a core whose store has this text. */
function opened(
	one: Core,
	id: string,
	text: string
): { state: VisitState; data: string; reports: string } {
	const { running } = asked(one, Task.Open, [id], Flag.Present);
	const { ended, reports } = one.answered(running, 0, Answer.Text, text);
	if (!ended) throw new Error('more is asked');
	const { flags, texts } = ended;
	return { state: flags & VisitFlag.State, data: texts[5] ?? '', reports };
}

/** A visit that has this record. */
function having(id: string, text: string, at: number): Pick<Given, 'flags' | 'at' | 'texts'> {
	return { flags: VisitState.Stored, at, texts: [`${id}\n\n\n`, text, ''] };
}

const ID = 'an-id-of-a-session';

test('records', () => {
	for (const { record, fault, express } of vectors<StoredRecord>('records')) {
		const { state, data, reports } = opened(core({}), ID, record);
		if (fault === null) {
			expect(state, record).toBe(VisitState.Stored);
			expect(JSON.parse(data), record).toEqual(
				express ?? (JSON.parse(record) as { data: object }).data
			);
		} else {
			expect(reports, record.slice(0, 80)).toBe(`unreadable\n${fault}\0`);
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
		const visit = having(ID, `{"data":{},"meta":{"created":${created}}}`, now);
		vi.setSystemTime(now);
		const write = (): string => {
			const texts = [...visit.texts, '{}', JSON.stringify(data), ''];
			const flags = visit.flags | Flag.Changes;
			return going(writer, Task.Save, { ...visit, flags, texts }).asked[1] ?? '';
		};
		if (record === undefined) {
			expect(write).toThrow(expect.objectContaining({ code: fault }));
			continue;
		}
		const text = write();
		expect(text.replace(/"v":"[\w-]{16}"/, '"v":"<16>"')).toBe(record);
		expect(JSON.parse(opened(writer, ID, text).data)).toEqual(data);
	}
	vi.useRealTimers();
});

test('sealed records', () => {
	// Their encryption is a vector of the core; here, only that records are encrypted.
	for (const { secret, namespace, id } of vectors<Sealed>('sealed')) {
		const options = { namespace: namespace ?? undefined, secrets: [secret] };
		const [sealer, opener] = [0, 1].map(() => core({ ...options, sealSecrets: [secret] }));
		if (!sealer || !opener) throw new Error('no cores');
		const [, sealed = ''] = created(sealer, id, '{"user":"ada"}').asked.split('\0');
		expect(sealed).not.toContain('"ada"');
		expect(opened(opener, id, sealed).data).toBe('{"user":"ada"}');
		expect(opened(opener, `${id}x`, sealed).reports).toBe('unreadable\nunsealable\0');
	}
});

test('namespaces', () => {
	for (const one of vectors<Namespaced>('namespaces')) {
		const { id, user, cookie } = one;
		const namespace = one.namespace ?? undefined;
		const plain = core({ namespace, secrets: [one.secret] });
		expect(plain.sign(id)).toBe(cookie);
		expect(plain.readCookies(`connect.sid=${cookie}`)).toEqual([id]);
		expect(asked(plain, Task.Open, [id]).asked[0]).toBe(one.key);
		expect(
			going(plain, Task.List, { flags: 0, at: 0, texts: [JSON.stringify(user)] }).asked[0]
		).toBe(one.userKey);
		const hashing = core({ namespace, hashIds: true });
		expect(asked(hashing, Task.Open, [id]).asked[0]).toBe(one.hashed);
	}
});

test('tombstones', () => {
	for (const { id, record, next } of vectors<Tombstone>('tombstones')) {
		// A logout follows the tombstone of a renewal, however late it is.
		const lead = (from: string): string | undefined => {
			return going(core(), Task.Destroy, having(from, record, Date.now())).asked[0];
		};
		expect(lead(id)).toBe(next);
		// For the holder of another ID it leads to no session, or to nothing at all.
		let other: string | undefined;
		try {
			other = lead('another-id-that-is-not-this-one');
		} catch (error) {
			expect(error).toMatchObject({ code: 'json' });
		}
		expect(other).not.toBe(next);
	}
});

test('lifetimes', () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	for (const { maxAge, expires, now, ttl } of vectors<Life>('lives')) {
		const date = expires === undefined ? {} : { expires: new Date(expires) };
		const cookie = { ...(maxAge !== undefined && { maxAge }), ...date };
		vi.setSystemTime(now);
		const lives = core({ cookie });
		const what = JSON.stringify({ maxAge, expires });
		// A record that expires at once is not stored.
		const save = { flags: Flag.Changes, at: 0, texts: [...NEW, '{}', '{}', ''] };
		if (ttl === 0) expect(lives.begin(Task.Save, save, 0).ended, what).toBeDefined();
		else expect(created(lives, ID, '{}').ttl, what).toBe(ttl ?? Infinity);
	}
	vi.useRealTimers();
});
