import type { AtomicOutcome, AtomicStamp, StoreInfo } from '../types.js';
import { hashed } from './hash.js';
import { WRITE_ID_HEADS } from './options.js';

/**
 * Compares the write ID of a record and, if it is the expected one, replaces the record, or removes it (empty text). It
 * uses one key, so it runs on a cluster.
 */
export const COMPARE_AND_SET: string = setting('return 1');

/** As {@link COMPARE_AND_SET}, and publishes the name of the key on the channel `ARGV[4]`. */
export const COMPARE_SET_AND_PUBLISH: string = setting(publishing('ARGV[4]'), 'return 1');

/** Compares the write ID of a record and, if it is the expected one, restarts the record's TTL. */
export const COMPARE_AND_TOUCH: string = comparing(
	"redis.call('PEXPIRE', KEYS[1], ARGV[2])",
	'return 1'
);

/** Reads the clock of the node that holds a key, in milliseconds. The key routes the script to that node in a cluster. */
export const TIME =
	"local now = redis.call('TIME') return now[1] * 1000 + math.floor(now[2] / 1000)";

/**
 * Stores a text with the clock of the node that holds the key, if there is no record, or one that begins alike: with
 * the same 36 characters, the 16 of the write ID apart. Returns the time and the previous text, after a character that
 * begins no JSON; an empty list if it did nothing.
 */
export const STAMP: string = stamping();

/** As {@link STAMP}, and publishes the name of the key on the channel `ARGV[3]`. */
export const STAMP_AND_PUBLISH: string = stamping(publishing('ARGV[3]'));

/** Parses the result of {@link STAMP}. */
export function stampOf(answer: unknown): AtomicStamp | null {
	const [time, before] = Array.isArray(answer) ? (answer as unknown[]) : [];
	if (typeof before !== 'string') return null;
	return [Number(time), before === '=' ? null : before.slice(1)];
}
/** Parses the result of the comparing scripts. */
export function outcomeOf(answer: unknown): AtomicOutcome {
	const number = Number(answer);
	if (number === 1) return 'done';
	return number === -1 ? 'gone' : 'conflict';
}

/** Reads the `INFO` of the node that holds a key, as all clients can. */
export const INFO = "return redis.call('INFO')";

/** Finds the version and the eviction policy in the server's `INFO`. */
export function infoIn(answer: unknown): StoreInfo {
	const text = String(answer);
	const value = (name: string): string | undefined =>
		new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(text)?.[1];
	const [valkey, redis] = [value('valkey_version'), value('redis_version')];
	const version = valkey === undefined ? redis && `Redis ${redis}` : `Valkey ${valkey}`;
	return { version, evictionPolicy: value('maxmemory_policy') };
}

const hashes = new Map<string, Promise<string>>();

/** The hash by which the server finds a script that it has cached. */
export async function hashOfScript(script: string): Promise<string> {
	let hash = hashes.get(script);
	if (!hash) {
		hash = hashed('SHA-1', script);
		hashes.set(script, hash);
	}
	return hash;
}

/** A script that goes on only if the record has the write ID `ARGV[1]`. */
function comparing(...rest: string[]): string {
	return [
		"local text = redis.call('GET', KEYS[1])",
		'if not text then return -1 end',
		`local write_id = ${WRITE_ID_HEADS.map(patternOf).join(' or ')} or ''`,
		"if #write_id ~= 16 then write_id = '' end",
		'if write_id ~= ARGV[1] then return 0 end',
		...rest
	].join('\n');
}

function patternOf(head: string): string {
	return `string.match(text, '^${head}([%w_-]+)"')`;
}

/** A script that writes a record that has the expected write ID, and then goes on. */
function setting(...rest: string[]): string {
	return comparing(
		"if ARGV[2] == '' then redis.call('DEL', KEYS[1])",
		"else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end",
		...rest
	);
}

/** A script that stores a text with the time, and then goes on. */
function stamping(...rest: string[]): string {
	return [
		"local text = redis.pcall('GET', KEYS[1])",
		"if type(text) == 'table' then return {} end",
		'local function head(of) return string.sub(of, 1, 6) .. string.sub(of, 23, 36) end',
		'if text and head(text) ~= head(ARGV[1]) then return {} end',
		'if redis.replicate_commands then redis.replicate_commands() end',
		"local now = redis.call('TIME')",
		'local time = now[1] * 1000 + math.floor(now[2] / 1000)',
		"redis.call('SET', KEYS[1], ARGV[1] .. string.format('%.0f', time) .. '}', 'PX', ARGV[2])",
		...rest,
		"return {time, '=' .. (text or '')}"
	].join('\n');
}

/** Publishes the name of the key. A missing permission for the channel must not fail the write. */
function publishing(channel: string): string {
	return `redis.pcall('PUBLISH', ${channel}, redis.sha1hex(KEYS[1]))`;
}
