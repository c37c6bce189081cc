import type { Contents } from './contents.js';
import type { LoginDevice } from './device.js';
import { ConfigError, orThrow } from './errors.js';
import { checkName, Given } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { checkNames } from './names.js';
import { checkWellFormed, userKey } from './runtime.js';
import type { Scope } from './scope.js';
import type { RegisteredData } from './registered.js';
import type { SessionData } from './types.js';
import type { Input } from './visit.js';

/** Options of `Session.login`. */
export interface LoginOptions {
	/** The data of the new session. Default: none. */
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- applications merge it
	data?: Partial<RegisteredData> | undefined;
	/** Keys of the anonymous session's data to keep, such as a cart. Default: none. */
	keep?: (keyof RegisteredData)[] | undefined;
	/** A label by which the user recognises the session: a device or a place. */
	label?: string | undefined;
	/** The device by which the user recognises the session. Default: unknown. */
	device?: LoginDevice | undefined;
	/**
	 * How long the cookie of this session lasts, in whole seconds; null for as long as the browser is open. It is kept in
	 * the record, so each later cookie of the session has it, whichever handle sets it, until the next login. Default:
	 * `cookie.maxAge` of the options.
	 */
	maxAge?: number | null | undefined;
	/**
	 * When the visitor proved their identity. The login is refused if another request has revoked all sessions of the
	 * user since, or if the proof is more than a day old. Default: when the request began.
	 */
	provenAt?: Date | undefined;
}

const NAMES = ['data', 'keep', 'label', 'device', 'maxAge', 'provenAt'];

/** The parts of a device. */
const PARTS = ['browser', 'system', 'address'] as const;

/**
 * Rejects an invalid user ID and unknown options, before anything is done.
 * @throws ConfigError
 */
export function checkLogin(userId: unknown, options: unknown): void {
	checkUser(userId);
	if (typeof options !== 'object' || options === null)
		throw wrong('the options of `session.login()` must be an object');
	checkNames(options, NAMES, { kind: 'an option of `session.login()`' });
	const { keep, label, device, maxAge } = options as Record<keyof LoginOptions, unknown>;
	// A missing header is null.
	if (label !== undefined && label !== null && typeof label !== 'string')
		throw wrong('`label` of `session.login()` must be a string');
	checkWellFormed('the label of a session', label ?? undefined);
	checkDevice(device);
	if (maxAge !== undefined && maxAge !== null && typeof maxAge !== 'number')
		throw wrong('`maxAge` of `session.login()` must be a number of seconds, or null');
	if (keep !== undefined && keep !== null && !Array.isArray(keep))
		throw wrong('`keep` of `session.login()` must be a list of keys');
}

/** Rejects an invalid device. */
function checkDevice(device: unknown): void {
	if (device === undefined || device === null) return;
	const refuse = (problem: string): never => {
		throw new ConfigError('options', `\`device\` of \`session.login()\` ${problem}`);
	};
	if (typeof device !== 'object')
		return refuse('must be an object with `browser`, `system` and `address`');
	checkNames(device, PARTS, { kind: 'a part of the device at a login', prefix: 'device.' });
	for (const name of PARTS) {
		const value: unknown = (device as Record<string, unknown>)[name] ?? undefined;
		if (value !== undefined && typeof value !== 'string')
			refuse(`must have a string as its \`${name}\``);
		checkWellFormed(`\`device.${name}\` of a login`, value as string | undefined);
	}
}

/** The texts of a device for the core: none if no device was given. */
function textsOf(device: LoginDevice | null | undefined): string[] {
	return device ? PARTS.map((name) => JSON.stringify(device[name] ?? '')) : [];
}

/** Rejects an invalid user ID. */
export function checkUser(userId: unknown): void {
	if (typeof userId !== 'string') throw wrong('the user ID must be a string');
	checkWellFormed('the user ID', userId);
	orThrow(() => {
		checkName(userId);
	});
}

/** The data of the session that a login begins, and the arguments of the operation. */
export function loginOf(
	{ visit, own, began, runtime }: Scope,
	contents: Contents,
	userId: string,
	options: LoginOptions
): { readonly data: SessionData; readonly input: Input } {
	const { core, options: config } = runtime;
	const { data: old } = contents;
	const kept = Object.fromEntries(
		(options.keep ?? []).flatMap((key) => (Object.hasOwn(old, key) ? [[key, old[key]]] : []))
	);
	const more = options.data ?? {};
	const data: SessionData = { ...kept, ...more };
	const checked = contents.checked(data);
	// A schema or a migration has made the data anew, so the record's own spelling is of no use.
	const text =
		visit.storedId === undefined || runtime.shape
			? checked
			: core.keep(visit.record, contents.base, jsonOf(kept), jsonOf(more));
	const label = options.label ?? undefined;
	const input = {
		flags: label === undefined ? 0 : Given.More,
		texts: [
			JSON.stringify(userId),
			text,
			JSON.stringify(label ?? ''),
			secondsIn(options),
			...textsOf(options.device)
		],
		login: {
			proven: provenAt(options) ?? began,
			own: own.ended?.get(userKey(config, userId))
		}
	};
	return { data, input };
}

/** How long the cookie lasts, as text for the core. */
function secondsIn({ maxAge }: LoginOptions): string {
	if (maxAge === undefined) return '';
	return String(maxAge === null ? null : Math.floor(maxAge));
}

/** When the visitor proved their identity, in milliseconds since the epoch. Rejects an invalid Date. */
function provenAt({ provenAt: date }: LoginOptions): number | undefined {
	if (date === undefined) return undefined;
	if ((date as unknown) instanceof Date && !Number.isNaN(date.getTime())) return date.getTime();
	throw wrong('`provenAt` of `session.login()` must be a valid Date');
}

function wrong(message: string): ConfigError {
	return new ConfigError('options', message);
}
