import '../server-only.js';

import { DurableObject } from 'cloudflare:workers';

import type { AtomicOutcome } from '../types.js';
import { beginAlike, WRITE_ID_HEADS } from './options.js';

/**
 * The Durable Object of one record of a `DurableObjectStore`. Export it from the Worker's main module, and declare it
 * in `new_sqlite_classes` of wrangler.jsonc:
 *
 * ```ts
 * export { SessionObject } from 'vestiary/durable-objects/object';
 * ```
 *
 * An object runs one operation at a time, up to its first `await`. Each operation compares and writes before that, so
 * it is atomic. An alarm removes an expired record, and with it the object.
 */
export class SessionObject extends DurableObject {
	/** The text of the record; null if there is none or it has expired. */
	read(): string | null {
		return this.#present()?.text ?? null;
	}

	/** Stores a record, and replaces an existing one. */
	async set(text: string, ttl: number): Promise<void> {
		await this.#store(text, ttl);
	}

	/** Stores a record if there is none. Returns whether it was stored. */
	async create(text: string, ttl: number): Promise<boolean> {
		if (this.#present()) return false;
		await this.#store(text, ttl);
		return true;
	}

	/** Replaces the record that has this write ID. */
	async replace(writeId: string | null, text: string, ttl: number): Promise<AtomicOutcome> {
		const outcome = this.#compared(writeId);
		if (outcome === 'done') await this.#store(text, ttl);
		return outcome;
	}

	/** Restarts the TTL of any record. Returns whether there is one. */
	async touch(ttl: number): Promise<boolean> {
		const present = this.#present();
		if (present) await this.#store(present.text, ttl);
		return present !== undefined;
	}

	/** Restarts the TTL of the record that has this write ID. */
	async touchExpected(writeId: string | null, ttl: number): Promise<AtomicOutcome> {
		const outcome = this.#compared(writeId);
		if (outcome === 'done') await this.touch(ttl);
		return outcome;
	}

	/** Removes the record that has this write ID. */
	async remove(writeId: string | null): Promise<AtomicOutcome> {
		const outcome = this.#compared(writeId);
		if (outcome === 'done') await this.destroy();
		return outcome;
	}

	/** Removes any record, and all that the object keeps. */
	async destroy(): Promise<void> {
		const { storage } = this.ctx;
		// Before its compatibility date 2026-02-24, a Worker keeps the alarm of an object without data.
		await Promise.all([storage.deleteAlarm(), storage.deleteAll()]);
	}

	/** The time of the object, in milliseconds since the epoch. */
	now(): number {
		return Date.now();
	}

	/**
	 * Stores `text`, the time and `}`, if there is no record or one that begins as `text` does, the write ID apart.
	 * Returns the time and the previous text; null if there is another record.
	 */
	async stamp(
		text: string,
		ttl: number
	): Promise<{ readonly time: number; readonly before: string | null } | null> {
		const before = this.#present()?.text ?? null;
		if (before !== null && !beginAlike(before, text)) return null;
		const time = Date.now();
		await this.#store(`${text}${time}}`, ttl);
		return { time, before };
	}

	/** Removes an expired record. The alarm of a record that was prolonged is set again. */
	override async alarm(): Promise<void> {
		const present = this.#present();
		if (present) await this.#keep(present.text, present.expires, undefined);
		else await this.destroy();
	}

	/** The record, unless it has expired. */
	#present(): Stored | undefined {
		const stored = this.#stored();
		return stored && stored.expires > Date.now() ? stored : undefined;
	}

	#stored(): Stored | undefined {
		return this.ctx.storage.kv.get(KEY) as Stored | undefined;
	}

	#compared(writeId: string | null): AtomicOutcome {
		const present = this.#present();
		if (!present) return 'gone';
		return writeIdOf(present.text) === writeId ? 'done' : 'conflict';
	}

	async #store(text: string, ttl: number): Promise<void> {
		await this.#keep(text, Date.now() + ttl, this.#stored()?.alarm);
	}

	/** Stores a record. An alarm that rings before it expires is left alone: setting it is one more write. */
	async #keep(text: string, expires: number, present: number | undefined): Promise<void> {
		const now = Date.now();
		const wanted = Math.min(expires, now + LATEST_ALARM);
		const isEarlier = present !== undefined && present > now && present <= wanted;
		const alarm = isEarlier ? present : wanted;
		const stored: Stored = { text, expires, alarm };
		this.ctx.storage.kv.put(KEY, stored);
		if (!isEarlier) await this.ctx.storage.setAlarm(alarm);
	}
}

/** A record, as its object stores it. Times are in milliseconds since the epoch. */
interface Stored {
	readonly text: string;
	readonly expires: number;
	/** When the object's alarm rings. */
	readonly alarm: number;
}

const KEY = 'record';

/** The longest time to an alarm, in milliseconds: a year. Workers have no alarms after the year 2189. */
const LATEST_ALARM = 31_536_000_000;

const WRITE_ID = new RegExp(`^(?:${WRITE_ID_HEADS.join('|').replaceAll('{', '\\{')})([\\w-]{16})"`);

/** The write ID of a record; null without one. */
function writeIdOf(text: string): string | null {
	return WRITE_ID.exec(text)?.[1] ?? null;
}
