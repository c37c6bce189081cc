import type { RequestEvent } from '@sveltejs/kit';

import { ConfigError, LogoutError, VestiaryError, type LogoutErrorCode } from './errors.js';
import { logoutToken, providerList } from './generated/vestiary.js';
import { SCOPE } from './inside.js';
import { limitedText } from './limited.js';
import { checkNames } from './names.js';
import { ProviderKeys, type KeySource } from './provider-keys.js';
import type { Runtime } from './runtime.js';
import { harmless, slots } from './scope.js';
import { Session } from './session.js';
import { isSigned, type Algorithm } from './signature.js';
import { endedByProvider } from './users.js';

/** A provider of OpenID Connect, for {@link frontChannelLogout}. */
export interface FrontChannelOptions {
	/** The provider: `issuer` of its metadata, exactly. */
	issuer: string;
	/** The property of `event.locals` that holds the session: the option `as` of the handle. Default: `'session'`. */
	as?: string | undefined;
	/**
	 * Called for each refused request, to log or count it. The error has a stable code, and shows nothing of the token. An
	 * exception of its own changes no answer. Default: none.
	 */
	onRefused?: ((error: VestiaryError, event: RequestEvent) => void) | undefined;
}

/** A provider of OpenID Connect, for {@link backChannelLogout}. */
export interface BackChannelOptions extends FrontChannelOptions {
	/** The application's ID at the provider. */
	clientId: string;
	/**
	 * The provider's public keys: the address of the set, or a function that returns the set. Default: `jwks_uri` of the
	 * provider's metadata, at `<issuer>/.well-known/openid-configuration`.
	 */
	jwks?: KeySource | undefined;
}

/** An endpoint of SvelteKit. */
export type LogoutEndpoint = (event: RequestEvent) => Promise<Response>;

/** The longest body of a request, in bytes. */
const LONGEST = 32_768;

/**
 * Creates the endpoint for OpenID Connect Back-Channel Logout 1.0: the provider sends a signed token, and the sessions of
 * its `sid` end, or all of its `sub`, in each process and with their streams. It ends sessions that were logged in with
 * the provider's claims: {@link LoginOptions.provider}.
 *
 * ```ts
 * import { backChannelLogout } from 'vestiary';
 *
 * export const POST = backChannelLogout({ issuer: 'https://login.example.com', clientId: 'my-app' });
 * ```
 *
 * SvelteKit refuses forms without the header `Origin`, which no provider sends: docs/how-to/provider-logout.md has what to
 * do.
 * @throws {@link ConfigError} if an option is invalid
 */
export function backChannelLogout(options: BackChannelOptions): LogoutEndpoint {
	check(options, 'backChannelLogout', ['issuer', 'clientId', 'jwks', 'as', 'onRefused']);
	text(options, 'clientId', 'backChannelLogout');
	const { issuer, clientId, jwks } = options;
	const keys = new ProviderKeys(issuer, jwks);
	return (event) =>
		answered(event, options, async (runtime) => {
			const token = await tokenOf(event.request);
			const [algorithm, list = '', receipt = '', kid] = judged(token, issuer, clientId);
			const found = await keys.find(algorithm as Algorithm, kid === '' ? undefined : kid);
			if (!(await isSigned(token, algorithm as Algorithm, found)))
				throw new LogoutError('token_signature');
			const isReplayed = await endedByProvider(runtime, list, receipt);
			if (isReplayed) throw new LogoutError('token_replayed');
		});
}

/**
 * Creates the endpoint for OpenID Connect Front-Channel Logout 1.0: the provider shows its address in a frame of its logout
 * page, with `iss` and `sid`, and the sessions of this `sid` end. It needs no cookie, which browsers keep out of such
 * frames. The request is not signed: a caller who knows the `sid` can end its sessions, and nothing else. Prefer
 * {@link backChannelLogout}: nothing tells you whether the frame was loaded.
 *
 * ```ts
 * import { frontChannelLogout } from 'vestiary';
 *
 * export const GET = frontChannelLogout({ issuer: 'https://login.example.com' });
 * ```
 *
 * @throws {@link ConfigError} if an option is invalid
 */
export function frontChannelLogout(options: FrontChannelOptions): LogoutEndpoint {
	check(options, 'frontChannelLogout', ['issuer', 'as', 'onRefused']);
	const { issuer } = options;
	return (event) =>
		answered(event, options, async (runtime) => {
			const { searchParams } = event.url;
			const [iss, ...others] = searchParams.getAll('iss');
			const [sid = '', ...more] = searchParams.getAll('sid');
			if (sid === '' || others.length + more.length > 0)
				throw new LogoutError('logout_request');
			if (iss !== issuer) throw new LogoutError('token_issuer');
			await endedByProvider(runtime, providerList(issuer, sid), '');
		});
}

/** Ends sessions, and answers as both specifications demand. */
async function answered(
	event: RequestEvent,
	{ as = 'session', onRefused }: FrontChannelOptions,
	end: (runtime: Runtime) => Promise<void>
): Promise<Response> {
	const headers = { 'cache-control': 'no-store' };
	try {
		await end(runtimeOf(event, as));
		return new Response(null, { headers });
	} catch (error) {
		if (!(error instanceof VestiaryError) || error instanceof ConfigError) throw error;
		harmless('onRefused', () => onRefused?.(error, event));
		const isRefused = error instanceof LogoutError && error.code !== 'keys_unavailable';
		const answer = {
			error: isRefused ? 'invalid_request' : 'server_error',
			error_description: error.code
		};
		return Response.json(answer, { status: 400, headers });
	}
}

/** The handle's part of a request. */
function runtimeOf(event: RequestEvent, as: string): Runtime {
	const session = slots(event)[as];
	if (!(session instanceof Session))
		throw new ConfigError(
			'options',
			`there is no session in \`event.locals.${as}\`: a logout by the provider needs \`sveltekitSessionHandle\` in the server hook`
		);
	const { runtime } = session[SCOPE];
	runtime.records.checkAtomic('a logout by the provider');
	return runtime;
}

/** The token in the form that a provider has sent. */
async function tokenOf(request: Request): Promise<string> {
	const type = request.headers.get('content-type') ?? '';
	const length = Number(request.headers.get('content-length') ?? 0);
	if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type) || length > LONGEST)
		throw new LogoutError('logout_request');
	let body: string | undefined;
	try {
		body = await limitedText(request, LONGEST);
	} catch (cause) {
		throw new LogoutError('logout_request', { cause });
	}
	const [token, ...others] = new URLSearchParams(body).getAll('logout_token');
	if (token === undefined || others.length > 0) throw new LogoutError('logout_request');
	return token;
}

/** The parts of a token in which all is right but its signature, which has not been checked. */
function judged(token: string, issuer: string, clientId: string): string[] {
	try {
		return logoutToken(token, issuer, clientId, Date.now()).split('\n');
	} catch (thrown) {
		throw typeof thrown === 'string' ? new LogoutError(thrown as LogoutErrorCode) : thrown;
	}
}

function check(options: unknown, name: string, names: readonly string[]): void {
	if (typeof options !== 'object' || options === null)
		throw new ConfigError('options', `the options of \`${name}()\` must be an object`);
	checkNames(options, names, { kind: `an option of \`${name}()\`` });
	text(options, 'issuer', name);
}

function text(options: object, option: string, name: string): void {
	const value: unknown = (options as Record<string, unknown>)[option];
	if (typeof value !== 'string' || value === '')
		throw new ConfigError('options', `\`${option}\` of \`${name}()\` must be a string`);
}
