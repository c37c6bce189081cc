import { LogoutError } from './errors.js';
import { limitedText } from './limited.js';
import { orLate } from './or-late.js';
import { keyFor, type Algorithm, type PublicKey } from './signature.js';

/** A set of public keys (RFC 7517). */
export interface KeySet {
	readonly keys: readonly object[];
}

/** The source of a provider's keys: the address of the set (`jwks_uri`), or a function that returns the set. */
export type KeySource = string | URL | (() => KeySet | Promise<KeySet>);

/** The time after which the keys are fetched again, in milliseconds: a key that the provider has withdrawn ends then. */
const KEPT = 3_600_000;

/** The time between two requests because of a key that is not known, in milliseconds. */
const PAUSE = 30_000;

/** The longest time of a request to the provider, in milliseconds. The keys may need two of them. */
const PATIENCE = 5_000;

/** The longest time that a logout waits for keys, in milliseconds. */
const LONGEST_WAIT = 2 * PATIENCE;

/** The longest answer of a provider, in bytes. */
const LONGEST = 262_144;

/** The public keys of a provider: fetched when they are needed, and kept. */
export class ProviderKeys {
	readonly #issuer: string;
	readonly #source: KeySource | undefined;
	#keys: readonly PublicKey[] = [];
	#fetched = -Infinity;
	#asked = -Infinity;
	#asking: Promise<void> | undefined;

	constructor(issuer: string, source: KeySource | undefined) {
		this.#issuer = issuer;
		this.#source = source;
	}

	/**
	 * The keys that may have signed a token. For a key that is not known, the provider is asked again, but only twice a
	 * minute: anyone can send a token with an invented `kid`.
	 * @throws LogoutError if there are none
	 */
	async find(algorithm: Algorithm, kid: string | undefined): Promise<JsonWebKey[]> {
		const now = performance.now();
		const isOld = now - this.#fetched > KEPT;
		let found = isOld ? [] : this.#known(algorithm, kid);
		if (found.length === 0 && (this.#isAsked(now) || now - this.#asked > PAUSE)) {
			await this.#ask(now);
			found = this.#known(algorithm, kid);
		} else if (isOld) throw new LogoutError('keys_unavailable');
		if (found.length === 0) throw new LogoutError('token_key');
		return found;
	}

	#known(algorithm: Algorithm, kid: string | undefined): JsonWebKey[] {
		return this.#keys
			.filter((key) => kid === undefined || key.kid === kid)
			.flatMap((key) => keyFor(key, algorithm) ?? []);
	}

	/** Whether an answer of the provider may still come. One that does not come in time is not awaited again. */
	#isAsked(now: number): boolean {
		return this.#asking !== undefined && now - this.#asked < LONGEST_WAIT;
	}

	/** Asks the provider. Requests that come meanwhile wait for the same answer. */
	async #ask(now: number): Promise<void> {
		const asking = this.#isAsked(now) && this.#asking ? this.#asking : this.#begin(now);
		// By a timer of this request: on Workers, one of another request stops with that one, as its `fetch` does.
		await orLate(asking, LONGEST_WAIT, () => new LogoutError('keys_unavailable'));
	}

	#begin(now: number): Promise<void> {
		this.#asked = now;
		const asking = this.#fetch()
			.then((keys) => {
				// A later answer is newer.
				if (this.#asking !== asking) return;
				this.#keys = keys;
				this.#fetched = now;
			})
			.catch((cause: unknown) => {
				throw new LogoutError('keys_unavailable', { cause });
			})
			.finally(() => {
				if (this.#asking === asking) this.#asking = undefined;
			});
		// Each request that waits for it has gone on, perhaps.
		asking.catch(() => undefined);
		return (this.#asking = asking);
	}

	async #fetch(): Promise<readonly PublicKey[]> {
		const set =
			typeof this.#source === 'function'
				? await this.#source()
				: await json(this.#source ?? (await this.#address()));
		const { keys } = (set ?? {}) as { keys?: unknown };
		if (!Array.isArray(keys)) throw new TypeError('not a set of keys');
		return keys.filter((key) => typeof key === 'object' && key !== null) as PublicKey[];
	}

	/** The address of the keys, in the metadata of the provider. */
	async #address(): Promise<string> {
		const base = this.#issuer.replace(/\/$/, '');
		const found = await json(`${base}/.well-known/openid-configuration`);
		const { issuer, jwks_uri } = (found ?? {}) as Record<string, unknown>;
		if (issuer !== this.#issuer || typeof jwks_uri !== 'string')
			throw new TypeError('not the metadata of this issuer');
		return jwks_uri;
	}
}

async function json(address: string | URL): Promise<unknown> {
	const response = await fetch(address, {
		headers: { accept: 'application/json' },
		// Workers do not know `error`. The status of a redirect is not that of an answer.
		redirect: 'manual',
		signal: AbortSignal.timeout(PATIENCE)
	});
	if (!response.ok) throw new TypeError(`status ${response.status}`);
	const text = await limitedText(response, LONGEST);
	if (text === undefined) throw new TypeError('too long');
	return JSON.parse(text);
}
