import { ConfigError, OnceError } from './errors.js';
import { Given, Task } from './generated/vestiary.js';
import { CALL, SLOT } from './inside.js';
import { checkNames } from './names.js';
import { settled, within, type Run } from './once.js';
import { checkWellFormed } from './runtime.js';
import { secondsOf } from './slot-arguments.js';
import { Slots } from './slots.js';
import { grantOf, type TokenResponse } from './token-response.js';
import type { Input } from './visit.js';

/** The tokens of a session. They are for the server alone: return them from no `load` function. */
export interface Tokens {
	readonly accessToken: string;
	/** When the access token expires; undefined if the provider has not said so. */
	readonly expires: Date | undefined;
	readonly refreshToken: string | undefined;
	/** The last ID token that the provider has sent, for `id_token_hint` of a logout. */
	readonly idToken: string | undefined;
}

/**
 * Sends a refresh token to the provider. Returns its answer, or undefined if it has refused the token for good
 * (`invalid_grant`). Its signal is aborted when the lease ends.
 */
export type Refresh = (
	refreshToken: string,
	signal: AbortSignal
) => TokenResponse | undefined | Promise<TokenResponse | undefined>;

/** Options of `session.tokens()`. */
export interface TokenOptions {
	/**
	 * How long before its end an access token is refreshed, in seconds; at most half of its life. Until then, requests that do
	 * not refresh it get the old one. Default: 60.
	 */
	early?: number | undefined;
	/**
	 * The time that the provider may take, in seconds. If a process dies, another request refreshes the tokens after it.
	 * Default: 10.
	 */
	lease?: number | undefined;
	/** An access token that an API has refused (401), which counts as expired. Default: none. */
	refused?: string | undefined;
}

/** The state of tokens as the core keeps it. */
interface Kept {
	readonly access: string;
	readonly refresh?: string;
	readonly id?: string;
	readonly expires?: number;
}

const KEEP = 'session.keepTokens()';
const FIND = 'session.tokens()';
const NAMES = ['early', 'lease', 'refused'];

/** The tokens of a provider, beside the data of a session: a base class of `Session`. */
export abstract class Tokened extends Slots {
	/**
	 * Keeps the tokens of a provider beside the session's data: not in `data`, so no `load` function returns them by
	 * accident, and encrypted with the option `encrypt`. They replace earlier ones. `renew()` keeps them; a login and
	 * `regenerate()` drop them. Give a login its new ones by its option `tokens`.
	 *
	 * ```ts
	 * await session.keepTokens(answer);
	 * ```
	 *
	 * @returns False if the session was ended meanwhile: nothing is stored then
	 * @throws {@link DataError} if the session has no room for them (`slots_full`)
	 * @throws {@link ConfigError} if the store is not atomic, or this is not an answer of a token endpoint
	 * @throws {@link StoreError} if the store fails
	 */
	keepTokens(response: TokenResponse): Promise<boolean> {
		return this[SLOT](
			Task.KeepTokens,
			KEEP,
			() => granted('', response),
			({ isStored }) => isStored
		);
	}

	/**
	 * The tokens, refreshed if the access token expires soon. Only one request of the session calls the function, in all
	 * processes. While the old token is still valid, the others get it. After that they wait for the new one. Valid
	 * tokens cost no store call.
	 *
	 * ```ts
	 * const tokens = await session.tokens((refreshToken, signal) => ask(refreshToken, signal));
	 * if (!tokens) redirect(303, loginPage(event));
	 * ```
	 *
	 * @returns Undefined if there are none, if they have expired and there is no refresh token, or if the provider has
	 * refused it: log in again
	 * @throws The error of the function, in the request that calls it. For two seconds, no other request calls it
	 * @throws {@link OnceError} in requests that have waited in vain, and if the function took longer than the lease
	 * @throws {@link DataError} if the session has no room for the new tokens (`slots_full`)
	 * @throws {@link ConfigError} if the store is not atomic
	 * @throws {@link StoreError} if the store fails
	 */
	tokens(refresh: Refresh, options: TokenOptions = {}): Promise<Tokens | undefined> {
		return this[CALL](async () => refreshed(this, refresh, options));
	}

	/**
	 * The tokens as they are stored, perhaps expired, for a logout at the provider. Undefined without any. Costs no store
	 * call.
	 */
	storedTokens(): Promise<Tokens | undefined> {
		const input = { texts: [''], lifetime: 0, early: 0, waited: 0 };
		return this[SLOT](
			Task.Tokens,
			'session.storedTokens()',
			() => input,
			({ taken }) => tokensOf(taken.slice(taken.indexOf('\n') + 1))
		);
	}
}

async function refreshed(
	session: Tokened,
	refresh: Refresh,
	options: TokenOptions
): Promise<Tokens | undefined> {
	const { early, lease, refused } = checked(refresh, options);
	const input = { texts: [refused], lifetime: lease, early };
	const began = performance.now();
	for (;;) {
		const { isHeld, rest, since } = await settled(session, Task.Tokens, FIND, input, began);
		if (!isHeld) return tokensOf(rest);
		const run: Run<TokenResponse | undefined> = (signal) =>
			refresh((JSON.parse(rest) as Kept).refresh ?? '', signal);
		const ended = await hold(session, rest, run, since + lease - performance.now());
		if (ended) return ended.tokens;
		// Another request has taken over after the lease. Its tokens count.
	}
}

/**
 * Asks the provider while this request holds the lease. Undefined if another request has taken over.
 */
async function hold(
	session: Tokened,
	held: string,
	run: Run<TokenResponse | undefined>,
	milliseconds: number
): Promise<{ readonly tokens: Tokens | undefined } | undefined> {
	const keep = (input: Input): Promise<boolean> =>
		session[SLOT](
			Task.KeepTokens,
			FIND,
			() => input,
			({ taken }) => taken !== ''
		);
	const lost = new OnceError('once_lost');
	let asking: Promise<TokenResponse | undefined> | undefined;
	const ask: Run<TokenResponse | undefined> = (signal) => (asking = (async () => run(signal))());
	try {
		const response = await within(ask, milliseconds, lost);
		const isKept = await keep(response ? granted(held, response) : { texts: [held] });
		return isKept ? { tokens: await session.storedTokens() } : undefined;
	} catch (error) {
		// The requests that wait need not wait for the end of the lease. If this cannot be stored, they do.
		if (error !== lost) await keep({ texts: [held], flags: Given.More }).catch(() => false);
		// The provider may have taken the old tokens out of use, so new ones that are late are kept nevertheless.
		else void asking?.then((late) => late && keep(granted(held, late))).catch(() => undefined);
		throw error;
	}
}

/** The arguments that keep the tokens of an answer. */
function granted(held: string, response: unknown): Input {
	const { texts, lifetime } = grantOf(response);
	return { texts: [held, ...texts], lifetime };
}

function tokensOf(text: string): Tokens | undefined {
	if (text === '') return undefined;
	const { access, refresh, id, expires } = JSON.parse(text) as Kept;
	return {
		accessToken: access,
		expires: expires === undefined ? undefined : new Date(expires),
		refreshToken: refresh,
		idToken: id
	};
}

/** The options, checked: times in milliseconds, and the refused token as JSON text. */
function checked(
	refresh: unknown,
	options: TokenOptions
): {
	readonly early: number;
	readonly lease: number;
	readonly refused: string;
} {
	if (typeof refresh !== 'function')
		throw wrong(`\`${FIND}\` needs a function that sends the refresh token to the provider`);
	if (typeof (options as unknown) !== 'object' || (options as unknown) === null)
		throw wrong(`the options of \`${FIND}\` must be an object`);
	checkNames(options, NAMES, { kind: `an option of \`${FIND}\`` });
	const { early = 60, lease = 10, refused } = options;
	if (refused !== undefined && typeof (refused as unknown) !== 'string')
		throw wrong(`\`refused\` of \`${FIND}\` must be a string`);
	checkWellFormed(`\`refused\` of \`${FIND}\``, refused);
	return {
		early: early === 0 ? 0 : secondsOf(FIND, 'early', early),
		lease: secondsOf(FIND, 'lease', lease),
		refused: refused === undefined ? '' : JSON.stringify(refused)
	};
}

function wrong(message: string): ConfigError {
	return new ConfigError('options', message);
}
