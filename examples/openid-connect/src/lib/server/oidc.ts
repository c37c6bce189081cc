import { OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_ISSUER } from '$app/env/private';
import { error } from '@sveltejs/kit';
import * as client from 'openid-client';
import type { PendingLogin, Session, User } from 'vestiary';

const SCOPE = 'openid profile email';
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];
const AWAY = 'The login service is not available. Please try again in a moment.';

let discovered: Promise<client.Configuration> | undefined;

/**
 * The provider's metadata. Fetched when it is first needed, so that the app can be built
 * and started without the provider.
 */
export function provider(): Promise<client.Configuration> {
	discovered ??= discover().catch((cause: unknown) => {
		// The next visitor tries again.
		discovered = undefined;
		report('discovery', cause);
		error(503, AWAY);
	});
	return discovered;
}

async function discover(): Promise<client.Configuration> {
	const issuer = new URL(OIDC_ISSUER);
	// Other machines can read http on the way. On one machine nothing leaves it.
	const local = issuer.protocol === 'http:' && LOOPBACK.includes(issuer.hostname);
	return client.discovery(
		issuer,
		OIDC_CLIENT_ID,
		undefined,
		client.ClientSecretBasic(OIDC_CLIENT_SECRET),
		{ timeout: 8, ...(local && { execute: [client.allowInsecureRequests] }) }
	);
}

/** The address for the browser, and the values to remember until the callback. */
export async function beginLogin(
	redirectUri: URL
): Promise<{ address: URL; login: Omit<PendingLogin, 'next'> }> {
	const login = {
		verifier: client.randomPKCECodeVerifier(),
		state: client.randomState(),
		nonce: client.randomNonce()
	};
	const address = client.buildAuthorizationUrl(await provider(), {
		redirect_uri: redirectUri.href,
		scope: SCOPE,
		state: login.state,
		nonce: login.nonce,
		code_challenge: await client.calculatePKCECodeChallenge(login.verifier),
		code_challenge_method: 'S256'
	});
	return { address, login };
}

/** Checks the callback against the login that was begun, and exchanges its code. */
export async function finishLogin(
	callback: URL,
	login: PendingLogin
): Promise<{ user: User; claims: client.IDToken; answer: client.TokenEndpointResponse }> {
	const config = await provider();
	try {
		const answer = await client.authorizationCodeGrant(config, callback, {
			expectedState: login.state,
			expectedNonce: login.nonce,
			pkceCodeVerifier: login.verifier
		});
		const claims = answer.claims();
		if (!claims) throw new Error('the provider sent no ID token');
		const { sub } = claims;
		const { name = sub } = await client.fetchUserInfo(config, answer.access_token, sub);
		return { user: { sub, name }, claims, answer };
	} catch (cause) {
		return refuse(cause);
	}
}

/** The provider's data about a user, and when the access token expires that it was got with. */
export interface Known {
	info: client.UserInfoResponse;
	expires: Date | undefined;
}

/**
 * The provider's current data about the user. If the access token has expired, one request of all gets new tokens, and the
 * others wait for them. Undefined if there are none to be had: then the user has to log in again.
 */
export async function userInfo(session: Session): Promise<Known | undefined> {
	const { user } = session.data;
	if (!user) return undefined;
	const config = await provider();
	let refused: string | undefined;
	try {
		for (;;) {
			const tokens = await session.tokens((token) => refresh(config, token), { refused });
			if (!tokens) return undefined;
			const { accessToken, expires } = tokens;
			try {
				const info = await client.fetchUserInfo(config, accessToken, user.sub);
				return { info, expires };
			} catch (cause) {
				// Taken back before its end. With a new one it is tried once more.
				if (!isUnauthorized(cause) || refused !== undefined) throw cause;
				refused = accessToken;
			}
		}
	} catch (cause) {
		if (isUnauthorized(cause)) return undefined;
		report('user info', cause);
		error(503, AWAY);
	}
}

/** Sends a refresh token to the provider. Undefined if it is not accepted any more. */
async function refresh(
	config: client.Configuration,
	token: string
): Promise<client.TokenEndpointResponse | undefined> {
	try {
		return await client.refreshTokenGrant(config, token);
	} catch (cause) {
		if (isInvalidGrant(cause)) return undefined;
		throw cause;
	}
}

/** The address at which the provider ends its own session; undefined if it has none, or cannot be asked. */
export async function logoutAddress(idToken: string, home: URL): Promise<URL | undefined> {
	const config = await provider().catch(() => undefined);
	if (!config?.serverMetadata().end_session_endpoint) return undefined;
	return client.buildEndSessionUrl(config, {
		id_token_hint: idToken,
		post_logout_redirect_uri: home.href
	});
}

/** Tells the visitor what to do, without the library's message, which may quote secrets. */
function refuse(cause: unknown): never {
	if (cause instanceof client.AuthorizationResponseError) {
		if (cause.error === 'access_denied') error(403, 'The login was cancelled.');
		error(400, 'The login service did not log you in.');
	}
	if (isInvalidGrant(cause) || isForged(cause)) {
		error(400, 'This login could not be verified. Please try again.');
	}
	report('login', cause);
	error(503, AWAY);
}

function isUnauthorized(cause: unknown): boolean {
	return cause instanceof client.WWWAuthenticateChallengeError && cause.status === 401;
}

function isInvalidGrant(cause: unknown): boolean {
	return cause instanceof client.ResponseBodyError && cause.error === 'invalid_grant';
}

function isForged(cause: unknown): boolean {
	return (
		cause instanceof client.ClientError &&
		['OAUTH_INVALID_RESPONSE', 'OAUTH_JWT_CLAIM_COMPARISON_FAILED'].includes(cause.code ?? '')
	);
}

/** Only the codes: messages and causes may hold tokens. */
function report(what: string, cause: unknown): void {
	const { name, code, error: answer, cause: inner } = cause as Record<string, unknown>;
	const reason = (inner as { code?: unknown } | undefined)?.code;
	const words = [name, code, answer, reason].filter((word) => typeof word === 'string');
	console.error(`OpenID Connect, ${what}: ${words.join(' ')}`);
}
