import { describe, expect, test } from 'vitest';

import {
	ConfigError,
	fromExpressStore,
	Session,
	StoreError,
	type ExpressStore,
	type SessionStoreData
} from '../src/index.js';
import { testEvent } from './event.js';

const RECORD: SessionStoreData = { cookie: { path: '/', maxAge: 60 }, data: {} };

/** A store of express-session that keeps its sessions as text, as most do. */
class TextStore implements ExpressStore {
	readonly texts = new Map<string, string>();
	/** `cookie.maxAge` of the session that was stored or touched last. */
	lastMaxAge: unknown;

	get(sid: string, callback: (error: unknown, session?: unknown) => void): void {
		const text = this.texts.get(sid);
		callback(null, text === undefined ? undefined : JSON.parse(text));
	}

	set(sid: string, session: object, callback: (error?: unknown) => void): void {
		this.lastMaxAge = (session as { cookie: { maxAge: unknown } }).cookie.maxAge;
		this.texts.set(sid, JSON.stringify(session));
		callback();
	}

	destroy(sid: string, callback: (error?: unknown) => void): void {
		this.texts.delete(sid);
		callback();
	}
}

describe('fromExpressStore', () => {
	test('the store sees milliseconds, the record keeps its seconds and gets an end', async () => {
		const inner = new TextStore();
		const store = fromExpressStore(inner);
		await store.set('id', RECORD, 60_000);
		expect(inner.lastMaxAge).toBeGreaterThan(59_000);
		expect(inner.lastMaxAge).toBeLessThanOrEqual(60_000);
		const { cookie } = JSON.parse(inner.texts.get('id') ?? '') as SessionStoreData;
		expect(cookie).toMatchObject({ path: '/', maxAge: 60 });
		expect(new Date(cookie.expires ?? 0).getTime()).toBeGreaterThan(Date.now());
		await store.set('id', RECORD, Infinity);
		expect(inner.lastMaxAge).toBeNull();
		expect(JSON.parse(inner.texts.get('id') ?? '')).toEqual(RECORD);
	});

	test('a store without `touch` is written again', async () => {
		const inner = new TextStore();
		const store = fromExpressStore(inner);
		await store.touch('id', 60_000);
		expect(inner.texts.size).toBe(0);
		await store.set('id', RECORD, 1_000);
		await store.touch('id', 60_000);
		expect(inner.lastMaxAge).toBeGreaterThan(1_000);
	});

	test('a file that is not there is no session; every other error is one', async () => {
		const failing = (error: unknown): ReturnType<typeof fromExpressStore> =>
			fromExpressStore(
				Object.assign(new TextStore(), {
					get: (_: string, callback: (error: unknown) => void) => {
						callback(error);
					}
				})
			);
		const missing = Object.assign(new Error('no such file'), { code: 'ENOENT' });
		expect(await failing(missing).get('id')).toBeNull();
		await expect(failing(new Error('down')).get('id')).rejects.toThrow('down');
		await expect(failing('a text').get('id')).rejects.toBe('a text');
	});

	test('a store that throws, or whose promise fails without its callback, is a StoreError', async () => {
		for (const get of [
			() => {
				throw new Error('down');
			},
			() => Promise.reject(new Error('down'))
		]) {
			const store = fromExpressStore(Object.assign(new TextStore(), { get }));
			const options = { secret: 'a secret that is long enough', store };
			const { event, cookies } = testEvent();
			const login = await Session.initialize(event, options);
			await login.save();
			const { event: next } = testEvent(`connect.sid=${cookies[0]?.value ?? ''}`);
			await expect(Session.initialize(next, options)).rejects.toThrow(StoreError);
		}
	});
});

test('a format or a policy that does not exist is refused, with those that do', () => {
	const { event } = testEvent();
	const secret = 'a secret that is long enough';
	const make = (options: object) => () => new Session(event, { secret, ...options });
	expect(make({ format: 'koa' })).toThrow(ConfigError);
	expect(make({ format: 'koa' })).toThrow(
		"`format` must be 'svelte-kit-sessions' or 'express-session'"
	);
	expect(make({ onStoreError: 'ignore' })).toThrow(
		"`onStoreError` must be 'throw' or 'anonymous'"
	);
});
