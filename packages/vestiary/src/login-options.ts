import type { Contents } from './contents.js';
import type { LoginDevice } from './device.js';
import { ConfigError, orThrow } from './errors.js';
import { checkName, Given } from './generated/vestiary.js';
import { jsonOf } from './json.js';
import { checkNames } from './names.js';
import { checkWellFormed, userKey } from './runtime.js';
import type { Scope } from './scope.js';
import type { RegisteredData } from './registered.js';
import { grantOf, type Grant, type TokenResponse } from './token-response.js';
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
	 * How long the cookie of this session lasts, in whole seconds; null for as long as the browser is open. The record
	 * keeps it, so each later cookie of the session has it, whichever handle sets the cookie, until the next login.
	 * Default: `cookie.maxAge` of the options.
	 */
	maxAge?: number | null | undefined;
	/**
	 * When the visitor proved their identity. The login is refused if another request has revoked all sessions of the
	 * user since, or if the proof is more than a day old. Default: when the request began.
	 */
	provenAt?: Date | undefined;
	/**
	 * The claims of the provider's ID token, so that the provider can end the session: {@link backChannelLogout}. Default:
	 * none.
	 */
	provider?: ProviderClaims | undefined;
	/**
	 * The answer of the provider's token endpoint, kept beside the data as `keepTokens()` does. It is in the write that
	 * begins the session, so no crash leaves one without the other. The login fails with a {@link DataError} with the
	 * code `slots_full` if the session has no room for it. Default: none.
	 */
	tokens?: TokenResponse | undefined;
}

/** The claims of an ID token that name a session at its provider. Others are ignored, so that all claims can be given. */
export interface ProviderClaims {
	/** The provider. */
	readonly iss: string;
	/** The provider's name for the user. */
	readonly sub: string;
	/** The user's session at the provider, if it has a name. */
	readonly sid?: unknown;
}

const NAMES = ['data', 'keep', 'label', 'device', 'maxAge', 'provenAt', 'provider', 'tokens'];

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
	const { keep, label, device, maxAge, provider } = options as Record<
		keyof LoginOptions,
		unknown
	>;
	// A missing header is null.
	if (label !== undefined && label !== null && typeof label !== 'string')
		throw wrong('`label` of `session.login()` must be a string');
	checkWellFormed('the label of a session', label ?? undefined);
	checkDevice(device);
	checkProvider(provider);
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

/** Rejects claims by which a provider could not end the session. */
function checkProvider(provider: unknown): void {
	if (provider === undefined || provider === null) return;
	const claims = (typeof provider === 'object' ? provider : {}) as Record<string, unknown>;
	for (const name of CLAIMS) {
		const value = claims[name] ?? (name === 'sid' ? 'absent' : undefined);
		if (typeof value !== 'string' || value === '')
			throw wrong(
				'`provider` of `session.login()` must be the claims of an ID token: `iss`, `sub`, and `sid` if it has one'
			);
		checkWellFormed(`\`${name}\` of a provider`, value);
	}
}

/** The claims that name a session at its provider, in the order of the core. */
const CLAIMS = ['iss', 'sub', 'sid'] as const;

/** The texts of the device, the provider and its tokens for the core: none if none of them was given. */
function textsOf({ device, provider }: LoginOptions, tokens: readonly string[]): string[] {
	if (!device && !provider && tokens.length === 0) return [];
	const parts = PARTS.map((name) => device?.[name] ?? '');
	const claims = CLAIMS.map((name) => provider?.[name] ?? '');
	return [...[...parts, ...claims].map((text) => JSON.stringify(text)), ...tokens];
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
	const { texts: tokens, lifetime } = grantIn(options);
	const input = {
		flags: label === undefined ? 0 : Given.More,
		texts: [
			JSON.stringify(userId),
			text,
			JSON.stringify(label ?? ''),
			secondsIn(options),
			...textsOf(options, tokens)
		],
		login: {
			proven: provenAt(options) ?? began,
			own: own.ended?.get(userKey(config, userId)),
			lifetime
		}
	};
	return { data, input };
}

/** The tokens of the provider. */
function grantIn({ tokens }: LoginOptions): Grant {
	return (tokens ?? undefined) === undefined ? { texts: [], lifetime: NaN } : grantOf(tokens);
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
