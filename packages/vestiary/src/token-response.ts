import { ConfigError } from './errors.js';
import { checkWellFormed } from './runtime.js';

/**
 * The answer of a provider's token endpoint (RFC 6749, section 5.1), as the clients of OAuth and OpenID Connect return it.
 * Other members are ignored.
 */
export interface TokenResponse {
	readonly access_token: string;
	/** The lifetime of the access token, in seconds. */
	readonly expires_in?: number | undefined;
	readonly refresh_token?: string | undefined;
	readonly id_token?: string | undefined;
}

/** The texts of an answer for the core, each empty without a token, and the lifetime of its access token: NaN if unknown. */
export interface Grant {
	readonly texts: readonly string[];
	readonly lifetime: number;
}

/**
 * Checks the answer of a token endpoint.
 * @throws ConfigError
 */
export function grantOf(response: unknown): Grant {
	const answer = (response ?? {}) as Record<keyof TokenResponse, unknown>;
	const texts = (['access_token', 'refresh_token', 'id_token'] as const).map((name) => {
		const token = answer[name] ?? '';
		if (typeof token !== 'string')
			throw new ConfigError('options', `\`${name}\` of a token response must be a string`);
		checkWellFormed(`\`${name}\` of a token response`, token);
		return token === '' ? '' : JSON.stringify(token);
	});
	if (texts[0] === '')
		throw new ConfigError(
			'options',
			'the tokens must be the answer of a token endpoint, with its `access_token`'
		);
	// Some providers send a string.
	const seconds = Number(answer.expires_in ?? NaN);
	return { texts, lifetime: seconds >= 0 ? seconds * 1_000 : NaN };
}
