import { LogoutError } from './errors.js';
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

/** The longest time of a request, in milliseconds. */
const PATIENCE = 5_000;

/** The longest answer of a provider, in characters. */
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
		if (found.length === 0 && (this.#asking || now - this.#asked > PAUSE)) {
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

	/** Asks the provider. Requests that come meanwhile wait for the same answer. */
	#ask(now: number): Promise<void> {
		this.#asking ??= this.#fetch()
			.then((keys) => {
				this.#keys = keys;
				this.#fetched = now;
			})
			.catch((cause: unknown) => {
				throw new LogoutError('keys_unavailable', { cause });
			})
			.finally(() => {
				this.#asking = undefined;
				this.#asked = now;
			});
		return this.#asking;
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
		redirect: 'error',
		signal: AbortSignal.timeout(PATIENCE)
	});
	if (!response.ok) throw new TypeError(`status ${response.status}`);
	const text = await response.text();
	if (text.length > LONGEST) throw new TypeError('too long');
	return JSON.parse(text);
}
