import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

import { beforeEach, describe, expect, test } from 'vitest';

import {
	ConfigError,
	sessions,
	sveltekitSessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { SqliteStore } from '../src/stores/sqlite.js';
import { CountingStore } from './event.js';
import { SECRET, visits, watched } from './watched-store.js';

let { store, options, events } = watched();
const { opened, visitor, dataOf } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

describe('the text that a store gets', () => {
	let database: DatabaseSync;

	/** Everything in the store. */
	const dump = (): string =>
		JSON.stringify(database.prepare('SELECT key, record FROM sessions').all());

	/** Runs every operation on a session; returns the raw IDs that it had. */
	const live = async (withOptions: SveltekitSessionConfig): Promise<string[]> => {
		const first = await opened(undefined, withOptions);
		await first.session.setData({ user: 'canary' });
		await first.session.save();
		const ids = [first.session.id];
		const second = await opened(first.cookie(), withOptions);
		await second.session.renew();
		ids.push(second.session.id);
		const third = await opened(second.cookie(), withOptions);
		await third.session.login('canary-user', { data: { user: 'canary' } });
		ids.push(third.locals.session.id);
		const fourth = await opened(third.cookie(), withOptions);
		fourth.session.data.n = 1;
		await fourth.session.save();
		expect(new Set(ids).size).toBe(3);
		expect((await opened(third.cookie(), withOptions)).session.data).toEqual({
			user: 'canary',
			n: 1
		});
		return ids;
	};

	beforeEach(() => {
		database = new DatabaseSync(':memory:');
		options = { ...options, store: new SqliteStore({ database }) };
	});

	test('with hashIds: no ID, not even of a session that was renewed', async () => {
		const ids = await live({ ...options, hashIds: true });
		const text = dump();
		for (const id of ids) {
			for (const form of [id, btoa(id), Buffer.from(id, 'base64url').toString('hex')])
				expect(text).not.toContain(form.replace(/=+$/, ''));
		}
		expect(text).toContain('canary');
	});

	test('without hashIds: the ID as a key, and nowhere else', async () => {
		await live(options);
		const records = database.prepare('SELECT key, record FROM sessions').all() as {
			key: string;
			record: string;
		}[];
		const ids = records.map(({ key }) => key.replace(/^sess:/, ''));
		for (const id of ids) for (const { record } of records) expect(record).not.toContain(id);
	});

	test('with encrypt: nothing of the data, and nothing that opens elsewhere', async () => {
		const sealed = { ...options, encrypt: true, hashIds: true };
		await live(sealed);
		expect(dump()).not.toContain('canary');
		const one = await visitor({ user: 'ada' }, sealed);
		const other = await visitor({ user: 'eve' }, sealed);
		// Another secret, another namespace, another session: no session, and an event.
		const sealedAt = (id: string): string => {
			const key = createHash('sha256').update(`vestiary.id.v1${id}`).digest('base64url');
			return `sess:${key}`;
		};
		const idOf = (cookie: string): string =>
			decodeURIComponent(cookie).slice('connect.sid='.length).split('.')[0] ?? '';
		const { changes } = database
			.prepare(
				'UPDATE sessions SET record = (SELECT record FROM sessions WHERE key = ?) WHERE key = ?'
			)
			.run(sealedAt(idOf(one)), sealedAt(idOf(other)));
		expect(changes).toBe(1);
		const found = await Promise.all([dataOf(one, sealed), dataOf(other, sealed)]);
		expect(found.filter(Boolean)).toHaveLength(1);
		expect(events).toContain('unreadable');
	});

	test('with encrypt: secrets rotate, and records are encrypted anew when they are written', async () => {
		const [before, after] = [SECRET, 'another secret of thirty-two bytes'];
		const old = { ...options, secret: before, encrypt: true };
		const both = { ...options, secret: [after, before], encrypt: true };
		const cookie = await visitor({ n: 1 }, old);
		const { session, cookie: next } = await opened(cookie, both);
		expect(session.data).toEqual({ n: 1 });
		session.data.n = 2;
		await session.save();
		expect(await dataOf(next(), { ...options, secret: after, encrypt: true })).toEqual({
			n: 2
		});
	});

	test('encrypt takes plain records for none, but while it migrates', async () => {
		const cookie = await visitor({ n: 1 });
		expect(await dataOf(cookie, { ...options, encrypt: true })).toBeUndefined();
		const migrating = { ...options, encrypt: 'migrate' as const };
		const { session } = await opened(cookie, migrating);
		expect(session.data).toEqual({ n: 1 });
		session.data.n = 2;
		await session.save();
		expect(await dataOf(cookie, { ...options, encrypt: true })).toEqual({ n: 2 });
		// Encrypted records are no sessions for a handle without encryption.
		expect(await dataOf(cookie)).toBeUndefined();
	});

	test('encrypt, hashIds and namespaces work with stores that only get, set, destroy and touch', async () => {
		const plain = new CountingStore();
		const weak = { secret: SECRET, store: plain, encrypt: true, hashIds: true, namespace: 'a' };
		const cookie = await visitor({ user: 'canary' }, weak);
		const { session } = await opened(cookie, weak);
		session.data.n = 1;
		await session.save();
		expect(await dataOf(cookie, weak)).toEqual({ user: 'canary', n: 1 });
		const text = JSON.stringify([...plain.records]);
		expect(text).not.toContain('canary');
		expect(text).not.toContain(session.id);
		await session.destroy();
		expect(plain.records.size).toBe(0);
	});

	test('encrypt wants secrets of 32 bytes, and not the format of Express', () => {
		expect(() => sveltekitSessionHandle({ secret: 'x'.repeat(31), encrypt: true })).toThrow(
			expect.objectContaining({ code: 'secret_short' }) as Error
		);
		expect(() =>
			sveltekitSessionHandle({ ...options, encrypt: true, format: 'express-session' })
		).toThrow(ConfigError);
	});

	test('namespaces do not see each other: neither cookie nor record', async () => {
		const [a, b] = ['a', 'b'].map((namespace) => ({ ...options, namespace })) as [
			SveltekitSessionConfig,
			SveltekitSessionConfig
		];
		const cookie = await visitor({ user: 'admin' }, a);
		expect(await dataOf(cookie, a)).toEqual({ user: 'admin' });
		expect(await dataOf(cookie, b)).toBeUndefined();
		expect(await dataOf(cookie)).toBeUndefined();
		expect(events).toEqual(['rejected', 'rejected']);
		expect(await dataOf(await visitor({ n: 1 }), a)).toBeUndefined();
		// Nor the session lists of users with the same name.
		const login = await opened(undefined, a);
		await login.session.login('ada');
		expect(await sessions(b).of('ada').list()).toEqual([]);
		await sessions(b).of('ada').revokeAll();
		expect((await opened(login.cookie(), a)).session.userId).toBe('ada');
	});
});
